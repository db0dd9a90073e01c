"""The one interface of all networks: `Perceptron` and `Blueprint` have it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from skmcdropout._networks.folded_chain import Chain
from skmcdropout._networks.inputs import Rows, Shapes
from skmcdropout._utils.arrays import Floats, Table

if TYPE_CHECKING:
    import keras

    from skmcdropout._networks.outputs import Outputs


class NetworkSpec(Protocol):
    """A network, weights apart, in plain values that can be hashed and pickled."""

    @property
    def outputs(self) -> Outputs:
        """What its outputs mean."""

    @property
    def table_dtype(self) -> Any:
        """Type of a table of rows, in which all values they may hold are exact."""

    @property
    def custom_objects(self) -> tuple[tuple[str, Any], ...]:
        """Classes and functions of the user's that it needs, by name."""

    @property
    def stands_alone(self) -> bool:
        """Whether what is compiled for one such network may be wrong for another."""

    @property
    def is_compiled(self) -> bool:
        """Whether it has a loss of the user's."""

    @property
    def takes_tables_only(self) -> bool:
        """Whether rows have one axis, of real numbers."""

    @property
    def n_features_varies(self) -> bool:
        """Whether rows have no `n_features_in_`: their first axis has any length."""

    @property
    def takes_any_shape(self) -> bool:
        """Whether what is compiled may serve networks of every width."""

    def without_names(self) -> NetworkSpec:
        """The same for networks that differ in the names of their layers alone."""

    def compile_key(self, any_shape: bool = False) -> Hashable:
        """What compiled code for it depends on, widths and rates apart if it may."""

    def pack(self, X: Rows) -> tuple[Table, Shapes]:
        """Rows as one table, and their shapes."""

    def arguments(self, network: keras.Model, table: Any) -> Any:
        """What to call its network with, from rows of a table, in a graph."""

    def chain(self, weights: Sequence[Floats]) -> Chain | None:
        """The network with these weights as a chain; None if it is more than that."""

    def build(self, seed: int, trust: bool = False) -> keras.Model:
        """A new Keras network, with new weights drawn from `seed`.

        `trust` says that code in it comes from this process, not from a file.
        """

    def build_to_train(self, is_shared: bool) -> keras.Model:
        """A network for a trainer, which may serve others like it if `is_shared`."""

    def with_prior_over(self, n_rows: int) -> NetworkSpec:
        """The same network with a prior that counts as much as one of so many rows."""

    def with_outputs(self, outputs: Outputs) -> NetworkSpec:
        """The same network with outputs that mean something else."""

    def set_strengths(self, network: keras.Model) -> None:
        """Give a shared trainer's network its own rates and penalty."""

    def make_loss(self) -> keras.Loss:
        """A new loss to train by."""

    def make_metrics(self) -> dict[str, Any]:
        """New metrics to train with, as arguments of `compile`."""

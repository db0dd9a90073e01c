"""`Network` and `Sampler`: the one interface of perceptrons and Keras's networks."""

from __future__ import annotations

import abc
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmcdropout._perceptron.outputs import Outputs
from skmcdropout._perceptron.state import TrainingData, TrainingState
from skmcdropout._perceptron.values import Wanted
from skmcdropout._utils.arrays import Floats, Table
from skmcdropout._utils.inputs import InputSpec, Rows, Shapes

if TYPE_CHECKING:
    import keras


class Network(abc.ABC):
    """A network, weights apart, in plain values that can be hashed and pickled."""

    #: What its outputs mean.
    outputs: Any
    #: Type of a table of rows, in which all values they may hold are exact.
    table_dtype: Any = np.float32
    #: Classes and functions of the user's that it needs, by name.
    custom_objects: Any = ()
    #: Its inputs, where it says something of them.
    inputs: Sequence[InputSpec] = ()
    #: Whether rows have one axis, of real numbers.
    takes_tables_only: bool = False
    #: Whether rows have no `n_features_in_`: their first axis has any length.
    n_features_varies: Any = False

    @abc.abstractmethod
    def with_outputs(self, outputs: Outputs) -> Network:
        """The same network with outputs that mean something else."""

    def with_prior_over(self, n_rows: int) -> Network:
        """The same network with a prior that counts as much as one of so many rows."""
        return self

    def without_names(self) -> Network:
        """The same for networks that differ in the names of their layers alone."""
        return self

    @abc.abstractmethod
    def pack(self, X: Rows) -> tuple[Table, Shapes]:
        """Rows as one table, and their shapes."""

    @abc.abstractmethod
    def sampler(
        self,
        weights: Sequence[Floats],
        seed: int,
        trust: bool = False,
        compiled: Any = None,
    ) -> Sampler:
        """What draws with these weights, and noise that depends on `seed` alone.

        `trust` says that code in the network comes from this process, not from a file,
        and `compiled` is what there is already to draw from it.
        """

    @abc.abstractmethod
    def held_values(
        self, weights: Sequence[Floats], table: Table, n_samples: int, seed: int
    ) -> Floats:
        """Draws of held-out rows, (n_samples, n_rows, n_values).

        Of a perceptron that classifies they are logits.
        """

    def slopes_of_loss(self, y: NDArray[Any]) -> NDArray[np.float64] | None:
        """How steep its loss is in what is predicted for targets; None if everywhere.

        Of shape (n_constants, n_rows, n_targets).
        """
        return None

    def warn_of_rows(self, table: Table) -> None:  # noqa: B027 - most do nothing
        """Warn of rows that it will hardly learn from."""

    def warn_if_unlearned(self, data: TrainingData, trained: TrainingState) -> None:  # noqa: B027 - most do nothing
        """Warn if it has learned less than a constant would say."""


class Sampler(abc.ABC):
    """Draws of one trained network, from noise that depends on `seed` alone.

    Its Keras network is made when somebody asks for it, and from then on its variables
    are what counts, since they can be changed. The noise of the last call is kept for
    as long as the weights and what is asked for stay the same. Threads may share it.
    """

    def __init__(self, spec: Network, weights: Sequence[Floats], seed: int) -> None:
        self.spec = spec
        self.seed = seed
        self._weights = weights
        self._keras_network: keras.Model | None = None
        self._last_noise: _Noise | None = None
        self._lock = threading.RLock()

    def keras_network(
        self, build: Callable[[Sequence[Floats]], keras.Model]
    ) -> keras.Model:
        """The trained network: what there is, or what `build` makes of the weights."""
        with self._lock:
            if self._keras_network is None:
                self._keras_network = build(self._weights)
        return self._keras_network

    @property
    def weights(self) -> Sequence[Floats]:
        """The weights as they are now, in the order of ``network.get_weights()``."""
        if self._keras_network is not None:
            now = self._keras_network.get_weights()
            if not equal_weights(now, self._weights):
                self._weights = now
        return self._weights

    @abc.abstractmethod
    def draw(
        self, X: Rows, n_samples: int, sampling: str, wanted: Wanted, show: bool = False
    ) -> tuple[Floats, ...]:
        """Draw `n_samples` times for every row of `X`; see `Wanted` for the result.

        With `n_samples` 0 the only draw is the network with nothing dropped. With
        `show` a bar shows how far a long prediction is.
        """

    def _noise(
        self, asked: Hashable, weights: Sequence[Floats], sample: Callable[[], Any]
    ) -> Any:
        """What ``sample()`` gives, or gave for the same question and weights."""
        last = self._last_noise
        if last is None or last.asked != asked or last.weights is not weights:
            self._last_noise = last = _Noise(asked, weights, sample())
        return last.noise


class _Noise(NamedTuple):
    """What was drawn, for which question and weights."""

    asked: Hashable
    weights: Sequence[Floats]
    noise: Any


def equal_weights(weights: Sequence[Floats], others: Sequence[Floats]) -> bool:
    """Whether two lists of weights hold the same."""
    return weights is others or all(map(np.array_equal, weights, others))

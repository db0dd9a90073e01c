"""What a network's outputs mean: `ClassOutputs` and `TargetOutputs` say it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._networks.folded_chain import Affine
from skmcdropout._utils.arrays import Floats

if TYPE_CHECKING:
    import keras


class Comparisons(NamedTuple):
    """Pairs of targets and predictions: what a loss and metrics compare, in a graph.

    The network is trained by the loss of `trained`, times `factor`; what is told is
    that of `told`, and what metrics say of `measured`.
    """

    trained: tuple[Any, Any]
    told: tuple[Any, Any]
    measured: tuple[Any, Any]
    factor: Any = None

    @classmethod
    def same(cls, pair: tuple[Any, Any], factor: Any = None) -> Comparisons:
        """One pair for all."""
        return cls(pair, pair, pair, factor)


class Outputs(Protocol):
    """From the outputs of a network to the values of a draw, and to a loss."""

    @property
    def n_units(self) -> int:
        """Width of the network's output."""

    @property
    def n_values(self) -> int:
        """Number of values of a row in a draw."""

    @property
    def loss(self) -> str:
        """Name of the loss that a network without one is trained by."""

    @property
    def activation(self) -> str:
        """What a perceptron's last layer is followed by in a chain."""

    @property
    def keras_activation(self) -> str:
        """The activation of that layer in a Keras network."""

    @property
    def final_layers(self) -> tuple[Any, ...]:
        """Layers that follow it in a Keras network that predicts, without weights."""

    @property
    def label_dtype(self) -> Any:
        """Type of the labels."""

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Shape of a row's label."""

    def compile_key(self, any_shape: bool = False) -> Outputs:
        """All of them that compiled code depends on, widths apart if it may."""

    def with_noise(self, noise: Sequence[float]) -> Outputs:
        """The same with other factors of the noise's variance, if there is noise."""

    def values(self, outputs: tf.Tensor) -> Any:
        """Values (..., n_values) from a network's outputs, in a graph."""

    def chained(self, last: Affine) -> Affine | None:
        """The last layer of a chain that gives values; None if it ends otherwise."""

    @property
    def units(self) -> Sequence[float]:
        """Numbers that `comparisons` needs, and that compiled code does not know."""

    @property
    def loss_unit(self) -> float:
        """What a difference of 1 between losses in standard units is in those told."""

    def comparisons(self, labels: Any, p: Any, units: Any, loss: Any) -> Comparisons:
        """What `loss` and metrics compare, from labels and a network's outputs."""

    def example(self, loss: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Made labels, as `loss` is shown them, and outputs to try it with."""

    def default_loss(self) -> keras.Loss:
        """The loss of a network that was compiled with none."""

    def scores(self, values: Any, y: Any) -> dict[str, Any]:
        """Scores of each row, by name, besides the loss, in a graph."""

    def check_loss(self, loss: Any) -> None:
        """Refuse a loss that these outputs are not for."""

    def are_same(
        self, values: NDArray[Any], others: NDArray[Any], tolerance: float
    ) -> bool:
        """Whether values are equal but for errors of rounding."""

    def check_values(self, values: NDArray[Any] | Floats) -> None:
        """Refuse values (n_rows, n_values) that outputs like these do not have."""

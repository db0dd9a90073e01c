"""What training needs and what comes of it, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmcdropout._utils.arrays import Table


@dataclass(frozen=True)
class Recipe:
    """How to train: what an estimator's parameters say of it.

    `optimizer` is a name, a class, or a class and the configuration of an instance.
    `stops_early` says that the validation rows decide when to stop.
    With `is_annealed` the learning rate falls to 0 over all epochs, by half a cosine.
    """

    optimizer: Any
    learning_rate: float
    batch_size: int
    epochs: int
    n_iter_no_change: int
    seed: int
    stops_early: bool = True
    is_annealed: bool = False


@dataclass(frozen=True)
class TrainingData:
    """What to train on; `rows` and `validation_rows` are indices into the others."""

    X: Table
    y: NDArray[Any]
    loss_weights: NDArray[np.float32]
    rows: NDArray[np.int64]
    validation_rows: NDArray[np.int64]


class Progress(NamedTuple):
    """How far training is, weights apart: all it needs to go on from there.

    `optimizer` and `noise` are the variables of the optimizer, which is one of
    `optimizer_kind`, and of the generators of dropout masks. `temperature` is what the
    logits are divided by, in weights that are not to be trained on; `noise_factors` are
    those of `TargetOutputs.noise`.
    """

    optimizer: Sequence[NDArray[Any]] = ()
    noise: Sequence[NDArray[Any]] = ()
    history: Mapping[str, list[float]] = {}
    optimizer_kind: str = ""
    learning_rate: float | None = None
    temperature: float = 1.0
    noise_factors: tuple[float, ...] = ()

    @property
    def n_epochs(self) -> int:
        """Epochs trained so far."""
        return len(self.history.get("loss", ()))


#: Progress before any training.
NOT_BEGUN = Progress()


@dataclass(frozen=True)
class TrainingState:
    """Weights, in the order of a network's `get_weights`, and the progress so far."""

    weights: Sequence[NDArray[Any]]
    progress: Progress = NOT_BEGUN

    def cooled(self, temperature: float) -> TrainingState:
        """The same with logits divided by a temperature, for a network to predict.

        The last two weights are the kernel and bias of a layer that ends in a softmax.
        """
        progress = self.progress._replace(temperature=temperature)
        return TrainingState(_last_divided(self.weights, temperature), progress)

    def with_noise(self, factors: Sequence[float]) -> TrainingState:
        """The same with these factors of the noise's variance."""
        progress = self.progress._replace(noise_factors=tuple(factors))
        return TrainingState(self.weights, progress)

    def to_train(self) -> TrainingState:
        """The same without its temperature."""
        weights = _last_divided(self.weights, 1 / self.progress.temperature)
        return TrainingState(weights, self.progress)


def _last_divided(
    weights: Sequence[NDArray[Any]], divisor: float
) -> Sequence[NDArray[Any]]:
    if divisor == 1:
        return weights
    *others, kernel, bias = weights
    return [*others, kernel / np.float32(divisor), bias / np.float32(divisor)]

"""A warning where a network has stayed further from targets than a constant is."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from skmcdropout._networks.compiled_loss import name_of, shown_as
from skmcdropout._networks.spec import NetworkSpec
from skmcdropout._networks.target_outputs import TargetOutputs
from skmcdropout._training.state import TrainingData, TrainingState

#: Rows that are looked at, at most.
MOST_ROWS = 10_000


def warn_if_unlearned(
    spec: NetworkSpec, data: TrainingData, trained: TrainingState
) -> None:
    """Warn if the mean of the targets has a clearly lower loss than the network.

    Where a network is trained on targets as they are, they may be further than its
    steps lead.
    """
    outputs = spec.outputs
    if not (isinstance(outputs, TargetOutputs) and outputs.is_raw and spec.is_compiled):
        return
    if outputs.spread is not None:
        return
    y = data.y[data.rows[:MOST_ROWS], : outputs.n_targets]
    loss: Any = spec.make_loss()
    shape = shown_as(loss, outputs)
    shown = y if shape is None else y.reshape(-1, *shape)
    mean, std = y.mean(axis=0), y.std(axis=0)
    of_mean = float(loss(shown, np.broadcast_to(mean, y.shape)))
    reached = trained.progress.history["loss"][-1]
    if reached - of_mean <= outputs.loss_unit:
        return
    warnings.warn(
        f"The model has learned less than a constant would say: its {name_of(loss)!r} "
        f"is {reached:.3g} after {trained.progress.n_epochs} epochs, and that of "
        f"predicting the mean of y {of_mean:.3g}. It is trained on y as it is, of mean "
        f"{_in_words(mean)} and standard deviation {_in_words(std)}, for it does not "
        "end in the activation 'linear'. Train for more epochs, compile with a larger "
        "learning rate, or bring y near 1 (TransformedTargetRegressor).",
        UserWarning,
        stacklevel=2,
    )


def _in_words(values: Any) -> str:
    return ", ".join(f"{value:.3g}" for value in values)

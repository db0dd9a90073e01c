"""Stops training when the validation loss stalls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from numpy.typing import NDArray

#: Log-losses, in nats, that differ by less are the same to early stopping; `tol` of
#: scikit-learn's `MLPClassifier`.
TOLERANCE = 1e-4


class EarlyStopping(keras.callbacks.Callback):
    """Stops after `patience` epochs in which nothing improved; restores the best.

    Where the validation loss is as low as it was, to within `TOLERANCE` times
    `loss_unit`, the training loss decides. With few validation rows, or few that weigh
    anything, the first says nothing any more once these are predicted right.
    """

    def __init__(self, patience: int, loss_unit: float = 1.0) -> None:
        super().__init__()
        self._patience = patience
        self._tolerance = TOLERANCE * loss_unit
        self._lowest = self._lowest_in_training = math.inf
        self._n_waited = 0
        self._best: Sequence[NDArray[Any]] | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loss, in_training = logs["val_loss"], logs["loss"]
        is_lower = loss < self._lowest - self._tolerance
        is_as_low = loss <= self._lowest + self._tolerance
        self._lowest = min(self._lowest, loss)  # which may be NaN
        self._n_waited += 1
        if is_lower or (is_as_low and in_training < self._lowest_in_training):
            self._lowest_in_training = in_training
            self._best, self._n_waited = self.model.get_weights(), 0
        if self._n_waited >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        if self._best is not None:
            self.model.set_weights(self._best)

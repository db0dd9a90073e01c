"""The loop over epochs, whatever trains: `run`, and who is told of it."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skmcdropout._perceptron.state import (
    Progress,
    Recipe,
    TrainingData,
    TrainingState,
)
from skmcdropout._utils.progress import EpochPrinter

#: Log-losses, in nats, that differ by less are the same to early stopping; `tol` of
#: scikit-learn's `MLPClassifier`.
TOLERANCE = 1e-4

#: Rows that several epochs together may train at a time where nobody watches: a few
#: tenths of a second between two interrupts.
UNWATCHED_ROWS = 20_000

#: What helps against losses that are not finite.
ADVICE = (
    "Scale the features (StandardScaler), lower learning_rate or let the optimizer "
    "clip the gradients (optimizer=keras.optimizers.Adam(clipnorm=1.0))."
)


@dataclass(frozen=True)
class Course:
    """What is trained on from one epoch to another, and how.

    `n_annealed` is the number of steps in which the learning rate falls to 0; there
    are none where it stays.
    """

    data: TrainingData
    seed: int
    n_batches: int
    first_epoch: int
    last_epoch: int
    n_annealed: int

    @classmethod
    def planned(cls, data: TrainingData, recipe: Recipe, n_before: int) -> Course:
        """As a recipe says, after `n_before` epochs."""
        n_batches = -(-len(data.rows) // recipe.batch_size)
        n_annealed = recipe.epochs * n_batches if recipe.is_annealed else 0
        last = n_before + recipe.epochs
        return cls(data, recipe.seed, n_batches, n_before, last, n_annealed)


class Trainer(abc.ABC):
    """Trains weights, an epoch or a batch at a time."""

    #: Set by who wants training to stop after the epoch.
    stops = False
    #: What to do about losses that are not finite.
    advice = ADVICE
    #: Whether metrics are measured beside the loss.
    has_metrics = False

    @abc.abstractmethod
    def get_weights(self) -> list[NDArray[Any]]:
        """The weights that are trained, as the network orders them."""

    @abc.abstractmethod
    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set the weights that are trained."""

    @property
    @abc.abstractmethod
    def optimizer_kind(self) -> str:
        """What the state of the optimizer fits, apart from the weights' shapes."""

    @abc.abstractmethod
    def optimizer_state(self) -> list[NDArray[Any]]:
        """All that the optimizer remembers of earlier steps."""

    def noise_state(self) -> list[NDArray[Any]]:
        """State of generators of dropout masks that go on from epoch to epoch."""
        return []

    @abc.abstractmethod
    def begin(self, course: Course) -> None:
        """Get ready for the epochs of a course."""

    @abc.abstractmethod
    def train_epochs(self, epochs: range) -> list[float]:
        """Train epochs; return of each the sum over rows of the loss."""

    @abc.abstractmethod
    def train_batch(self, epoch: int, batch: int) -> float:
        """Train one batch of an epoch; return the sum over its rows of the loss."""

    @abc.abstractmethod
    def evaluate_held(self) -> dict[str, float]:
        """Loss of the validation rows, accuracy of classes, and metrics."""

    def forget_measured(self) -> None:  # noqa: B027 - most do nothing
        """Let metrics begin anew."""

    def measured(self) -> dict[str, float]:
        """Values of metrics since they began anew."""
        return {}

    def end(self) -> None:  # noqa: B027 - most do nothing
        """All epochs were trained."""


class Hook:
    """Is told of training; does nothing."""

    #: Whether it wants to know of batches.
    watches_batches = False

    def on_train_begin(self) -> None:
        """Training begins."""

    def on_epoch_begin(self, epoch: int) -> None:
        """An epoch begins, counted from 0."""

    def on_batch_begin(self, batch: int) -> None:
        """A batch of the epoch begins, counted from 0."""

    def on_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """A batch ends; `logs` are means over the epoch so far."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """An epoch ends."""

    def on_train_end(self, logs: dict[str, float]) -> None:
        """Training ends."""


class EarlyStopping(Hook):
    """Stops after `patience` epochs in which nothing improved; restores the best.

    Where the validation loss is as low as it was, to within `TOLERANCE` times
    `loss_unit`, the training loss decides. With few validation rows, or few that weigh
    anything, the first says nothing any more once these are predicted right.
    """

    def __init__(self, trainer: Trainer, patience: int, loss_unit: float = 1.0) -> None:
        self._trainer = trainer
        self._patience = patience
        self._tolerance = TOLERANCE * loss_unit
        self._lowest = self._lowest_in_training = math.inf
        self._n_waited = 0
        self._best: Sequence[NDArray[Any]] | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Note what is best, or stop."""
        loss, in_training = logs["val_loss"], logs["loss"]
        is_lower = loss < self._lowest - self._tolerance
        is_as_low = loss <= self._lowest + self._tolerance
        self._lowest = min(self._lowest, loss)  # which may be NaN
        self._n_waited += 1
        if is_lower or (is_as_low and in_training < self._lowest_in_training):
            self._lowest_in_training = in_training
            self._best, self._n_waited = self._trainer.get_weights(), 0
        if self._n_waited >= self._patience:
            self._trainer.stops = True

    def on_train_end(self, logs: dict[str, float]) -> None:
        """Restore the best weights."""
        if self._best is not None:
            self._trainer.set_weights(self._best)


class History(Hook):
    """Keeps what is told at the end of epochs."""

    def __init__(self) -> None:
        self.logs: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Keep it."""
        for name, value in logs.items():
            self.logs.setdefault(name, []).append(value)


class EpochWatcher(Protocol):
    """Is told when epochs begin and end."""

    def begin(self) -> None:
        """An epoch begins."""

    def end(self, state: Callable[[], TrainingState]) -> bool:
        """An epoch ends, in this state; whether training should end too."""


class _TellsWatcher(Hook):
    """Tells a watcher of epochs, and stops training where it says so."""

    def __init__(
        self,
        trainer: Trainer,
        watcher: EpochWatcher,
        reached: Callable[[], TrainingState],
    ) -> None:
        self._trainer = trainer
        self._watcher = watcher
        self._reached = reached

    def on_epoch_begin(self, epoch: int) -> None:
        self._watcher.begin()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if self._watcher.end(self._reached):
            self._trainer.stops = True


class _Prints(Hook):
    """Prints epochs as Keras does."""

    def __init__(self, verbose: int, course: Course) -> None:
        self.watches_batches = verbose == 1
        self._printer = EpochPrinter(verbose, course.last_epoch, course.n_batches)

    def on_epoch_begin(self, epoch: int) -> None:
        self._printer.begin_epoch(epoch)

    def on_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        self._printer.batch(batch + 1, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self._printer.end_epoch(logs)


def run(
    trainer: Trainer,
    before: Progress,
    data: TrainingData,
    recipe: Recipe,
    *,
    learning_rate: float | None,
    loss_unit: float = 1.0,
    callbacks: Sequence[Hook] = (),
    verbose: int = 0,
    watcher: EpochWatcher | None = None,
) -> TrainingState:
    """Train as a recipe says; return the state that training has reached.

    `learning_rate` was asked for, if any was, and `loss_unit` is the size of the loss.
    """
    course = Course.planned(data, recipe, before.n_epochs)
    history = History()

    def reached() -> TrainingState:
        logs = history.logs
        together = {n: [*before.history.get(n, ()), *logs[n]] for n in logs}
        progress = Progress(
            optimizer=trainer.optimizer_state(),
            noise=trainer.noise_state(),
            history={**before.history, **together},
            optimizer_kind=trainer.optimizer_kind,
            learning_rate=learning_rate,
            noise_factors=before.noise_factors,
        )
        return TrainingState(trainer.get_weights(), progress)

    hooks = [*callbacks]
    if len(data.validation_rows) and recipe.stops_early:
        hooks.append(EarlyStopping(trainer, recipe.n_iter_no_change, loss_unit))
    hooks.append(history)
    if watcher is not None:  # after the history, so that this holds the epoch
        hooks.append(_TellsWatcher(trainer, watcher, reached))
    if verbose:
        hooks.append(_Prints(verbose, course))
    _run_epochs(trainer, course, hooks)
    return reached()


def _run_epochs(trainer: Trainer, course: Course, hooks: Sequence[Hook]) -> None:
    """Train all epochs of a course; short ones several at a time if nobody watches."""
    n_rows, n_batches = len(course.data.rows), course.n_batches
    by_batch = any(hook.watches_batches for hook in hooks)
    is_watched = len(hooks) > 1 or trainer.has_metrics  # the history is no watcher
    n_together = 1 if is_watched else max(1, UNWATCHED_ROWS // n_rows)
    trainer.stops = False
    trainer.begin(course)
    for hook in hooks:
        hook.on_train_begin()
    logs: dict[str, float] = {}
    epoch = course.first_epoch
    for start in range(course.first_epoch, course.last_epoch, n_together):
        together = range(start, min(start + n_together, course.last_epoch))
        for hook in hooks:
            hook.on_epoch_begin(start)
        trainer.forget_measured()
        if by_batch:
            sums = [_train_by_batch(trainer, start, n_batches, n_rows, hooks)]
        else:
            sums = trainer.train_epochs(together)
        for epoch, total in zip(together, sums, strict=True):
            logs = {"loss": float(total) / n_rows, **trainer.measured()}
            _check_finite(logs["loss"], epoch, trainer.advice)
            if len(course.data.validation_rows):
                found = trainer.evaluate_held()
                logs |= {f"val_{name}": value for name, value in found.items()}
            for hook in hooks:
                hook.on_epoch_end(epoch, logs)
        if trainer.stops:
            break
    trainer.end()
    for hook in hooks:
        hook.on_train_end(logs)
    if not all(np.isfinite(weight).all() for weight in trainer.get_weights()):
        _check_finite(np.nan, epoch, trainer.advice)


def _train_by_batch(
    trainer: Trainer, epoch: int, n_batches: int, n_rows: int, hooks: Sequence[Hook]
) -> float:
    """Train an epoch and tell hooks of each batch and the mean loss so far."""
    total = 0.0
    for batch in range(n_batches):
        for hook in hooks:
            hook.on_batch_begin(batch)
        total += trainer.train_batch(epoch, batch)
        n_seen = (batch + 1) * n_rows // n_batches
        logs = {"loss": total / n_seen, **trainer.measured()}
        for hook in hooks:
            hook.on_batch_end(batch, logs)
        if trainer.stops:
            return total * n_rows / n_seen
    return total


def _check_finite(loss: float, epoch: int, advice: str) -> None:
    if not np.isfinite(loss):
        raise ValueError(
            f"The training loss became {loss} in epoch {epoch + 1}. {advice}"
        )

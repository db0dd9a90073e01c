"""`Trainer`: a Keras model with a `fit` of its own, which callbacks see."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skmcdropout._networks.keras_backend import DTYPE
from skmcdropout._networks.spec import NetworkSpec
from skmcdropout._training.scikeras_backend import SCIKERAS_LOSS
from skmcdropout._training.state import Progress, TrainingState
from skmcdropout._utils.arrays import Floats, Table
from skmcdropout._utils.interrupts import interrupts_held

BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
)


@dataclass(frozen=True)
class Call:
    """What a call of `fit` trains on, and how.

    `n_annealed` is the number of steps in which the learning rate falls to 0; there
    are none where it stays.
    """

    table: Table
    labels: NDArray[Any]
    loss_weights: Floats
    rows: NDArray[np.int64]
    validation_rows: NDArray[np.int64]
    seed: int
    n_batches: int
    initial_epoch: int
    n_annealed: int


class Trainer(keras.Model):
    """Trains weights with Keras's callbacks, which see a model like any other.

    `network` is the Keras network that they see, or none where nobody looks.
    """

    #: Rows that several epochs together may train at a time where nobody watches.
    unwatched_rows = 0

    def __init__(
        self,
        network: keras.Model | None,
        optimizer: keras.Optimizer,
        spec: NetworkSpec,
    ) -> None:
        super().__init__(dtype=DTYPE)  # whatever Keras's global policy is
        self.network: Any = network
        self.outputs = ["outputs"]  # scikeras counts them
        metrics = spec.make_metrics()
        self.compile(optimizer, SCIKERAS_LOSS(), **metrics)
        self._has_metrics = bool(metrics)
        self._advice = ADVICE_TO_COMPILED if spec.is_compiled else ADVICE

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
    def load(self, state: TrainingState, optimizer: keras.Optimizer, seed: int) -> None:
        """Go on from `state`; `optimizer` holds the learning rate that is asked for."""

    @abc.abstractmethod
    def _optimizer_state(self) -> list[NDArray[Any]]:
        """All that the optimizer remembers of earlier steps."""

    @abc.abstractmethod
    def _noise_state(self) -> list[NDArray[Any]]:
        """State of the generators of dropout masks."""

    def unload(self, learning_rate: float | None, before: Progress) -> TrainingState:
        """The state that training has reached; `learning_rate` was asked for."""
        logs = self.history.history
        history = {n: [*before.history.get(n, ()), *logs[n]] for n in logs}
        progress = Progress(
            optimizer=self._optimizer_state(),
            noise=self._noise_state(),
            history={**before.history, **history},
            optimizer_kind=self.optimizer_kind,
            learning_rate=learning_rate,
            noise_factors=before.noise_factors,
        )
        return TrainingState(self.get_weights(), progress)

    @abc.abstractmethod
    def _begin(self, call: Call) -> None:
        """Get ready for the epochs of a call."""

    @abc.abstractmethod
    def _train_epochs(self, epochs: range) -> list[float]:
        """Train epochs; return of each the sum over rows of the loss."""

    @abc.abstractmethod
    def _train_batch(self, epoch: int, batch: int) -> float:
        """Train one batch of an epoch; return the sum over its rows of the loss."""

    @abc.abstractmethod
    def _evaluate_held(self) -> dict[str, float]:
        """Loss of the validation rows and, of classes, accuracy."""

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Save the network, without what trained it."""
        self.network.save(filepath, *args, **kwargs)

    def save_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Save the network's weights."""
        self.network.save_weights(filepath, *args, **kwargs)

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Load the network's weights."""
        self.network.load_weights(filepath, *args, **kwargs)

    def call(self, x: Any, training: bool = False) -> Any:
        """Call the network."""
        return self.network(x, training=training)

    def fit(
        self,
        x: NDArray[np.float32],
        y: NDArray[Any],
        *,
        table: Table,
        labels: NDArray[Any],
        loss_weights: NDArray[np.float32],
        rows: NDArray[np.int64],
        validation_rows: NDArray[np.int64],
        shuffle_seed: int,
        is_annealed: bool,
        batch_size: int,
        epochs: int,
        initial_epoch: int,
        callbacks: Sequence[keras.callbacks.Callback],
        verbose: int,
        **unused: Any,
    ) -> keras.callbacks.History:
        """Train on `rows` of `table`, shuffled anew each epoch, in even batches.

        `x` and `y` are what scikeras made of a stand-in. Where nobody watches, several
        short epochs may be one call.
        """
        n_batches = -(-len(rows) // batch_size)
        by_batch = verbose == 1 or any(map(_hooks_batches, callbacks))
        hooks = keras.callbacks.CallbackList(
            self._surrounded(callbacks),
            add_history=True,
            add_progbar=verbose != 0,
            model=self,
            verbose=verbose,
            epochs=epochs,
            steps=n_batches,
        )
        is_watched = bool(callbacks) or verbose != 0 or self._has_metrics
        n_together = 1 if is_watched else max(1, self.unwatched_rows // len(rows))
        with interrupts_held():
            self._begin(
                Call(
                    table,
                    labels,
                    loss_weights,
                    rows,
                    validation_rows,
                    shuffle_seed,
                    n_batches,
                    initial_epoch,
                    (epochs - initial_epoch) * n_batches if is_annealed else 0,
                )
            )
        self.stop_training = False
        hooks.on_train_begin()
        logs: dict[str, float] = {}
        for start in range(initial_epoch, epochs, n_together):
            together = range(start, min(start + n_together, epochs))
            hooks.on_epoch_begin(start)
            self._forget_measured()
            if by_batch:
                sums = [self._train_by_batch(start, n_batches, len(rows), hooks)]
            else:
                with interrupts_held():
                    sums = self._train_epochs(together)
            for epoch, loss in zip(together, sums, strict=True):
                with interrupts_held():
                    logs = {"loss": float(loss) / len(rows), **self._measured()}
                    _check_finite(logs["loss"], epoch, self._advice)
                    if len(validation_rows):
                        logs |= self._validated()
                hooks.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        self._end()
        hooks.on_train_end(logs)
        if not all(np.isfinite(weight).all() for weight in self.get_weights()):
            _check_finite(np.nan, self.history.epoch[-1], self._advice)
        return self.history

    def _surrounded(
        self, callbacks: Sequence[keras.callbacks.Callback]
    ) -> list[keras.callbacks.Callback]:
        """The callbacks, and any that must be called before and after them."""
        return list(callbacks)

    def _end(self) -> None:
        """All epochs were trained."""

    def _validated(self) -> dict[str, float]:
        """Loss, accuracy and metrics of the rows that are held out."""
        self._forget_measured()
        found = {**self._evaluate_held(), **self._measured()}
        return {f"val_{name}": value for name, value in found.items()}

    def _forget_measured(self) -> None:
        """Let the metrics begin anew."""
        if self._has_metrics:
            with interrupts_held():
                self.reset_metrics()

    def _measured(self) -> dict[str, float]:
        """Values of the metrics that the network was compiled with, since the reset."""
        if not self._has_metrics:
            return {}
        found = {k: float(v) for k, v in self.get_metrics_result().items()}
        return {name: value for name, value in found.items() if name != "loss"}

    def _train_by_batch(
        self, epoch: int, n_batches: int, n_rows: int, hooks: Any
    ) -> float:
        """Train an epoch and tell `hooks` of each batch and the mean loss so far."""
        total = 0.0
        for batch in range(n_batches):
            hooks.on_train_batch_begin(batch)
            with interrupts_held():
                total += self._train_batch(epoch, batch)
                n_seen = (batch + 1) * n_rows // n_batches
                logs = {"loss": total / n_seen, **self._measured()}
            hooks.on_train_batch_end(batch, logs)
            if self.stop_training:
                return total * n_rows / n_seen
        return total


def _hooks_batches(callback: keras.callbacks.Callback) -> bool:
    base = keras.callbacks.Callback
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(base, hook)
        for hook in BATCH_HOOKS
    )


#: What helps against losses that are not finite.
ADVICE = (
    "Scale the features (StandardScaler), lower learning_rate or let the optimizer "
    "clip the gradients (optimizer=keras.optimizers.Adam(clipnorm=1.0))."
)

#: The same for networks with a loss of their own.
ADVICE_TO_COMPILED = (
    "The loss that the model is compiled with must be finite for all values of y, in "
    "their own units, and whatever the model predicts (no logarithm or quotient of "
    "what may be 0 or below); or scale the features (StandardScaler), or compile with "
    "a lower learning rate or with gradients that are clipped (clipnorm=1.0)."
)


def _check_finite(loss: float, epoch: int, advice: str) -> None:
    if not np.isfinite(loss):
        raise ValueError(
            f"The training loss became {loss} in epoch {epoch + 1}. {advice}"
        )


def fixed_learning_rate(optimizer: keras.Optimizer) -> float | None:
    """The rate an optimizer has now; None for a schedule."""
    rate = optimizer.get_config().get("learning_rate")
    return rate if isinstance(rate, float) else None

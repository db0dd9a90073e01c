"""`ShownModel`: the Keras model that callbacks see while something is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skmcdropout._keras.keras_backend import DTYPE
from skmcdropout._keras.private import forget_model
from skmcdropout._keras.scikeras_backend import SCIKERAS_LOSS
from skmcdropout._perceptron.epochs import Course, Hook, Trainer
from skmcdropout._perceptron.training import ArrayTrainer

BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
)


class ShownModel(keras.Model):
    """A model like any other to callbacks, whose weights a trainer has.

    Its `fit` is what `on_fit` was set to, which is given the callbacks.
    """

    on_fit: Callable[[Sequence[keras.callbacks.Callback]], Any]

    def __init__(
        self,
        trainer: Trainer,
        network: keras.Model | None,
        optimizer: keras.Optimizer,
        metrics: dict[str, Any],
    ) -> None:
        super().__init__(dtype=DTYPE)  # whatever Keras's global policy is
        self._trainer = trainer
        self.network: Any = network
        self.outputs = ["outputs"]  # scikeras counts them
        self.compile(optimizer, SCIKERAS_LOSS(), **metrics)

    def get_weights(self) -> list[NDArray[Any]]:
        """The weights that are trained, as the network orders them."""
        return self._trainer.get_weights()

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set the weights that are trained."""
        self._trainer.set_weights(weights)

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

    def fit(self, x: Any, y: Any, **given: Any) -> Any:
        """Train; `x` and `y` are what scikeras made of a stand-in."""
        self.on_fit(given.get("callbacks") or ())
        return keras.callbacks.History()  # of which scikeras keeps a copy


class KerasCallbacks(Hook):
    """Calls Keras's callbacks, which see a model."""

    def __init__(
        self,
        model: ShownModel,
        trainer: Trainer,
        callbacks: Sequence[keras.callbacks.Callback],
        course: Course,
    ) -> None:
        self._model, self._trainer, self._callbacks = model, trainer, callbacks
        self.watches_batches = any(map(_hooks_batches, callbacks))
        self._list = keras.callbacks.CallbackList(
            list(callbacks),
            add_history=True,
            model=model,
            verbose=0,
            epochs=course.last_epoch,
            steps=course.n_batches,
        )

    def _call(self, name: str, *args: Any) -> None:
        self._model.stop_training = self._trainer.stops
        getattr(self._list, name)(*args)
        self._trainer.stops = bool(self._model.stop_training)

    def on_train_begin(self) -> None:
        """Training begins."""
        self._call("on_train_begin")

    def on_epoch_begin(self, epoch: int) -> None:
        """An epoch begins."""
        self._call("on_epoch_begin", epoch)

    def on_batch_begin(self, batch: int) -> None:
        """A batch begins."""
        self._call("on_train_batch_begin", batch)

    def on_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """A batch ends."""
        self._call("on_train_batch_end", batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """An epoch ends."""
        self._call("on_epoch_end", epoch, logs)

    def on_train_end(self, logs: dict[str, float]) -> None:
        """Training ends."""
        self._call("on_train_end", logs)

    def forget(self) -> None:
        """Take the model from the callbacks, which may live on."""
        for callback in self._callbacks:
            forget_model(callback)


class ArrayCallbacks(KerasCallbacks):
    """The same while arrays are trained, from which the network is set each time."""

    _trainer: ArrayTrainer
    _model: ShownArrays

    def _call(self, name: str, *args: Any) -> None:
        network = self._model.network
        network.set_weights(self._trainer.get_weights())
        self._model.is_looked_at = True
        super()._call(name, *args)
        self._model.is_looked_at = False
        self._trainer.set_weights(network.get_weights())
        rate = float(self._model.optimizer.learning_rate)
        if rate != np.float32(self._trainer.learning_rate):
            self._trainer.learning_rate = rate


class ShownArrays(ShownModel):
    """A model whose network stands for the arrays that are trained."""

    #: Whether callbacks look at the network just now, and may change it.
    is_looked_at = False

    def get_weights(self) -> list[NDArray[Any]]:
        """The weights that are trained, as the network orders them."""
        return (
            self.network.get_weights() if self.is_looked_at else super().get_weights()
        )

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set the weights that are trained."""
        if self.is_looked_at:
            self.network.set_weights(weights)
        else:
            super().set_weights(weights)


def _hooks_batches(callback: keras.callbacks.Callback) -> bool:
    base = keras.callbacks.Callback
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(base, hook)
        for hook in BATCH_HOOKS
    )


def fixed_learning_rate(optimizer: keras.Optimizer) -> float | None:
    """The rate an optimizer has now; None for a schedule."""
    rate = optimizer.get_config().get("learning_rate")
    return rate if isinstance(rate, float) else None

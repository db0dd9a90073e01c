"""`PerceptronTrainer`: trains a perceptron by Adam on arrays, without TensorFlow."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard

import keras
import numpy as np
from numpy.typing import NDArray

from skmcdropout._networks.activations import DIFFERENTIATED
from skmcdropout._networks.perceptron import Perceptron
from skmcdropout._networks.spec import NetworkSpec
from skmcdropout._training.adam import Adam, is_plain_adam
from skmcdropout._training.backpropagation import Backpropagation
from skmcdropout._training.state import TrainingState
from skmcdropout._training.trainer import Call, Trainer, fixed_learning_rate
from skmcdropout._utils.blas import threads_for
from skmcdropout._utils.sparse_tables import issparse

#: Held for an epoch: threads that take turns at each of its small operations would
#: take twice as long as one after the other.
_turn = threading.Lock()


def trains(spec: NetworkSpec, optimizer: keras.Optimizer) -> TypeGuard[Perceptron]:
    """Whether `PerceptronTrainer` does what Keras would do with the two."""
    return (
        isinstance(spec, Perceptron)
        and spec.activation in DIFFERENTIATED
        and is_plain_adam(optimizer)
    )


class PerceptronTrainer(Trainer):
    """Trains one perceptron; `is_seen` by callbacks, it shows them a Keras network.

    Masks and order of the rows of an epoch come of the seed and its number alone.
    """

    unwatched_rows = 20_000

    def __init__(
        self, spec: Perceptron, optimizer: keras.Optimizer, is_seen: bool
    ) -> None:
        network = spec.build_to_train(is_shared=False) if is_seen else None
        super().__init__(network, optimizer, spec)
        self._spec = spec
        #: Whether callbacks look at the network just now, and may change it.
        self._is_shown = False

    @property
    def optimizer_kind(self) -> str:
        """Adam on arrays."""
        return "Adam on arrays"

    def get_weights(self) -> list[NDArray[Any]]:
        """The weights that are trained, as the network orders them."""
        if self._is_shown:
            return self.network.get_weights()
        return self._arrays.weights

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set the weights that are trained."""
        if self._is_shown:
            self.network.set_weights(weights)
        else:
            self._arrays.weights = list(weights)

    def load(self, state: TrainingState, optimizer: keras.Optimizer, seed: int) -> None:
        """Go on from `state`; `optimizer` holds the learning rate that is asked for."""
        progress = state.progress
        self._arrays = Backpropagation(self._spec, state.weights)
        self._adam = Adam(optimizer, len(self._arrays.vector))
        if progress.optimizer_kind == self.optimizer_kind:
            *remembered, learning_rate = progress.optimizer
            self._adam.state = remembered
            if fixed_learning_rate(optimizer) == progress.learning_rate:
                self.optimizer.learning_rate = float(learning_rate)
        self._first_rate = float(self.optimizer.learning_rate)

    def let_go(self) -> None:
        """Forget the arrays: a model lives on until Python looks for circles."""
        if self.network is None:
            del self._arrays, self._adam, self._call, self._held

    def show(self) -> None:
        """Let callbacks look at the network."""
        self.network.set_weights(self.get_weights())
        self._is_shown = True

    def take(self) -> None:
        """Go on with what callbacks made of the network."""
        self._is_shown = False
        self.set_weights(self.network.get_weights())

    def _surrounded(
        self, callbacks: Sequence[keras.callbacks.Callback]
    ) -> list[keras.callbacks.Callback]:
        if self.network is None:
            return list(callbacks)
        return [_at_each_hook(self.show), *callbacks, _at_each_hook(self.take)]

    def _optimizer_state(self) -> list[NDArray[Any]]:
        return [*self._adam.state, np.array(self._learning_rate())]

    def _noise_state(self) -> list[NDArray[Any]]:
        return []

    def _begin(self, call: Call) -> None:
        held = call.validation_rows
        self._call = call
        self._held = call.table[held], call.labels[held], call.loss_weights[held]
        n_batch = -(-len(call.rows) // call.n_batches)
        self._arrays.make_room(n_batch, issparse(call.table))
        self._n_multiplications = self._arrays.n_multiplications(n_batch)

    def _train_epochs(self, epochs: range) -> list[float]:
        losses = []
        for epoch in epochs:
            with self._alone():
                rate = self._learning_rate()
                batches = range(self._call.n_batches)
                losses.append(sum(self._step(epoch, batch, rate) for batch in batches))
        return losses

    def _train_batch(self, epoch: int, batch: int) -> float:
        with self._alone():
            return self._step(epoch, batch, self._learning_rate())

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other thread trains on arrays; a loss of NaN is an error of its own."""
        with _turn, threads_for(self._n_multiplications), np.errstate(all="ignore"):
            yield

    def _learning_rate(self) -> float:
        """What the optimizer has; only callbacks can set it."""
        if self.network is None:
            return self._first_rate
        return float(self.optimizer.learning_rate)

    def _step(self, epoch: int, batch: int, learning_rate: float) -> float:
        """Train a batch; return the sum over its rows of the loss."""
        call = self._call
        if batch == 0:
            seeds = np.random.SeedSequence([call.seed, epoch])
            self._bits = np.random.SFC64(seeds)
            keys = self._bits.random_raw(len(call.rows))
            self._order = call.rows[np.argsort(keys)]
        bits, order = self._bits, self._order
        n_rows, n_batches = len(order), call.n_batches
        rows = order[batch * n_rows // n_batches : (batch + 1) * n_rows // n_batches]
        arrays = self._arrays
        loss = arrays.differentiate(
            call.table[rows],
            call.labels[rows],
            call.loss_weights[rows],
            bits,
            self._adam.n_steps,
        )
        if call.n_annealed:
            step = (epoch - call.initial_epoch) * n_batches + batch
            learning_rate *= (1 + math.cos(math.pi * step / call.n_annealed)) / 2
        self._adam.step(arrays.vector, arrays.gradient, learning_rate)
        arrays.constrain()
        return loss

    def _evaluate_held(self) -> dict[str, float]:
        with np.errstate(all="ignore"):
            return self._arrays.evaluate(*self._held)


def _at_each_hook(function: Callable[[], None]) -> keras.callbacks.Callback:
    """A callback that calls `function` whenever training calls one."""
    hooks = [
        f"on_{part}_{moment}"
        for part in ("train", "epoch", "train_batch")
        for moment in ("begin", "end")
    ]
    return keras.callbacks.LambdaCallback(
        **dict.fromkeys(hooks, lambda *told, **logs: function())
    )


def _after_fork() -> None:
    """Nobody in the new process holds the lock."""
    global _turn
    _turn = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)

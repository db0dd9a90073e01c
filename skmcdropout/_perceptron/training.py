"""Trains perceptrons on arrays, by the optimizers that are known here."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmcdropout._perceptron.architecture import Architecture
from skmcdropout._perceptron.backpropagation import Backpropagation
from skmcdropout._perceptron.epochs import Course, EpochWatcher, Trainer, run
from skmcdropout._perceptron.optimizers import optimizer_for, own_learning_rate
from skmcdropout._perceptron.state import Recipe, TrainingData, TrainingState
from skmcdropout._utils.blas import threads_for
from skmcdropout._utils.sparse_tables import issparse

#: Held for an epoch: threads that take turns at each of its small operations would
#: take twice as long as one after the other.
_turn = threading.Lock()


class ArrayTrainer(Trainer):
    """Trains one perceptron, from a state on.

    `described` is the optimizer as `optimizers.described` gives it. Masks and order of
    the rows of an epoch come of the seed and its number alone.
    """

    def __init__(
        self,
        spec: Architecture,
        state: TrainingState,
        described: tuple[str, dict[str, Any]],
        learning_rate: float,
    ) -> None:
        progress = state.progress
        own = own_learning_rate(described)
        #: The rate that is asked for.
        self.asked_rate = learning_rate if own is None else own
        #: The rate that a schedule begins with; callbacks may set it.
        self.learning_rate = self.asked_rate
        self._name = described[0]
        self._arrays = Backpropagation(spec, state.weights)
        self._optimizer = optimizer_for(described, len(self._arrays.vector))
        goes_on = progress.optimizer_kind == self.optimizer_kind
        if goes_on and len(progress.optimizer) == len(self.optimizer_state()):
            *remembered, rate = progress.optimizer
            self._optimizer.state = remembered
            if self.asked_rate == progress.learning_rate:
                self.learning_rate = float(rate)

    @property
    def optimizer_kind(self) -> str:
        """The optimizer's name."""
        return f"{self._name} on arrays"

    def get_weights(self) -> list[NDArray[Any]]:
        """The weights that are trained, as the network orders them."""
        return self._arrays.weights

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set the weights that are trained."""
        self._arrays.weights = list(weights)

    def optimizer_state(self) -> list[NDArray[Any]]:
        """Its moments, and the learning rate."""
        return [*self._optimizer.state, np.array(self.learning_rate)]

    def begin(self, course: Course) -> None:
        """Make room for batches."""
        data, held = course.data, course.data.validation_rows
        self._course = course
        self._held = data.X[held], data.y[held], data.loss_weights[held]
        n_batch = -(-len(data.rows) // course.n_batches)
        self._arrays.make_room(n_batch, issparse(data.X))
        self._n_multiplications = self._arrays.n_multiplications(n_batch)

    def train_epochs(self, epochs: range) -> list[float]:
        """Train epochs; return of each the sum over rows of the loss."""
        losses = []
        for epoch in epochs:
            with self._alone():
                batches = range(self._course.n_batches)
                losses.append(sum(self._step(epoch, batch) for batch in batches))
        return losses

    def train_batch(self, epoch: int, batch: int) -> float:
        """Train one batch of an epoch; return the sum over its rows of the loss."""
        with self._alone():
            return self._step(epoch, batch)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other thread trains on arrays; a loss of NaN is an error of its own."""
        with _turn, threads_for(self._n_multiplications), np.errstate(all="ignore"):
            yield

    def _step(self, epoch: int, batch: int) -> float:
        """Train a batch; return the sum over its rows of the loss."""
        course, data = self._course, self._course.data
        if batch == 0:
            seeds = np.random.SeedSequence([course.seed, epoch])
            self._bits = np.random.SFC64(seeds)
            keys = self._bits.random_raw(len(data.rows))
            self._order = data.rows[np.argsort(keys)]
        bits, order, n_batches = self._bits, self._order, course.n_batches
        n_rows = len(order)
        rows = order[batch * n_rows // n_batches : (batch + 1) * n_rows // n_batches]
        loss = self._arrays.differentiate(
            data.X[rows],
            data.y[rows],
            data.loss_weights[rows],
            bits,
            self._optimizer.n_steps,
        )
        rate = self.learning_rate
        if course.n_annealed:
            step = (epoch - course.first_epoch) * n_batches + batch
            rate *= (1 + math.cos(math.pi * step / course.n_annealed)) / 2
        self._optimizer.step(self._arrays.vector, self._arrays.gradient, rate)
        self._arrays.constrain()
        return loss

    def evaluate_held(self) -> dict[str, float]:
        """Loss of the validation rows and, of classes, accuracy."""
        with np.errstate(all="ignore"):
            return self._arrays.evaluate(*self._held)


def train(
    spec: Architecture,
    state: TrainingState,
    data: TrainingData,
    recipe: Recipe,
    verbose: int = 0,
    watcher: EpochWatcher | None = None,
) -> TrainingState:
    """Train `recipe.epochs` epochs from `state`; return the state after them."""
    trainer = ArrayTrainer(spec, state, recipe.optimizer, recipe.learning_rate)
    return run(
        trainer,
        state.progress,
        data,
        recipe,
        learning_rate=trainer.asked_rate,
        loss_unit=spec.outputs.loss_unit,
        verbose=verbose,
        watcher=watcher,
    )


def _after_fork() -> None:
    """Nobody in the new process holds the lock."""
    global _turn
    _turn = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)

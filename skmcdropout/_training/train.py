"""From arrays and a recipe to trained weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras

from skmcdropout._networks import optimizers
from skmcdropout._networks.spec import NetworkSpec
from skmcdropout._training import trainer_pool
from skmcdropout._training.early_stopping import EarlyStopping
from skmcdropout._training.graph_trainer import GraphTrainer
from skmcdropout._training.perceptron_trainer import PerceptronTrainer, trains
from skmcdropout._training.scikeras_backend import fit_with_scikeras
from skmcdropout._training.state import Recipe, TrainingData, TrainingState
from skmcdropout._training.trainer import Trainer, fixed_learning_rate
from skmcdropout._utils.interrupts import interrupts_held
from skmcdropout._utils.kernels import clear_gone_kernels
from skmcdropout._utils.private import forget_model


class EpochWatcher(Protocol):
    """Is told when epochs begin and end."""

    def begin(self) -> None:
        """An epoch begins."""

    def end(self, state: Callable[[], TrainingState]) -> bool:
        """An epoch ends, in this state; whether training should end too."""


def train(
    spec: NetworkSpec,
    state: TrainingState,
    data: TrainingData,
    recipe: Recipe,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
    watcher: EpochWatcher | None = None,
) -> TrainingState:
    """Train `recipe.epochs` epochs from `state`; return the state after them."""
    clear_gone_kernels()
    # A user's callback may do what it likes to a trainer, and a class of the user's may
    # have other code tomorrow.
    has_own_code = spec.stands_alone or optimizers.has_own_code(recipe.optimizer)
    is_shared = not callbacks and not has_own_code
    acquired: list[tuple[Trainer, float | None]] = []

    def build(optimizer: keras.Optimizer) -> Trainer:
        with interrupts_held():
            trainer = _trainer(spec, optimizer, is_shared, bool(callbacks))
            trainer.load(state, optimizer, recipe.seed)
        acquired.append((trainer, fixed_learning_rate(optimizer)))
        return trainer

    def reached() -> TrainingState:
        ((trainer, learning_rate),) = acquired
        return trainer.unload(learning_rate, state.progress)

    called = list(callbacks)
    if len(data.validation_rows) and recipe.stops_early:
        called.append(EarlyStopping(recipe.n_iter_no_change, spec.outputs.loss_unit))
    if watcher is not None:
        # It comes after the history, so that this holds the epoch that it is told of.
        called += [keras.callbacks.History(), _TellsWatcher(watcher, reached)]
    try:
        fit_with_scikeras(
            build,
            recipe.optimizer,
            recipe.learning_rate,
            called,
            recipe.batch_size,
            recipe.epochs,
            verbose,
            table=data.X,
            labels=data.y,
            loss_weights=data.loss_weights,
            rows=data.rows,
            validation_rows=data.validation_rows,
            shuffle_seed=recipe.seed,
            initial_epoch=state.progress.n_epochs,
            is_annealed=recipe.is_annealed,
        )
    finally:
        for callback in called:
            forget_model(callback)
    with interrupts_held():
        trained = reached()
    ((trainer, _),) = acquired
    if is_shared and isinstance(trainer, GraphTrainer):
        trainer_pool.release_trainer(trainer, spec)
    elif isinstance(trainer, PerceptronTrainer):
        trainer.let_go()
    return trained


def _trainer(
    spec: NetworkSpec, optimizer: keras.Optimizer, is_shared: bool, is_seen: bool
) -> Trainer:
    """A `PerceptronTrainer` if it can train this network, or else a `GraphTrainer`."""
    if trains(spec, optimizer):
        return PerceptronTrainer(spec, optimizer, is_seen)
    return trainer_pool.acquire_trainer(spec, optimizer, is_shared)


class _TellsWatcher(keras.callbacks.Callback):
    """Tells `watcher` of epochs, and stops training where it says so."""

    def __init__(
        self, watcher: EpochWatcher, reached: Callable[[], TrainingState]
    ) -> None:
        super().__init__()
        self._watcher = watcher
        self._reached = reached

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._watcher.begin()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._watcher.end(self._reached):
            self.model.stop_training = True

"""Trains with Keras's optimizers and callbacks, on arrays where that may be."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from typing import Any

import keras

from skmcdropout._keras.blueprint import Blueprint
from skmcdropout._keras.build import InGraphs, PerceptronInGraphs, build_network
from skmcdropout._keras.compile_arguments import has_own_code
from skmcdropout._keras.graph_trainer import GraphTrainer
from skmcdropout._keras.process import IdlePool, clear_gone_kernels, clear_when_gone
from skmcdropout._keras.scikeras_backend import fit_with_scikeras
from skmcdropout._keras.shown_model import (
    ArrayCallbacks,
    KerasCallbacks,
    ShownArrays,
    fixed_learning_rate,
)
from skmcdropout._perceptron.architecture import Architecture
from skmcdropout._perceptron.epochs import Course, EpochWatcher, Trainer, run
from skmcdropout._perceptron.optimizers import described
from skmcdropout._perceptron.state import Recipe, TrainingData, TrainingState
from skmcdropout._perceptron.training import ArrayTrainer
from skmcdropout._utils.interrupts import interrupts_held

_idle: IdlePool[GraphTrainer] = IdlePool()


def acquire_trainer(
    spec: InGraphs, optimizer: keras.Optimizer, is_shared: bool
) -> GraphTrainer:
    """A trainer for the caller alone: an idle one, if it may be shared, or a new one.

    It has the weights and state of whatever it trained before, until it loads others.
    """
    trainer = _idle.acquire(_kind(spec, optimizer)) if is_shared else None
    if trainer is None:
        optimizer = type(optimizer).from_config(optimizer.get_config())
        trainer = GraphTrainer(spec.build_to_train(), optimizer, spec)
        clear_when_gone(trainer)
    trainer.use(spec.outputs)
    spec.set_penalty(trainer.network)
    return trainer


def release_trainer(trainer: GraphTrainer, spec: InGraphs) -> None:
    """Let the next fit have a trainer that may be shared."""
    _idle.release(_kind(spec, trainer.optimizer), trainer)


def _kind(spec: InGraphs, optimizer: keras.Optimizer) -> Hashable:
    """What a compiled trainer can't change."""
    config = {**optimizer.get_config(), "name": None}
    if fixed_learning_rate(optimizer) is not None:
        config["learning_rate"] = None
    return (
        spec.compile_key(),
        type(optimizer),
        json.dumps(config, sort_keys=True, default=repr),
    )


class _Training:
    """One training: the optimizer that scikeras resolves, and what trains by it."""

    def __init__(
        self,
        spec: Any,
        state: TrainingState,
        data: TrainingData,
        recipe: Recipe,
        verbose: int,
        watcher: EpochWatcher | None,
    ) -> None:
        self.spec, self.state, self.data = spec, state, data
        self.recipe, self.verbose, self.watcher = recipe, verbose, watcher

    def run(self, callbacks: Sequence[keras.callbacks.Callback]) -> TrainingState:
        """Train, and call `callbacks`."""
        trained: list[TrainingState] = []
        recipe = self.recipe
        prepare = self._prepare_arrays if self._is_of_arrays else self._prepare_graphs

        def build(optimizer: keras.Optimizer) -> keras.Model:
            with interrupts_held():
                model, run_with = prepare(optimizer, bool(callbacks))
            model.on_fit = lambda resolved: trained.append(run_with(resolved))
            return model

        fit_with_scikeras(
            build,
            recipe.optimizer,
            recipe.learning_rate,
            callbacks,
            recipe.batch_size,
            recipe.epochs,
        )
        return trained[0]

    @property
    def _is_of_arrays(self) -> bool:
        is_known = described(self.recipe.optimizer) is not None
        return isinstance(self.spec, Architecture) and is_known

    def _prepare_arrays(self, optimizer: keras.Optimizer, is_seen: bool) -> Any:
        known: Any = described(self.recipe.optimizer)
        trainer = ArrayTrainer(self.spec, self.state, known, self.recipe.learning_rate)
        network = build_network(self.spec, 0) if is_seen else None
        model = ShownArrays(trainer, network, optimizer, {})
        model.optimizer.learning_rate = trainer.learning_rate

        def run_with(callbacks: Sequence[keras.callbacks.Callback]) -> TrainingState:
            return self._run(
                trainer,
                trainer.asked_rate,
                ArrayCallbacks(model, trainer, callbacks, self._course)
                if is_seen
                else None,
            )

        return model, run_with

    def _prepare_graphs(self, optimizer: keras.Optimizer, is_seen: bool) -> Any:
        clear_gone_kernels()
        spec: InGraphs = self.spec
        if not isinstance(spec, Blueprint):
            spec = PerceptronInGraphs(self.spec)
        # A user's callback may do what it likes to a trainer, and a class of the user's
        # may have other code tomorrow.
        has_code = spec.stands_alone or has_own_code(self.recipe.optimizer)
        is_shared = not is_seen and not has_code
        trainer = acquire_trainer(spec, optimizer, is_shared)
        asked_rate = fixed_learning_rate(optimizer)
        trainer.load(self.state, asked_rate, self.recipe.seed)

        def run_with(callbacks: Sequence[keras.callbacks.Callback]) -> TrainingState:
            called = None
            if is_seen:
                model, course = trainer.model, self._course
                called = KerasCallbacks(model, trainer, callbacks, course)
            trained = self._run(trainer, asked_rate, called)
            if is_shared:
                release_trainer(trainer, spec)
            return trained

        return trainer.model, run_with

    @property
    def _course(self) -> Course:
        return Course.planned(self.data, self.recipe, self.state.progress.n_epochs)

    def _run(
        self, trainer: Trainer, asked_rate: float | None, called: KerasCallbacks | None
    ) -> TrainingState:
        try:
            return run(
                trainer,
                self.state.progress,
                self.data,
                self.recipe,
                learning_rate=asked_rate,
                loss_unit=self.spec.outputs.loss_unit,
                callbacks=() if called is None else (called,),
                verbose=self.verbose,
                watcher=self.watcher,
            )
        finally:
            if called is not None:
                called.forget()


def train(
    spec: Any,
    state: TrainingState,
    data: TrainingData,
    recipe: Recipe,
    verbose: int = 0,
    watcher: EpochWatcher | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainingState:
    """Train `recipe.epochs` epochs from `state`; return the state after them."""
    training = _Training(spec, state, data, recipe, verbose, watcher)
    return training.run(callbacks)

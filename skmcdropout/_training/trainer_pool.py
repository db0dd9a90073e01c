"""Compiled trainers: one for each kind of network and optimizer, lent to each fit."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from typing import Any

import keras
import numpy as np

from skmcdropout._networks.spec import NetworkSpec
from skmcdropout._training.state import Progress, TrainingState
from skmcdropout._training.trainer import GraphTrainer
from skmcdropout._training.variables import assign, is_elementwise
from skmcdropout._utils.caches import IdlePool
from skmcdropout._utils.kernels import clear_when_gone

_idle: IdlePool[GraphTrainer] = IdlePool()


def acquire_trainer(
    spec: NetworkSpec, optimizer: keras.Optimizer, is_shared: bool
) -> GraphTrainer:
    """A trainer for the caller alone: an idle one, if it may be shared, or a new one.

    It has the weights and state of whatever it trained before; see `load`.
    """
    trainer = _idle.acquire(_kind(spec, optimizer)) if is_shared else None
    if trainer is None:
        optimizer = type(optimizer).from_config(optimizer.get_config())
        trainer = GraphTrainer(
            spec.build_to_train(is_shared),
            optimizer,
            spec,
            any_shape=is_shared and _takes_any_shape(spec, optimizer),
        )
        clear_when_gone(trainer)
    return trainer


def release_trainer(trainer: GraphTrainer, spec: NetworkSpec) -> None:
    """Let the next fit have a trainer that may be shared."""
    _idle.release(_kind(spec, trainer.optimizer), trainer)


def load(
    trainer: GraphTrainer,
    state: TrainingState,
    spec: NetworkSpec,
    optimizer: keras.Optimizer,
    seed: int,
) -> None:
    """Set every variable of `trainer` that an earlier fit may have left otherwise."""
    progress = state.progress
    trainer.set_weights(state.weights)
    variables = trainer.optimizer.variables
    goes_on = progress.optimizer_kind == trainer.optimizer_kind
    goes_on = goes_on and len(progress.optimizer) == len(variables)
    before = progress.optimizer if goes_on else trainer.fresh_optimizer()
    _assign_all(variables, before)
    learning_rate = fixed_learning_rate(optimizer)
    if learning_rate is not None and not (
        goes_on and learning_rate == progress.learning_rate
    ):
        trainer.optimizer.learning_rate = learning_rate
    seeds = np.random.RandomState(seed).randint(
        2**31 - 1, size=len(trainer.noise_variables)
    )
    fresh = [np.array([seeds[i], 0]) for i in trainer.noise_sources]
    is_same = len(progress.noise) == len(fresh)
    _assign_all(trainer.noise_variables, progress.noise if is_same else fresh)
    spec.set_strengths(trainer.network)


def unload(
    trainer: GraphTrainer, learning_rate: float | None, before: Progress
) -> TrainingState:
    """The state that training has reached; `learning_rate` is what it began with."""
    logs = trainer.history.history
    history = {n: [*before.history.get(n, ()), *logs[n]] for n in logs}
    progress = Progress(
        optimizer=[variable.numpy() for variable in trainer.optimizer.variables],
        noise=[variable.numpy() for variable in trainer.noise_variables],
        history={**before.history, **history},
        optimizer_kind=trainer.optimizer_kind,
        learning_rate=learning_rate,
    )
    return TrainingState(trainer.get_weights(), progress)


def fixed_learning_rate(optimizer: keras.Optimizer) -> float | None:
    """The rate an optimizer has now; None for a schedule."""
    rate = optimizer.get_config().get("learning_rate")
    return rate if isinstance(rate, float) else None


def _kind(spec: NetworkSpec, optimizer: keras.Optimizer) -> Hashable:
    """What a compiled trainer can't change."""
    config = {**optimizer.get_config(), "name": None}
    if fixed_learning_rate(optimizer) is not None:
        config["learning_rate"] = None
    return (
        spec.compile_key(_takes_any_shape(spec, optimizer)),
        type(optimizer),
        json.dumps(config, sort_keys=True, default=repr),
    )


def _takes_any_shape(spec: NetworkSpec, optimizer: keras.Optimizer) -> bool:
    return spec.takes_any_shape and is_elementwise(optimizer)


def _assign_all(variables: Sequence[Any], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        assign(variable, value)

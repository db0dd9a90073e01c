"""Compiled trainers: one for each kind of network and optimizer, lent to each fit."""

from __future__ import annotations

import json
from collections.abc import Hashable

import keras

from skmcdropout._networks.spec import NetworkSpec
from skmcdropout._training.graph_trainer import GraphTrainer
from skmcdropout._training.trainer import fixed_learning_rate
from skmcdropout._training.variables import is_elementwise
from skmcdropout._utils.caches import IdlePool
from skmcdropout._utils.kernels import clear_when_gone

_idle: IdlePool[GraphTrainer] = IdlePool()


def acquire_trainer(
    spec: NetworkSpec, optimizer: keras.Optimizer, is_shared: bool
) -> GraphTrainer:
    """A trainer for the caller alone: an idle one, if it may be shared, or a new one.

    It has the weights and state of whatever it trained before, until it loads others.
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
    spec.set_strengths(trainer.network)
    trainer.use(spec.outputs)
    return trainer


def release_trainer(trainer: GraphTrainer, spec: NetworkSpec) -> None:
    """Let the next fit have a trainer that may be shared."""
    _idle.release(_kind(spec, trainer.optimizer), trainer)


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

"""Optimizers as descriptions: a name, a class, or a class and a configuration."""

from __future__ import annotations

import functools
import json
from typing import Any

import keras

from skmcdropout._networks.configuration import objects_in
from skmcdropout._networks.noise_layers import is_ours


def described(optimizer: Any) -> Any:
    """An optimizer's name or class, or the class and configuration of an instance."""
    if isinstance(optimizer, str) and not _is_known(optimizer):
        raise ValueError(
            "optimizer must be a name that Keras knows, like 'adam' or 'sgd', or "
            "the class or an instance of any Keras optimizer. "
            f"Got {optimizer!r} instead."
        )
    if isinstance(optimizer, (str, type)):
        return optimizer
    try:
        config = optimizer.get_config()
        type(optimizer).from_config(dict(config))
    except Exception as error:  # whatever a configuration of the user's may raise
        raise ValueError(
            "optimizer, an instance, must be one that Keras can make again from its "
            f"configuration (get_config, from_config). Got {optimizer!r}, and {error}"
        ) from error
    return type(optimizer), config


@functools.lru_cache
def _is_known(name: str) -> bool:
    """Whether Keras makes an optimizer of a name, which takes it milliseconds."""
    try:
        keras.optimizers.get(name)
    except ValueError:
        return False
    return True


def made(description: Any, learning_rate: float) -> keras.Optimizer:
    """A new optimizer; `learning_rate` is for those without a configuration."""
    if isinstance(description, tuple):
        kind, config = description
        return kind.from_config(dict(config))
    if isinstance(description, str):
        description = type(keras.optimizers.get(description))
    return description(learning_rate=learning_rate)


def has_own_code(description: Any) -> bool:
    """Whether an optimizer, or a schedule of its, is a class of the user's."""
    if isinstance(description, str):
        return False
    kind, config = description if isinstance(description, tuple) else (description, {})
    return not is_ours(kind) or any(
        not str(named.get("module")).startswith("keras.")
        for named in objects_in(dict(config))
    )


def as_json(optimizer: keras.Optimizer) -> str:
    """An optimizer's configuration in plain text."""
    return json.dumps(keras.optimizers.serialize(optimizer))


def from_json(text: str) -> keras.Optimizer:
    """A new optimizer from its configuration."""
    return keras.optimizers.deserialize(json.loads(text))

"""Optimizers, metrics and losses of compiled networks, as they are saved."""

from __future__ import annotations

import functools
import json
import pickle
import warnings
from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any

import keras
import numpy as np

from skmcdropout._keras.compiled_loss import values_of
from skmcdropout._keras.configuration import objects_in
from skmcdropout._keras.noise_layers import is_ours
from skmcdropout._keras.private import compiled_with


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


#: Arguments of `keras.Model.compile` that hold metrics.
KEYS = ("metrics", "weighted_metrics")


def metrics_as_json(network: keras.Model) -> str | None:
    """The metrics of a compiled model as Keras saves them; None for none.

    Ones that can't be saved are left out, with a warning.
    """
    if not network.compiled:
        return None
    saved = {}
    for key, metrics in _given(network).items():
        kept = []
        for metric in metrics:
            try:
                text = json.dumps(keras.saving.serialize_keras_object(metric))
            except Exception:  # whatever a get_config of the user's may raise
                text = "__lambda__"
            if "__lambda__" in text:
                warnings.warn(
                    f"The metric {metric!r} that the model {network.name!r} is "
                    "compiled with can't be saved by Keras, so that history_ will not "
                    "hold it.",
                    UserWarning,
                    stacklevel=2,
                )
            else:
                kept.append(json.loads(text))
        if kept:
            saved[key] = kept
    return json.dumps(saved) if saved else None


def metrics_from_json(text: str | None) -> dict[str, Any]:
    """New metrics, as arguments of `keras.Model.compile`."""
    saved = {} if text is None else json.loads(text)
    return {
        key: [keras.saving.deserialize_keras_object(metric) for metric in metrics]
        for key, metrics in saved.items()
    }


def compiled_metrics(network: keras.Model) -> Iterable[Any]:
    """The metrics of a model, as they were given."""
    if network.compiled:
        for metrics in _given(network).values():
            yield from metrics


def _given(network: keras.Model) -> dict[str, list[Any]]:
    config = compiled_with(network)
    return {key: keras.tree.flatten(config.get(key) or []) for key in KEYS}


class KeptLoss:
    """A loss as it is, with its attributes also where it is saved.

    By Keras's own way it would be saved as its configuration. One that can't be saved
    at all is lost with that, and missed when training shall go on.
    """

    def __init__(self, loss: Any) -> None:
        self._loss = loss

    @property
    def loss(self) -> Any:
        """The loss."""
        if self._loss is None:
            raise ValueError(
                "The loss that the model was compiled with must be of a class or "
                "function that can be pickled, for training to go on from a file. Got "
                "one that could not be saved."
            )
        return self._loss

    def __reduce__(self) -> Any:
        is_object = isinstance(self._loss, keras.Loss)
        saved = (type(self._loss), vars(self._loss)) if is_object else self._loss
        try:
            pickle.dumps(saved)
        except Exception:  # whatever a class of the user's may raise
            return KeptLoss, (None,)
        return (_restored, saved) if is_object else (KeptLoss, (saved,))


def _restored(kind: Any, attributes: dict[str, Any]) -> KeptLoss:
    loss = kind.__new__(kind)
    vars(loss).update(attributes)
    return KeptLoss(loss)


def as_saved(loss: Any, custom_objects: Mapping[str, Any]) -> str | KeptLoss:
    """A loss as plain text, where that makes the same loss again; or else itself.

    What Keras writes of a loss need not hold its arguments.
    """
    function = loss if isinstance(loss, FunctionType) else None
    if function is not None and function.__name__ == "<lambda>":
        return KeptLoss(loss)
    try:
        text = json.dumps(keras.losses.serialize(loss))
        with keras.utils.custom_object_scope(dict(custom_objects)):
            again = keras.losses.get(json.loads(text))
    except Exception:  # whatever a configuration of the user's may raise
        return KeptLoss(loss)
    is_same = loss is again if function is not None else _are_same(loss, again)
    return text if is_same else KeptLoss(loss)


def _are_same(loss: Any, other: Any) -> bool:
    """Whether losses hold the same and give the same numbers."""
    if not _hold_the_same(vars(loss), vars(other)):
        return False
    rng = np.random.RandomState(0)
    for scale in (0.01, 1.0, 100.0):
        y, p = (rng.uniform(-0.2, scale, (8, 4)).astype("float32") for _ in range(2))
        codes = np.arange(8) % 4
        for shown in (y, codes, np.eye(4, dtype="float32")[codes]):
            ours, theirs = (values_of(each, shown, p) for each in (loss, other))
            if not np.array_equal(ours, theirs, equal_nan=True):
                return False
    return True


def _hold_the_same(held: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if held.keys() != other.keys():
        return False
    for name, value in held.items():
        if isinstance(value, Mapping) and isinstance(other[name], Mapping):
            if not _hold_the_same(value, other[name]):
                return False
        elif value is not other[name] and (
            type(value) is not type(other[name])
            or " at 0x" in repr(value)
            or repr(value) != repr(other[name])
            or isinstance(value, np.ndarray)
        ):
            return False
    return True

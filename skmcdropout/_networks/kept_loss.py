"""A compiled loss as it is saved: as plain text, or with its attributes."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from types import FunctionType
from typing import Any

import keras
import numpy as np

from skmcdropout._networks.compiled_loss import values_of


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

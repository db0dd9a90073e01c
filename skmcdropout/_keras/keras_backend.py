"""Keras, set up as networks here need it."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator

import keras
import numpy as np

from skmcdropout._keras.private import check_keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "skmcdropout trains in TensorFlow graphs and needs Keras's backend "
        f"to be 'tensorflow'. Got {keras.backend.backend()!r} instead; set the "
        "environment variable KERAS_BACKEND=tensorflow before Keras is imported."
    )
check_keras()

#: Type of the perceptron's layers, whatever Keras's global policy is.
DTYPE = "float32"

_precision_lock = threading.Lock()
_floatx_before: list[str] = []
_generators_lock = threading.RLock()


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """Let Keras's `floatx` be float32 while optimizers and losses are made.

    It is the only way to tell it to optimizers. The last thread to leave restores it.
    """
    with _precision_lock:
        _floatx_before.append(
            _floatx_before[0] if _floatx_before else keras.config.floatx()
        )
        keras.config.set_floatx(DTYPE)
    try:
        yield
    finally:
        with _precision_lock:
            before = _floatx_before.pop()
            if not _floatx_before:
                keras.config.set_floatx(before)


@contextlib.contextmanager
def seeded_generators(seed: int) -> Iterator[None]:
    """Seed the generators Keras draws its default seeds from, and restore them."""
    with _generators_lock:
        before = random.getstate(), np.random.get_state()
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])

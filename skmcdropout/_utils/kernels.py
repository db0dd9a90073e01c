"""Lets TensorFlow forget what it has compiled for things that are gone.

It keeps the kernels of every function that has run, about 1 MB for a training step,
after the function itself is gone; they go when all are cleared. Those still in use are
made again at their next call, so that many are let go at a time.
"""

from __future__ import annotations

import weakref
from typing import Any

from tensorflow.python.eager import context

#: Things that are gone before their kernels are let go.
MANY = 16

_gone: list[None] = []


def forget_when_gone(thing: Any) -> None:
    """Count `thing` when it is gone; what runs then may not call TensorFlow."""
    weakref.finalize(thing, _gone.append, None).atexit = False


def forget_what_is_gone() -> None:
    """Clear TensorFlow's kernels if many things are gone since the last time."""
    if len(_gone) >= MANY:
        _gone.clear()
        context.context().clear_kernel_cache()

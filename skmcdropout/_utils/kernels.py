"""Frees what TensorFlow holds of functions whose owners are gone.

It keeps the kernels of every function that has run, about 1 MB for a training step,
after the function itself is gone; they go when all are cleared. Those still in use are
made again at their next call, so that many are let go at a time.
"""

from __future__ import annotations

import weakref
from typing import Any

from skmcdropout._utils import private

#: Owners that are gone before kernels are cleared.
N_GONE = 16

_gone: list[None] = []


def clear_when_gone(owner: Any) -> None:
    """Count `owner` when it is gone; what runs then may not call TensorFlow."""
    weakref.finalize(owner, _gone.append, None).atexit = False


def clear_gone_kernels() -> None:
    """Clear TensorFlow's kernels if many owners are gone since the last time."""
    if len(_gone) >= N_GONE:
        _gone.clear()
        private.clear_kernels()

"""What is kept in a process: TensorFlow's threads and kernels, compiled objects."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from skmcdropout._keras import private

_is_cut_off = False


def check_process() -> None:
    """Raise an error in a forked process whose TensorFlow lost its threads."""
    if _is_cut_off:
        raise RuntimeError(
            "skmcdropout must not run TensorFlow in a process that was forked after "
            "TensorFlow had run, for its threads are not forked along: it would hang. "
            f"Got such a process, {os.getpid()}. Start processes by 'spawn' or "
            "'forkserver' (multiprocessing.get_context) or with joblib's loky, use "
            "threads, or fork before anything is fitted or predicted."
        )


def _after_fork() -> None:
    global _is_cut_off
    _is_cut_off = _is_cut_off or private.tensorflow_has_started()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)


# TensorFlow keeps the kernels of every function that has run, about 1 MB for a training
# step, after the function itself is gone; they go when all are cleared. Those still in
# use are made again at their next call, so that many are let go at a time.

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


#: Kinds of compiled objects that a cache holds.
MAX_KINDS = 8

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedDict(OrderedDict[Key, Value]):
    """A dict of at most `max_size` items: those that were set last."""

    def __init__(self, max_size: int) -> None:
        super().__init__()
        self._max_size = max_size

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > self._max_size:
            self.popitem(last=False)


class IdlePool(Generic[Value]):
    """Objects by their kind, each used by one thread at a time."""

    def __init__(self) -> None:
        self._idle: BoundedDict[Hashable, list[Value]] = BoundedDict(MAX_KINDS)
        self._lock = threading.Lock()

    def acquire(self, kind: Hashable) -> Value | None:
        """An idle object of this kind for the caller alone, or None."""
        with self._lock:
            idle = self._idle.get(kind)
            return idle.pop() if idle else None

    def release(self, kind: Hashable, value: Value) -> None:
        """Make an object available to others."""
        with self._lock:
            self._idle[kind] = [*self._idle.get(kind, ()), value]

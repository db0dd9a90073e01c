"""Bounded caches of compiled objects."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

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

"""Compiled things that wait for the next who can use them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

#: Kinds of things that are kept, the latest used.
MAX_KINDS = 8


class Idle:
    """Things by their kind; whoever takes one has it alone until it is given back."""

    def __init__(self) -> None:
        self._things: OrderedDict[Any, list[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, kind: Any) -> Any | None:
        """Take one of this kind, or None if there is none."""
        with self._lock:
            things = self._things.get(kind)
            return things.pop() if things else None

    def give_back(self, kind: Any, thing: Any) -> None:
        """Keep `thing` for the next."""
        with self._lock:
            self._things.setdefault(kind, []).append(thing)
            self._things.move_to_end(kind)
            while len(self._things) > MAX_KINDS:
                self._things.popitem(last=False)

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._things.clear()

    def counts(self) -> list[int]:
        """How many things of each kind wait."""
        return [len(things) for things in self._things.values()]

"""What is kept for the next who can use it: the latest of several kinds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

#: Kinds of compiled things that are kept.
MAX_KINDS = 8


class Latest(OrderedDict[Any, Any]):
    """A dict that keeps the `n_most` items that were set last."""

    def __init__(self, n_most: int) -> None:
        super().__init__()
        self._n_most = n_most

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        while len(self) > self._n_most:
            self.popitem(last=False)


class Idle:
    """Things by their kind; whoever takes one has it alone until it is given back."""

    def __init__(self) -> None:
        self._things = Latest(MAX_KINDS)
        self._lock = threading.Lock()

    def take(self, kind: Any) -> Any | None:
        """Take one of this kind, or None if there is none."""
        with self._lock:
            things = self._things.get(kind)
            return things.pop() if things else None

    def give_back(self, kind: Any, thing: Any) -> None:
        """Keep `thing` for the next."""
        with self._lock:
            self._things[kind] = [*self._things.get(kind, ()), thing]

"""Holds Ctrl-C back while TensorFlow can't be left: its code would crash or hang."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Deliver an interrupt that comes within when all is done.

    TensorFlow calls Python while it compiles and converts, and loses an exception that
    is raised there, or crashes. What is held is short, or would not be interrupted
    before it ends anyhow. Signals come to the main thread alone.
    """
    handler = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not (is_main and callable(handler)):
        yield
        return
    received: list[Any] = []
    signal.signal(signal.SIGINT, lambda *signal_and_frame: received.append(1))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if received:
            handler(signal.SIGINT, None)

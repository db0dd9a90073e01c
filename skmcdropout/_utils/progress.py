"""Progress bars in Keras's form, on one line of the standard output."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

#: A prediction that is over after fewer seconds shows no bar.
PATIENCE = 1.0

#: Seconds between two drawings of a line, and characters of a bar.
INTERVAL, WIDTH = 0.05, 20


class _Line:
    """A line that says how many of its units are done, drawn over itself."""

    def __init__(self, n_units: int, unit: str) -> None:
        self._n_units, self._unit = n_units, unit
        self._begin = time.monotonic()
        self._last_drawn = -INTERVAL
        self._width = 0

    def draw(
        self, n_done: int, logs: Mapping[str, float] = {}, is_last: bool = False
    ) -> None:
        """Draw it, unless it was drawn a moment ago and goes on."""
        now = time.monotonic()
        if now - self._last_drawn < INTERVAL and not is_last:
            return
        self._last_drawn = now
        bar = "━" * (WIDTH * n_done // self._n_units)
        rest = "─" * (WIDTH - len(bar))
        seconds = now - self._begin
        if not is_last:
            seconds = seconds / max(n_done, 1) * (self._n_units - n_done)
        text = f"{self._count(n_done)} {bar}{rest} {_clock(seconds)}"
        text += self._pace(n_done) + _in_words(logs)
        _write("\r" + text.ljust(self._width) + ("\n" if is_last else ""))
        self._width = len(text)

    def summarize(self, logs: Mapping[str, float]) -> None:
        """Write what there is to say at the end, without a bar."""
        seconds = time.monotonic() - self._begin
        text = f"{self._count(self._n_units)} - {seconds:.0f}s -"
        _write(text + self._pace(self._n_units) + _in_words(logs) + "\n")

    def _count(self, n_done: int) -> str:
        return f"{n_done:{len(str(self._n_units))}d}/{self._n_units}"

    def _pace(self, n_done: int) -> str:
        seconds = (time.monotonic() - self._begin) / max(n_done, 1)
        if seconds >= 1:
            return f" {seconds:.0f}s/{self._unit}"
        if seconds >= 1e-3:
            return f" {seconds * 1e3:.0f}ms/{self._unit}"
        return f" {seconds * 1e6:.0f}us/{self._unit}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}" if minutes else f"{rest}s"


def _in_words(logs: Mapping[str, float]) -> str:
    return "".join(
        f" - {name}: {value:.4f}" if abs(value) > 1e-3 else f" - {name}: {value:.4e}"
        for name, value in logs.items()
    )


def _write(text: str) -> None:
    """Write to the standard output, which may know few characters."""
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        sys.stdout.write(text.replace("━", "=").replace("─", "."))
    sys.stdout.flush()


class RowsBar:
    """A bar over the rows of a prediction that turns out to be long."""

    def __init__(self, n_rows: int, show: bool) -> None:
        self._n_rows, self._show = n_rows, show
        self._n_done = 0.0
        self._shown = 0
        self._lock = threading.Lock()

    def __enter__(self) -> RowsBar:
        self._begin = time.monotonic()
        self._line = _Line(self._n_rows, "row")
        return self

    def __exit__(self, *error: Any) -> None:
        if 0 < self._shown < self._n_rows:  # it was interrupted: end the line
            self._line.draw(self._shown, is_last=True)

    def add(self, n_rows: float) -> None:
        """Show that so many rows more are done."""
        self.reach(self._n_done + n_rows)

    def reach(self, n_done: float) -> None:
        """Show that so many rows are done."""
        with self._lock:
            self._n_done = n_done
            whole = min(round(n_done, 6).__floor__(), self._n_rows)
            is_long = time.monotonic() > self._begin + PATIENCE
            begins = is_long and 0 < whole < self._n_rows
            if self._show and whole > self._shown and (self._shown or begins):
                self._shown = whole
                self._line.draw(whole, is_last=whole == self._n_rows)


class EpochPrinter:
    """Prints epochs: with 1 a bar each, with 2 a line each."""

    def __init__(self, verbose: int, n_epochs: int, n_batches: int) -> None:
        self._verbose, self._n_epochs, self._n_batches = verbose, n_epochs, n_batches

    def begin_epoch(self, epoch: int) -> None:
        """An epoch begins, counted from 0."""
        _write(f"Epoch {epoch + 1}/{self._n_epochs}\n")
        self._line = _Line(self._n_batches, "step")

    def batch(self, n_done: int, logs: Mapping[str, float]) -> None:
        """So many batches are done; the last one's line is the epoch's."""
        if self._verbose == 1 and n_done < self._n_batches:
            self._line.draw(n_done, logs)

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        """The epoch has ended."""
        if self._verbose == 1:
            self._line.draw(self._n_batches, logs, is_last=True)
        else:
            self._line.summarize(logs)

"""The progress bar of a prediction."""

from __future__ import annotations

import time
from typing import Any

import keras

#: A prediction that is over after fewer seconds shows no bar.
PATIENCE = 1.0


class ProgressBar:
    """Keras's bar, over the rows of a prediction that turns out to be long."""

    def __init__(self, n_rows: int, show: bool) -> None:
        self._n_rows = n_rows
        self._show = show

    def __enter__(self) -> ProgressBar:
        self._bar = keras.utils.Progbar(self._n_rows, unit_name="row")
        self._begin = time.monotonic()
        self._shown = 0
        return self

    def __exit__(self, *error: Any) -> None:
        if 0 < self._shown < self._n_rows:  # it was interrupted: end the line
            self._bar.update(self._shown, finalize=True)

    def update(self, first: int, last: int, share: float = 1.0) -> None:
        """Show that this share of the rows from `first` to `last` is done."""
        n_done = first + int(share * (last - first))
        is_long = time.monotonic() > self._begin + PATIENCE
        begins = is_long and 0 < n_done < self._n_rows
        if self._show and n_done > self._shown and (self._shown or begins):
            self._shown = n_done
            self._bar.update(n_done)

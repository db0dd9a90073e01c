"""The progress bar of a prediction."""

from __future__ import annotations

import time

import keras

#: A prediction that is over after fewer seconds shows no bar.
PATIENCE = 1.0


class RowsBar:
    """Keras's bar, over the rows of a prediction that turns out to be long."""

    def __init__(self, n_rows: int) -> None:
        self._begin = time.monotonic()
        self._bar = keras.utils.Progbar(n_rows, unit_name="row")
        self._is_shown = False

    def update(self, n_rows: int) -> None:
        """Show that `n_rows` are done."""
        if time.monotonic() > self._begin + PATIENCE and n_rows < self._bar.target:
            self._is_shown = True
        if self._is_shown:
            self._bar.update(n_rows)

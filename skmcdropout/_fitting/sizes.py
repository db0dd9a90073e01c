"""What "auto" makes of a number of rows."""

from __future__ import annotations

from typing import Any

#: Up to so many rows there are as many epochs as this; beyond, their number falls by
#: the root of the number of rows.
ROWS_OF_ALL_EPOCHS, EPOCHS = 10_000, 50

#: Steps of an epoch, where that gives batches between these.
STEPS, SMALLEST_BATCH, LARGEST_BATCH = 32, 64, 256


def n_epochs(given: int | str, n_rows: int) -> int:
    """Passes over the rows, as given or by their number."""
    if isinstance(given, str):
        return round(EPOCHS * min(1.0, ROWS_OF_ALL_EPOCHS / max(n_rows, 1)) ** 0.5) or 1
    return given


def batch_size(given: int | str, n_rows: int) -> int:
    """Rows of a step, as given or by their number."""
    if isinstance(given, str):
        return min(max(n_rows // STEPS, SMALLEST_BATCH), LARGEST_BATCH)
    return given


def length(y: Any) -> int:
    """Number of labels, 0 for what turns out to be none."""
    try:
        return len(y)
    except TypeError:
        return 0

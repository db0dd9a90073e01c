"""What "auto" makes of a number of rows."""

from __future__ import annotations

from typing import NamedTuple

#: Rows that numbers of epochs are given for; more rows have fewer, by the root.
ROWS = 10_000


class AutoSizes(NamedTuple):
    """What "auto" means: epochs for `ROWS` rows, most epochs, smallest batch."""

    epochs_of_rows: int
    most_epochs: int
    smallest_batch: int


#: Where labels are classes, and where they are real numbers, which a network can come
#: closer to for longer.
OF_CLASSES, OF_TARGETS = AutoSizes(50, 50, 64), AutoSizes(100, 300, 32)

#: Steps of an epoch, where that gives batches between these.
STEPS, LARGEST_BATCH = 32, 256


def n_epochs(given: int | str, n_rows: int, auto: AutoSizes) -> int:
    """Passes over the rows, as given or by their number."""
    if isinstance(given, str):
        n = auto.epochs_of_rows * (ROWS / max(n_rows, 1)) ** 0.5
        return round(min(n, auto.most_epochs)) or 1
    return given


def batch_size(given: int | str, n_rows: int, auto: AutoSizes) -> int:
    """Rows of a step, as given or by their number."""
    if isinstance(given, str):
        return min(max(n_rows // STEPS, auto.smallest_batch), LARGEST_BATCH)
    return given

"""Predictions a tile of rows at a time, on all cores."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skmcdropout._perceptron.values import Wanted, reduced
from skmcdropout._utils.arrays import Floats
from skmcdropout._utils.blas import one_thread_each
from skmcdropout._utils.progress import RowsBar

#: Rows of a tile, at most, of a fast matrix product, and of what tiles are filled up to
#: multiples of: code for vectors takes so many rows at a time and treats the last few
#: otherwise than the rest, and a row's last digit would depend on where it stands.
TILE_ROWS, PRODUCT_ROWS, FEW_ROWS = 240, 48, 16

#: Largest array of values that a tile may need, in floats (16 MB), if it has more than
#: few rows: larger ones leave the cache and would break the promised memory bound.
TILE_FLOATS = 2**22


#: Rows that are made at a time, at most, where they are made.
MADE_ROWS = 960

#: Multiplications from which on several threads pay: some milliseconds of work.
MANY_PRODUCTS = 2**27


class Rows(Protocol):
    """A table, or what gives a table's rows where it is sliced."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> NDArray[Any]: ...


class MadeRows:
    """Rows of which a slice is what `make` makes of that slice of `given`.

    Each needs `row_floats` floats meanwhile.
    """

    def __init__(
        self, given: Any, make: Callable[[Any], Floats], row_floats: int
    ) -> None:
        self._given = given
        self._make = make
        self.row_floats = row_floats

    def __len__(self) -> int:
        return int(self._given.shape[0])

    def __getitem__(self, rows: slice, /) -> Floats:
        return self._make(self._given[rows])


def even_rows(n_rows: int, most: int, row_floats: int, n_threads: int) -> int:
    """How many rows are taken at a time, if each needs so many floats.

    At most so many, and as even over threads as can be.
    """
    if n_rows <= PRODUCT_ROWS:
        return max(1, -(-n_rows // FEW_ROWS)) * FEW_ROWS
    n_parts = -(-n_rows // most)
    n_parts = -(-n_parts // n_threads) * n_threads
    n_even = -(-n_rows // (n_parts * PRODUCT_ROWS)) * PRODUCT_ROWS
    room = TILE_FLOATS // row_floats
    if n_even <= room:
        return n_even
    return max(room // PRODUCT_ROWS * PRODUCT_ROWS, FEW_ROWS)


def over_tiles(
    rows: Rows,
    row_floats: int,
    row_products: int,
    values: Callable[[Floats], Floats],
    wanted: Wanted,
    show: bool,
) -> tuple[Floats, ...]:
    """What is wanted of draws for all rows, a tile at a time, on all cores if it pays.

    ``values(x)`` gives the draws (n_draws, n_values, n) for n rows x, each of which
    needs `row_floats` floats and `row_products` multiplications. With `show` a bar says
    how far it is.
    """
    n_rows = len(rows)
    results = Results(n_rows, wanted)
    with one_thread_each() as n_threads, RowsBar(n_rows, show) as bar:
        pays = n_rows * row_products > MANY_PRODUCTS
        n_threads = min(n_threads, n_cores()) if pays else 1
        n_tile = n_made = even_rows(n_rows, TILE_ROWS, row_floats, n_threads)
        if isinstance(rows, MadeRows):
            n_made = even_rows(n_rows, MADE_ROWS, rows.row_floats, n_threads)

        def run(begin: int) -> int:
            made = rows[begin : begin + n_made]
            for i in range(0, len(made), n_tile):
                x = made[i : i + n_tile]
                with np.errstate(all="ignore"):  # what isn't finite is refused later
                    drawn = reduced(values(filled_up(x)), wanted)
                results.put(begin + i, len(x), drawn)
            return len(made)

        jobs = [(begin,) for begin in range(0, n_rows, n_made)]
        for n_done in on_threads(run, jobs, n_threads):
            bar.add(n_done)
    return results.arrays


def on_threads(
    run: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], n_threads: int
) -> Iterator[Any]:
    """What `run` gives for the arguments of each job, in order, on so many threads."""
    n_threads = min(n_threads, len(jobs), n_cores())
    if n_threads <= 1:
        yield from (run(*job) for job in jobs)
        return
    pool = ThreadPoolExecutor(n_threads)
    try:
        yield from pool.map(run, *zip(*jobs, strict=True))
    finally:
        pool.shutdown(cancel_futures=True)


def n_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Results:
    """Arrays for all rows, filled a tile at a time."""

    def __init__(self, n_rows: int, wanted: Wanted) -> None:
        self._n_rows = n_rows
        self._row_axis = 1 if wanted == "draws" else 0
        self.arrays: tuple[Floats, ...] = ()
        self._lock = threading.Lock()

    def put(self, start: int, n: int, results: Sequence[Floats]) -> None:
        """Take the results of `n` rows from `start` on."""
        with self._lock:
            if not self.arrays:
                self.arrays = tuple(map(self._empty_like, results))
        rows = (slice(None),) * self._row_axis + (slice(start, start + n),)
        first = (slice(None),) * self._row_axis + (slice(n),)
        for array, result in zip(self.arrays, results, strict=True):
            array[rows] = result[first]

    def _empty_like(self, result: Floats) -> Floats:
        shape = list(result.shape)
        shape[self._row_axis] = self._n_rows
        return np.empty(shape, result.dtype)


def filled_up(x: NDArray[Any]) -> NDArray[Any]:
    """Rows with zeros behind them, to make a multiple of `FEW_ROWS`."""
    missing = -len(x) % FEW_ROWS
    return np.pad(x, ((0, missing), (0, 0))) if missing else x

"""Predictions chunk by chunk of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._drawing.progress_bar import ProgressBar
from skmcdropout._drawing.results import Wanted
from skmcdropout._utils.arrays import Floats
from skmcdropout._utils.interrupts import interrupts_held

#: Largest array of activations that a chunk of rows may need, in floats (16 MB):
#: larger ones leave the cache and would break the promised memory bound.
CHUNK_FLOATS = 2**22

#: Several rows are filled up to a multiple of this many: code for vectors treats the
#: last few elements of an array otherwise than the rest, and a row's last digit would
#: depend on where it stands.
FEW_ROWS = 16

#: The same for products of matrices, which take so many rows at a time. It is worth it
#: where a row costs little.
PRODUCT_ROWS = 48


class Rows(Protocol):
    """A table, or what gives a table's rows where it is sliced."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> NDArray[Any]: ...


#: Called with the share that is done.
Tell = Callable[[float], None]


def chunk_rows(row_floats: int) -> int:
    """How many rows make a chunk, if each needs so many floats."""
    return max(CHUNK_FLOATS // row_floats // FEW_ROWS * FEW_ROWS, FEW_ROWS)


def over_chunks(
    X: Rows,
    n_chunk: int,
    run: Callable[[Any, Tell], Sequence[Any]],
    wanted: Wanted,
    show: bool,
    fill: int = FEW_ROWS,
) -> tuple[Floats, ...]:
    """Results of `run` on about `n_chunk` rows of `X` at a time, put together.

    Chunks are filled up to a multiple of `fill` rows, if there is room, or of few.
    `run` may tell which share of its rows is done, for the bar that `show` asks for.
    """
    fill = fill if n_chunk >= fill else FEW_ROWS
    n_chunk = max(n_chunk // fill * fill, FEW_ROWS)
    multiple = 1 if len(X) == 1 else FEW_ROWS if len(X) <= FEW_ROWS else fill
    row_axis = 1 if wanted == "draws" else 0
    results: tuple[Floats, ...] = ()
    with ProgressBar(len(X), show) as bar:
        for start in range(0, len(X), n_chunk):
            rows = slice(start, min(start + n_chunk, len(X)))
            tell = partial(bar.update, start, rows.stop)
            with interrupts_held():
                outputs = [x.numpy() for x in run(_filled_up(X[rows], multiple), tell)]
            if not results:
                results = tuple(_for_rows(o, row_axis, len(X)) for o in outputs)
            for result, output in zip(results, outputs, strict=True):
                kept = np.moveaxis(output, row_axis, 0)[: rows.stop - start]
                np.moveaxis(result, row_axis, 0)[rows] = kept
            tell(1.0)
    return results


def _filled_up(X: NDArray[Any], multiple: int) -> Any:
    missing = -len(X) % multiple
    return tf.constant(np.pad(X, ((0, missing), (0, 0))) if missing else X)


def _for_rows(chunk: Floats, row_axis: int, n_rows: int) -> Floats:
    shape = list(chunk.shape)
    shape[row_axis] = n_rows
    return np.empty(shape, chunk.dtype)

"""Draws of a chain of Dense layers, in NumPy.

Its weights are thinned once and kept. Where they are too large to be kept, they are
thinned anew for many rows; for few rows, the masks are multiplied into what the layers
before have given.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np

from skmcdropout._perceptron.activations import ACTIVATIONS
from skmcdropout._perceptron.chain import Affine, Chain
from skmcdropout._perceptron.masks import dropout_masks
from skmcdropout._perceptron.thinning import (
    Room,
    ThinLayer,
    ThinLayers,
    n_thinned,
    thinned,
    whole,
)
from skmcdropout._perceptron.tiles import (
    FEW_ROWS,
    PRODUCT_ROWS,
    MadeRows,
    Rows,
    filled_up,
    on_threads,
    over_tiles,
)
from skmcdropout._perceptron.values import PROBABILITIES, Wanted, reduced, values_of
from skmcdropout._utils.arrays import Floats
from skmcdropout._utils.blas import one_thread_each
from skmcdropout._utils.progress import RowsBar
from skmcdropout._utils.sparse_tables import dense, issparse

#: Largest set of thinned weights, in floats (64 MB); they are kept between predictions.
KEPT_FLOATS = 2**24

#: Thinned weights of so many floats (4 MB) stay near: products of few rows at a time
#: are the fastest.
SMALL_FLOATS = 2**20

#: Thinned weights of so many floats (16 MB) leave the cache: for few rows it takes
#: longer to read them than to multiply with all weights.
CACHED_FLOATS = 2**22

#: From this many rows on, it pays to thin weights that are too large to be kept.
MANY_ROWS = 128

#: Rows at a time, at most, where weights are thinned anew, and values of all draws of
#: them, or features (64 MB).
BLOCK_ROWS, BLOCK_FLOATS = 2016, 2**24

#: Floats of a layer of the draws that are computed together, which fit into the cache.
GROUP_FLOATS = 2**18


class ChainDraws:
    """The draws of a chain: `masks`, one per layer with a positive rate, or none.

    Without masks there is one draw, of the chain with nothing dropped. With two classes
    the last layer has one unit: softmax((a, b)) is sigmoid(b - a).
    """

    def __init__(self, chain: Chain, masks: Sequence[Floats]) -> None:
        given = iter(masks)
        self._chain, self._given_masks = chain, masks
        self._masks = [next(given) if masks and x.rate else None for x in chain.layers]
        self._layers = [*chain.layers[:-1], _with_one_logit(chain.layers[-1])]
        self.n_draws = len(masks[0]) if masks else 1
        self.n_values = len(chain.layers[-1].bias)
        is_drawn = [mask is not None for mask in self._masks]
        #: How many layers come before the first that is drawn, or before the last.
        self._n_shared = is_drawn.index(True) if masks else len(chain.layers) - 1

    def draw(
        self, table: Any, wanted: Wanted, show: bool = False
    ) -> tuple[Floats, ...]:
        """What is wanted of the draws for each row of `table`."""
        if not issparse(table):
            return self.draw_rows(table, wanted, show)
        if not self._n_shared:
            rows = MadeRows(table, dense, table.shape[1])
            return self.draw_rows(rows, wanted, show)
        rows = MadeRows(table, self._first_layer, len(self._layers[0].bias))
        return self._after_first.draw_rows(rows, wanted, show)

    def draw_rows(
        self, rows: Rows, wanted: Wanted, show: bool = False
    ) -> tuple[Floats, ...]:
        """The same for rows that may be made where they are sliced."""
        way = self.way(len(rows))
        if way == "thinned anew":
            return self._draw_thinned_anew(rows, wanted, show)
        values = self._values_of_kept if way == "kept" else self._values_beside
        is_alone = len(rows) == 1 and self._is_of_classes
        if way == "kept" and not is_alone:
            sizes = self._row_floats, self._n_thinned
            return over_tiles(rows, *sizes, values, wanted, show)
        x = rows[:] if is_alone else filled_up(rows[:])
        with np.errstate(all="ignore"):  # the estimator refuses what isn't finite
            found = reduced(values(x), wanted)
        if wanted == "draws":
            return (found[0][:, : len(rows)],)
        return tuple(each[: len(rows)] for each in found)

    def way(self, n_rows: int) -> Literal["kept", "beside", "thinned anew"]:
        """How to draw for so many rows."""
        few = FEW_ROWS if self._n_thinned <= KEPT_FLOATS else MANY_ROWS
        if n_rows < few and self._n_thinned > CACHED_FLOATS:
            return "beside"
        return "kept" if self._n_thinned <= KEPT_FLOATS else "thinned anew"

    @property
    def _is_of_classes(self) -> bool:
        """Whether values are probabilities.

        Others are told in double precision, and scikit-learn compares them so: a row
        alone goes the way of several, whose digits are the same in company.
        """
        return self._chain.layers[-1].activation in PROBABILITIES

    @cached_property
    def _n_thinned(self) -> int:
        first = self._n_shared
        return n_thinned(self._layers[first:], self._masks[first:])

    @cached_property
    def _widest(self) -> int:
        """Units of the widest layer that is drawn."""
        return max(max(x.kernel.shape) for x in self._layers[self._n_shared :])

    @cached_property
    def _row_floats(self) -> int:
        """Largest number of values that a row of a tile needs at a time."""
        return max(
            len(self._chain.scale),
            *(len(layer.bias) for layer in self._layers[: self._n_shared]),
            self.n_values * self.n_draws,
        )

    @cached_property
    def _kept(self) -> ThinLayers:
        first = self._n_shared
        return thinned(self._layers[first:], self._masks[first:])

    @cached_property
    def _shared_layers(self) -> list[ThinLayer]:
        return [whole(layer) for layer in self._layers[: self._n_shared]]

    def _shared(self, x: Floats) -> Floats:
        """What comes into the first layer that is drawn, (n_units + 1, n_rows).

        The last unit is 1, which the bias is multiplied by.
        """
        room = Room()
        h = room.array("x", (1, x.shape[1] + 1, len(x)))
        h[0, -1] = 1
        np.multiply(x.T, self._chain.scale[:, None], out=h[0, :-1])
        h[0, :-1] += self._chain.shift[:, None]
        for layer in self._shared_layers:
            h = layer.values(h, slice(1), room)
        return h[0]

    def _values_of_kept(self, x: Floats) -> Floats:
        h, kept, room = self._shared(x), self._kept, Room()
        last = self._layers[-1]
        sums = np.empty((self.n_draws, len(last.bias), len(x)), np.float32)
        is_small = self._n_thinned <= SMALL_FLOATS and len(kept.layers) > 1
        n_together = min(len(x), PRODUCT_ROWS) if is_small else len(x)
        n_group = max(1, GROUP_FLOATS // (self._widest * n_together))
        for i in range(0, len(x), n_together):
            rows = slice(i, i + n_together)
            of_rows = np.ascontiguousarray(h[:, rows])
            for start in range(0, self.n_draws, n_group):
                group = slice(start, start + n_group)
                sums[group, :, rows] = kept.sums(of_rows, group, room)
        return values_of(sums, last.activation)

    def _values_beside(self, x: Floats) -> Floats:
        """All draws in one product a layer, some at a time: large ones of few rows."""
        h, first = self._shared(x)[:-1].T, self._n_shared
        final = self._layers[-1].activation
        p = np.empty((self.n_draws, self.n_values, len(x)), np.float32)
        n_group = max(1, CACHED_FLOATS // (self._widest * len(x)))
        for start in range(0, self.n_draws, n_group):
            group = slice(start, start + n_group)
            z, activation = h[None], "linear"
            for layer, mask in zip(
                self._layers[first:], self._masks[first:], strict=True
            ):
                z = ACTIVATIONS[activation].apply(z)
                if mask is not None:
                    z = z * mask[group][:, None, :]
                sums = z.reshape(-1, z.shape[2]) @ layer.kernel
                sums += layer.bias
                z = sums.reshape(len(z), len(x), -1)
                activation = layer.activation
            p[group] = values_of(np.ascontiguousarray(z.swapaxes(1, 2)), final)
        return p

    def _draw_thinned_anew(
        self, rows: Rows, wanted: Wanted, show: bool
    ) -> tuple[Floats, ...]:
        """A draw at a time on each core, for as many rows as there is room for."""
        row_floats = max(self.n_values * self.n_draws, len(self._chain.scale))
        n_block = min(BLOCK_ROWS, max(FEW_ROWS, BLOCK_FLOATS // row_floats))
        n_block = n_block // FEW_ROWS * FEW_ROWS
        parts = []
        with one_thread_each() as n_threads, RowsBar(len(rows), show) as bar:
            for start in range(0, len(rows), n_block):
                x = rows[start : start + n_block]
                parts.append(self._block_thinned_anew(x, wanted, n_threads, bar))
        axis = 1 if wanted == "draws" else 0
        return tuple(np.concatenate(each, axis) for each in zip(*parts, strict=True))

    def _block_thinned_anew(
        self, x: Floats, wanted: Wanted, n_threads: int, bar: RowsBar
    ) -> tuple[Floats, ...]:
        first = self._n_shared
        layers, masks = self._layers[first:], self._masks[first:]
        with np.errstate(all="ignore"):  # the estimator refuses what isn't finite
            h = self._shared(filled_up(x))
        p = np.empty((self.n_draws, self.n_values, h.shape[1]), np.float32)

        def run(i: int) -> None:
            with np.errstate(all="ignore"):
                one = [None if mask is None else mask[i : i + 1] for mask in masks]
                sums = thinned(layers, one).sums(h, slice(1), Room())
                p[i] = values_of(sums, layers[-1].activation)[0]

        jobs = [(i,) for i in range(self.n_draws)]
        for _ in on_threads(run, jobs, n_threads):
            bar.add(len(x) / self.n_draws)
        found = reduced(p, wanted)
        if wanted == "draws":
            return (found[0][:, : len(x)],)
        return tuple(each[: len(x)] for each in found)

    @cached_property
    def _after_first(self) -> ChainDraws:
        """Draws for rows that are the values of the first layer."""
        _, *layers = self._chain.layers
        width = len(layers[0].kernel)
        ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
        return ChainDraws(Chain(ones, zeros, layers), self._given_masks)

    def _first_layer(self, rows: Any) -> Floats:
        """What the first layer gives for sparse rows, which are scaled before."""
        layer, chain = self._layers[0], self._chain
        scaled = rows.copy()
        scaled.data *= chain.scale[rows.indices]
        sums = np.zeros((_filled(rows.shape[0]), len(layer.bias)), np.float32)
        with np.errstate(all="ignore"):  # the estimator refuses what isn't finite
            constant = chain.shift @ layer.kernel + layer.bias
            np.add(scaled @ layer.kernel, constant, out=sums[: rows.shape[0]])
            return ACTIVATIONS[layer.activation].apply(sums)[: rows.shape[0]]


def sampled_draws(chain: Chain, seed: int, n_samples: int, sampling: str) -> ChainDraws:
    """Draws with masks from a seed; with `n_samples` 0 nothing is dropped."""
    sampled = [layer for layer in chain.layers if layer.rate and n_samples]
    masks = dropout_masks(
        seed,
        n_samples,
        [len(layer.kernel) for layer in sampled],
        [layer.rate for layer in sampled],
        sampling,
        chain.sources if n_samples else None,
    )
    return ChainDraws(chain, masks)


def _filled(n_rows: int) -> int:
    """So many rows, filled up: see `tiles.TILE_ROWS`."""
    return n_rows if n_rows == 1 else -(-n_rows // FEW_ROWS) * FEW_ROWS


def _with_one_logit(last: Affine) -> Affine:
    if last.activation != "softmax" or len(last.bias) != 2:
        return last
    kernel, bias = last.kernel, last.bias
    return last._replace(
        kernel=kernel[:, 1:] - kernel[:, :1],
        bias=bias[1:] - bias[:1],
        activation="sigmoid",
    )

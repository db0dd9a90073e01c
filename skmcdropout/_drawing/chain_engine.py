"""Draws of a chain of Dense layers, in one of three ways.

Thinned: masks are multiplied into the weights once, and kept; with these a row alone
is computed in NumPy. Where that is too large: beside, masks are multiplied into the
activations of few rows; or wide, the weights of many rows are thinned anew for each
block of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._drawing.beside import BesideDraws
from skmcdropout._drawing.chunks import (
    FEW_ROWS,
    PRODUCT_ROWS,
    Tell,
    chunk_rows,
    over_chunks,
)
from skmcdropout._drawing.head import Head
from skmcdropout._drawing.masked_chain import MaskedChain
from skmcdropout._drawing.masks import dropout_masks
from skmcdropout._drawing.places import Place
from skmcdropout._drawing.results import Wanted, compiled_results
from skmcdropout._drawing.single_row import draw_row
from skmcdropout._drawing.sparse_rows import (
    DenseWhereSliced,
    FirstLayer,
    after_first_layer,
)
from skmcdropout._drawing.thinned import ThinnedDraws
from skmcdropout._drawing.wide import WideDraws
from skmcdropout._networks.folded_chain import Chain, Scaling
from skmcdropout._utils.arrays import Floats
from skmcdropout._utils.sparse_tables import dense, issparse

#: What makes probabilities of a chain's last layer; others make values.
PROBABILITIES = ("softmax", "sigmoid")

#: Largest set of thinned weights, in floats (64 MB); they are kept between predictions.
THINNED_FLOATS = 2**24

#: Rows at a time, at most, where weights are thinned anew, and floats of all their
#: values, or features (64 MB).
BLOCK_ROWS, RESULT_FLOATS = 2016, 2**24

#: From this many rows on, it pays to thin weights that are too large to be kept.
MANY_ROWS = 128


class Tail(NamedTuple):
    """A chain, and the layers of a Keras network that draw in it, if it is one's."""

    chain: Chain
    places: Sequence[Place] = ()


class ChainDraws(MaskedChain):
    """The draws of a chain, and what was made ready of them."""

    def __init__(self, chain: Chain, masks: Sequence[Floats]) -> None:
        super().__init__(chain, masks)
        self._chain, self._given_masks = chain, masks

    def with_rows(self, table: Any) -> tuple[ChainDraws, DenseWhereSliced]:
        """Draws for sparse rows: from the second layer on, if they share the first."""
        if not self.n_shared:
            return self, DenseWhereSliced(table, dense)
        return self._after_first, DenseWhereSliced(table, self._first_layer)

    @cached_property
    def _first_layer(self) -> FirstLayer:
        return FirstLayer(Scaling(self.scale, self.shift), self.layers[0])

    @cached_property
    def _after_first(self) -> ChainDraws:
        return ChainDraws(after_first_layer(self._chain), self._given_masks)

    @cached_property
    def thinned(self) -> ThinnedDraws:
        """With the masks in the weights."""
        return ThinnedDraws(self)

    @cached_property
    def beside(self) -> BesideDraws:
        """With the masks beside the weights."""
        return BesideDraws(self)


def choose_way(draws: ChainDraws, n_rows: int) -> Literal["thinned", "beside", "wide"]:
    """How to draw for so many rows."""
    if draws.floats <= THINNED_FLOATS:
        return "thinned"
    return "beside" if n_rows < MANY_ROWS else "wide"


class ChainEngine:
    """Draws of a chain, or of a network that ends in one.

    `read` gives the chain with the weights there are when it is called; `head` is what
    comes before it, computed once for all draws.
    """

    def __init__(self, read: Callable[[], Tail], head: Head | None = None) -> None:
        self._read = read
        self._head = head

    @property
    def places(self) -> Sequence[Place]:
        """Where it draws, in order."""
        return self._read().places

    def sample(self, seed: int, n_samples: int, sampling: str) -> ChainDraws:
        """The draws; with `n_samples` 0 the chain with nothing dropped."""
        chain = self._read().chain
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

    def with_noise(self, drawn: Sequence[NDArray[Any]]) -> ChainDraws:
        """Draws of given noise, one array (n_draws, n_entries) a place."""
        chain, places = self._read()
        pairs = zip(drawn, places, strict=True)
        masks = [x / np.float32(1 - place.law.rate) for x, place in pairs]
        return ChainDraws(chain, masks)

    def draw(
        self,
        draws: ChainDraws,
        table: Any,
        wanted: Wanted,
        show: bool = False,
    ) -> tuple[Floats, ...]:
        """What is wanted of the draws for each row of `table`."""
        if issparse(table):
            draws, table = draws.with_rows(table)
        way = choose_way(draws, len(table))
        if way == "wide":
            return self._draw_wide(draws, table, wanted, show)
        if way == "thinned" and len(table) == 1 and self._head is None:
            if draws.activations[-1] in PROBABILITIES:
                return draw_row(draws.thinned, table[:], wanted)
            # Values are told in double precision, and scikit-learn compares them so: a
            # row alone goes the way of several, whose digits are the same in company.
            twice = self.draw(draws, np.repeat(table[:], 2, axis=0), wanted)
            return tuple(x[:, :1] if wanted == "draws" else x[:1] for x in twice)
        ready = draws.thinned if way == "thinned" else draws.beside

        def run(rows: tf.Tensor, _: Tell) -> Any:
            return ready.results(self._after_head(rows), wanted)

        n_chunk = chunk_rows(max(ready.row_floats, self._head_floats))
        return over_chunks(table, n_chunk, run, wanted, show, self._fill)

    def _draw_wide(
        self, draws: ChainDraws, table: Any, wanted: Wanted, show: bool
    ) -> tuple[Floats, ...]:
        """Draws whose thinned weights are too large to be kept."""
        row_floats = max(draws.n_draws * draws.n_values, len(draws.scale))
        n_block = min(BLOCK_ROWS, RESULT_FLOATS // row_floats)
        wide = WideDraws(draws, THINNED_FLOATS, n_block)
        n_head = chunk_rows(self._head_floats)
        reduced = compiled_results(wanted, draws.n_values)

        def run(rows: tf.Tensor, tell: Tell) -> Any:
            starts = range(0, len(rows), n_head)
            pieces = [self._after_head(rows[i : i + n_head]) for i in starts]
            return reduced(wide.values(tf.concat(pieces, axis=0), tell))

        return over_chunks(table, n_block, run, wanted, show, self._fill)

    @property
    def _fill(self) -> int:
        return PRODUCT_ROWS if self._head is None else FEW_ROWS

    @property
    def _head_floats(self) -> int:
        """Largest number of activations that the head needs for a row."""
        return 1 if self._head is None else self._head.row_floats

    def _after_head(self, rows: tf.Tensor) -> Any:
        """The chain's input for rows of a table."""
        if self._head is None:
            return rows
        (h,) = self._head.compute(rows)
        return tf.cast(tf.reshape(h, [-1, math.prod(self._head.shape)]), tf.float32)

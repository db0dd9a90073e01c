"""Sparse rows for a chain: its first layer, or else the rows, dense chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from skmcdropout._drawing.chunks import FEW_ROWS
from skmcdropout._networks.folded_chain import Affine, Chain, Scaling
from skmcdropout._utils.arrays import Floats


class DenseWhereSliced:
    """A sparse table, of which a slice is the array that `make` makes of its rows."""

    def __init__(self, table: Any, make: Callable[[Any], Floats]) -> None:
        self._table = table
        self._make = make

    def __len__(self) -> int:
        return int(self._table.shape[0])

    def __getitem__(self, rows: slice, /) -> Floats:
        return self._make(self._table[rows])


class FirstLayer:
    """What the first layer gives for sparse rows, which are scaled before."""

    def __init__(self, scaling: Scaling, layer: Affine) -> None:
        self._scale, self._kernel = scaling.by, layer.kernel
        self._constant = scaling.to @ layer.kernel + layer.bias
        self._activation = keras.activations.get(layer.activation)

    def __call__(self, rows: Any) -> Floats:
        """Its values, (n_rows, width)."""
        scaled = rows.copy()
        scaled.data *= self._scale[rows.indices]
        n_rows = rows.shape[0]
        # Filled up as chunks are, and for the same reason, before the activation.
        n_filled = n_rows if n_rows == 1 else -(-n_rows // FEW_ROWS) * FEW_ROWS
        sums = np.zeros((n_filled, len(self._constant)), np.float32)
        with np.errstate(all="ignore"):  # the estimator refuses what isn't finite
            np.add(scaled @ self._kernel, self._constant, out=sums[:n_rows])
        return np.asarray(self._activation(sums))[:n_rows]


def after_first_layer(chain: Chain) -> Chain:
    """The chain from the second layer on."""
    _, *layers = chain.layers
    width = len(layers[0].kernel)
    ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
    return Chain(ones, zeros, layers)

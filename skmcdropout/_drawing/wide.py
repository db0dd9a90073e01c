"""Draws of chains whose thinned weights are too large to be kept.

They are thinned anew for a block of rows, some draws at a time: that costs less than
it saves, and less than to multiply masks into the activations of every row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from skmcdropout._drawing.masked_chain import (
    MaskedChain,
    kept_indices,
    spec,
    values,
)


class _Structure(NamedTuple):
    """All that the compiled pass depends on: what precedes and follows each layer."""

    activations: tuple[str, ...]
    is_masked: tuple[bool, ...]
    is_thinned: tuple[bool, ...]


class WideDraws:
    """Draws of `n_rows` rows in groups, each thinned when it is run.

    A group holds about `group_floats` floats.
    """

    def __init__(self, draws: MaskedChain, group_floats: int, n_rows: int) -> None:
        layers, masks = draws.layers, draws.masks
        is_masked = tuple(mask is not None for mask in masks)
        pairs = zip(is_masked, [*is_masked[1:], False], strict=True)
        is_thinned = tuple(masked and after for masked, after in pairs)
        kept = [
            kept_indices(after)
            for after, use in zip(masks[1:], is_thinned, strict=False)
            if use and after is not None
        ]
        came_in = iter(kept)
        by_layer = []
        for i, mask in enumerate(masks):
            if mask is not None and i and is_thinned[i - 1]:
                mask = np.take_along_axis(mask, next(came_in), axis=1)
            if mask is not None:
                by_layer.append(mask)
        self._weights = draws.tensors()
        self._masks = [tf.constant(mask) for mask in by_layer]
        self._kept = [tf.constant(indices, tf.int32) for indices in kept]
        self._structure = _Structure(draws.activations, is_masked, is_thinned)
        width = max(len(layer.bias) for layer in layers)
        n_group = group_floats // max(draws.floats // draws.n_draws, n_rows * width, 1)
        self._n_group, self._n_draws = max(1, n_group), draws.n_draws

    def values(self, h: tf.Tensor, tell: Callable[[float], None]) -> Any:
        """Of every draw, (n_draws, n_values, rows), for a tensor of rows."""
        run = _compiled(self._structure)
        p = []
        for i in range(0, self._n_draws, self._n_group):
            group = slice(i, i + self._n_group)
            noise = [[x[group] for x in xs] for xs in (self._masks, self._kept)]
            p.append(run(h, *self._weights, *noise))
            tell(min(1.0, group.stop / self._n_draws))
        return tf.concat(p, axis=0)


@cache
def _compiled(structure: _Structure) -> Any:
    functions = [keras.activations.get(name) for name in structure.activations[:-1]]

    def forward(
        x: tf.Tensor,
        scale: tf.Tensor,
        shift: tf.Tensor,
        kernels: Sequence[tf.Tensor],
        biases: Sequence[tf.Tensor],
        masks: Sequence[tf.Tensor],
        kept: Sequence[tf.Tensor],
    ) -> Any:
        z = (x * scale + shift)[None]
        next_mask, next_kept = iter(masks), iter(kept)
        came_in = None
        for i, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
            is_transposed = False
            if structure.is_masked[i]:
                mask = next(next_mask)
                go_on = next(next_kept) if structure.is_thinned[i] else None
                kernel, is_transposed = _thin(kernel, mask, came_in, go_on)
                came_in = go_on
                if go_on is not None:
                    bias = tf.gather(bias, go_on)[:, None, :]
            h = functions[i - 1](z) if i else z
            z = tf.matmul(h, kernel, transpose_b=is_transposed) + bias
        return values(tf.transpose(z, [0, 2, 1]), structure.activations[-1])

    n_layers = len(structure.activations)
    function = tf.function(forward, autograph=False)
    return function.get_concrete_function(
        spec(2),
        spec(1),
        spec(1),
        [spec(2)] * n_layers,
        [spec(1)] * n_layers,
        [spec(2)] * sum(structure.is_masked),
        [spec(2, tf.int32)] * sum(structure.is_thinned),
    )


def _thin(
    kernel: tf.Tensor,
    mask: tf.Tensor,
    came_in: tf.Tensor | None,
    go_on: tf.Tensor | None,
) -> tuple[tf.Tensor, bool]:
    """Each draw's kernel, of the units that come in and go on, and if it is transposed.

    Whole rows are gathered, which is several times faster than columns.
    """
    if came_in is not None:
        thinned = tf.gather(kernel, came_in) * mask[:, :, None]
        if go_on is None:
            return thinned, False
        return tf.gather(tf.transpose(thinned, [0, 2, 1]), go_on, batch_dims=1), True
    transposed = tf.transpose(kernel)
    if go_on is not None:
        transposed = tf.gather(transposed, go_on)  # (n_draws, n_kept, n_in)
    return transposed * mask[:, None, :], True

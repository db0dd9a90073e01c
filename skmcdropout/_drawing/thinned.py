"""Draws of chains as thinned networks: masks, and the weights left under them.

A draw is one mask for all rows. So its masks are folded into its weights once, and
the units it drops are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._drawing.masked_chain import (
    MaskedChain,
    kept_indices,
    spec,
    values,
)
from skmcdropout._drawing.results import Wanted, compiled_results, results
from skmcdropout._networks.folded_chain import Affine
from skmcdropout._utils.arrays import Floats

#: Floats that a row may need, with all draws that are computed together: were it more,
#: few rows would make a chunk, and products with few rows are slow.
ROW_FLOATS = 2**14


class Structure(NamedTuple):
    """All of a thinned network that its compiled forward pass depends on."""

    activations: tuple[str, ...]
    n_shared: int
    bias_ranks: tuple[int, ...]


class Weights(NamedTuple):
    """The thinned weights of a group of draws.

    Before the first dropout a kernel has shape (n_in, n_out). From there on it has
    shape (n_draws, n_out, n_in), its masks multiplied in, or (1, n_out, n_in) where it
    has none. A bias has shape (n_out,), or (n_draws, n_out) where units are left out.
    """

    scale: tf.Tensor
    shift: tf.Tensor
    kernels: Sequence[tf.Tensor]
    biases: Sequence[tf.Tensor]


class ThinnedDraws:
    """Draws with the masks multiplied into the weights, in groups.

    `row_floats` is the largest number of activations that a row needs at a time.
    """

    def __init__(self, draws: MaskedChain) -> None:
        widths = [len(layer.bias) for layer in draws.layers]
        widest = max(widths[draws.n_shared :])
        n_group = min(max(1, ROW_FLOATS // widest), draws.n_draws)
        self.groups: list[Weights] = []
        for i in range(0, draws.n_draws, n_group):
            group = slice(i, i + n_group)
            masks = [None if mask is None else mask[group] for mask in draws.masks]
            folded = _fold(draws.layers, masks, draws.n_shared)
            weights = Weights(draws.scale, draws.shift, *folded)
            self.groups.append(keras.tree.map_structure(tf.constant, weights))
        self.n_values = draws.n_values
        self.structure = Structure(
            draws.activations,
            draws.n_shared,
            tuple(len(bias.shape) for bias in self.groups[0].biases),
        )
        self.row_floats = max(
            len(draws.scale),
            *widths[: draws.n_shared],
            widest * n_group,
            draws.n_values * draws.n_draws,
        )

    def results(self, h: tf.Tensor, wanted: Wanted) -> Any:
        """What is wanted of all draws, for a tensor of rows."""
        if len(self.groups) == 1:
            return compiled_pass(self.structure, wanted)(h, *self.groups[0])
        run = compiled_pass(self.structure, None)
        p = [run(h, *weights)[0] for weights in self.groups]
        return compiled_results(wanted, self.n_values)(tf.concat(p, axis=0))


def _fold(
    layers: Sequence[Affine], masks: Sequence[Floats | None], n_shared: int
) -> tuple[list[Floats], list[Floats]]:
    """Multiply masks into the kernels they precede; leave out the units they drop.

    How many units are kept differs from draw to draw, so each draw keeps as many as
    the largest needs; the few dropped ones among them have zeros in the next kernel.
    """
    kernels, biases = [], []
    kept: NDArray[np.intp] | None = None  # (n_draws, n_kept): the units that come in
    for i, (layer, mask) in enumerate(zip(layers, masks, strict=True)):
        kernel, bias = layer.kernel, layer.bias
        after = masks[i + 1] if i + 1 < len(masks) else None
        if kept is not None and mask is not None:
            mask = np.take_along_axis(mask, kept, axis=1)
            kernel = kernel[kept]
        if mask is not None:
            kernel = kernel * mask[:, :, None]  # (n_draws, n_in, n_out)
        kept = None
        if kernel.ndim == 3 and after is not None:
            kept = kept_indices(after)
            kernel = np.take_along_axis(kernel, kept[:, None, :], axis=2)
            bias = bias[kept]  # (n_draws, n_kept)
        if i >= n_shared:
            kernel = np.swapaxes(kernel if kernel.ndim == 3 else kernel[None], 1, 2)
        kernels.append(kernel)
        biases.append(bias)
    return kernels, biases


@cache
def compiled_pass(structure: Structure, wanted: Wanted | None) -> Any:
    """The forward pass, compiled once for networks of every width.

    With `wanted` None it gives values, (n_draws, n_values, rows).
    """
    *hidden, final = structure.activations
    functions = [keras.activations.get(name) for name in hidden]
    n_shared, n_layers = structure.n_shared, len(structure.activations)

    def forward(
        x: tf.Tensor,
        scale: tf.Tensor,
        shift: tf.Tensor,
        kernels: Sequence[tf.Tensor],
        biases: Sequence[tf.Tensor],
    ) -> tuple[tf.Tensor, ...]:
        h = x * scale + shift  # (rows, width)
        for i in range(n_shared):
            h = functions[i](tf.matmul(h, kernels[i]) + biases[i])
        z = _first_drawn(kernels[n_shared], h)  # (n_draws, width, rows)
        z += biases[n_shared][..., None]
        for i in range(n_shared + 1, n_layers):
            z = tf.matmul(kernels[i], functions[i - 1](z)) + biases[i][..., None]
        p = values(z, final)
        return (p,) if wanted is None else results(p, wanted)

    signature = [
        spec(2),
        spec(1),
        spec(1),
        [spec(2 if i < n_shared else 3) for i in range(n_layers)],
        [spec(rank) for rank in structure.bias_ranks],
    ]
    function = tf.function(forward, signature, autograph=False)
    return function.get_concrete_function()


def _first_drawn(kernels: tf.Tensor, h: tf.Tensor) -> Any:
    """``kernel @ h.T`` of every draw, as one product: many small ones take longer."""
    n_draws, n_out, n_in = tf.unstack(tf.shape(kernels))
    beside_each_other = tf.reshape(kernels, [n_draws * n_out, n_in])
    z = tf.matmul(beside_each_other, h, transpose_b=True)
    return tf.reshape(z, [n_draws, n_out, tf.shape(h)[0]])  # n_out can be 0

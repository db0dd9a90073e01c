"""Draws of chains as thinned networks: masks, and the weights left under them.

A draw is one mask for all rows. So its masks are folded into its weights once, and
the units it drops are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._drawing.results import Wanted, results
from skmcdropout._networks.folded_chain import Affine, Chain
from skmcdropout._networks.outputs import softmax
from skmcdropout._utils.arrays import Floats

#: Floats that a row may need, with all draws that are computed together: were it more,
#: few rows would make a chunk, and products with few rows are slow.
ROW_FLOATS = 2**14


class Structure(NamedTuple):
    """All of a thinned network that its compiled forward pass depends on."""

    activations: tuple[str, ...]
    kernel_ranks: tuple[int, ...]
    bias_ranks: tuple[int, ...]
    is_masked: tuple[bool, ...]

    @property
    def only_last_is_drawn(self) -> bool:
        """Whether all that comes before the last layer is the same in every draw."""
        *before, last = self.kernel_ranks
        return last == 3 and 3 not in before


@dataclass(frozen=True)
class Thinned:
    """Some draws of a chain, ready to run.

    `tensors` are scale, shift, kernels, biases and masks. Before the first dropout a
    kernel has shape (n_in, n_out); from there on (n_draws, n_in, n_out), its masks
    multiplied in, or it keeps its shape and a mask of shape (n_draws, 1, n_in) stands
    beside it. `row_floats` is the largest number of activations that a row needs at a
    time.
    """

    tensors: tuple[tf.Tensor, ...]
    structure: Structure
    row_floats: int


class ChainDraws:
    """The draws of a chain: `masks`, one per layer with a positive rate, or none."""

    def __init__(self, chain: Chain, masks: Sequence[Floats]) -> None:
        given = iter(masks)
        layers = chain.layers
        self.chain = chain
        self.masks = [next(given) if masks and la.rate else None for la in layers]
        self.first = next((i for i, m in enumerate(self.masks) if m is not None), None)
        self.n_draws = len(masks[0]) if masks else 1
        self.n_classes = len(layers[-1].bias)
        widest = max(len(layer.bias) for layer in layers[self.first or 0 :])
        self._n_group = min(max(1, ROW_FLOATS // widest), self.n_draws)
        #: Floats of one draw's weights, were nothing left out.
        self.floats = sum(
            layer.kernel.size for layer in layers[self.first or 0 :] if masks
        )

    @cached_property
    def folded(self) -> list[Thinned]:
        """Groups of draws, masks multiplied into weights, dropped units left out."""
        groups = []
        for i in range(0, self.n_draws, self._n_group):
            group = slice(i, i + self._n_group)
            masks = [None if mask is None else mask[group] for mask in self.masks]
            folded = _fold(self.chain.layers, masks)
            groups.append(self._ready(self._n_group, *folded, [None] * len(masks)))
        return groups

    @cached_property
    def beside(self) -> Thinned:
        """All draws, masks beside the weights."""
        return self._ready(
            self.n_draws,
            [layer.kernel for layer in self.chain.layers],
            [layer.bias for layer in self.chain.layers],
            [None if mask is None else mask[:, None, :] for mask in self.masks],
        )

    def _ready(
        self,
        n_draws: int,
        kernels: Sequence[Floats],
        biases: Sequence[Floats],
        beside: Sequence[Floats | None],
    ) -> Thinned:
        widths = [len(self.chain.scale), self.n_draws * self.n_classes]
        for i, (kernel, mask) in enumerate(zip(kernels, beside, strict=True)):
            is_drawn = self.first is not None and i >= self.first
            widths.append(kernel.shape[-1] * (n_draws if is_drawn else 1))
            widths.append(0 if mask is None else mask.size)
        arrays = (
            self.chain.scale,
            self.chain.shift,
            kernels,
            biases,
            [mask for mask in beside if mask is not None],
        )
        return Thinned(
            tensors=keras.tree.map_structure(tf.constant, arrays),
            structure=Structure(
                tuple(layer.activation for layer in self.chain.layers),
                tuple(kernel.ndim for kernel in kernels),
                tuple(bias.ndim for bias in biases),
                tuple(mask is not None for mask in beside),
            ),
            row_floats=max(widths),
        )


def _fold(
    layers: Sequence[Affine], masks: Sequence[Floats | None]
) -> tuple[list[Floats], list[Floats]]:
    """Multiply masks into the kernels they precede; leave out the units they drop.

    How many units are kept differs from draw to draw, so each draw keeps as many as
    the largest needs; the few dropped ones among them have zeros in the next kernel.
    """
    kernels, biases = [], []
    kept: NDArray[np.intp] | None = None  # (n_draws, n_kept): the units that come in
    for layer, mask, after in zip(layers, masks, [*masks[1:], None], strict=True):
        kernel, bias = layer.kernel, layer.bias
        if kept is not None and mask is not None:
            mask = np.take_along_axis(mask, kept, axis=1)
            kernel = kernel[kept]
        if mask is not None:
            kernel = kernel * mask[:, :, None]  # (n_draws, n_in, n_out)
        kept = None
        if kernel.ndim == 3 and after is not None:
            kept = kept_indices(after)
            kernel = np.take_along_axis(kernel, kept[:, None, :], axis=2)
            bias = bias[kept][:, None, :]  # (n_draws, 1, n_kept)
        kernels.append(kernel)
        biases.append(bias)
    return kernels, biases


def kept_indices(mask: Floats) -> NDArray[np.intp]:
    """Indices of the units each draw keeps, filled up with dropped ones."""
    n_kept = np.count_nonzero(mask, axis=1).max()
    return np.argsort(mask == 0, axis=1, kind="stable")[:, :n_kept]


@cache
def compiled_chain(structure: Structure, wanted: Wanted | None) -> Any:
    """The forward pass, compiled once for networks of every width.

    With `wanted` None it gives probabilities, (n_draws, n_classes, rows).
    """
    functions = [keras.activations.get(name) for name in structure.activations[:-1]]

    def forward(
        x: tf.Tensor,
        scale: tf.Tensor,
        shift: tf.Tensor,
        kernels: Sequence[tf.Tensor],
        biases: Sequence[tf.Tensor],
        masks: Sequence[tf.Tensor],
    ) -> tuple[tf.Tensor, ...]:
        h = (x * scale + shift)[None]  # (1 or n_draws, rows, width)
        next_mask = iter(masks)
        for i, activate in enumerate(functions):
            if structure.is_masked[i]:
                h = h * next(next_mask)
            h = activate(tf.matmul(h, kernels[i]) + biases[i])
        if structure.is_masked[-1]:
            h = h * next(next_mask)
        if structure.only_last_is_drawn:
            z = _one_product(h[0], kernels[-1])
        else:
            z = tf.transpose(tf.matmul(h, kernels[-1]), [0, 2, 1])
        p = softmax(z + biases[-1][:, None], axis=1)
        return (p,) if wanted is None else results(p, wanted)

    def spec(rank: int) -> tf.TensorSpec:
        return tf.TensorSpec([None] * rank, tf.float32)

    signature = [
        spec(2),
        spec(1),
        spec(1),
        [spec(rank) for rank in structure.kernel_ranks],
        [spec(rank) for rank in structure.bias_ranks],
        [spec(3)] * sum(structure.is_masked),
    ]
    function = tf.function(forward, signature, autograph=False)
    return function.get_concrete_function()


def _one_product(h: tf.Tensor, kernels: tf.Tensor) -> Any:
    """``h @ kernel`` of every draw's kernel, (n_draws, n_out, rows), as one product.

    Few classes make small products, whose time goes into reading `h` again.
    """
    n_draws, n_in, n_out = tf.unstack(tf.shape(kernels))
    beside = tf.reshape(tf.transpose(kernels, [0, 2, 1]), [n_draws * n_out, n_in])
    z = tf.matmul(beside, h, transpose_b=True)
    return tf.reshape(z, [n_draws, n_out, -1])

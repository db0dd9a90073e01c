"""Draws as thinned networks: masks, and the weights that are left under them.

A draw is one mask for all rows. So its masks are folded into its weights once, and
the units it drops are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._drawing.masks import Floats
from skmcdropout._networks.architecture import Architecture
from skmcdropout._networks.perceptron import EPSILON

#: Largest set of thinned weights, in floats (64 MB); they are kept between predictions.
THINNED_FLOATS = 2**24


class Affine(NamedTuple):
    """One Dense layer, BatchNormalization folded in: ``activation(x @ kernel + bias)``.

    `rate` is that of the dropout before it.
    """

    kernel: Floats
    bias: Floats
    activation: str
    rate: float


class Chain(NamedTuple):
    """A dropout MLP at inference: ``x * scale + shift``, then the Dense layers.

    `sources`, where given, says of each mask which one it repeats; see `generators`.
    """

    scale: Floats
    shift: Floats
    layers: list[Affine]
    sources: tuple[int, ...] | None = None


def read_chain(arch: Architecture, weights: Sequence[Floats]) -> Chain:
    """The weights of a network, BatchNormalization folded away."""
    given = iter(weights)
    scale = np.ones(arch.n_features, np.float32)
    shift = np.zeros(arch.n_features, np.float32)
    if arch.batch_normalization:
        scale, shift = _inference_affine(given)
    layers = []
    for i, rate in enumerate(arch.rates):
        is_output = i == len(arch.hidden_layer_sizes)
        kernel, bias = next(given), next(given)
        if arch.batch_normalization and not is_output:
            by, to = _inference_affine(given)
            kernel, bias = kernel * by, bias * by + to
        activation = "softmax" if is_output else arch.activation
        layers.append(Affine(kernel, bias, activation, rate or 0.0))
    return Chain(scale, shift, layers)


def _inference_affine(given: Iterator[Floats]) -> tuple[Floats, Floats]:
    """Factor and addend of the BatchNormalization whose weights come next."""
    gamma, beta, mean, variance = itertools.islice(given, 4)
    by = gamma / np.sqrt(variance + np.float32(EPSILON))
    return by, beta - mean * by


class Structure(NamedTuple):
    """All of a thinned network that its compiled forward pass depends on."""

    activations: tuple[str, ...]
    kernel_ranks: tuple[int, ...]
    bias_ranks: tuple[int, ...]
    is_masked: tuple[bool, ...]


@dataclass(frozen=True)
class Thinned:
    """The draws of a chain, ready to run.

    `tensors` are scale, shift, kernels, biases and masks. Before the first dropout a
    kernel has shape (n_in, n_out); from there on (n_draws, n_in, n_out), its masks
    multiplied in, or, where that would be too large, it keeps its shape and a mask of
    shape (n_draws, 1, n_in) stands beside it. `row_floats` is the largest number of
    activations that a row needs at a time.
    """

    tensors: tuple[Any, ...]
    structure: Structure
    row_floats: int


class Draws:
    """The draws of a chain: `masks`, one per layer with a positive rate, or none."""

    def __init__(self, chain: Chain, masks: Sequence[Floats]) -> None:
        given = iter(masks)
        layers = chain.layers
        self.chain = chain
        self.masks = [next(given) if masks and la.rate else None for la in layers]
        self.first = next((i for i, m in enumerate(self.masks) if m is not None), None)
        self.n_draws = len(masks[0]) if masks else 1
        self.n_classes = len(layers[-1].bias)
        #: Floats of one draw's weights, were nothing left out.
        self.floats = sum(
            layer.kernel.size for layer in layers[self.first or 0 :] if masks
        )

    @cached_property
    def thinned(self) -> Thinned:
        """All draws, masks folded in, or beside the weights if that is too large."""
        layers = self.chain.layers
        beside: list[Floats | None] = [None] * len(layers)
        if self.n_draws * self.floats <= THINNED_FLOATS:
            kernels, biases = _fold(layers, self.masks)
        else:
            kernels = [layer.kernel for layer in layers]
            biases = [layer.bias for layer in layers]
            beside = [None if m is None else m[:, None, :] for m in self.masks]
        widths = [len(self.chain.scale)]
        for i, (kernel, mask) in enumerate(zip(kernels, beside, strict=True)):
            is_drawn = self.first is not None and i >= self.first
            widths.append(kernel.shape[-1] * (self.n_draws if is_drawn else 1))
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
                tuple(layer.activation for layer in layers),
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
            kept = kept_units(after)
            kernel = np.take_along_axis(kernel, kept[:, None, :], axis=2)
            bias = bias[kept][:, None, :]  # (n_draws, 1, n_kept)
        kernels.append(kernel)
        biases.append(bias)
    return kernels, biases


def kept_units(mask: Floats) -> NDArray[np.intp]:
    """Indices of the units each draw keeps, filled up with dropped ones."""
    n_kept = np.count_nonzero(mask, axis=1).max()
    return np.argsort(mask == 0, axis=1, kind="stable")[:, :n_kept]

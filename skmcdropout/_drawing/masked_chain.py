"""A chain of Dense layers and the masks of its draws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._networks.class_outputs import softmax
from skmcdropout._networks.folded_chain import Affine, Chain
from skmcdropout._networks.target_outputs import as_values
from skmcdropout._utils.arrays import Floats


class MaskedChain:
    """The draws of a chain: `masks`, one per layer with a positive rate, or none.

    With two classes the last layer has one unit: softmax((a, b)) is sigmoid(b - a).
    """

    def __init__(self, chain: Chain, masks: Sequence[Floats]) -> None:
        given = iter(masks)
        layers = chain.layers
        # Without masks nothing is dropped: there is one draw.
        self.masks = [next(given) if masks and la.rate else None for la in layers]
        self.n_draws = len(masks[0]) if masks else 1
        self.n_values = len(layers[-1].bias)
        self.scale, self.shift = chain.scale, chain.shift
        self.layers = [*layers[:-1], _with_one_logit(layers[-1])]
        is_drawn = [mask is not None for mask in self.masks]
        #: How many layers come before the first that is drawn, or before the last.
        self.n_shared = is_drawn.index(True) if masks else len(layers) - 1

    @cached_property
    def floats(self) -> int:
        """Number of floats in the thinned weights of all draws."""
        n_floats, n_kept = 0, None
        for layer, mask, after in zip(
            self.layers, self.masks, [*self.masks[1:], None], strict=True
        ):
            n_in, n_out = layer.kernel.shape
            if mask is None:
                n_kept = None
                continue
            n_in = n_in if n_kept is None else n_kept
            n_kept = None if after is None else most_kept(after)
            n_floats += n_in * (n_out if n_kept is None else n_kept)
        return n_floats * self.n_draws

    def tensors(self) -> tuple[Any, ...]:
        """Scale, shift, kernels and biases, with nothing of the masks in them."""
        arrays = (
            self.scale,
            self.shift,
            [layer.kernel for layer in self.layers],
            [layer.bias for layer in self.layers],
        )
        return keras.tree.map_structure(tf.constant, arrays)

    @property
    def activations(self) -> tuple[str, ...]:
        """Names, by layer."""
        return tuple(layer.activation for layer in self.layers)


def spec(rank: int, dtype: Any = tf.float32) -> tf.TensorSpec:
    """Of a tensor of any shape with so many axes."""
    return tf.TensorSpec([None] * rank, dtype)


def most_kept(mask: Floats) -> int:
    """The largest number of units that a draw keeps."""
    return int(np.count_nonzero(mask, axis=1).max())


def kept_indices(mask: Floats) -> NDArray[np.intp]:
    """Indices of the units each draw keeps, filled up with dropped ones."""
    return np.argsort(mask == 0, axis=1, kind="stable")[:, : most_kept(mask)]


def values(z: tf.Tensor, activation: str) -> tf.Tensor:
    """Values of a draw, (n_draws, n_values, rows), from the last layer's ``Wh + b``."""
    if activation == "softmax":
        return softmax(z, axis=1)
    if activation == "sigmoid":
        return 1 / (1 + tf.exp(tf.concat([z, -z], axis=1)))
    return as_values(z, activation, axis=1)


def _with_one_logit(last: Affine) -> Affine:
    if last.activation != "softmax" or len(last.bias) != 2:
        return last
    kernel, bias = last.kernel, last.bias
    return last._replace(
        kernel=kernel[:, 1:] - kernel[:, :1],
        bias=bias[1:] - bias[:1],
        activation="sigmoid",
    )

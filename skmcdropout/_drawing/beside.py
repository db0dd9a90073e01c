"""Draws of chains with too many weights to thin them for a few rows.

The masks are multiplied into the activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from skmcdropout._drawing.masked_chain import MaskedChain, spec, values
from skmcdropout._drawing.results import Wanted, results


class BesideDraws:
    """Draws with the masks beside the weights.

    `row_floats` is the largest number of activations that a row needs at a time.
    """

    def __init__(self, draws: MaskedChain) -> None:
        masks = [m[:, None, :] for m in draws.masks if m is not None]
        self._weights = (*draws.tensors(), [tf.constant(mask) for mask in masks])
        self._is_masked = tuple(mask is not None for mask in draws.masks)
        self._activations = draws.activations
        widths = [len(draws.scale), *(len(layer.bias) for layer in draws.layers)]
        drawn = max(widths[draws.n_shared :]) * draws.n_draws
        self.row_floats = max(*widths, drawn, draws.n_values * draws.n_draws)

    def results(self, h: tf.Tensor, wanted: Wanted) -> Any:
        """What is wanted of all draws, for a tensor of rows."""
        run = _compiled(self._activations, self._is_masked, wanted)
        return run(h, *self._weights)


@cache
def _compiled(
    activations: tuple[str, ...], is_masked: tuple[bool, ...], wanted: Wanted
) -> Any:
    *hidden, final = activations
    functions = [keras.activations.get(name) for name in hidden]

    def forward(
        x: tf.Tensor,
        scale: tf.Tensor,
        shift: tf.Tensor,
        kernels: Sequence[tf.Tensor],
        biases: Sequence[tf.Tensor],
        masks: Sequence[tf.Tensor],
    ) -> tuple[tf.Tensor, ...]:
        next_mask = iter(masks)
        z = (x * scale + shift)[None]  # (1 or n_draws, rows, width)
        for i, kernel in enumerate(kernels):
            h = functions[i - 1](z) if i else z
            if is_masked[i]:
                h = h * next(next_mask)
            z = tf.matmul(h, kernel) + biases[i]
        return results(values(tf.transpose(z, [0, 2, 1]), final), wanted)

    n_layers = len(activations)
    function = tf.function(forward, autograph=False)
    return function.get_concrete_function(
        spec(2),
        spec(1),
        spec(1),
        [spec(2)] * n_layers,
        [spec(1)] * n_layers,
        [spec(3)] * sum(is_masked),
    )

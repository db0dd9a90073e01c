"""Where a Keras network's noise begins, and whether an MLP is all that follows.

Most networks end in Dense layers, and often dropout stands among these alone. All
before the first noise is then computed once, and what follows is a `Chain`, with masks
folded into its weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from skmcdropout._keras.chain_engine import Tail
from skmcdropout._keras.graph_pass import is_graph, is_sequence
from skmcdropout._keras.noise_layers import (
    SPATIAL,
    dropout_law,
    is_noise,
    strength,
)
from skmcdropout._keras.places import Place, sources
from skmcdropout._keras.private import nodes_in_order
from skmcdropout._perceptron.activations import ACTIVATIONS
from skmcdropout._perceptron.chain import Affine, Chain, Scaling
from skmcdropout._perceptron.outputs import Outputs
from skmcdropout._utils.arrays import Floats

layers = keras.layers


def in_line(network: keras.Model) -> list[Any] | None:
    """The layers of a network, nested ones taken apart; None if they branch."""
    if is_sequence(network):
        steps = network.layers
    elif is_graph(network):
        steps = _line_of_graph(network)
    else:
        steps = [network] if not isinstance(network, keras.Model) else None
    if steps is None or steps == [network]:
        return steps
    flat: list[Any] = []
    for step in steps:
        flat += in_line(step) or [step]
    return flat


def _line_of_graph(network: keras.Model) -> list[Any] | None:
    steps = []
    before = network.inputs
    for nodes in nodes_in_order(network):
        if len(nodes) != 1 or len(before) != 1:
            return None
        (node,) = nodes
        if not node.is_input:
            arguments = node.arguments
            if len(arguments.args) != 1 or arguments.args[0] is not before[0]:
                return None
            given = {k for k, v in arguments.kwargs.items() if v is not None}
            if given - {"training"}:
                return None
            steps.append(node.operation)
            before = node.outputs
    is_whole = len(before) == len(network.outputs) == 1
    return steps if is_whole and before[0] is network.outputs[0] else None


def read_tail(
    steps: Sequence[Any], shape: tuple[int, ...], outputs: Outputs
) -> Tail | None:
    """`steps`, for rows of `shape`, as a chain that ends in the values of a draw.

    None where they are not a dropout MLP.
    """
    reader = _ChainReader(shape)
    if not all(map(reader.reads, steps)):
        return None
    return reader.tail(outputs)


class _ChainReader:
    """Reads layers one after the other into the Dense layers of a chain."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._dense: list[Affine] = []
        self._places: list[Place] = []
        self._rate = 0.0  # of the dropout before the next Dense
        self._before: Scaling | None = None  # a normalisation before it
        self._is_open = False  # whether the last may still be normalised or activated

    def reads(self, layer: keras.layers.Layer) -> bool:
        """Read a layer; False if it has no place in a chain."""
        if is_noise(layer):
            return self._read_dropout(layer)
        if type(layer) is layers.Flatten:
            self._shape = (math.prod(self._shape),)
            return layer.data_format == "channels_last"
        if getattr(layer, "compute_dtype", "") != "float32" or len(self._shape) != 1:
            return False
        if type(layer) is layers.Dense:
            return self._read_dense(layer)
        if type(layer) is layers.BatchNormalization:
            return self._read_normalization(layer)
        return type(layer) is layers.Activation and self._read_activation(layer)

    def tail(self, outputs: Outputs) -> Tail | None:
        """All that was read; None if it does not end as `outputs` do."""
        if not self._dense or self._rate or self._before:
            return None
        *hidden, last = self._dense
        final = outputs.chained(last)
        if final is None or any(layer.activation == "softmax" for layer in hidden):
            return None
        n_in = len(self._dense[0].kernel)
        scale, shift = np.ones(n_in, np.float32), np.zeros(n_in, np.float32)
        chain = Chain(scale, shift, [*hidden, final], sources(self._places))
        return Tail(chain, self._places)

    def _read_dropout(self, layer: keras.layers.Layer) -> bool:
        if self._rate or self._before or not _is_plain_dropout(layer):
            return False
        self._rate, self._is_open = strength(layer), False
        if self._rate:
            law = dropout_law(self._rate, self._shape)
            self._places.append(Place(layer, law, layer.compute_dtype))
        return True

    def _read_dense(self, layer: keras.layers.Layer) -> bool:
        activation = _activation(layer)
        if activation is None or getattr(layer, "quantization_mode", None):
            return False
        kernel, bias = _dense_weights(layer)
        affine = Affine(kernel, bias, activation, self._rate)
        if self._before is not None:
            affine = affine.scaled_before(self._before)
        self._dense.append(affine)
        self._shape, self._rate, self._before = (len(bias),), 0.0, None
        self._is_open = activation == "linear"
        return True

    def _read_normalization(self, layer: keras.layers.Layer) -> bool:
        scaling = _scaling(layer)
        if self._is_open:
            self._dense.append(self._dense.pop().scaled_after(scaling))
            return True
        is_before_dense = not self._dense or self._rate > 0
        if self._before is not None or not is_before_dense:
            return False
        self._before = scaling
        return True

    def _read_activation(self, layer: keras.layers.Layer) -> bool:
        activation = _activation(layer)
        if activation is None or not self._is_open:
            return False
        self._dense.append(self._dense.pop()._replace(activation=activation))
        self._is_open = False
        return True


def _is_plain_dropout(layer: keras.layers.Layer) -> bool:
    is_spatial = isinstance(layer, tuple(kind for kind, _ in SPATIAL))
    is_dropout = isinstance(layer, layers.Dropout) and not is_spatial
    return is_dropout and layer.noise_shape is None and layer.rate < 1


def _dense_weights(layer: keras.layers.Layer) -> tuple[Floats, Floats]:
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    if layer.bias is None:
        return kernel, np.zeros(kernel.shape[1], np.float32)
    return kernel, keras.ops.convert_to_numpy(layer.bias)


def _scaling(layer: keras.layers.Layer) -> Scaling:
    """What a BatchNormalization layer does in inference mode."""
    held = (layer.moving_mean, layer.moving_variance, layer.gamma, layer.beta)
    to_numpy = keras.ops.convert_to_numpy
    arrays: list[Any] = [None if x is None else to_numpy(x) for x in held]
    mean, variance, gamma, beta = arrays
    return Scaling.of_normalization(mean, variance, layer.epsilon, gamma, beta)


def _activation(layer: keras.layers.Layer) -> str | None:
    """Name of an elementwise activation of Keras's or of softmax; None for others."""
    name = getattr(layer.activation, "__name__", "")
    is_known = name in {*ACTIVATIONS, "softmax"}
    return (
        name if is_known and keras.activations.get(name) is layer.activation else None
    )

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

from skmcdropout._architecture import ELEMENTWISE_ACTIVATIONS
from skmcdropout._graph import is_graph, is_sequence
from skmcdropout._noise_layers import is_noise, strength
from skmcdropout._outputs import Outputs
from skmcdropout._thinning import Affine, Chain, Floats

layers = keras.layers


def in_line(network: Any) -> list[Any] | None:
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


def _line_of_graph(network: Any) -> list[Any] | None:
    steps = []
    before = network.inputs
    for depth in sorted(network._nodes_by_depth, reverse=True):
        nodes = network._nodes_by_depth[depth]
        if len(nodes) != 1 or len(before) != 1:
            return None
        (node,) = nodes
        if not node.is_input:
            arguments = node.arguments
            if len(arguments.args) != 1 or arguments.args[0] is not before[0]:
                return None
            if any(value is not None for value in arguments.kwargs.values()):
                return None
            steps.append(node.operation)
            before = node.outputs
    is_whole = len(before) == len(network.outputs) == 1
    return steps if is_whole and before[0] is network.outputs[0] else None


def read_tail(
    steps: Sequence[Any], shape: tuple[int, ...], outputs: Outputs
) -> Chain | None:
    """`steps`, for rows of `shape`, as a chain that ends in class probabilities.

    None where they are not a dropout MLP.
    """
    chain: list[Affine] = []
    rate = 0.0
    before: tuple[Floats, Floats] | None = None  # BatchNormalization before a Dense
    is_open = False  # whether the last Dense may still be normalised or activated
    for step in steps:
        if is_noise(step):
            if rate or before or not _is_plain_dropout(step):
                return None
            rate, is_open = strength(step), False
        elif isinstance(step, layers.Flatten) and step.data_format == "channels_last":
            shape = (math.prod(shape),)
        elif getattr(step, "compute_dtype", "") != "float32" or len(shape) != 1:
            return None
        elif type(step) is layers.Dense and not getattr(step, "quantization_mode", ""):
            kernel, bias = _dense_weights(step)
            if before is not None:
                kernel, bias = kernel * before[0][:, None], bias + before[1] @ kernel
            chain.append(Affine(kernel, bias, _activation(step), rate))
            shape, rate, before = (kernel.shape[1],), 0.0, None
            is_open = chain[-1].activation == "linear"
        elif type(step) is layers.BatchNormalization and (is_open or not chain or rate):
            if before is not None:
                return None
            by, to = _normalization(step)
            if is_open:
                last = chain.pop()
                kernel, bias = last.kernel * by, last.bias * by + to
                chain.append(last._replace(kernel=kernel, bias=bias))
            else:
                before = by, to
        elif isinstance(step, layers.Activation) and is_open:
            chain.append(chain.pop()._replace(activation=_activation(step)))
            is_open = False
        else:
            return None
        if chain and chain[-1].activation is None:
            return None
    if not chain or rate or before:
        return None
    if any(layer.activation == "softmax" for layer in chain[:-1]):
        return None
    last = _with_probabilities(chain[-1], outputs)
    return None if last is None else _chain([*chain[:-1], last])


def _chain(layers: list[Affine]) -> Chain:
    n_in = len(layers[0].kernel)
    return Chain(np.ones(n_in, np.float32), np.zeros(n_in, np.float32), layers)


def _is_plain_dropout(layer: Any) -> bool:
    is_spatial = isinstance(
        layer,
        (layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D),
    )
    is_dropout = isinstance(layer, layers.Dropout) and not is_spatial
    return is_dropout and layer.noise_shape is None and layer.rate < 1


def _dense_weights(layer: Any) -> tuple[Floats, Floats]:
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    if layer.bias is None:
        return kernel, np.zeros(kernel.shape[1], np.float32)
    return kernel, keras.ops.convert_to_numpy(layer.bias)


def _normalization(layer: Any) -> tuple[Floats, Floats]:
    """Factor and addend of BatchNormalization in inference mode."""
    mean = keras.ops.convert_to_numpy(layer.moving_mean)
    variance = keras.ops.convert_to_numpy(layer.moving_variance)
    by = 1 / np.sqrt(variance + np.float32(layer.epsilon))
    if layer.gamma is not None:
        by = by * keras.ops.convert_to_numpy(layer.gamma)
    to = -mean * by
    if layer.beta is not None:
        to = to + keras.ops.convert_to_numpy(layer.beta)
    return by, to


def _activation(layer: Any) -> str | None:
    """Name of an elementwise activation of Keras's or of softmax; None for others."""
    name = getattr(layer.activation, "__name__", "")
    is_known = name in ELEMENTWISE_ACTIVATIONS | {"softmax"}
    return (
        name if is_known and keras.activations.get(name) is layer.activation else None
    )


def _with_probabilities(last: Affine, outputs: Outputs) -> Affine | None:
    """The last layer, its outputs in the order of the classes, after a softmax."""
    expected = "linear"
    if not outputs.from_logits:
        expected = "sigmoid" if outputs.n_units == 1 else "softmax"
    if last.activation != expected:
        return None
    kernel, bias = last.kernel, last.bias
    if outputs.n_units == 1:  # sigmoid(z) is the second of softmax((0, z))
        kernel = np.hstack([np.zeros_like(kernel), kernel])
        bias = np.hstack([np.zeros_like(bias), bias])
    order = list(outputs.order)
    return Affine(
        np.ascontiguousarray(kernel[:, order]), bias[order], "softmax", last.rate
    )

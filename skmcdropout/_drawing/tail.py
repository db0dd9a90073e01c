"""Where a Keras network's noise begins, and whether an MLP is all that follows.

Most networks end in Dense layers, and often dropout stands among these alone. All
before the first noise is then computed once, and what follows is a `Chain`, with masks
folded into its weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from skmcdropout._drawing.graph_pass import is_graph, is_sequence
from skmcdropout._drawing.masks import Floats
from skmcdropout._drawing.places import Place, sources
from skmcdropout._drawing.thinned import Affine, Chain
from skmcdropout._networks.architecture import ELEMENTWISE_ACTIVATIONS
from skmcdropout._networks.noise_layers import SPATIAL, dropout_law, is_noise, strength
from skmcdropout._networks.outputs import Outputs

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
            given = {k for k, v in arguments.kwargs.items() if v is not None}
            if given - {"training"}:
                return None
            steps.append(node.operation)
            before = node.outputs
    is_whole = len(before) == len(network.outputs) == 1
    return steps if is_whole and before[0] is network.outputs[0] else None


class Tail(NamedTuple):
    """A chain, and where it draws."""

    chain: Chain
    places: list[Place]


def read_tail(
    steps: Sequence[Any], shape: tuple[int, ...], outputs: Outputs
) -> Tail | None:
    """`steps`, for rows of `shape`, as a chain that ends in class probabilities.

    None where they are not a dropout MLP.
    """
    reader = _ChainReader(shape)
    if not all(map(reader.takes, steps)):
        return None
    return reader.tail(outputs)


class _ChainReader:
    """Reads layers one after the other into the Dense layers of a chain."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._dense: list[Affine] = []
        self._places: list[Place] = []
        self._rate = 0.0  # of the dropout before the next Dense
        self._before: tuple[Floats, Floats] | None = None  # a normalisation before it
        self._is_open = False  # whether the last may still be normalised or activated

    def takes(self, layer: Any) -> bool:
        """Read a layer; False if it has no place in a chain."""
        if is_noise(layer):
            return self._take_dropout(layer)
        if type(layer) is layers.Flatten:
            self._shape = (math.prod(self._shape),)
            return layer.data_format == "channels_last"
        if getattr(layer, "compute_dtype", "") != "float32" or len(self._shape) != 1:
            return False
        if type(layer) is layers.Dense:
            return self._take_dense(layer)
        if type(layer) is layers.BatchNormalization:
            return self._take_normalization(layer)
        return type(layer) is layers.Activation and self._take_activation(layer)

    def tail(self, outputs: Outputs) -> Tail | None:
        """All that was read; None if it does not end in class probabilities."""
        if not self._dense or self._rate or self._before:
            return None
        *hidden, last = self._dense
        final = _with_probabilities(last, outputs)
        if final is None or any(layer.activation == "softmax" for layer in hidden):
            return None
        n_in = len(self._dense[0].kernel)
        scale, shift = np.ones(n_in, np.float32), np.zeros(n_in, np.float32)
        chain = Chain(scale, shift, [*hidden, final], sources(self._places))
        return Tail(chain, self._places)

    def _take_dropout(self, layer: Any) -> bool:
        if self._rate or self._before or not _is_plain_dropout(layer):
            return False
        self._rate, self._is_open = strength(layer), False
        if self._rate:
            law = dropout_law(self._rate, self._shape)
            self._places.append(Place(layer, law, layer.compute_dtype))
        return True

    def _take_dense(self, layer: Any) -> bool:
        activation = _activation(layer)
        if activation is None or getattr(layer, "quantization_mode", None):
            return False
        kernel, bias = _dense_weights(layer)
        if self._before is not None:
            by, to = self._before
            kernel, bias = kernel * by[:, None], bias + to @ kernel
        self._dense.append(Affine(kernel, bias, activation, self._rate))
        self._shape, self._rate, self._before = (len(bias),), 0.0, None
        self._is_open = activation == "linear"
        return True

    def _take_normalization(self, layer: Any) -> bool:
        by, to = _normalization(layer)
        if self._is_open:
            last = self._dense.pop()
            kernel, bias = last.kernel * by, last.bias * by + to
            self._dense.append(last._replace(kernel=kernel, bias=bias))
            return True
        is_before_dense = not self._dense or self._rate > 0
        if self._before is not None or not is_before_dense:
            return False
        self._before = by, to
        return True

    def _take_activation(self, layer: Any) -> bool:
        activation = _activation(layer)
        if activation is None or not self._is_open:
            return False
        self._dense.append(self._dense.pop()._replace(activation=activation))
        self._is_open = False
        return True


def _is_plain_dropout(layer: Any) -> bool:
    is_spatial = isinstance(layer, tuple(kind for kind, _ in SPATIAL))
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

"""What built Keras networks are asked: outputs, and weights with what follows."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from skmcdropout._keras.private import flat_layers, has_graph, operation_of
from skmcdropout._utils.inputs import Shapes


def last_activation(network: keras.Model) -> str | None:
    """Name of the activation a network ends in; None if its last layer does not say."""
    if isinstance(network, keras.Sequential):
        return last_activation(network.layers[-1])
    if has_graph(network):
        return last_activation(operation_of(network.outputs[0]))
    if isinstance(network, keras.layers.Softmax) or type(network).__name__ == "Softmax":
        return "softmax"
    if type(network).__name__ == "Sigmoid":
        return "sigmoid"
    activation = getattr(network, "activation", None)
    if isinstance(network, keras.layers.Layer) and callable(activation):
        return getattr(activation, "__name__", None)
    return None


def count_outputs(network: keras.Model, row_shapes: Shapes) -> int:
    """Width of the one output of a network."""
    if has_graph(network) or isinstance(network, keras.Sequential):
        shape = network.output_shape
    else:
        (row_shape,) = row_shapes
        zeros = np.zeros((1, *row_shape), np.float32)
        shape = keras.tree.map_structure(
            lambda x: (None, *x.shape[1:]), network(zeros, training=False)
        )
    if not (isinstance(shape, tuple) and len(shape) == 2 and shape[1] is not None):
        raise ValueError(
            "The model must have one output of shape (n_rows, n_outputs). "
            f"Got {shape}: {network.name!r}."
        )
    return int(shape[1])


def set_weights(network: keras.Model, weights: Any) -> None:
    """Set the weights, and what layers like Normalization derive from them."""
    network.set_weights(weights)
    for layer in flat_layers(network):
        if derives_constants(layer) and layer.weights:
            layer.finalize_state()


def derives_constants(layer: keras.layers.Layer) -> bool:
    """Whether a layer, like Normalization, makes constants of its weights."""
    return hasattr(layer, "finalize_state")


def ensure_built(network: keras.Model, row_shapes: Shapes) -> None:
    """Create the weights of a network that waits for its first input."""
    if isinstance(network, keras.Sequential):
        if not network.built:
            (shape,) = row_shapes
            network.build((None, *shape))
    elif not has_graph(network):
        (shape,) = row_shapes
        network(np.zeros((1, *shape), np.float32), training=False)

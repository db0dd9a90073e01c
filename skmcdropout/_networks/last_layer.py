"""What a Keras network ends in: how many outputs, after which activation."""

from __future__ import annotations

import keras
import numpy as np

from skmcdropout._networks.inputs import Shapes
from skmcdropout._utils.private import has_graph, operation_of


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

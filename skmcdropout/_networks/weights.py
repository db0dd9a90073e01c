"""Weights of Keras networks: that they are there, and set with all that follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skmcdropout._networks.inputs import Shapes
from skmcdropout._networks.spec import NetworkSpec
from skmcdropout._utils.private import flat_layers, has_graph


def built_with(
    spec: NetworkSpec, weights: Sequence[NDArray[Any]], seed: int, trust: bool
) -> keras.Model:
    """A Keras network with these weights; `seed` is that of its noise."""
    network = spec.build(seed, trust)
    set_weights(network, weights)
    return network


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

"""Finds what draws at random in compiled functions, apart from known noise."""

from __future__ import annotations

from typing import Any

import keras

from skmcdropout._networks.noise_layers import is_noise, is_recurrent_cell
from skmcdropout._utils.private import flat_layers

#: Names of TensorFlow operations that draw at random contain one of these.
RANDOM_OPERATIONS = ("Random", "Multinomial", "TruncatedNormal", "RngRead")


def random_operations(function: Any) -> list[str]:
    """Names of operations that a concrete function's outputs depend on and that draw.

    What draws without a consequence, like a layer that augments images at rest, does
    not count.
    """
    inner = {
        f.signature.name: f for f in function.graph.as_graph_def().library.function
    }
    found, seen, called = [], set(), set()
    waiting = [x.op for x in keras.tree.flatten(function.outputs)]
    while waiting:
        operation = waiting.pop()
        if operation.name not in seen:
            seen.add(operation.name)
            waiting += [x.op for x in operation.inputs]
            if _draws(operation.type):
                found.append(operation.name)
            called |= _functions_called(operation.node_def)
    while called - seen:
        name = (called - seen).pop()
        seen.add(name)
        for node in inner[name].node_def if name in inner else ():
            if _draws(node.op):
                found.append(node.name)
            called |= _functions_called(node)
    return found


def draws_unknown(network: keras.Model, has_code: bool) -> bool:
    """Whether something may draw in training that is not known to.

    That is code that is not Keras's, or a layer with a generator of its own.
    """
    known = {
        id(variable)
        for layer in flat_layers(network)
        if is_noise(layer)
        or is_recurrent_cell(layer)
        or is_augmentation(layer)
        or isinstance(layer, keras.layers.Attention)
        for variable in layer.non_trainable_variables
    }
    return has_code or any(
        variable.name == "seed_generator_state" and id(variable) not in known
        for variable in network.non_trainable_variables
    )


def _draws(operation_type: str) -> bool:
    return any(part in operation_type for part in RANDOM_OPERATIONS)


def _functions_called(node: Any) -> set[str]:
    values = [v for a in node.attr.values() for v in (a.func, *a.list.func)]
    return {value.name for value in values if value.name}


def is_augmentation(layer: keras.layers.Layer) -> bool:
    """Whether a layer of Keras's prepares data, and rests or is fixed at inference."""
    kind = type(layer).__module__
    return kind.startswith("keras.") and ".preprocessing." in kind

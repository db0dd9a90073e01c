"""The one door to parts of Keras and TensorFlow that are not public.

Whatever is relied on without being promised is used here and nowhere else, under a
name that says what for. What would be missed silently is looked for by `check_keras`,
all else where it is used. `tests/networks/test_keras_assumptions.py` tests what each
part does, on the libraries alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skmcdropout._utils.private import module_named, part_of

# Keras: layers and networks

#: Method of recurrent cells that draws their dropout.
DRAWS_CELL_MASKS = "_create_dropout_mask"

#: Method of `keras.layers.Attention` that drops its weights and applies them.
APPLIES_SCORES = "_apply_scores"

#: Methods by which a dropout layer chooses the shape of its mask.
CHOOSE_NOISE_SHAPE = ("_get_noise_shape", "_get_concrete_noise_shape")


def check_keras() -> None:
    """Raise PrivatePartError if a part is gone whose absence would change numbers.

    Nothing is computed and no variable made: TensorFlow does not start.
    """
    import keras
    import tensorflow as tf

    layers = keras.layers
    inputs = keras.Input((1,), name="skmcdropout_probe_input")
    outputs = layers.Flatten(name="skmcdropout_probe_layer")(inputs)
    network = keras.Model(inputs, outputs, name="skmcdropout_probe")
    steps = keras.Input((2, 1), name="skmcdropout_probe_steps")
    masked = layers.Masking(name="skmcdropout_probe_mask")(steps)
    cells = [layers.SimpleRNNCell, layers.GRUCell, layers.LSTMCell]
    context = module_named(CONTEXT)
    for holder, *parts in (
        *((cell, DRAWS_CELL_MASKS) for cell in cells),
        (layers.Attention, APPLIES_SCORES),
        (layers.SpatialDropout1D, CHOOSE_NOISE_SHAPE[0]),
        (layers.AlphaDropout, CHOOSE_NOISE_SHAPE[1]),
        (masked, "_keras_mask"),
        (network, "_flatten_layers", "_call_has_training_arg"),
        (network, "_run_through_graph", "_nodes_by_depth", "_standardize_inputs"),
        (outputs, "_keras_history"),
        (keras.optimizers.Optimizer, "_all_reduce_sum_gradients"),
        (keras.callbacks.Callback(), "_model"),
        (context, "_context"),
        (part_of(context, "Context"), "clear_kernel_cache"),
        (part_of(tf, "__internal__"), "EagerTensor"),
    ):
        for part in parts:
            part_of(holder, part)


def flat_layers(layer: Any, include_self: bool = True) -> list[Any]:
    """A layer or network and all layers within, however deep."""
    return list(part_of(layer, "_flatten_layers")(include_self=include_self))


def takes_training(operation: Any) -> bool:
    """Whether the `call` of a layer takes `training`; operations are no layers."""
    return bool(getattr(operation, "_call_has_training_arg", False))


def has_graph(network: Any) -> bool:
    """Whether a network has a graph of layers, as functional ones have."""
    return hasattr(network, "_run_through_graph")


def run_through_graph(
    network: Any, inputs: Sequence[Any], operation_fn: Callable[[Any], Any]
) -> Any:
    """What a network's graph gives, each operation called as `operation_fn` says."""
    return network._run_through_graph(list(inputs), operation_fn=operation_fn)


def nodes_in_order(network: Any) -> list[list[Any]]:
    """Calls of layers in a network's graph, those of one depth together."""
    by_depth = part_of(network, "_nodes_by_depth")
    return [by_depth[depth] for depth in sorted(by_depth, reverse=True)]


def standardized_inputs(network: Any, inputs: Any) -> Any:
    """Inputs as a network's graph wants them: cast, and with all axes."""
    return part_of(network, "_standardize_inputs")(inputs)


def operation_of(tensor: Any) -> Any:
    """The operation that gave a symbolic tensor of a network."""
    return part_of(tensor, "_keras_history").operation


def get_mask(tensor: Any) -> Any:
    """The mask of time steps that Keras keeps with a tensor; None for none."""
    return getattr(tensor, "_keras_mask", None)


def set_mask(tensor: Any, mask: Any) -> None:
    """Keep a mask with a tensor, as Keras does."""
    tensor._keras_mask = mask


def arguments_of_loss(loss: Any) -> dict[str, Any]:
    """What a loss of Keras that wraps a function gives it; nothing for another."""
    return dict(getattr(loss, "_fn_kwargs", {}))


def compiled_with(network: Any) -> Mapping[str, Any]:
    """The arguments a compiled network was compiled with, as they were given."""
    return part_of(network, "_compile_config").config


# Keras: variables, optimizers and callbacks


def train_on_one_replica(optimizer: Any) -> None:
    """Spare an optimizer the sum of gradients over replicas, of which there is one.

    To make it, TensorFlow would register a gradient for each graph and never let go of
    either (3 MB).
    """
    part_of(optimizer, "_all_reduce_sum_gradients")
    optimizer._all_reduce_sum_gradients = lambda pairs: pairs


def forget_model(callback: Any) -> None:
    """Take its model from a callback; `set_model` is the user's to define."""
    callback._model = None


# TensorFlow

#: The module that holds what has started in this process.
CONTEXT = "tensorflow.python.eager.context"


def tensorflow_has_started() -> bool:
    """Whether TensorFlow has started its threads in this process."""
    module = sys.modules.get(CONTEXT)
    context = part_of(module, "_context") if module is not None else None
    return context is not None and bool(part_of(context, "_initialized"))


def clear_kernels() -> None:
    """Let TensorFlow forget the kernels of all functions that have run."""
    part_of(module_named(CONTEXT).context(), "clear_kernel_cache")()


def is_eager(tensor: Any) -> bool:
    """Whether a tensor has a value."""
    import tensorflow as tf

    return isinstance(tensor, part_of(tf.__internal__, "EagerTensor"))

"""Calls Keras layers in training mode with all but their noise in inference mode."""

from __future__ import annotations

import contextlib
import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from skmcdropout._keras.noise_layers import has_noise, is_ours
from skmcdropout._keras.private import flat_layers, has_graph, takes_training


@contextlib.contextmanager
def replaced_methods(methods: Mapping[tuple[Any, str], Any]) -> Iterator[None]:
    """Give layers other methods, by (layer, name), for a while."""
    before = {(la, name): vars(la).get(name) for la, name in methods}
    try:
        for (layer, name), method in methods.items():
            vars(layer)[name] = method
        yield
    finally:
        for (layer, name), method in before.items():
            if method is None:
                vars(layer).pop(name, None)
            else:
                vars(layer)[name] = method


def plain_methods(layers: Iterable[Any]) -> dict[tuple[Any, str], Any]:
    """Functions of layers and their classes that `tf.function` decorates, without it.

    What TensorFlow has compiled once would not see other methods, weights or modes.
    """
    found: dict[tuple[Any, str], Any] = {}
    for layer in layers:
        kinds = [kind for kind in type(layer).__mro__ if not is_ours(kind)]
        for held in (layer, *kinds):
            for name, value in vars(held).items():
                if isinstance(value, tf.types.experimental.PolymorphicFunction):
                    plain = _plain(value.python_function)
                    is_method = held is not layer
                    method = types.MethodType(plain, layer) if is_method else plain
                    found.setdefault((layer, name), method)
    return found


def _plain(function: Any) -> Any:
    """A function as `tf.function` reads it, its conditions on tensors included."""
    try:
        return tf.autograph.to_graph(function, recursive=False)
    except Exception:  # of what there is no source, for instance
        return function


def undecorate(network: keras.Model) -> None:
    """Give the layers of a network `plain_methods`, for good."""
    for (layer, name), method in plain_methods(flat_layers(network)).items():
        vars(layer)[name] = method


def held_in_inference(
    layers: Iterable[Any],
) -> contextlib.AbstractContextManager[None]:
    """Hold layers that do not draw in inference mode, those that augment included."""
    return replaced_methods(
        {
            (layer, "call"): _in_inference(layer)
            for layer in layers
            if takes_training(layer) and not has_noise(layer)
        }
    )


def _in_inference(layer: keras.layers.Layer) -> Callable[..., Any]:
    call = layer.call
    signature = inspect.signature(call)

    def in_inference(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        given.arguments["training"] = False
        return call(*given.args, **given.kwargs)

    return in_inference


class _Mode(keras.layers.Layer):
    """Calls a function as if from within a layer in training or inference mode."""

    def call(
        self, x: tf.Tensor, function: Callable[[], Any], training: Any = None
    ) -> Any:
        return function()


def call_in_mode(operation: Any, training: bool, /, *args: Any, **kwargs: Any) -> Any:
    """What a layer or operation gives in training or inference mode."""
    if takes_training(operation):
        return operation(*args, **{**kwargs, "training": training})
    if not training:
        return operation(*args, **kwargs)
    return _Mode(name="mode", autocast=False)(
        tf.zeros(()), function=lambda: operation(*args, **kwargs), training=True
    )


def as_called(network: keras.Model, inputs: Sequence[Any]) -> Any:
    """The argument to call a network with, from its inputs in order."""
    if not has_graph(network):
        return inputs[0]
    return keras.tree.pack_sequence_as(network.input, list(inputs))


def mark_as_called(network: keras.Model) -> None:
    """Call a network on symbols: Keras exports to ONNX only what was called once.

    Nothing is computed and no variable changes. The symbols are new ones, for those of
    the network would remember the call.
    """
    if isinstance(network, keras.Sequential) or has_graph(network):
        symbols = [
            keras.KerasTensor(x.shape, x.dtype, name=x.name) for x in network.inputs
        ]
        network(as_called(network, symbols))

"""A Keras network of the user's in plain values: enough to build it again, anywhere."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._networks import configuration
from skmcdropout._networks.compiled_metrics import (
    compiled_metrics,
    metrics_as_json,
    metrics_from_json,
)
from skmcdropout._networks.inputs import InputSpec, Rows, Shapes, pack
from skmcdropout._networks.layer_state import restore_layers, state_of_layers
from skmcdropout._networks.modes import as_called
from skmcdropout._networks.noise_layers import check_samplable, is_ours
from skmcdropout._networks.optimizers import as_json, from_json
from skmcdropout._networks.outputs import FunctionLoss, Outputs, compiled_loss

_generators_lock = threading.RLock()


@contextlib.contextmanager
def seeded_generators(seed: int) -> Iterator[None]:
    """Seed the generators Keras draws its default seeds from, and restore them."""
    with _generators_lock:
        before = random.getstate(), np.random.get_state()
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])


class NotPlainError(ValueError):
    """A network can't be built again from its configuration."""


@dataclass(frozen=True)
class Blueprint:
    """A network, weights apart.

    `config` is Keras's, as JSON, or `maker` a function that returns such a network;
    `trainable` says of each layer whether it is, which a configuration can leave out;
    `layer_state` is what layers hold of their own; `custom_objects` are the classes and
    functions of the user's that the configuration names; `row_shapes` are those of the
    rows it was built with; `has_constants` says that layers like Normalization turn
    weights into constants of what is compiled, `has_code` that there is code that is
    not Keras's, `is_float16` that a layer computes in float16.
    """

    config: str
    trainable: tuple[bool, ...]
    custom_objects: tuple[tuple[str, Any], ...]
    inputs: tuple[InputSpec, ...]
    row_shapes: Shapes
    outputs: Outputs
    loss: str | None = None
    optimizer: str | None = None
    metrics: str | None = None
    layer_state: str = "{}"
    has_constants: bool = False
    has_code: bool = False
    is_float16: bool = False
    maker: Callable[[], keras.Model] | None = None

    @property
    def stands_alone(self) -> bool:
        """Whether what is compiled for one such network may be wrong for another."""
        return self.has_constants or self.has_code

    @property
    def has_any_length(self) -> bool:
        """Whether rows may be sequences of any length."""
        return any(None in spec.shape for spec in self.inputs)

    @property
    def table_dtype(self) -> Any:
        """Type of a table of rows, in which all values they may hold are exact."""
        has_integers = any(spec.is_integer for spec in self.inputs)
        return np.float64 if has_integers else np.float32

    def build(self, seed: int, trust: bool = False) -> keras.Model:
        """A new network with new weights, drawn from `seed`.

        Lambda layers hold code, which Keras runs only where one says `trust`. Without
        it, nothing is imported but Keras's and what `custom_objects` hold.
        """
        if not trust and self.maker is None:
            configuration.check_origins(self.config, dict(self.custom_objects))
        with (
            seeded_generators(seed),
            keras.utils.custom_object_scope(dict(self.custom_objects)),
        ):
            network = self._made(trust)
            ensure_built(network, self.row_shapes)
        flat_layers = network._flatten_layers()
        for layer, is_trainable in zip(flat_layers, self.trainable, strict=True):
            if layer.trainable != is_trainable:
                layer.trainable = is_trainable
        restore_layers(flat_layers, self.layer_state)
        return network

    def _made(self, trust: bool) -> keras.Model:
        if self.maker is not None:
            return self.maker()
        config, mode = json.loads(self.config), {"safe_mode": False} if trust else {}
        build = functools.partial(keras.saving.deserialize_keras_object, **mode)
        if config["class_name"] != "Sequential" or config["module"] != "keras":
            return build(config)
        # Keras adds one layer after the other, and fails at some that come first.
        steps = [build(layer) for layer in config["config"]["layers"]]
        return keras.Sequential(steps, name=config["config"]["name"])

    def pack(self, X: Rows) -> tuple[NDArray[Any], Shapes]:
        """`X` as one table and the shapes of its rows; see `_inputs.pack`."""
        return pack(X, self.inputs, self.table_dtype)

    def unpack(self, table: Any, row_shapes: Shapes) -> list[Any]:
        """The network's inputs, in order, from rows of a table, in a graph."""
        sizes = [math.prod(shape) for shape in row_shapes]
        parts = tf.split(table, sizes, axis=1) if len(sizes) > 1 else [table]
        inputs = []
        for part, shape, spec in zip(parts, row_shapes, self.inputs, strict=True):
            x = tf.reshape(part, [-1, *shape])
            inputs.append(tf.cast(x, spec.tensor_dtype))
        return inputs

    def arguments(self, network: keras.Model, table: Any) -> Any:
        """What to call `network` with, from rows of a table, in a graph."""
        return as_called(network, self.unpack(table, self.row_shapes))

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.outputs.order)

    def without_names(self) -> Blueprint:
        """The same for networks that differ in the names of their layers alone."""
        if self.maker is not None:
            return self
        config = configuration.without_names(self.config)
        inputs = tuple(spec._replace(name="") for spec in self.inputs)
        return replace(self, config=config, inputs=inputs)

    def make_optimizer(self) -> keras.Optimizer | None:
        """A new optimizer like the one the network was compiled with; None for none."""
        if self.optimizer is None:
            return None
        with keras.utils.custom_object_scope(dict(self.custom_objects)):
            return from_json(self.optimizer)

    def make_metrics(self) -> dict[str, Any]:
        """New metrics like those the network was compiled with, for `compile`."""
        with keras.utils.custom_object_scope(dict(self.custom_objects)):
            return metrics_from_json(self.metrics)

    def given_loss(self) -> Any:
        """The loss the network was compiled with, an object or a function, or None."""
        if self.loss is None:
            return None
        with keras.utils.custom_object_scope(dict(self.custom_objects)):
            return keras.losses.get(json.loads(self.loss))

    def make_loss(self) -> keras.Loss:
        """The loss to train with."""
        given = self.given_loss()
        if given is None:
            return self.outputs.default_loss()
        return given if isinstance(given, keras.Loss) else FunctionLoss(given)


def draw_up(
    network: keras.Model,
    row_shapes: Shapes,
    n_classes: int,
    from_logits: bool | None = None,
    maker: Callable[[], keras.Model] | None = None,
) -> Blueprint:
    """The blueprint of a built network, checked for all that is asked of it.

    With `maker`, which returns such a network, no configuration is needed.
    """
    check_samplable(network)
    inputs = input_specs(network)
    flat_layers = network._flatten_layers()
    loss = compiled_loss(network)
    optimizer = network.optimizer if network.compiled else None
    custom = _custom_objects(network, loss, optimizer, *compiled_metrics(network))
    return Blueprint(
        config=_configuration_of(network) if maker is None else "",
        trainable=tuple(layer.trainable for layer in flat_layers),
        custom_objects=tuple(sorted(custom.items())),
        inputs=inputs,
        row_shapes=row_shapes,
        outputs=Outputs.read(network, row_shapes, n_classes, from_logits, loss),
        loss=None if loss is None else json.dumps(keras.losses.serialize(loss)),
        optimizer=None if optimizer is None else as_json(optimizer),
        metrics=metrics_as_json(network),
        layer_state=state_of_layers(flat_layers),
        has_constants=any(map(_derives_constants, flat_layers)),
        has_code=maker is not None
        or any(map(_is_code, [*flat_layers, *custom.values()])),
        is_float16=any(layer.compute_dtype == "float16" for layer in flat_layers),
        maker=maker,
    )


def _configuration_of(network: keras.Model) -> str:
    try:
        plain = keras.saving.serialize_keras_object(network)
    except Exception as error:  # whatever a get_config of the user's may raise
        raise not_plain(network, error) from error
    plain = {k: v for k, v in plain.items() if k != "compile_config"}
    if isinstance(network, keras.Sequential):
        plain = configuration.for_any_number_of_rows(plain)
    return json.dumps(plain)


def build_again(
    blueprint: Blueprint, weights: Sequence[NDArray[Any]], trust: bool
) -> keras.Model:
    """A network of these weights."""
    network = blueprint.build(0, trust)
    set_weights(network, weights)
    return network


def set_weights(network: keras.Model, weights: Any) -> None:
    """Set the weights, and what layers like Normalization derive from them."""
    network.set_weights(weights)
    for layer in network._flatten_layers():
        if _derives_constants(layer) and layer.weights:
            layer.finalize_state()


def _is_code(value: Any) -> bool:
    """Whether a layer, class or function is not Keras's or ours, or holds code."""
    kind = value if isinstance(value, (type, FunctionType)) else type(value)
    return not is_ours(kind) or kind is keras.layers.Lambda


def _derives_constants(layer: keras.layers.Layer) -> bool:
    return hasattr(layer, "finalize_state")


def not_plain(network: keras.Model, error: Any) -> NotPlainError:
    """Why a network can't be built again, with the layer's name if that is known."""
    what, said = f"the model {network.name!r}", str(error)
    for layer in network._flatten_layers(include_self=False):
        if not is_ours(type(layer)):
            try:
                type(layer).from_config(layer.get_config())
            except Exception as reason:  # whatever such a method may raise
                what = f"the layer {layer.name!r} of type {type(layer).__name__}"
                said = str(reason)
                break
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return NotPlainError(
        "The model must be one that Keras can build again from its configuration "
        "(get_config and from_config of every layer and model of your own).\n"
        f"Got {what}, and {lines[0] if lines else type(error).__name__}"
    )


def ensure_built(network: keras.Model, row_shapes: Shapes) -> None:
    """Create the weights of a network that waits for its first input."""
    if isinstance(network, keras.Sequential):
        if not network.built:
            (shape,) = row_shapes
            network.build((None, *shape))
    elif not hasattr(network, "_run_through_graph"):
        (shape,) = row_shapes
        network(np.zeros((1, *shape), np.float32), training=False)


def input_specs(network: keras.Model) -> tuple[InputSpec, ...]:
    """What a built network says of its inputs."""
    if not getattr(network, "inputs", None):
        built_for = (network.get_build_config() or {}).get("input_shape")
        shape = built_for[1:] if isinstance(built_for, (tuple, list)) else [None]
        if not all(isinstance(n, int) for n in shape):
            raise ValueError(
                "A model with a call method of its own must take one input of known "
                f"shape. Got {network.name!r}, built for {built_for}."
            )
        return (InputSpec("inputs", tuple(shape), "float32"),)
    is_any_number = isinstance(network, keras.Sequential)  # see `configuration`
    for x in network.inputs:
        if x.shape[0] is not None and not is_any_number:
            raise ValueError(
                f"The model's input {x.name!r} must take any number of rows. "
                f"Got a batch_size of {x.shape[0]}."
            )
        if x.dtype == "string":
            raise ValueError(
                f"The model's input {x.name!r} must take numbers. Got dtype 'string': "
                "leave layers like TextVectorization and StringLookup outside of the "
                "model, as a step before the classifier: make_pipeline("
                "FunctionTransformer(lambda words: layer(words).numpy()), classifier)."
            )
    return tuple(
        InputSpec(x.name, tuple(x.shape[1:]), str(x.dtype)) for x in network.inputs
    )


def _custom_objects(network: keras.Model, *more: Any) -> dict[str, Any]:
    """Classes and functions that are not Keras's, by the names configurations use."""
    found: dict[str, Any] = {}
    layers = network._flatten_layers()
    held = [
        value
        for owner in (*layers, *more)
        for name, value in getattr(owner, "__dict__", {}).items()
        if not hasattr(type(owner), name)  # Keras wraps methods
    ]
    for value in [*layers, *held, *more]:
        custom = value if isinstance(value, FunctionType) else type(value)
        is_named = isinstance(value, FunctionType) or hasattr(value, "get_config")
        is_named = is_named and custom.__name__ != "<lambda>"
        if is_named and not custom.__module__.startswith(("keras.", "builtins")):
            for name in (custom.__name__, keras.saving.get_registered_name(custom)):
                if found.setdefault(name, custom) is not custom:
                    raise ValueError(
                        "Custom classes and functions of the model must have different "
                        f"names. Got two that are named {name!r}."
                    )
    return found

"""A Keras network of the user's in plain values: enough to build it again, anywhere."""

from __future__ import annotations

import contextlib
import json
import math
import random
import re
import threading
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from types import FunctionType
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._inputs import InputSpec, Rows, Shapes, pack
from skmcdropout._noise_layers import check_samplable, is_ours
from skmcdropout._optimizers import as_json, from_json
from skmcdropout._outputs import FunctionLoss, Outputs, compiled_loss

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


@dataclass(frozen=True)
class Blueprint:
    """A network, weights apart.

    `config` is Keras's, as JSON; `trainable` says of each layer whether it is, which a
    configuration can leave out; `custom_objects` are the classes and functions of the
    user's that it names; `row_shapes` are those of the rows it was built with;
    `has_constants` says that layers like Normalization turn weights into constants of
    what is compiled, `has_code` that there is code that is not Keras's.
    """

    config: str
    trainable: tuple[bool, ...]
    custom_objects: tuple[tuple[str, Any], ...]
    inputs: tuple[InputSpec, ...]
    row_shapes: Shapes
    outputs: Outputs
    loss: str | None = None
    optimizer: str | None = None
    has_constants: bool = False
    has_code: bool = False

    def in_words(self) -> str:
        """All that a prediction depends on as text, for a checksum."""
        plain = [self.config, self.row_shapes, astuple(self.outputs)]
        return json.dumps(plain, default=int)

    @property
    def stands_alone(self) -> bool:
        """Whether what is compiled for one such network may be wrong for another."""
        return self.has_constants or self.has_code

    @property
    def has_any_length(self) -> bool:
        """Whether rows may be sequences of any length."""
        return any(None in spec.shape for spec in self.inputs)

    def build(self, seed: int, trust: bool = False) -> keras.Model:
        """A new network with new weights, drawn from `seed`.

        Lambda layers hold code, which Keras runs only where one says `trust`. Without
        it, nothing is imported but Keras's and what `custom_objects` hold.
        """
        if not trust:
            self._check_origins()
        with (
            seeded_generators(seed),
            keras.utils.custom_object_scope(dict(self.custom_objects)),
        ):
            network = keras.saving.deserialize_keras_object(
                json.loads(self.config), safe_mode=False if trust else None
            )
            ensure_built(network, self.row_shapes)
        for layer, is_trainable in zip(
            network._flatten_layers(), self.trainable, strict=True
        ):
            if layer.trainable != is_trainable:
                layer.trainable = is_trainable
        return network

    def _check_origins(self) -> None:
        """Refuse a configuration that would import what is neither Keras's nor ours.

        Older versions of Keras import whatever function or class a file names.
        """
        for named in _objects(json.loads(self.config)):
            if not self._is_known(named):
                is_function = named["class_name"] == "function"
                what = named.get("config") if is_function else named["class_name"]
                raise ValueError(
                    "The model's configuration must name classes and functions of "
                    "Keras, registered ones or custom ones that were saved with it. "
                    f"Got {what!r} of {named.get('module')!r}."
                )

    def _is_known(self, named: dict[str, Any]) -> bool:
        """Whether Keras finds a class or function without importing it."""
        module, class_name = named.get("module"), str(named["class_name"])
        if module is None or class_name.startswith("__"):  # Keras's own kinds of values
            return True
        is_function = class_name == "function"
        key = named.get("config" if is_function else "registered_name")
        custom = dict(self.custom_objects)
        if (
            isinstance(key, str)
            and keras.saving.get_registered_object(key, custom) is not None
        ):
            return True
        if is_function and module == "builtins":  # so it says of its own, and, before
            # 3.15, of registered ones, whose package it leaves out
            homes = (keras.activations, keras.initializers, keras.losses, keras.metrics)
            registered = keras.saving.get_custom_objects()
            return any(hasattr(home, str(key)) for home in homes) or any(
                name.endswith(f">{key}") for name in registered
            )
        return str(module).partition(".")[0] == "keras"

    def pack(self, X: Rows) -> tuple[NDArray[np.float32], Shapes]:
        """`X` as one table and the shapes of its rows; see `_inputs.pack`."""
        return pack(X, self.inputs)

    def unpack(self, table: Any, row_shapes: Shapes) -> list[Any]:
        """The network's inputs, in order, from rows of a table, in a graph."""
        sizes = [math.prod(shape) for shape in row_shapes]
        parts = tf.split(table, sizes, axis=1) if len(sizes) > 1 else [table]
        inputs = []
        for part, shape, spec in zip(parts, row_shapes, self.inputs, strict=True):
            x = tf.reshape(part, [-1, *shape])
            inputs.append(tf.cast(x, tf.int32) if spec.is_integer else x)
        return inputs

    def arguments(self, network: keras.Model, table: Any) -> Any:
        """What to call `network` with, from rows of a table, in a graph."""
        inputs = self.unpack(table, self.row_shapes)
        if not hasattr(network, "_run_through_graph"):
            return inputs[0]
        return keras.tree.pack_sequence_as(network.input, inputs)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.outputs.order)

    def without_names(self) -> Blueprint:
        """The same for networks that differ in the names of their layers alone."""
        names: dict[str, str] = {}

        def rename(value: Any) -> Any:
            if isinstance(value, dict):
                renamed = {k: rename(v) for k, v in value.items() if k != "name"}
                if "name" in value:
                    renamed["name"] = names.get(value["name"], value["name"])
                return renamed
            if isinstance(value, list):
                if [type(part) for part in value] == [str, int, int]:
                    return [names.get(value[0], value[0]), *value[1:]]
                return [rename(v) for v in value]
            return value

        config = json.loads(self.config)
        for number, name in enumerate(_names_by_class(config)):
            names.setdefault(name, f"name {number}")
        config = json.dumps(rename(config), sort_keys=True)
        return replace(self, config=config, inputs=())

    def make_optimizer(self) -> keras.Optimizer | None:
        """A new optimizer like the one the network was compiled with; None for none."""
        if self.optimizer is None:
            return None
        with keras.utils.custom_object_scope(dict(self.custom_objects)):
            return from_json(self.optimizer)

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


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Whatever in a configuration names a class, outermost first."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from _objects(part)


def _names_by_class(config: Any) -> Iterator[str]:
    """Names that end in that of the class, as Keras numbers them: dense_7, lstm_1."""
    for named in _objects(config):
        inner = named.get("config")
        name = inner.get("name") if isinstance(inner, dict) else None
        stem = re.sub(r"_\d+$", "", name or "").replace("_", "")
        if name and stem.endswith(str(named["class_name"]).lower()):
            yield name


def draw_up(
    network: keras.Model,
    row_shapes: Shapes,
    n_classes: int,
    from_logits: bool | None = None,
) -> Blueprint:
    """The blueprint of a built network, checked for all that is asked of it."""
    check_samplable(network)
    inputs = input_specs(network)
    loss = compiled_loss(network)
    optimizer = network.optimizer if network.compiled else None
    custom = _custom_objects(network, loss, optimizer)
    try:
        plain = keras.saving.serialize_keras_object(network)
    except Exception as error:  # whatever a get_config of the user's may raise
        raise not_plain(network, error) from error
    blueprint = Blueprint(
        config=json.dumps({k: v for k, v in plain.items() if k != "compile_config"}),
        trainable=tuple(layer.trainable for layer in network._flatten_layers()),
        custom_objects=tuple(sorted(custom.items())),
        inputs=inputs,
        row_shapes=row_shapes,
        outputs=Outputs.read(network, row_shapes, n_classes, from_logits, loss),
        loss=None if loss is None else json.dumps(keras.losses.serialize(loss)),
        optimizer=None if optimizer is None else as_json(optimizer),
        has_constants=any(map(_derives_constants, network._flatten_layers())),
        has_code=any(map(_is_code, [*network._flatten_layers(), *custom.values()])),
    )
    return blueprint


def build_again(blueprint: Blueprint, network: keras.Model) -> keras.Model:
    """Build a copy of `network` with its weights, or say why that can't be."""
    try:
        again = blueprint.build(0, trust=True)
        set_weights(again, network.get_weights())
    except Exception as error:
        raise not_plain(network, error) from error
    return again


def set_weights(network: keras.Model, weights: Any) -> None:
    """Set the weights, and what layers like Normalization derive from them."""
    network.set_weights(weights)
    for layer in network._flatten_layers():
        if _derives_constants(layer):
            layer.finalize_state()


def _is_code(value: Any) -> bool:
    """Whether a layer, class or function is not Keras's or ours, or holds code."""
    kind = value if isinstance(value, (type, FunctionType)) else type(value)
    return not is_ours(kind) or kind is keras.layers.Lambda


def _derives_constants(layer: keras.layers.Layer) -> bool:
    return hasattr(layer, "finalize_state")


def not_plain(network: keras.Model, error: Any) -> ValueError:
    return ValueError(
        "The model must be one that Keras can build again from its configuration "
        "(get_config and from_config of every layer and model of your own). Got "
        f"{network.name!r}, and {error}"
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
        return (InputSpec("inputs", tuple(shape), False),)
    for x in network.inputs:
        if x.shape[0] is not None:
            raise ValueError(
                f"The model's input {x.name!r} must take any number of rows. "
                f"Got a batch_size of {x.shape[0]}."
            )
    return tuple(
        InputSpec(x.name, tuple(x.shape[1:]), "int" in str(x.dtype))
        for x in network.inputs
    )


def _custom_objects(network: keras.Model, *more: Any) -> dict[str, Any]:
    """Classes and functions that are not Keras's, by the names configurations use."""
    found: dict[str, Any] = {}
    layers = network._flatten_layers()
    held = [
        value
        for layer in layers
        for name, value in vars(layer).items()
        if not hasattr(type(layer), name)  # Keras wraps methods
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

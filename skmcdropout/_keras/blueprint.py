"""A Keras network of the user's in plain values: enough to build it again, anywhere."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, TypeVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._keras import configuration
from skmcdropout._keras.compile_arguments import KeptLoss, from_json, metrics_from_json
from skmcdropout._keras.compiled_loss import as_loss
from skmcdropout._keras.configuration import restore_layers
from skmcdropout._keras.inspection import ensure_built, set_weights
from skmcdropout._keras.keras_backend import seeded_generators
from skmcdropout._keras.modes import as_called, undecorate
from skmcdropout._keras.noise_layers import is_ours
from skmcdropout._keras.outputs import GraphOutputs, in_graphs
from skmcdropout._keras.private import flat_layers
from skmcdropout._perceptron.outputs import Outputs
from skmcdropout._utils.inputs import InputSpec, Rows, Shapes, pack

Self = TypeVar("Self", bound="Blueprint")


class Here(NamedTuple):
    """What builds a network in this process alone: its lambdas by names of ours."""

    config: str
    functions: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Blueprint:
    """A network, weights apart.

    `config` is Keras's, as JSON, or `maker` a function that returns such a network;
    `trainable` says of each layer whether it is, which a configuration can leave out;
    `layer_state` is what layers hold of their own; `custom_objects` are the classes and
    functions of the user's that the configuration names; `row_shapes` are those of the
    rows it was built with; `has_constants` says that layers like Normalization turn
    weights into constants of what is compiled, `has_code` that there is code that is
    not Keras's, `is_float16` that a layer computes in float16. `loss` is plain text
    too, or a loss that its configuration does not make again. `here` is not saved.
    """

    config: str
    trainable: tuple[bool, ...]
    custom_objects: tuple[tuple[str, Any], ...]
    inputs: tuple[InputSpec, ...]
    row_shapes: Shapes
    outputs: Outputs
    loss: str | KeptLoss | None = None
    optimizer: str | None = None
    metrics: str | None = None
    layer_state: str = "{}"
    has_constants: bool = False
    has_code: bool = False
    is_float16: bool = False
    maker: Callable[[], keras.Model] | None = None
    here: Here | None = None

    NOT_SAVED: ClassVar[tuple[str, ...]] = ("here",)

    @property
    def stands_alone(self) -> bool:
        """Whether what is compiled for one such network may be wrong for another."""
        return self.has_constants or self.has_code

    @property
    def is_compiled(self) -> bool:
        """Whether it has a loss of the user's."""
        return self.loss is not None

    @property
    def n_features_varies(self) -> bool:
        """Whether rows have no `n_features_in_`: their first axis has any length."""
        return self.inputs[0].shape[:1] == (None,)

    @property
    def has_free_axes(self) -> bool:
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
        custom, config = dict(self.custom_objects), self.config
        if self.here is not None:
            config = self.here.config
            custom |= self.here.functions
        if not trust and config:
            configuration.check_origins(config, custom)
        with seeded_generators(seed), keras.utils.custom_object_scope(custom):
            network = self._made(config, trust)
            ensure_built(network, self.row_shapes)
        within = flat_layers(network)
        for layer, is_trainable in zip(within, self.trainable, strict=True):
            if layer.trainable != is_trainable:
                layer.trainable = is_trainable
        restore_layers(within, self.layer_state)
        return network

    def built_with(
        self, weights: Sequence[NDArray[Any]], seed: int, trust: bool
    ) -> keras.Model:
        """A network with these weights; `seed` is that of its noise."""
        network = self.build(seed, trust)
        set_weights(network, weights)
        return network

    def _made(self, text: str, trust: bool) -> keras.Model:
        if self.maker is not None:
            return self.maker()
        _check_saved(text)
        config, mode = json.loads(text), {"safe_mode": False} if trust else {}
        build = functools.partial(keras.saving.deserialize_keras_object, **mode)
        if config["class_name"] != "Sequential" or config["module"] != "keras":
            return build(config)
        # Keras adds one layer after the other, and fails at some that come first.
        steps = [build(layer) for layer in config["config"]["layers"]]
        return keras.Sequential(steps, name=config["config"]["name"])

    def __getstate__(self) -> dict[str, Any]:
        """What is saved."""
        return {n: v for n, v in vars(self).items() if n not in self.NOT_SAVED}

    def __deepcopy__(self: Self, memo: Any) -> Self:
        """Itself, as it never changes."""
        return self

    def build_to_train(self) -> keras.Model:
        """A network for a trainer."""
        network = self.build(0, trust=True)
        _check_trained_by_its_loss(network)
        undecorate(network)
        return network

    def set_penalty(self, network: keras.Model) -> None:
        """Nothing: its penalties are its layers'."""

    @property
    def graph_outputs(self) -> GraphOutputs:
        """What becomes of its outputs in graphs."""
        return in_graphs(self.outputs)

    def with_outputs(self: Self, outputs: Outputs) -> Self:
        """The same network with outputs that mean something else."""
        return replace(self, outputs=outputs)

    def for_rows(self: Self, row_shapes: Shapes) -> Self:
        """The same network for rows of these shapes."""
        return replace(self, row_shapes=row_shapes)

    def pack(self, X: Rows) -> tuple[NDArray[Any], Shapes]:
        """`X` as one table and the shapes of its rows; see `_utils.inputs.pack`."""
        return pack(X, self.inputs, self.table_dtype)

    def unpack(self, table: tf.Tensor, row_shapes: Shapes) -> list[Any]:
        """The network's inputs, in order, from rows of a table, in a graph."""
        sizes = [math.prod(shape) for shape in row_shapes]
        parts = tf.split(table, sizes, axis=1) if len(sizes) > 1 else [table]
        inputs = []
        for part, shape, spec in zip(parts, row_shapes, self.inputs, strict=True):
            x = tf.reshape(part, [-1, *shape])
            inputs.append(tf.cast(x, spec.tensor_dtype))
        return inputs

    def arguments(self, network: keras.Model, table: tf.Tensor) -> Any:
        """What to call `network` with, from rows of a table, in a graph."""
        return as_called(network, self.unpack(table, self.row_shapes))

    def compile_key(self: Self) -> Self:
        """What compiled code for it depends on."""
        return self.without_names().with_outputs(self.outputs.compile_key())

    def without_names(self: Self) -> Self:
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
        if isinstance(self.loss, KeptLoss):
            return self.loss.loss
        with keras.utils.custom_object_scope(dict(self.custom_objects)):
            return keras.losses.get(json.loads(self.loss))

    def make_loss(self) -> keras.Loss:
        """The loss to train with."""
        given = self.given_loss()
        if given is None:
            return self.graph_outputs.default_loss()
        return as_loss(given)


def _check_trained_by_its_loss(network: keras.Model) -> None:
    """Refuse a model that has another way to train than Keras's own."""
    for name in ("train_step", "compute_loss"):
        if getattr(type(network), name, None) is not getattr(keras.Model, name, None):
            raise ValueError(
                "The model must be trained by its loss alone, for training here does "
                f"not call methods like {name}. Got {network.name!r}, whose class "
                f"{type(network).__name__} has one of its own. (Trained by its own "
                "fit, it becomes an estimator by from_keras.)"
            )


def _check_saved(config: str) -> None:
    """Refuse a network that was saved without the lambdas in it."""
    if not config:
        raise ValueError(
            "The model must hold no lambda whose code Keras can't save to be loaded "
            "from a file. Name the function, and register it with "
            "keras.saving.register_keras_serializable."
        )


class NotPlainError(ValueError):
    """A network can't be built again from its configuration."""


def not_plain(network: keras.Model, error: Any) -> NotPlainError:
    """Why a network can't be built again, with the layer's name if that is known."""
    what, said = f"the model {network.name!r}", str(error)
    for layer in flat_layers(network, include_self=False):
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

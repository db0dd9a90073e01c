"""Perceptrons as Keras networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from skmcdropout._keras.blueprint import Blueprint
from skmcdropout._keras.keras_backend import DTYPE
from skmcdropout._keras.modes import mark_as_called
from skmcdropout._keras.network import KerasSampler
from skmcdropout._keras.outputs import GraphOutputs, in_graphs
from skmcdropout._perceptron.architecture import (
    EPSILON,
    OUTPUT_INITIALIZER,
    Architecture,
)
from skmcdropout._perceptron.network import Sampler
from skmcdropout._utils.arrays import Floats


def network_of(sampler: Sampler) -> keras.Model:
    """The Keras network of what draws, made once."""

    def build(weights: Sequence[Floats]) -> keras.Model:
        if isinstance(sampler, KerasSampler):
            network = sampler.build(weights)
        else:
            spec = cast(Architecture, sampler.spec)
            network = build_network(spec, sampler.seed, is_final=True)
            network.set_weights(weights)
        mark_as_called(network)
        return network

    return sampler.keras_network(build)


def build_network(
    spec: Architecture,
    seed: int,
    kernel_initializer: str | keras.Initializer = "he_normal",
    is_final: bool = False,
    penalty: keras.Regularizer | None = None,
) -> keras.Sequential:
    """The Keras network of a perceptron, all of whose draws come from `seed`.

    Every layer that could draw a seed of its own gets one here, for Keras's default
    is a draw from Python's global generator. One that `is_final` predicts in the units
    of the targets. `penalty` stands in for the kernels' own.
    """
    if penalty is None and spec.l2:
        penalty = keras.regularizers.L2(spec.l2)
    layers, outputs = keras.layers, in_graphs(spec.outputs)
    seeds = spec.layer_seeds(seed)
    network = [keras.Input((spec.n_features,), dtype=DTYPE)]
    if spec.batch_normalization:
        network.append(layers.BatchNormalization(epsilon=EPSILON, dtype=DTYPE))
    for i, (units, rate) in enumerate(zip(spec.widths[1:], spec.rates, strict=True)):
        is_output = i == len(spec.hidden_layer_sizes)
        activation = outputs.keras_activation if is_output else spec.activation
        normalise = spec.batch_normalization and not is_output
        constrain = spec.max_norm is not None and not is_output
        initializer = OUTPUT_INITIALIZER if is_output else kernel_initializer
        if rate is not None:
            network.append(layers.Dropout(rate, seed=seeds[2 * i], dtype=DTYPE))
        network.append(
            layers.Dense(
                units,
                dtype=DTYPE,
                activation=None if normalise else activation,
                kernel_initializer=seeded(initializer, seeds[2 * i + 1]),
                kernel_regularizer=penalty,
                kernel_constraint=keras.constraints.MaxNorm(spec.max_norm, axis=0)
                if constrain
                else None,
            )
        )
        if normalise:
            network += [
                layers.BatchNormalization(epsilon=EPSILON, dtype=DTYPE),
                layers.Activation(activation, dtype=DTYPE),
            ]
    return keras.Sequential([*network, *(outputs.final_layers if is_final else ())])


def seeded(initializer: str | keras.Initializer, seed: int) -> keras.Initializer:
    """A copy of `initializer` that draws from `seed` and from nothing else."""
    config: dict[str, Any]
    if isinstance(initializer, str):
        config = {"class_name": initializer, "config": {"seed": seed}}
        return keras.initializers.deserialize(config)
    if isinstance(initializer, type):
        return initializer(seed=seed)
    config = initializer.get_config()
    if "seed" in config:
        config["seed"] = seed
    return type(initializer).from_config(config)


class VariableL2(keras.regularizers.Regularizer):
    """L2 penalty whose strength is a variable."""

    def __init__(self) -> None:
        self.strength = tf.Variable(0.0, trainable=False, dtype=tf.float32)

    def __call__(self, x: Any) -> Any:
        """The penalty."""
        return self.strength * tf.reduce_sum(tf.square(x))


@dataclass(frozen=True)
class PerceptronInGraphs:
    """A perceptron that is trained in a graph, as `GraphTrainer` asks for it."""

    spec: Architecture

    stands_alone = False
    is_compiled = False

    @property
    def outputs(self) -> Any:
        """What its outputs mean."""
        return self.spec.outputs

    @property
    def graph_outputs(self) -> GraphOutputs:
        """What becomes of its outputs in graphs."""
        return in_graphs(self.spec.outputs)

    @property
    def table_dtype(self) -> Any:
        """Type of a table of rows."""
        return np.float32

    def compile_key(self) -> Any:
        """What compiled code for it depends on."""
        outputs, l2 = self.outputs.compile_key(), float(self.spec.l2 > 0)
        return replace(self.spec, outputs=outputs, l2=l2)

    def build_to_train(self) -> keras.Model:
        """A network for a trainer."""
        return build_network(
            self.spec, 0, penalty=VariableL2() if self.spec.l2 else None
        )

    def set_penalty(self, network: keras.Model) -> None:
        """Give a trainer's network this one's, which depends on the number of rows."""
        for layer in network.layers:
            penalty = getattr(layer, "kernel_regularizer", None)
            if penalty is not None:
                penalty.strength.assign(self.spec.l2)

    def arguments(self, network: keras.Model, table: Any) -> Any:
        """The table."""
        return table

    def make_loss(self) -> keras.Loss:
        """That of its outputs."""
        return self.graph_outputs.default_loss()

    def make_metrics(self) -> dict[str, Any]:
        """None but the loss."""
        return {}


#: What `GraphTrainer` trains.
InGraphs = Blueprint | PerceptronInGraphs

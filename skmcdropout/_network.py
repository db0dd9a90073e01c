"""Builds the Keras network of an `Architecture`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from skmcdropout._architecture import Architecture

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "MCDropoutClassifier trains in TensorFlow graphs and needs Keras's backend "
        f"to be 'tensorflow'. Got {keras.backend.backend()!r} instead; set the "
        "environment variable KERAS_BACKEND=tensorflow before Keras is imported."
    )


def build_network(
    arch: Architecture,
    seeds: Sequence[int],
    kernel_initializer: str | keras.Initializer = "he_normal",
    dropout: Callable[..., keras.layers.Layer] = keras.layers.Dropout,
) -> keras.Sequential:
    """The Keras network of `arch`; `seeds` holds two integers per Dense layer.

    Every layer that could draw a seed of its own gets one here, for Keras's default
    is a draw from Python's global generator.
    """
    layers = keras.layers
    network = [keras.Input((arch.n_features,))]
    if arch.batch_normalization:
        network.append(layers.BatchNormalization())
    widths = (*arch.hidden_layer_sizes, arch.n_classes)
    for i, (units, rate) in enumerate(zip(widths, arch.rates, strict=True)):
        is_output = i == len(arch.hidden_layer_sizes)
        activation = "softmax" if is_output else arch.activation
        normalise = arch.batch_normalization and not is_output
        constrain = arch.max_norm is not None and not is_output
        if rate is not None:
            network.append(dropout(rate, seed=seeds[2 * i]))
        network.append(
            layers.Dense(
                units,
                activation=None if normalise else activation,
                kernel_initializer=_seeded(
                    "glorot_uniform" if is_output else kernel_initializer,
                    seeds[2 * i + 1],
                ),
                kernel_regularizer=keras.regularizers.L2(arch.l2) if arch.l2 else None,
                kernel_constraint=(
                    keras.constraints.MaxNorm(arch.max_norm, axis=0)
                    if constrain
                    else None
                ),
            )
        )
        if normalise:
            network += [layers.BatchNormalization(), layers.Activation(activation)]
    return keras.Sequential(network)


def _seeded(initializer: str | keras.Initializer, seed: int) -> keras.Initializer:
    """A copy of `initializer` that draws from `seed` and from nothing else."""
    config: dict[str, Any]
    if isinstance(initializer, str):
        config = {"class_name": initializer, "config": {"seed": seed}}
        return keras.initializers.deserialize(config)
    config = initializer.get_config()
    if "seed" in config:
        config["seed"] = seed
    return type(initializer).from_config(config)

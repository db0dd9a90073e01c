"""Builds the Keras network of an `Architecture`."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skmcdropout._networks.architecture import Architecture

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "MCDropoutClassifier trains in TensorFlow graphs and needs Keras's backend "
        f"to be 'tensorflow'. Got {keras.backend.backend()!r} instead; set the "
        "environment variable KERAS_BACKEND=tensorflow before Keras is imported."
    )

#: Added to variances by BatchNormalization.
EPSILON = 1e-3

OUTPUT_INITIALIZER = "glorot_uniform"

#: Of all layers, whatever Keras's global policy is.
DTYPE = "float32"

_precision_lock = threading.Lock()
_precision_users: list[str] = []


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """Let Keras's `floatx` be float32 while optimizers and losses are made.

    It is the only way to tell it to optimizers. The last thread to leave restores it.
    """
    with _precision_lock:
        _precision_users.append(
            _precision_users[0] if _precision_users else keras.config.floatx()
        )
        keras.config.set_floatx(DTYPE)
    try:
        yield
    finally:
        with _precision_lock:
            before = _precision_users.pop()
            if not _precision_users:
                keras.config.set_floatx(before)


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
    network = [keras.Input((arch.n_features,), dtype=DTYPE)]
    if arch.batch_normalization:
        network.append(layers.BatchNormalization(epsilon=EPSILON, dtype=DTYPE))
    widths = (*arch.hidden_layer_sizes, arch.n_classes)
    for i, (units, rate) in enumerate(zip(widths, arch.rates, strict=True)):
        is_output = i == len(arch.hidden_layer_sizes)
        activation = "softmax" if is_output else arch.activation
        normalise = arch.batch_normalization and not is_output
        constrain = arch.max_norm is not None and not is_output
        if rate is not None:
            network.append(dropout(rate, seed=seeds[2 * i], dtype=DTYPE))
        network.append(
            layers.Dense(
                units,
                dtype=DTYPE,
                activation=None if normalise else activation,
                kernel_initializer=_seeded(
                    OUTPUT_INITIALIZER if is_output else kernel_initializer,
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
            network += [
                layers.BatchNormalization(epsilon=EPSILON, dtype=DTYPE),
                layers.Activation(activation, dtype=DTYPE),
            ]
    return keras.Sequential(network)


def initial_weights(
    arch: Architecture,
    seeds: Sequence[int],
    kernel_initializer: str | keras.Initializer = "he_normal",
) -> list[NDArray[np.float32]]:
    """What `build_network(...).get_weights()` gives, without building it."""

    def normalization(width: int) -> list[NDArray[np.float32]]:
        ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
        return [ones, zeros, zeros, ones]  # gamma, beta, moving mean and variance

    widths = (arch.n_features, *arch.hidden_layer_sizes, arch.n_classes)
    weights = normalization(arch.n_features) if arch.batch_normalization else []
    for i, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
        is_output = i == len(arch.hidden_layer_sizes)
        initializer = OUTPUT_INITIALIZER if is_output else kernel_initializer
        kernel = _seeded(initializer, seeds[2 * i + 1])((n_in, n_out), dtype=DTYPE)
        weights += [keras.ops.convert_to_numpy(kernel), np.zeros(n_out, np.float32)]
        if arch.batch_normalization and not is_output:
            weights += normalization(n_out)
    return weights


def _seeded(initializer: str | keras.Initializer, seed: int) -> keras.Initializer:
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

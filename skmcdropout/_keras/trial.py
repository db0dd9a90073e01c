"""A trial of a network: it is drawn from as far as this shows Keras's own numbers."""

from __future__ import annotations

import math
import re
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._keras.blueprint import Blueprint, not_plain
from skmcdropout._keras.engines import Engine, fast_engine, whole_engine
from skmcdropout._keras.modes import as_called
from skmcdropout._keras.noise_layers import strength
from skmcdropout._keras.private import flat_layers, has_graph, nodes_in_order
from skmcdropout._keras.reference import DisagreementError, Reference

#: Rows of a trial: a number that no axis of a network is likely to have.
N_ROWS = 7

#: What Keras and TensorFlow say where a convolution would give nothing.
TOO_SMALL = re.compile("output size would be .*negative|Negative dimension size")

layers = keras.layers


def check_size(network: keras.Model, blueprint: Blueprint) -> None:
    """Refuse rows that are too small for a network's convolutions.

    On some processors TensorFlow gives numbers for them that mean nothing.
    """
    if not (has_graph(network) or isinstance(network, keras.Sequential)):
        return  # only its own code knows what it computes
    inputs = [
        keras.KerasTensor((N_ROWS, *shape), spec.dtype)
        for spec, shape in zip(blueprint.inputs, blueprint.row_shapes, strict=True)
    ]
    try:
        network.compute_output_spec(as_called(network, inputs))
    except Exception as error:  # whatever a layer may say of it
        if TOO_SMALL.search(str(error)) is None:
            return  # it says nothing of the size: the trial will tell
        shapes = " and ".join(map(str, blueprint.row_shapes))
        raise ValueError(
            "X must hold rows that are large enough for the network's convolutions. "
            f"Got rows of shape {shapes} for {network.name!r}."
        ) from error


def rows_for_trial(
    blueprint: Blueprint, network: keras.Model, given: NDArray[Any] | None = None
) -> NDArray[Any]:
    """A table of N_ROWS rows: some of those given, and made ones where they are few."""
    parts = [
        _made_rows(network, i, shape) for i, shape in enumerate(blueprint.row_shapes)
    ]
    for i, spec in enumerate(blueprint.inputs):
        if spec.dtype == "bool":
            parts[i] = np.sign(parts[i]).clip(0)
    made = np.hstack(parts)
    if given is None:
        given = made[:0]
    spread = np.linspace(0, len(given) - 1, min(N_ROWS, len(given))).astype(int)
    rows = np.concatenate([given[spread], made])[:N_ROWS]
    return rows.astype(blueprint.table_dtype)


def _made_rows(
    network: keras.Model, number: int, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Rows for one of a network's inputs."""
    rng = np.random.RandomState(number)
    size = (N_ROWS, math.prod(shape))
    known = list(filter(_range, _first_layers(network, number)))
    tokens = list(filter(_takes_tokens, flat_layers(network)))
    limits = [_range(layer) for layer in known or tokens]
    ranges = sorted((x for x in limits if x is not None), key=lambda x: x[1])
    if not ranges:
        return rng.normal(size=size)
    low, high, is_whole = ranges[0]
    if not is_whole:
        return rng.uniform(low, high, size)
    rows = rng.randint(int(low), int(high), size).astype(float)
    if any(getattr(layer, "mask_zero", False) for layer in known or tokens):
        rows[::2, size[1] - size[1] // 3 :] = 0  # padding
    return rows


def _first_layers(network: keras.Model, number: int) -> Sequence[Any]:
    """The layers that take one of a network's inputs."""
    if isinstance(network, keras.Sequential):
        inner = network.layers[0]
        is_network = isinstance(inner, keras.Model)
        return _first_layers(inner, 0) if is_network else [inner]
    if not has_graph(network):
        return [la for la in flat_layers(network) if _takes_tokens(la)]
    given = network.inputs[number]
    return [
        node.operation
        for nodes in nodes_in_order(network)
        for node in nodes
        if any(x is given for x in node.input_tensors) and not node.is_input
    ]


def _takes_tokens(layer: keras.layers.Layer) -> bool:
    limits = _range(layer)
    return limits is not None and limits[2]


def _range(layer: keras.layers.Layer) -> tuple[float, float, bool] | None:
    """The least and the largest value that a layer expects; whether they are whole."""
    if isinstance(layer, layers.Embedding):
        return 0, layer.input_dim, True
    if isinstance(layer, layers.IntegerLookup):
        known = layer.get_vocabulary(include_special_tokens=False) or [0]
        return min(known), max(known) + 2, True
    if isinstance(layer, layers.CategoryEncoding):
        return 0, layer.num_tokens, True
    if isinstance(layer, layers.Hashing):
        return 0, 1000, True
    if isinstance(layer, layers.Discretization) and layer.bin_boundaries:
        low, *_, high = [*layer.bin_boundaries] * 2
        margin = (high - low) / 4 or 1.0
        return low - margin, high + margin, False
    if isinstance(layer, layers.Normalization) and layer.built:
        mean, std = (np.asarray(x) for x in (layer.mean, np.sqrt(layer.variance)))
        return float((mean - 2 * std).min()), float((mean + 2 * std).max()), False
    return None


#: Who holds it may replace methods of a network that several threads may know.
_users_network_lock = threading.Lock()


def tried_engine(
    network: keras.Model, blueprint: Blueprint, table: NDArray[Any]
) -> Engine:
    """The fastest engine whose draws for these rows are shown to be Keras's own.

    `network` is tried with weights that are varied a little, so that what begins at
    zero counts, and left with those.
    """
    reference = Reference(network, blueprint, table)
    reference.check_nothing_else_draws()
    reference.vary_weights()
    reference.check_rows_are_independent()
    shapes = blueprint.row_shapes
    try:
        engine: Engine = fast_engine(network, blueprint, shapes)
        reference.check(engine)
    except Exception as error:  # whatever a layer says that is called by itself
        try:
            engine = whole_engine(network, blueprint, shapes)
            reference.check(engine)
        except Exception as final:
            raise _refusal(network, final) from error
        _warn_of_slow_way(reference, network)
    return engine


def check_same(
    blueprint: Blueprint, network: keras.Model, again: keras.Model, table: NDArray[Any]
) -> None:
    """Refuse a network that Keras builds otherwise from its configuration."""
    with _users_network_lock:
        expected = Reference(network, blueprint, table).at_rest(table)
    got = Reference(again, blueprint, table).at_rest(table)
    if not np.allclose(got, expected, rtol=1e-3, atol=1e-4, equal_nan=True):
        raise not_plain(network, "the one built again predicts otherwise.")


def _warn_of_slow_way(reference: Reference, network: keras.Model) -> None:
    warnings.warn(
        f"The layer {reference.first_to_differ()!r} of {network.name!r} can't be "
        "called on the rows of many draws at once as it is. The network is computed "
        "anew from its inputs for each draw instead, which is right but slower.",
        UserWarning,
        stacklevel=2,
    )


def _refusal(network: keras.Model, error: Exception) -> Exception:
    """An error in our words, or the one that a layer raised."""
    text = str(getattr(error, "message", error)).replace("\\'", "'")
    if isinstance(error, DisagreementError):
        dropping = [la.name for la in flat_layers(network) if strength(la)]
        return ValueError(f"{error} The layers that draw are {dropping}.")
    said = re.search(r"The input of the layer .*? per draw\.", text)
    if isinstance(error, tf.errors.InvalidArgumentError) and said is not None:
        return ValueError(f"{said[0]} Got {network.name!r}, where it has not.")
    said = re.search(r"\x1b\[1m(The .*?)\x1b\[0m", text, re.DOTALL)
    if isinstance(error, ValueError) and said is not None:  # within Keras's words
        return ValueError(said[1])
    return error

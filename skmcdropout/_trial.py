"""A trial of a network, before it is trained for long or relied upon.

What can't be seen in its layers shows when it is run: that Keras builds it otherwise
from its configuration, that it draws at random where nobody knows, or that noise is
added to something that has not one entry per row.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from skmcdropout._blueprint import Blueprint, build_again, not_plain
from skmcdropout._engines import engine
from skmcdropout._graph import Pass, random_operations
from skmcdropout._latest import Latest

#: Sizes that no network is likely to have.
N_ROWS, N_DRAWS = 7, 11

#: Kinds of networks remembered as tried.
MAX_TRIED = 64

_tried = Latest(MAX_TRIED)


def try_out(blueprint: Blueprint, network: keras.Model) -> None:
    """Refuse a network that does not do what is asked of it, once for each kind.

    One for sequences of any length is tried with those of `blueprint.row_shapes`.
    """
    kind = replace(blueprint.without_names(), row_shapes=())
    if kind in _tried and not blueprint.has_code:
        return
    again = build_again(blueprint, network)
    table = _some_rows(blueprint, network)
    _check_known_randomness(blueprint, again, table)
    _check_same(blueprint, network, again, table)
    _check_draws(blueprint, again, table)
    _tried[kind] = None


def _some_rows(blueprint: Blueprint, network: keras.Model) -> Any:
    n_values = sum(int(np.prod(shape)) for shape in blueprint.row_shapes)
    rows = np.random.RandomState(0).normal(size=(N_ROWS, n_values))
    has_tokens = any(
        isinstance(layer, keras.layers.Embedding) for layer in network._flatten_layers()
    )
    has_integers = any(spec.is_integer for spec in blueprint.inputs)
    return (rows * (not (has_tokens or has_integers))).astype(np.float32)


def _check_same(
    blueprint: Blueprint, network: keras.Model, again: keras.Model, table: Any
) -> None:
    inputs = blueprint.unpack(tf.constant(table), blueprint.row_shapes)
    expected, got = (
        tf.cast(Pass().run([net], inputs), tf.float32).numpy()
        for net in (network, again)
    )
    if not np.allclose(got, expected, rtol=1e-3, atol=1e-4, equal_nan=True):
        raise not_plain(network, "the one built again predicts otherwise.")


def _check_known_randomness(
    blueprint: Blueprint, again: keras.Model, table: Any
) -> None:
    """Look for what draws in training once all known noise is off."""

    def forward(rows: Any) -> Any:
        mode = {"training": True} if again._call_has_training_arg else {}
        with Pass().noise_in(again):
            return again(blueprint.arguments(again, rows), **mode)

    compiled = tf.function(forward, autograph=False).get_concrete_function(
        tf.TensorSpec([None, table.shape[1]], tf.float32)
    )
    found = random_operations(compiled)
    if found:
        raise ValueError(
            "The model must draw random numbers in layers that are known alone, "
            "Keras's dropout and noise layers or ones derived from them, so that they "
            f"can be sampled once per draw. Got the operations {found}."
        )


def _check_draws(blueprint: Blueprint, again: keras.Model, table: Any) -> None:
    drawing: Any = engine(again, blueprint, blueprint.row_shapes)
    noise = drawing.sample(0, N_DRAWS, "independent")
    try:
        drawing.draw(noise, table, "mean")
    except tf.errors.InvalidArgumentError as error:
        said = re.search(r"The input of the layer .*? per draw\.", str(error.message))
        if said is None:
            raise
        reason = said[0].replace("\\'", "'")
        raise ValueError(f"{reason} Got {again.name!r}, where it has not.") from None

"""Tries a network as it will be drawn from, before anything is trained."""

from __future__ import annotations

import math
import warnings
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skmcdropout._drawing.compiled_network import CompiledNetwork, compiled_network
from skmcdropout._drawing.trial_rows import check_size
from skmcdropout._networks.blueprint import Blueprint
from skmcdropout._networks.noise_layers import has_noise
from skmcdropout._networks.read_network import not_plain

#: Sizes that a network for inputs of any size is tried with: the first that it takes.
SOME_SIZES = (16, 64, 256)


def try_network(
    blueprint: Blueprint, network: keras.Model, table: NDArray[Any] | None = None
) -> CompiledNetwork:
    """Refuse a network that can't be drawn from; warn if nothing is drawn."""
    weights = network.get_weights()
    try:
        compiled = compiled_network(blueprint, True, weights)
    except Exception as error:
        raise not_plain(network, error) from error
    with compiled.lock:
        compiled.load(weights)
        compiled.try_out(network, table)
        draws = compiled.draws
    if not draws:
        _warn_without_noise(network)
    return compiled


def try_trained(network: keras.Model, blueprint: Blueprint) -> CompiledNetwork | None:
    """Try a trained network with made rows, if it takes any of `SOME_SIZES`."""
    for size in SOME_SIZES:
        shapes = tuple(tuple(n or size for n in s.shape) for s in blueprint.inputs)
        tried = blueprint.for_rows(shapes)
        if not blueprint.has_free_axes or _accepts(network, tried):
            return try_network(tried, network)
    if not has_noise(network):  # all else is tried with the first rows
        _warn_without_noise(network)
    return None


def _accepts(network: keras.Model, blueprint: Blueprint) -> bool:
    """Whether a network for any length takes rows of the lengths of `blueprint`."""
    n_values = sum(map(math.prod, blueprint.row_shapes))
    table = np.zeros((1, n_values), blueprint.table_dtype)
    try:
        check_size(network, blueprint)
        network(blueprint.arguments(network, table), training=False)
    except Exception:  # whatever a layer may say of it
        return False
    return True


def _warn_without_noise(network: keras.Model) -> None:
    warnings.warn(
        f"The model {network.name!r} has no dropout or noise layer with a rate above 0 "
        "that is active in training mode: there is nothing to sample, all draws are "
        "the same, and the measures of disagreement are 0.",
        UserWarning,
        stacklevel=2,
    )

"""A trial of a network: it is drawn from as far as this shows Keras's own numbers."""

from __future__ import annotations

import re
import threading
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._drawing.engines import Engine, fast_engine, whole_engine
from skmcdropout._drawing.reference import DisagreementError, Reference
from skmcdropout._networks.blueprint import Blueprint
from skmcdropout._networks.noise_layers import strength
from skmcdropout._networks.read_network import not_plain
from skmcdropout._utils.private import flat_layers

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

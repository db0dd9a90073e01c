"""Keras networks that are there to draw from, shared by estimators of one kind."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skmcdropout._keras.blueprint import Blueprint, not_plain
from skmcdropout._keras.engines import Engine
from skmcdropout._keras.inspection import set_weights
from skmcdropout._keras.modes import undecorate
from skmcdropout._keras.noise_layers import has_noise
from skmcdropout._keras.process import (
    MAX_KINDS,
    BoundedDict,
    clear_gone_kernels,
    clear_when_gone,
)
from skmcdropout._keras.trial import (
    check_same,
    check_size,
    rows_for_trial,
    tried_engine,
)
from skmcdropout._perceptron.network import equal_weights
from skmcdropout._utils.arrays import Floats
from skmcdropout._utils.inputs import Shapes
from skmcdropout._utils.interrupts import interrupts_held

#: Shapes of rows (lengths of sequences) that a network is kept compiled for.
MAX_SHAPES = 64


class CompiledNetwork:
    """A network that is there to draw from, with any weights of its kind.

    Whoever holds its `lock` may load weights and draw.
    """

    def __init__(
        self, blueprint: Blueprint, trust: bool, weights: Sequence[Floats]
    ) -> None:
        self._blueprint = blueprint
        clear_gone_kernels()
        clear_when_gone(self)
        with interrupts_held():
            self._network = blueprint.built_with(weights, 0, trust)
            undecorate(self._network)
        #: Those that the network has; None while they are not known.
        self._weights: Sequence[Floats] | None = weights
        self._engines: BoundedDict[Shapes, Engine] = BoundedDict(MAX_SHAPES)
        self.lock = threading.RLock()

    def accepts(self, weights: Sequence[Floats]) -> bool:
        """Whether it can draw with these weights.

        Always, unless weights are constants of what is compiled and these differ.
        """
        return not self._blueprint.has_constants or self._has(weights)

    def load(self, weights: Sequence[Floats]) -> None:
        """Set other weights."""
        if not self._has(weights):
            self._set_weights(weights)
        self._weights = weights

    def _has(self, weights: Sequence[Floats]) -> bool:
        return self._weights is not None and equal_weights(weights, self._weights)

    def _set_weights(self, weights: Sequence[Floats]) -> None:
        """Set weights, of which an interrupt may leave some that are not."""
        self._weights = None
        set_weights(self._network, weights)
        self._weights = weights

    def engine(self, shapes: Shapes, table: Floats | None = None) -> Engine:
        """What draws for rows of these shapes, tried when it is made.

        It is tried with rows of `table`, or with made ones.
        """
        found = self._engines.get(shapes)
        if found is None:
            with interrupts_held():
                found = self._tried_engine(shapes, table)
        self._engines[shapes] = found
        return found

    def _tried_engine(self, shapes: Shapes, table: Floats | None) -> Engine:
        blueprint = self._blueprint.for_rows(shapes)
        check_size(self._network, blueprint)
        rows = rows_for_trial(blueprint, self._network, table)
        weights = self._network.get_weights()
        self._weights = None  # they are varied
        try:
            return tried_engine(self._network, blueprint, rows)
        finally:
            self._set_weights(weights)

    def try_out(self, network: keras.Model, table: Floats | None = None) -> None:
        """Refuse `network`, of which this is a copy, if it can't be drawn from."""
        shapes = self._blueprint.row_shapes
        self.engine(shapes, table)
        rows = rows_for_trial(self._blueprint, network, table)
        check_same(self._blueprint, network, self._network, rows)

    @property
    def draws(self) -> bool:
        """Whether anything is drawn, as far as is known."""
        return any(len(engine.places) for engine in self._engines.values())


#: Compiled networks by their kind, for estimators to come.
_compiled: BoundedDict[Hashable, CompiledNetwork] = BoundedDict(MAX_KINDS)
_compiled_lock = threading.Lock()


def compiled_network(
    blueprint: Blueprint, trust: bool, weights: Sequence[Floats]
) -> CompiledNetwork:
    """A network to draw from, one of its kind if that may serve several."""
    make = partial(CompiledNetwork, blueprint, trust, weights)
    if blueprint.stands_alone:
        return make()
    return _shared((blueprint.compile_key(), trust), make)


def _shared(kind: Hashable, make: Callable[[], CompiledNetwork]) -> CompiledNetwork:
    with _compiled_lock:
        found = _compiled.get(kind)
    made = found or make()  # with no lock held that others may wait for
    with _compiled_lock:
        shared = _compiled.get(kind, made)
        _compiled[kind] = shared
    return shared


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

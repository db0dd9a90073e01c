"""Keras networks that are there to draw from, shared by estimators of one kind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from functools import partial

import keras
import numpy as np

from skmcdropout._drawing.engines import Engine
from skmcdropout._drawing.trial import check_same, tried_engine
from skmcdropout._drawing.trial_rows import check_size, rows_for_trial
from skmcdropout._networks.blueprint import Blueprint
from skmcdropout._networks.inputs import Shapes
from skmcdropout._networks.modes import undecorate
from skmcdropout._networks.weights import built_with, set_weights
from skmcdropout._utils.arrays import Floats
from skmcdropout._utils.caches import MAX_KINDS, BoundedDict
from skmcdropout._utils.interrupts import interrupts_held
from skmcdropout._utils.kernels import clear_gone_kernels, clear_when_gone

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
            self._network = built_with(blueprint, weights, 0, trust)
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


def equal_weights(weights: Sequence[Floats], others: Sequence[Floats]) -> bool:
    """Whether two lists of weights hold the same."""
    return weights is others or all(map(np.array_equal, weights, others))

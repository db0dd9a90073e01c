"""Draws of any Keras network: `NetworkSampler` is to it what `Sampler` is to an MLP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras

from skmcdropout._drawing.masks import Floats
from skmcdropout._drawing.sampler import Kept, Wanted, equal
from skmcdropout._drawing.trial import check_same, tried_engine
from skmcdropout._drawing.trial_rows import rows_for_trial
from skmcdropout._networks.blueprint import Blueprint, build_again, set_weights
from skmcdropout._networks.inputs import Rows, Shapes
from skmcdropout._networks.modes import undecorate
from skmcdropout._utils.caches import MAX_KINDS, Latest
from skmcdropout._utils.interrupts import interrupts_held
from skmcdropout._utils.kernels import forget_what_is_gone, forget_when_gone

#: Shapes of rows (lengths of sequences) that a network is kept compiled for.
MAX_SHAPES = 64

#: Compiled networks by their kind, for estimators to come.
_compiled = Latest(MAX_KINDS)
_compiled_lock = threading.Lock()


class NetworkSampler:
    """Draws of one trained network, from noise that depends on `seed` alone.

    `trust` says that code in it (Lambda layers) comes from this process, not a file.
    Its Keras network is built when somebody asks for it, and from then on its variables
    are what counts, since they can be changed.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        weights: Sequence[Floats],
        seed: int,
        trust: bool = False,
        compiled: CompiledNetwork | None = None,
    ) -> None:
        self._blueprint = blueprint
        self._trust = trust
        self._weights = weights
        self._seed = seed
        self._network: keras.Model | None = None
        self._kept = Kept()
        self._compiled = compiled
        self._lock = threading.RLock()

    @property
    def network(self) -> keras.Model:
        """The trained network."""
        with self._lock:
            if self._network is None:
                network = self._blueprint.build(self._seed, self._trust)
                set_weights(network, self._weights)
                self._network = network
        return self._network

    @property
    def weights(self) -> Sequence[Floats]:
        """The weights as they are now, in the order of ``network.get_weights()``."""
        if self._network is not None:
            self._weights = self._network.get_weights()
        return self._weights

    def draw(
        self, X: Rows, n_samples: int, sampling: str, wanted: Wanted, show: bool = False
    ) -> tuple[Floats, ...]:
        """Draw `n_samples` times for every row of `X`; see `Sampler.draw`."""
        table, shapes = self._blueprint.pack(X)
        weights = self.weights
        compiled = self._compile(weights)
        with compiled.lock:
            compiled.load(weights)
            drawing = compiled.engine(shapes, table)
            noise = self._kept.get(
                (shapes, n_samples, sampling),
                weights,
                lambda: drawing.sample(self._seed, n_samples, sampling),
            )
            drawn: tuple[Floats, ...] = drawing.draw(noise, table, wanted, show)
        p = drawn[0][0] if wanted == "draws" else drawn[0]
        self._blueprint.outputs.check_probabilities(p)
        return drawn

    def _compile(self, weights: Sequence[Floats]) -> CompiledNetwork:
        """A network to draw from: the one there is, another's of its kind, or a new."""
        with self._lock:
            if self._compiled is None or not self._compiled.takes(weights):
                self._compiled = compiled_network(self._blueprint, self._trust, weights)
            return self._compiled


def compiled_network(
    blueprint: Blueprint, trust: bool, weights: Sequence[Floats]
) -> CompiledNetwork:
    """A network to draw from, one of its kind if that may serve several."""
    make = partial(CompiledNetwork, blueprint, trust, weights)
    if blueprint.stands_alone:
        return make()
    return _shared((blueprint.without_names(), trust), make)


def _shared(
    kind: tuple[Any, ...], make: Callable[[], CompiledNetwork]
) -> CompiledNetwork:
    with _compiled_lock:
        found = _compiled.get(kind)
    made = found or make()  # with no lock held that others may wait for
    with _compiled_lock:
        shared: CompiledNetwork = _compiled.get(kind, made)
        _compiled[kind] = shared
    return shared


class CompiledNetwork:
    """A network that is there to draw from, with any weights of its kind.

    Whoever holds its `lock` may load weights and draw.
    """

    def __init__(
        self, blueprint: Blueprint, trust: bool, weights: Sequence[Floats]
    ) -> None:
        self._blueprint = blueprint
        forget_what_is_gone()
        forget_when_gone(self)
        with interrupts_held():
            self._network = build_again(blueprint, weights, trust)
            undecorate(self._network)
        self._weights = weights
        self._engines = Latest(MAX_SHAPES)  # a ChainEngine or GraphEngine by shapes
        self.lock = threading.RLock()

    def takes(self, weights: Sequence[Floats]) -> bool:
        """Whether these weights are not constants of what is compiled, or the same."""
        return not self._blueprint.has_constants or equal(weights, self._weights)

    def load(self, weights: Sequence[Floats]) -> None:
        """Take other weights over."""
        if not equal(weights, self._weights):
            set_weights(self._network, weights)
        self._weights = weights

    def engine(self, shapes: Shapes, table: Floats | None = None) -> Any:
        """What draws for rows of these shapes, tried when it is made.

        It is tried with rows of `table`, or with made ones.
        """
        found = self._engines.get(shapes)
        if found is None:
            with interrupts_held():
                found = self._tried_engine(shapes, table)
        self._engines[shapes] = found
        return found

    def _tried_engine(self, shapes: Shapes, table: Floats | None) -> Any:
        blueprint = replace(self._blueprint, row_shapes=shapes)
        rows = rows_for_trial(blueprint, self._network, table)
        try:
            return tried_engine(self._network, blueprint, rows)
        finally:
            set_weights(self._network, self._weights)

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

"""Draws of any Keras network: `NetworkSampler` is to it what `Sampler` is to an MLP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import keras

from skmcdropout._blueprint import Blueprint, set_weights
from skmcdropout._engines import engine
from skmcdropout._idle import Idle
from skmcdropout._inputs import Rows, Shapes
from skmcdropout._masks import Floats
from skmcdropout._sampling import Kept, Wanted, equal
from skmcdropout._trial import try_out

#: Compiled networks, for the next prediction that they can serve.
_idle = Idle()


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
    ) -> None:
        self._blueprint = blueprint
        self._trust = trust
        self._weights = weights
        self._seed = seed
        self._network: keras.Model | None = None
        self._kept = Kept()

    @property
    def network(self) -> keras.Model:
        """The trained network."""
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
        compiled = _idle.take(self._kind)
        if compiled is None or not compiled.load(weights):
            compiled = _CompiledNetwork(self._blueprint, self._trust, weights)
        drawing = compiled.engine(shapes)
        noise = self._kept.get(
            (shapes, n_samples, sampling),
            weights,
            lambda: drawing.sample(self._seed, n_samples, sampling),
        )
        drawn: tuple[Floats, ...] = drawing.draw(noise, table, wanted, show)
        _idle.give_back(self._kind, compiled)
        p = drawn[0][0] if wanted == "draws" else drawn[0]
        self._blueprint.outputs.check_probabilities(p)
        return drawn

    @cached_property
    def _kind(self) -> tuple[Any, ...]:
        """What a compiled network can't change."""
        alone = object() if self._blueprint.has_constants else None
        return self._blueprint.without_names(), self._trust, alone


class _CompiledNetwork:
    """A network that is there to draw from, with any weights of its kind."""

    def __init__(
        self, blueprint: Blueprint, trust: bool, weights: Sequence[Floats]
    ) -> None:
        self._blueprint = blueprint
        self._network = blueprint.build(0, trust)
        set_weights(self._network, weights)
        self._weights = weights
        self._engines: dict[Shapes, Any] = {}  # a ChainEngine or a GraphEngine

    def load(self, weights: Sequence[Floats]) -> bool:
        """Take other weights over, unless they are constants of what is compiled."""
        if not equal(weights, self._weights):
            if self._blueprint.has_constants:
                return False
            set_weights(self._network, weights)
        self._weights = weights
        return True

    def engine(self, shapes: Shapes) -> Any:
        """What draws for rows of these shapes."""
        if shapes not in self._engines:
            if self._blueprint.has_any_length:
                try_out(replace(self._blueprint, row_shapes=shapes), self._network)
            self._engines[shapes] = engine(self._network, self._blueprint, shapes)
        return self._engines[shapes]

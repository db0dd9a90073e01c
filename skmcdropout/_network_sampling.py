"""Draws of any Keras network: `NetworkSampler` is to it what `Sampler` is to an MLP."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import keras

from skmcdropout._blueprint import Blueprint, set_weights
from skmcdropout._engines import engine
from skmcdropout._inputs import Rows, Shapes
from skmcdropout._masks import Floats
from skmcdropout._sampling import Kept, Wanted


class NetworkSampler:
    """Draws of one trained network, from noise that depends on `seed` alone.

    `trust` says that code in it (Lambda layers) comes from this process, not a file.
    Its Keras network is built at the first prediction or when somebody asks for it, and
    from then on its variables are what counts, since they can be changed.
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
        self._engines: dict[Shapes, Any] = {}  # a ChainEngine or a GraphEngine
        self._lock = threading.RLock()
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
        with self._lock:  # layers are replaced for a moment while they are compiled
            if shapes not in self._engines:
                self._engines[shapes] = engine(self.network, self._blueprint, shapes)
            drawing = self._engines[shapes]
            noise = self._kept.get(
                (shapes, n_samples, sampling),
                drawing.weights(),
                lambda: drawing.sample(self._seed, n_samples, sampling),
            )
        drawn: tuple[Floats, ...] = drawing.draw(noise, table, wanted, show)
        p = drawn[0][0] if wanted == "draws" else drawn[0]
        self._blueprint.outputs.check_probabilities(p)
        return drawn

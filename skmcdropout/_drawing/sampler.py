"""`Sampler`: the draws of one trained network, for every row that is given."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import keras

from skmcdropout._drawing.chain_engine import ChainEngine, Tail
from skmcdropout._drawing.compiled_network import (
    CompiledNetwork,
    compiled_network,
    equal_weights,
)
from skmcdropout._drawing.engines import Engine
from skmcdropout._drawing.results import Wanted
from skmcdropout._networks.blueprint import Blueprint
from skmcdropout._networks.folded_chain import Chain
from skmcdropout._networks.inputs import Rows, Shapes
from skmcdropout._networks.modes import mark_as_called
from skmcdropout._networks.spec import NetworkSpec
from skmcdropout._networks.weights import built_with
from skmcdropout._utils.arrays import Floats, Table


class Sampler:
    """Draws of one trained network, from noise that depends on `seed` alone.

    Its Keras network is built when somebody asks for it, and from then on its
    variables are what counts, since they can be changed. The noise of the last call is
    kept for as long as the weights and what is asked for stay the same. Threads may
    share it. `trust` says that code in the network comes from this process, not a file.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        weights: Sequence[Floats],
        seed: int,
        trust: bool = False,
        compiled: CompiledNetwork | None = None,
    ) -> None:
        self._spec = spec
        self._weights = weights
        self._seed = seed
        self._trust = trust
        self._compiled = compiled
        self._network: keras.Model | None = None
        self._last_chain: tuple[Sequence[Floats], Chain | None] | None = None
        self._last_noise: _Noise | None = None
        self._lock = threading.RLock()

    @property
    def network(self) -> keras.Model:
        """The trained network."""
        with self._lock:
            if self._network is None:
                network = built_with(self._spec, self._weights, self._seed, self._trust)
                mark_as_called(network)
                self._network = network
        return self._network

    @property
    def weights(self) -> Sequence[Floats]:
        """The weights as they are now, in the order of ``network.get_weights()``."""
        if self._network is not None:
            now = self._network.get_weights()
            if not equal_weights(now, self._weights):
                self._weights = now
        return self._weights

    def draw(
        self, X: Rows, n_samples: int, sampling: str, wanted: Wanted, show: bool = False
    ) -> tuple[Floats, ...]:
        """Draw `n_samples` times for every row of `X`; see `Wanted` for the result.

        With `n_samples` 0 the only draw is the network with nothing dropped. With
        `show` a bar shows how far a long prediction is.
        """
        table, shapes = self._spec.pack(X)
        return self.draw_table(table, shapes, n_samples, sampling, wanted, show)

    def draw_table(
        self,
        table: Table,
        shapes: Shapes,
        n_samples: int,
        sampling: str,
        wanted: Wanted,
        show: bool = False,
    ) -> tuple[Floats, ...]:
        """The same for rows that are packed in a table; `shapes` are theirs."""
        weights = self.weights
        with self._engine(weights, shapes, table) as engine:
            noise = self._noise(
                (shapes, n_samples, sampling),
                weights,
                lambda: engine.sample(self._seed, n_samples, sampling),
            )
            drawn = engine.draw(noise, table, wanted, show)
        of_rows = drawn[0][0] if wanted == "draws" else drawn[0]
        self._spec.outputs.check_values(of_rows)
        return drawn

    @contextlib.contextmanager
    def _engine(
        self, weights: Sequence[Floats], shapes: Shapes, table: Table
    ) -> Iterator[Engine]:
        """What draws with these weights: from a chain, or else from a Keras network."""
        chain = self._chain(weights)
        if chain is not None:
            yield ChainEngine(lambda: Tail(chain))
            return
        compiled = self._compiled_for(weights)
        with compiled.lock:
            compiled.load(weights)
            yield compiled.engine(shapes, table)

    def _chain(self, weights: Sequence[Floats]) -> Chain | None:
        """The network as a chain, if it is one; read once for the same weights."""
        last = self._last_chain
        if last is None or last[0] is not weights:
            self._last_chain = last = weights, self._spec.chain(weights)
        return last[1]

    def _compiled_for(self, weights: Sequence[Floats]) -> CompiledNetwork:
        """A network to draw from: the one there is, another's of its kind, or a new."""
        with self._lock:
            if self._compiled is None or not self._compiled.accepts(weights):
                blueprint = cast(Blueprint, self._spec)  # as all that are no chains
                self._compiled = compiled_network(blueprint, self._trust, weights)
            return self._compiled

    def _noise(
        self, asked: Hashable, weights: Sequence[Floats], sample: Callable[[], Any]
    ) -> Any:
        """What ``sample()`` gives, or gave for the same question and weights."""
        last = self._last_noise
        if last is None or last.asked != asked or last.weights is not weights:
            self._last_noise = last = _Noise(asked, weights, sample())
        return last.noise


class _Noise(NamedTuple):
    """What was drawn, for which question and weights."""

    asked: Hashable
    weights: Sequence[Floats]
    noise: Any

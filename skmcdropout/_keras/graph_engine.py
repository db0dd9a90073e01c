"""Draws of any network, each layer called once on the rows of many draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._keras.blueprint import Blueprint
from skmcdropout._keras.chain_engine import Head, concrete, row_floats
from skmcdropout._keras.graph_pass import Pass
from skmcdropout._keras.noise_layers import has_noise
from skmcdropout._keras.places import Place, sources
from skmcdropout._perceptron.masks import generators, kept_units, normal_noise
from skmcdropout._perceptron.tiles import FEW_ROWS, Results, filled_up
from skmcdropout._perceptron.values import Wanted, reduced
from skmcdropout._utils.arrays import Floats
from skmcdropout._utils.interrupts import interrupts_held
from skmcdropout._utils.progress import RowsBar

#: Largest array of activations that a chunk of rows may need, in floats (16 MB):
#: larger ones leave the cache and would break the promised memory bound.
CHUNK_FLOATS = 2**22

#: Called with the share that is done.
Tell = Callable[[float], None]


def chunk_rows(row_floats: int) -> int:
    """How many rows make a chunk, if each needs so many floats."""
    return max(CHUNK_FLOATS // row_floats // FEW_ROWS * FEW_ROWS, FEW_ROWS)


def over_chunks(
    X: NDArray[Any],
    n_chunk: int,
    run: Callable[[Any, Tell], Sequence[Any]],
    wanted: Wanted,
    show: bool,
) -> tuple[Floats, ...]:
    """Results of `run` on `n_chunk` rows of `X` at a time, put together.

    `run` may tell which share of its rows is done, for the bar that `show` asks for.
    """
    results = Results(len(X), wanted)
    with RowsBar(len(X), show) as bar:
        for start in range(0, len(X), n_chunk):
            rows = X[start : start + n_chunk]

            def tell(share: float, start: int = start, n: int = len(rows)) -> None:
                bar.reach(start + share * n)

            with interrupts_held():
                filled = rows if len(X) == 1 else filled_up(rows)
                results.put(start, len(rows), run(tf.constant(filled), tell))
            tell(1.0)
    return results.arrays


#: Largest array of activations that FEW_ROWS rows may need, in floats (128 MB):
#: beyond it the draws are taken in groups.
GROUP_FLOATS = 2**25


class Noise(NamedTuple):
    """The noise of all draws: (n_draws, n_kept) and (n_draws, n_normal)."""

    kept: Any
    normal: Any


class GraphEngine:
    """Draws of any network, each layer called once on the rows of many draws."""

    def __init__(
        self,
        head: Head,
        tail: Sequence[Any],
        blueprint: Blueprint,
        whole: bool = False,
        asked: bool = False,
    ) -> None:
        self._head = head
        self._tail = tail
        self._blueprint = blueprint
        self._how = {"whole": whole, "asked": asked}  # see `Pass`
        self._draws = any(map(has_noise, tail))
        self._passes: dict[bool, tuple[Any, Pass]] = {}

    def sample(self, seed: int, n_samples: int, sampling: str) -> Noise | None:
        """The noise of all draws; None where nothing is drawn."""
        if not n_samples or not self.places:
            return None
        laws = [place.law for place in self.places]
        rngs = generators(seed, sources(self.places))
        return self.with_noise(
            [
                kept_units(rng, n_samples, law.size, law.rate, sampling)
                if law.variable == "kept"
                else normal_noise(rng, n_samples, law.size, sampling)
                for rng, law in zip(rngs, laws, strict=True)
            ]
        )

    @property
    def places(self) -> Sequence[Place]:
        """Where it draws, in order."""
        return self._compiled(True)[1].places if self._draws else ()

    def with_noise(self, drawn: Sequence[NDArray[Any]]) -> Noise | None:
        """Given noise, one array (n_draws, n_entries) a place, as `draw` wants it."""
        if not drawn:
            return None
        n_draws = len(drawn[0])
        columns: dict[str, list[Any]] = {
            "kept": [np.empty((n_draws, 0), bool)],
            "normal": [np.empty((n_draws, 0), np.float32)],
        }
        for place, x in zip(self.places, drawn, strict=True):
            columns[place.law.variable].append(x)
        return Noise(*(tf.constant(np.hstack(columns[name])) for name in columns))

    def draw(
        self, noise: Noise | None, table: Floats, wanted: Wanted, show: bool = False
    ) -> Any:
        """What is wanted of the draws for each row of `table`."""
        forward, traced = self._compiled(noise is not None)
        n_draws = 1 if noise is None else len(noise.kept)
        operations = forward.graph.get_operations()
        n_before = traced.n_operations_before_noise or len(operations)
        before = max(map(row_floats, operations[:n_before]))
        after = max(map(row_floats, operations[n_before:]), default=1)
        n_group = max(1, min(n_draws, GROUP_FLOATS // (FEW_ROWS * after)))
        floats = max(self._head.row_floats, before, n_group * after)

        def run(rows: tf.Tensor, tell: Tell) -> Any:
            inputs = self._head.compute(rows)
            if noise is None:
                return _reduced([forward(*inputs).numpy()], wanted)
            draws = []
            for i in range(0, n_draws, n_group):
                group = [part[i : i + n_group] for part in noise]
                draws.append(forward(*inputs, *group).numpy())
                tell(min(1.0, (i + n_group) / n_draws))
            return _reduced(draws, wanted)

        return over_chunks(table, chunk_rows(floats), run, wanted, show)

    def _compiled(self, with_noise: bool) -> tuple[Any, Pass]:
        if with_noise not in self._passes:
            self._passes[with_noise] = self._trace(with_noise)
        return self._passes[with_noise]

    def _trace(self, with_noise: bool) -> tuple[Any, Pass]:
        traced: list[Pass] = []

        def forward(*tensors: Any) -> Any:
            n_inputs = len(self._head.specs)
            inputs, noise = tensors[:n_inputs], tensors[n_inputs:]
            traced.append(Pass(*noise, **self._how))
            outputs = traced[-1].per_draw(traced[-1].run(self._tail, inputs))
            p = self._blueprint.graph_outputs.values(outputs)
            return tf.transpose(p, [0, 2, 1])  # as `results` wants it

        noise_specs = [
            tf.TensorSpec([None, None], tf.bool),
            tf.TensorSpec([None, None], tf.float32),
        ]
        specs = [*self._head.specs, *(noise_specs if with_noise else [])]
        return concrete(forward, *specs), traced[-1]


def _reduced(draws: Sequence[Floats], wanted: Wanted) -> tuple[Floats, ...]:
    with np.errstate(all="ignore"):  # the estimator refuses what isn't finite
        return reduced(draws[0] if len(draws) == 1 else np.concatenate(draws), wanted)

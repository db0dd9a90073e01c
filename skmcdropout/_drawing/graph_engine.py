"""The two ways to draw from a Keras network, each for rows of one shape.

`ChainEngine`: all noise is dropout among the Dense layers at the end. `GraphEngine`:
any other network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._drawing.graph_pass import Pass, checked_rows, get_mask
from skmcdropout._drawing.masks import Floats, generators, kept_units, normal_noise
from skmcdropout._drawing.places import Place, sources
from skmcdropout._drawing.random_operations import random_operations
from skmcdropout._drawing.sampler import (
    CHUNK_FLOATS,
    ROW_MULTIPLE,
    Tell,
    Wanted,
    compiled_results,
    draw_chain,
    over_chunks,
    sample_chain,
)
from skmcdropout._drawing.tail import Tail, in_line, read_tail
from skmcdropout._drawing.thinned import Draws
from skmcdropout._networks.blueprint import Blueprint
from skmcdropout._networks.inputs import Shapes
from skmcdropout._networks.modes import takes_training
from skmcdropout._networks.noise_layers import has_noise

#: Largest array of activations that ROW_MULTIPLE rows may need, in floats (128 MB):
#: beyond it the draws are taken in groups.
GROUP_FLOATS = 2**25


def fast_engine(
    network: keras.Model, blueprint: Blueprint, shapes: Shapes
) -> ChainEngine | GraphEngine:
    """What draws from `network` for rows of `shapes`, its layers called one by one."""
    steps = in_line(network)
    if steps is None or not takes_training(network):
        return whole_engine(network, blueprint, shapes, is_whole=False)
    n_before = next((i for i, step in enumerate(steps) if has_noise(step)), len(steps))
    head = _Head(steps[:n_before], blueprint, shapes, steps[n_before : n_before + 1])
    if head.has_mask:  # of time steps: it goes with a tensor only within one function
        return GraphEngine(_Head((), blueprint, shapes), steps, blueprint)
    steps = steps[n_before:]
    if read_tail(steps, head.shape, blueprint.outputs) is not None:
        return ChainEngine(head, steps, blueprint)
    return GraphEngine(head, steps, blueprint)


def whole_engine(
    network: keras.Model, blueprint: Blueprint, shapes: Shapes, is_whole: bool = True
) -> GraphEngine:
    """What draws from `network`, called by Keras anew from its inputs for each draw."""
    how = {"whole": is_whole, "asked": not takes_training(network)}
    return GraphEngine(_Head((), blueprint, shapes), [network], blueprint, **how)


class _Head:
    """What is computed once for all draws, compiled: tensors from rows of a table."""

    def __init__(
        self,
        steps: Sequence[Any],
        blueprint: Blueprint,
        shapes: Shapes,
        following: Sequence[Any] = (),
    ) -> None:
        self.has_mask = False

        def forward(table: Any) -> list[Any]:
            inputs = blueprint.unpack(table, shapes)
            if not steps:
                return inputs
            x = Pass().run(steps, inputs)
            self.has_mask = get_mask(x) is not None
            for layer in following:
                x = checked_rows(x, tf.shape(table)[0], layer)
            return [x]

        width = sum(math.prod(shape) for shape in shapes)
        self.compute = _concrete(
            forward, tf.TensorSpec([None, width], blueprint.table_dtype)
        )
        outputs = self.compute.structured_outputs
        self.specs = [tf.TensorSpec(x.shape, x.dtype) for x in outputs]
        self.shape = tuple(self.specs[0].shape[1:])
        self.row_floats = max(map(_row_floats, self.compute.graph.get_operations()))


class ChainEngine:
    """Draws of a network whose noise begins among the Dense layers it ends in."""

    def __init__(self, head: _Head, tail: Sequence[Any], blueprint: Blueprint) -> None:
        self._head = head
        self._tail = tail
        self._outputs = blueprint.outputs

    def sample(self, seed: int, n_samples: int, sampling: str) -> Draws:
        """The draws of the tail."""
        return sample_chain(self._read().chain, seed, n_samples, sampling)

    @property
    def places(self) -> Sequence[Place]:
        """Where it draws, in order."""
        return self._read().places

    def with_noise(self, drawn: Sequence[NDArray[Any]]) -> Draws:
        """Draws of given noise, one array (n_draws, n_entries) a place."""
        chain, places = self._read()
        pairs = zip(drawn, places, strict=True)
        return Draws(chain, [x / np.float32(1 - place.law.rate) for x, place in pairs])

    def _read(self) -> Tail:
        tail = read_tail(self._tail, self._head.shape, self._outputs)
        assert tail is not None
        return tail

    def draw(
        self, draws: Draws, table: Floats, wanted: Wanted, show: bool = False
    ) -> Any:
        """What is wanted of the draws for each row of `table`."""
        width = math.prod(self._head.shape)

        def head(rows: Any) -> Any:
            (h,) = self._head.compute(rows)
            return tf.cast(tf.reshape(h, [-1, width]), tf.float32)

        return draw_chain(draws, table, wanted, show, head, self._head.row_floats)


class Noise(NamedTuple):
    """The noise of all draws: (n_draws, n_kept) and (n_draws, n_normal)."""

    kept: Any
    normal: Any


class GraphEngine:
    """Draws of any network, each layer called once on the rows of many draws."""

    def __init__(
        self,
        head: _Head,
        tail: Sequence[Any],
        blueprint: Blueprint,
        **how: bool,
    ) -> None:
        self._head = head
        self._tail = tail
        self._blueprint = blueprint
        self._how = how  # see `Pass`
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
        before = max(map(_row_floats, operations[:n_before]))
        after = max(map(_row_floats, operations[n_before:]), default=1)
        n_group = max(1, min(n_draws, GROUP_FLOATS // (ROW_MULTIPLE * after)))
        row_floats = max(self._head.row_floats, before, n_group * after)

        def run(rows: Any, tell: Tell) -> Any:
            inputs = self._head.compute(rows)
            if noise is None:
                return reduced(forward(*inputs))
            draws = []
            for i in range(0, n_draws, n_group):
                group = [part[i : i + n_group] for part in noise]
                draws.append(forward(*inputs, *group))
                tell(min(1.0, (i + n_group) / n_draws))
            return reduced(tf.concat(draws, axis=0) if len(draws) > 1 else draws[0])

        reduced = compiled_results(wanted, self._blueprint.n_classes)
        return over_chunks(table, CHUNK_FLOATS // row_floats, run, wanted, show)

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
            outputs = traced[-1].run(self._tail, inputs)
            return self._blueprint.outputs.probabilities(traced[-1].per_draw(outputs))

        noise_specs = [
            tf.TensorSpec([None, None], tf.bool),
            tf.TensorSpec([None, None], tf.float32),
        ]
        specs = [*self._head.specs, *(noise_specs if with_noise else [])]
        return _concrete(forward, *specs), traced[-1]


def _concrete(function: Callable[..., Any], *specs: tf.TensorSpec) -> Any:
    """Compile a pass; it must not draw but from the noise that it is given."""
    compiled = tf.function(function, specs, autograph=False).get_concrete_function()
    found = random_operations(compiled)
    if found:
        raise ValueError(
            "The model must draw random numbers in layers that are known alone, so "
            f"that its predictions can be repeated. Got the operations {found}."
        )
    return compiled


def _row_floats(operation: Any) -> int:
    """Floats that the largest output of a graph's operation needs for one row."""
    sizes = [1]
    for x in operation.outputs:
        if x.shape.rank and x.shape[0] is None:
            sizes.append(math.prod(n for n in x.shape[1:] if n is not None))
    return max(sizes)

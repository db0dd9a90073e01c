"""Draws of a Keras network that ends in a chain of Dense layers, behind its head."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._keras.blueprint import Blueprint
from skmcdropout._keras.graph_pass import Pass, checked_rows
from skmcdropout._keras.noise_layers import random_operations
from skmcdropout._keras.places import Place
from skmcdropout._keras.private import get_mask
from skmcdropout._perceptron.chain import Chain
from skmcdropout._perceptron.draws import ChainDraws, sampled_draws
from skmcdropout._perceptron.tiles import MadeRows, filled_up
from skmcdropout._perceptron.values import Wanted
from skmcdropout._utils.arrays import Floats
from skmcdropout._utils.inputs import Shapes
from skmcdropout._utils.interrupts import interrupts_held


class Head:
    """What is computed once for all draws, compiled: tensors from rows of a table."""

    def __init__(
        self,
        steps: Sequence[Any],
        blueprint: Blueprint,
        shapes: Shapes,
        following: Sequence[Any] = (),
    ) -> None:
        self.has_mask = False

        def forward(table: tf.Tensor) -> list[Any]:
            inputs = blueprint.unpack(table, shapes)
            if not steps:
                return inputs
            x = Pass().run(steps, inputs)
            self.has_mask = get_mask(x) is not None
            for layer in following:
                x = checked_rows(x, tf.shape(table)[0], layer)
            return [x]

        width = sum(math.prod(shape) for shape in shapes)
        self.compute = concrete(
            forward, tf.TensorSpec([None, width], blueprint.table_dtype)
        )
        outputs = self.compute.structured_outputs
        self.specs = [tf.TensorSpec(x.shape, x.dtype) for x in outputs]
        self.shape = tuple(self.specs[0].shape[1:])
        self.row_floats = max(map(row_floats, self.compute.graph.get_operations()))


def concrete(function: Callable[..., Any], *specs: tf.TensorSpec) -> Any:
    """Compile a pass; it must not draw but from the noise that it is given."""
    compiled = tf.function(function, specs, autograph=False).get_concrete_function()
    found = random_operations(compiled)
    if found:
        raise ValueError(
            "The model must draw random numbers in layers that are known alone, so "
            f"that its predictions can be repeated. Got the operations {found}."
        )
    return compiled


def row_floats(operation: Any) -> int:
    """Floats that the largest output of a graph's operation needs for one row."""
    sizes = [1]
    for x in operation.outputs:
        if x.shape.rank and x.shape[0] is None:
            sizes.append(math.prod(n for n in x.shape[1:] if n is not None))
    return max(sizes)


class Tail(NamedTuple):
    """A chain, and the layers of a Keras network that draw in it, if it is one's."""

    chain: Chain
    places: Sequence[Place] = ()


class ChainEngine:
    """Draws of a chain, or of a network that ends in one.

    `read` gives the chain with the weights there are when it is called; `head` is what
    comes before it, computed once for all draws.
    """

    def __init__(self, read: Callable[[], Tail], head: Head | None = None) -> None:
        self._read = read
        self._head = head

    @property
    def places(self) -> Sequence[Place]:
        """Where it draws, in order."""
        return self._read().places

    def sample(self, seed: int, n_samples: int, sampling: str) -> ChainDraws:
        """The draws; with `n_samples` 0 the chain with nothing dropped."""
        return sampled_draws(self._read().chain, seed, n_samples, sampling)

    def with_noise(self, drawn: Sequence[NDArray[Any]]) -> ChainDraws:
        """Draws of given noise, one array (n_draws, n_entries) a place."""
        chain, places = self._read()
        pairs = zip(drawn, places, strict=True)
        masks = [x / np.float32(1 - place.law.rate) for x, place in pairs]
        return ChainDraws(chain, masks)

    def draw(
        self,
        draws: ChainDraws,
        table: Any,
        wanted: Wanted,
        show: bool = False,
    ) -> tuple[Floats, ...]:
        """What is wanted of the draws for each row of `table`."""
        if self._head is None:
            return draws.draw(table, wanted, show)
        rows = MadeRows(table, self._after_head, self._head.row_floats)
        return draws.draw_rows(rows, wanted, show)

    def _after_head(self, rows: NDArray[Any]) -> Floats:
        """The chain's input for rows of a table."""
        assert self._head is not None
        n_rows = len(rows)
        with interrupts_held():
            filled = rows if n_rows == 1 else filled_up(rows)
            (h,) = self._head.compute(tf.constant(filled))
            h = h.numpy()
        shape = -1, math.prod(self._head.shape)
        return h.reshape(shape)[:n_rows].astype(np.float32, copy=False)

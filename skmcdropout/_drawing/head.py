"""What of a network is computed once for all draws, and how it is compiled."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from skmcdropout._drawing.graph_pass import Pass, checked_rows
from skmcdropout._drawing.random_operations import random_operations
from skmcdropout._networks.blueprint import Blueprint
from skmcdropout._networks.inputs import Shapes
from skmcdropout._utils.private import get_mask


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

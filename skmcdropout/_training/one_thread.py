"""Compiled functions whose operations run on one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

#: Operations of TensorFlow that run one of several functions.
CONDITIONALS = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})


class OnOneThread:
    """A function compiled at its first call, whose operations run on one thread.

    They are small and depend on each other: handing them from thread to thread costs
    more than it wins. The matrix products within them still use all cores. A graph with
    conditionals runs as TensorFlow runs any other, for on one thread these wait for
    ever.
    """

    def __init__(self, function: Callable[..., Any], signature: list[Any]) -> None:
        self._function = function
        self._signature = signature
        self._compiled: Callable[..., Any] | None = None
        self._executor = "SINGLE_THREADED_EXECUTOR"

    def __call__(self, *args: Any) -> Any:
        if self._compiled is None:
            self._compiled = self._compile()
            if _has_conditionals(self._compiled):
                self._executor = "DEFAULT"
                self._compiled = self._compile()
        with tf.experimental.function_executor_type(self._executor):
            return self._compiled(*args)

    def _compile(self) -> Any:
        """Compile for the executor, which decides how loops are written too."""
        function = tf.function(self._function, self._signature, autograph=False)
        with tf.experimental.function_executor_type(self._executor):
            return function.get_concrete_function()


def _has_conditionals(function: Any) -> bool:
    definition = function.graph.as_graph_def()
    nodes = [*definition.node]
    for inner in definition.library.function:
        nodes += inner.node_def
    return any(node.op in CONDITIONALS for node in nodes)

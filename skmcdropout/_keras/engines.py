"""Which engine draws from a Keras network, and what all engines have in common.

`ChainEngine`: all noise is dropout among the Dense layers at the end, and TensorFlow
has no GPU, which would be faster. `GraphEngine`: any other network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._keras.blueprint import Blueprint
from skmcdropout._keras.chain_engine import ChainEngine, Head
from skmcdropout._keras.graph_engine import GraphEngine
from skmcdropout._keras.noise_layers import has_noise
from skmcdropout._keras.places import Place
from skmcdropout._keras.private import takes_training
from skmcdropout._keras.tail import in_line, read_tail
from skmcdropout._perceptron.values import Wanted
from skmcdropout._utils.arrays import Floats
from skmcdropout._utils.inputs import Shapes


class Engine(Protocol):
    """Draws from a network, for rows of one shape."""

    @property
    def places(self) -> Sequence[Place]:
        """Where it draws, in order."""

    def sample(self, seed: int, n_samples: int, sampling: str) -> Any:
        """The noise of all draws, for `draw`."""

    def with_noise(self, drawn: Sequence[NDArray[Any]]) -> Any:
        """Given noise, one array (n_draws, n_entries) a place, for `draw`."""

    def draw(
        self, noise: Any, table: NDArray[Any], wanted: Wanted, show: bool = False
    ) -> tuple[Floats, ...]:
        """What is wanted of the draws for each row of `table`."""


def fast_engine(network: keras.Model, blueprint: Blueprint, shapes: Shapes) -> Engine:
    """What draws from `network` for rows of `shapes`, its layers called one by one."""
    steps = in_line(network)
    if steps is None or not takes_training(network):
        return whole_engine(network, blueprint, shapes, is_whole=False)
    n_before = next((i for i, step in enumerate(steps) if has_noise(step)), len(steps))
    head = Head(steps[:n_before], blueprint, shapes, steps[n_before : n_before + 1])
    if head.has_mask:  # of time steps: it goes with a tensor only within one function
        return GraphEngine(Head((), blueprint, shapes), steps, blueprint)
    steps = steps[n_before:]
    is_chain = read_tail(steps, head.shape, blueprint.outputs) is not None
    if not is_chain or tf.config.list_physical_devices("GPU"):
        return GraphEngine(head, steps, blueprint)

    def read() -> Any:
        return read_tail(steps, head.shape, blueprint.outputs)

    return ChainEngine(read, head)


def whole_engine(
    network: keras.Model, blueprint: Blueprint, shapes: Shapes, is_whole: bool = True
) -> GraphEngine:
    """What draws from `network`, called by Keras anew from its inputs for each draw."""
    head, asked = Head((), blueprint, shapes), not takes_training(network)
    return GraphEngine(head, [network], blueprint, whole=is_whole, asked=asked)

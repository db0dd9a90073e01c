"""`KerasNetwork`: a network of the user's, and its draws."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import keras
import numpy as np
from numpy.typing import NDArray

from skmcdropout._keras.blueprint import Blueprint
from skmcdropout._keras.compiled_loss import name_of, shown_as, slopes_of_loss
from skmcdropout._keras.compiled_network import CompiledNetwork, compiled_network
from skmcdropout._keras.engines import Engine
from skmcdropout._keras.process import check_process
from skmcdropout._perceptron.network import Network, Sampler
from skmcdropout._perceptron.outputs import TargetOutputs
from skmcdropout._perceptron.state import TrainingData, TrainingState
from skmcdropout._perceptron.values import Wanted
from skmcdropout._utils.arrays import Floats, Table
from skmcdropout._utils.inputs import Rows, Shapes

#: Rows of which losses are looked at, at most.
MOST_ROWS = 10_000


@dataclass(frozen=True)
class KerasNetwork(Blueprint, Network):
    """A network of the user's, weights apart."""

    def sampler(
        self,
        weights: Sequence[Floats],
        seed: int,
        trust: bool = False,
        compiled: CompiledNetwork | None = None,
    ) -> KerasSampler:
        """What draws with these weights, and noise that depends on `seed` alone."""
        return KerasSampler(self, weights, seed, trust, compiled)

    def held_values(
        self, weights: Sequence[Floats], table: Table, n_samples: int, seed: int
    ) -> Floats:
        """Draws of held-out rows, (n_samples, n_rows, n_values)."""
        sampler, how = (
            self.sampler(weights, seed, trust=True),
            (n_samples, "stratified"),
        )
        (drawn,) = sampler.draw_table(table, self.row_shapes, how, "draws")
        return drawn

    def slopes_of_loss(self, y: NDArray[Any]) -> NDArray[np.float64] | None:
        """How steep a loss in units of the targets is in what is predicted for them."""
        outputs = cast(TargetOutputs, self.outputs)
        if outputs.loss_sees == "standard":
            return None
        example = self.graph_outputs.example
        return slopes_of_loss(self.make_loss(), y, outputs.spread, example)

    def warn_if_unlearned(self, data: TrainingData, trained: TrainingState) -> None:
        """Warn if the mean of the targets has a clearly lower loss than the network.

        Where a network is trained on targets as they are, they may be further than its
        steps lead.
        """
        outputs: Any = self.outputs
        is_of_targets = isinstance(outputs, TargetOutputs) and self.is_compiled
        if not is_of_targets or not outputs.is_raw or outputs.spread is not None:
            return
        y = data.y[data.rows[:MOST_ROWS]][:, : outputs.n_targets]
        loss: Any = self.make_loss()
        shape = shown_as(loss, self.graph_outputs.example)
        shown = y if shape is None else y.reshape(-1, *shape)
        mean, std = y.mean(axis=0), y.std(axis=0)
        of_mean = float(loss(shown, np.broadcast_to(mean, y.shape)))
        reached = trained.progress.history["loss"][-1]
        if reached - of_mean <= outputs.loss_unit:
            return
        warnings.warn(
            f"The model has learned less than a constant would say: its "
            f"{name_of(loss)!r} is {reached:.3g} after {trained.progress.n_epochs} "
            f"epochs, and that of predicting the mean of y {of_mean:.3g}. It is "
            f"trained on y as it is, of mean {_in_words(mean)} and standard deviation "
            f"{_in_words(std)}, for it does not end in the activation 'linear'. Train "
            "for more epochs, compile with a larger learning rate, or bring y near 1 "
            "(TransformedTargetRegressor).",
            UserWarning,
            stacklevel=2,
        )


def _in_words(values: Any) -> str:
    return ", ".join(f"{value:.3g}" for value in values)


class KerasSampler(Sampler):
    """Draws of a Keras network.

    `trust` says that code in the network comes from this process, not a file.
    """

    def __init__(
        self,
        spec: KerasNetwork,
        weights: Sequence[Floats],
        seed: int,
        trust: bool,
        compiled: CompiledNetwork | None,
    ) -> None:
        super().__init__(spec, weights, seed)
        self._blueprint = spec
        self._trust = trust
        self._compiled = compiled

    def build(self, weights: Sequence[Floats]) -> keras.Model:
        """The Keras network with these weights."""
        return self._blueprint.built_with(weights, self.seed, self._trust)

    def draw(
        self, X: Rows, n_samples: int, sampling: str, wanted: Wanted, show: bool = False
    ) -> tuple[Floats, ...]:
        """Draw `n_samples` times for every row of `X`, see `Sampler`."""
        table, shapes = self._blueprint.pack(X)
        return self.draw_table(table, shapes, (n_samples, sampling), wanted, show)

    def draw_table(
        self,
        table: Table,
        shapes: Shapes,
        how: tuple[int, str],
        wanted: Wanted,
        show: bool = False,
    ) -> tuple[Floats, ...]:
        """The same for rows that are packed in a table; `shapes` are theirs."""
        check_process()
        weights = self.weights
        with self._engine(weights, shapes, table) as engine:
            noise = self._noise(
                (shapes, *how), weights, lambda: engine.sample(self.seed, *how)
            )
            return engine.draw(noise, table, wanted, show)

    @contextlib.contextmanager
    def _engine(
        self, weights: Sequence[Floats], shapes: Shapes, table: Table
    ) -> Iterator[Engine]:
        """What draws with these weights."""
        compiled = self._compiled_for(weights)
        with compiled.lock:
            compiled.load(weights)
            yield compiled.engine(shapes, table)

    def _compiled_for(self, weights: Sequence[Floats]) -> CompiledNetwork:
        """A network to draw from: the one there is, another's of its kind, or a new."""
        with self._lock:
            if self._compiled is None or not self._compiled.accepts(weights):
                self._compiled = compiled_network(self._blueprint, self._trust, weights)
            return self._compiled

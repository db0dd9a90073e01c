"""Rows that are held out of training, for what is found on them once it is over.

Of many rows a part is held out of the training itself. Fewer rows are all trained on,
and networks like the one that is fitted are trained for this alone, with others held
out of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmcdropout._fit.rows import hold_out
from skmcdropout._perceptron.network import Network
from skmcdropout._perceptron.state import Recipe, TrainingData, TrainingState
from skmcdropout._utils.arrays import Floats

#: Draws of each held-out row.
N_SAMPLES = 50

#: From so many rows on, some are held out of the training itself.
MANY_ROWS = 2000

#: Share and largest number of rows that are held out of these.
SHARE_OF_MANY, MOST_ROWS = 0.1, 2000

#: Share of fewer rows, held out anew until there were so many, but so often at most.
SHARE_OF_FEW, ENOUGH_ROWS, MOST_FOLDS = 0.2, 100, 3

#: Weights to begin with, by a seed.
InitialWeights = Callable[[int], Sequence[NDArray[Any]]]

#: Trains a network; see `parameters.Plan`.
Train = Callable[..., TrainingState]


@dataclass(frozen=True)
class HeldNetwork:
    """A network with its weights, and rows that it is trained on and is not."""

    spec: Network
    weights: Sequence[NDArray[Any]]
    rows: NDArray[np.int64]
    held: NDArray[np.int64]
    seed: int


@dataclass(frozen=True)
class HeldOut:
    """Rows held out of a training, and the folds there are instead."""

    rows: NDArray[np.int64]
    folds: Sequence[HeldNetwork]
    seed: int

    def networks(
        self,
        spec: Network,
        trained: TrainingState,
        data: TrainingData,
        recipe: Recipe,
        train: Train,
    ) -> list[HeldNetwork]:
        """Trained networks that have not seen some rows: folds, or the one itself."""
        if self.folds:
            return [_trained(fold, data, recipe, train) for fold in self.folds]
        if not len(self.rows):
            return []
        return [HeldNetwork(spec, trained.weights, data.rows, self.rows, self.seed)]


def draws_of_held(
    networks: Sequence[HeldNetwork], data: TrainingData
) -> tuple[Floats, NDArray[Any], NDArray[np.float32]]:
    """Draws of all rows that were held out, with their labels and weights."""
    rows = np.concatenate([network.held for network in networks])
    draws = [
        n.spec.held_values(n.weights, data.X[n.held], N_SAMPLES, n.seed)
        for n in networks
    ]
    return np.concatenate(draws, axis=1), data.y[rows], data.loss_weights[rows]


def as_evidence(weights: NDArray[Any]) -> NDArray[np.float64]:
    """Weights that sum to the number of rows of equal weight that would say as much.

    That is the square of their sum divided by the sum of their squares (Kish, 1965):
    where a few rows weigh most, they are little evidence. Zeros where all are zero.
    """
    weights = np.asarray(weights, dtype=np.float64)
    squares = float(weights @ weights)
    return weights * (weights.sum() / squares if squares else 0.0)


#: Where nothing is to be found.
NOTHING_HELD = HeldOut(np.arange(0), (), 0)


def plan_held_out(
    spec: Network, data: TrainingData, seed: int, initial_weights: InitialWeights
) -> tuple[HeldOut, TrainingData]:
    """Which rows to hold out, and what is left to train on.

    `spec` has a prior that is not divided by a number of rows yet.
    """
    held, folds = data.validation_rows, list[HeldNetwork]()
    is_to_hold = not len(held)  # early stopping has not
    if is_to_hold and len(data.rows) >= MANY_ROWS:
        share = min(SHARE_OF_MANY, MOST_ROWS / len(data.rows))
        rows, held = hold_out(data.rows, data.y, share, seed)
        data = replace(data, rows=rows)
    elif is_to_hold:
        folds = _make_folds(spec, data, seed, initial_weights)
    return HeldOut(held, folds, seed), data


def _make_folds(
    spec: Network, data: TrainingData, seed: int, initial_weights: InitialWeights
) -> list[HeldNetwork]:
    folds: list[HeldNetwork] = []
    seeds = np.random.RandomState(seed).randint(2**31 - 1, size=(MOST_FOLDS, 3))
    for split_seed, initial_seed, training_seed in seeds.tolist():
        rows, held = hold_out(data.rows, data.y, SHARE_OF_FEW, split_seed)
        if not len(held) or sum(len(fold.held) for fold in folds) >= ENOUGH_ROWS:
            break
        part = spec.with_prior_over(len(rows))
        weights = initial_weights(initial_seed)
        folds.append(HeldNetwork(part, weights, rows, held, training_seed))
    return folds


def _trained(
    fold: HeldNetwork, data: TrainingData, recipe: Recipe, train: Train
) -> HeldNetwork:
    """The same with the weights after training."""
    state = train(
        fold.spec,
        TrainingState(fold.weights),
        replace(data, rows=fold.rows),
        replace(recipe, seed=fold.seed),
    )
    return replace(fold, weights=state.weights)

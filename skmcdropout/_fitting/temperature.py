"""The temperature of a perceptron's logits, found on rows that it was not trained on.

The mean over draws of a network is too sure where it learned the noise of few rows, and
too unsure where dropout blurs what many rows say clearly. One number mends both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from skmcdropout._networks.perceptron import Perceptron
from skmcdropout._networks.spec import NetworkSpec
from skmcdropout._training.backpropagation import sampled_logits
from skmcdropout._training.rows import hold_out
from skmcdropout._training.state import Recipe, TrainingData, TrainingState
from skmcdropout._training.train import train
from skmcdropout._utils.arrays import Floats

#: Draws of each held-out row.
N_SAMPLES = 50

#: From so many rows on, some are held out of the training itself.
MANY_ROWS = 2000

#: Share and largest number of rows that are held out of these.
SHARE_OF_MANY, MOST_ROWS = 0.1, 2000

#: Share of fewer rows, held out anew until there were so many, but so often at most.
SHARE_OF_FEW, ENOUGH_ROWS, MOST_FOLDS = 0.2, 100, 3

#: Logarithms of temperatures are looked for between its negative and this.
LARGEST_LOG = 3.0


@dataclass(frozen=True)
class Fold:
    """A network for a part of the rows, with others held out, and its weights."""

    spec: Perceptron
    weights: Sequence[NDArray[Any]]
    rows: NDArray[np.int64]
    held: NDArray[np.int64]
    seed: int


@dataclass(frozen=True)
class Temperature:
    """A temperature that is known, or the rows and networks to find it with."""

    known: float | None
    held: NDArray[np.int64]
    folds: Sequence[Fold]
    seed: int

    def of(
        self,
        spec: NetworkSpec,
        trained: TrainingState,
        data: TrainingData,
        recipe: Recipe,
    ) -> float:
        """Of a network that is trained."""
        if self.known is not None:
            return self.known
        assert isinstance(spec, Perceptron)
        networks = [Fold(spec, trained.weights, data.rows, self.held, self.seed)]
        if self.folds:
            networks = [_trained(fold, data, recipe) for fold in self.folds]
        rows = np.concatenate([network.held for network in networks])
        if not len(rows):
            return 1.0
        logits = [
            sampled_logits(n.spec, n.weights, data.X[n.held], N_SAMPLES, n.seed)
            for n in networks
        ]
        return best_temperature(
            np.concatenate(logits, axis=1), data.y[rows], data.loss_weights[rows]
        )


def plan_temperature(
    known: float | None,
    spec: NetworkSpec,
    data: TrainingData,
    seed: int,
    kernel_initializer: Any,
) -> tuple[Temperature, TrainingData]:
    """How to find a temperature unless it is known, and what is left to train on.

    `spec` has a prior that is not divided by a number of rows yet.
    """
    held, folds = data.validation_rows, list[Fold]()
    if known is not None or not isinstance(spec, Perceptron):
        return Temperature(known or 1.0, held, folds, seed), data
    is_to_hold = not len(held)  # early stopping has not
    if is_to_hold and len(data.rows) >= MANY_ROWS:
        share = min(SHARE_OF_MANY, MOST_ROWS / len(data.rows))
        rows, held = hold_out(data.rows, data.y, share, seed)
        data = replace(data, rows=rows)
    elif is_to_hold:
        folds = _make_folds(spec, data, seed, kernel_initializer)
    return Temperature(None, held, folds, seed), data


def _make_folds(
    spec: Perceptron, data: TrainingData, seed: int, kernel_initializer: Any
) -> list[Fold]:
    folds: list[Fold] = []
    seeds = np.random.RandomState(seed).randint(2**31 - 1, size=(MOST_FOLDS, 3))
    for split_seed, initial_seed, training_seed in seeds.tolist():
        rows, held = hold_out(data.rows, data.y, SHARE_OF_FEW, split_seed)
        if not len(held) or sum(len(fold.held) for fold in folds) >= ENOUGH_ROWS:
            break
        weights = spec.initial_weights(initial_seed, kernel_initializer)
        part = spec.with_prior_over(len(rows))
        folds.append(Fold(part, weights, rows, held, training_seed))
    return folds


def _trained(fold: Fold, data: TrainingData, recipe: Recipe) -> Fold:
    """The same with the weights after training."""
    state = train(
        fold.spec,
        TrainingState(fold.weights),
        replace(data, rows=fold.rows),
        replace(recipe, seed=fold.seed),
    )
    return replace(fold, weights=state.weights)


def best_temperature(
    logits: Floats, y: NDArray[np.int64], weights: NDArray[np.floating[Any]]
) -> float:
    """The most probable temperature, given draws of the logits of rows and labels.

    Its logarithm has a standard normal prior, and the likelihood of a label is the mean
    over draws of ``softmax(logits / temperature)``.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_rows, n_classes)
        Draws.
    y : ndarray of shape (n_rows,)
        Classes, as indices.
    weights : ndarray of shape (n_rows,)
        How much each row counts, relative to the others.

    Returns
    -------
    temperature : float
        Positive; 1 where nothing can be said.
    """
    total = weights.sum(dtype=float)
    if not total:
        return 1.0
    shares = weights * (len(y) / total)
    index = y[None, :, None]

    def surprise(log_temperature: float) -> float:
        log_p = log_softmax(logits * np.float32(np.exp(-log_temperature)), axis=2)
        of_label = np.take_along_axis(log_p, index, axis=2)[:, :, 0]
        log_mean = logsumexp(of_label, axis=0) - np.log(len(logits))
        return log_temperature**2 / 2 - float(shares @ log_mean)

    bounds = (-LARGEST_LOG, LARGEST_LOG)
    found = minimize_scalar(surprise, bounds=bounds, options={"xatol": 0.005})
    return float(np.exp(found.x)) if np.isfinite(found.fun) else 1.0

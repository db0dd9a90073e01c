"""The variance of the noise, found on rows that a network was not trained on.

Residuals of the rows that it was trained on flatter it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from skmcdropout._drawing.sampler import Sampler
from skmcdropout._fitting.held_out import HeldNetwork, as_evidence, draws_of_held
from skmcdropout._networks.blueprint import Blueprint
from skmcdropout._networks.compiled_loss import looks_at, slopes_of_loss
from skmcdropout._networks.perceptron import Perceptron
from skmcdropout._networks.spec import NetworkSpec
from skmcdropout._networks.target_outputs import TargetOutputs, as_values
from skmcdropout._training.backpropagation import sampled_outputs
from skmcdropout._training.state import TrainingData, TrainingState
from skmcdropout._utils.arrays import Floats, Table

Doubles = NDArray[np.float64]

#: Standard deviation of the prior of a factor's logarithm.
PRIOR_STD = 3.0

#: A factor's logarithm is looked for within this of the prior's centre.
LARGEST_LOG = 20.0


@dataclass(frozen=True)
class Noise:
    """Factors of the noise's variance that are known, or are to be found."""

    known: tuple[float, ...] | None
    outputs: TargetOutputs

    def before(self, state: TrainingState) -> TrainingState:
        """A state that is not calibrated yet, to be looked at meanwhile."""
        return state.with_noise(self.known or self.outputs.noise)

    def calibrated(
        self, trained: TrainingState, networks: list[HeldNetwork], data: TrainingData
    ) -> TrainingState:
        """A trained network with the noise that others like it show, or it itself."""
        if not networks:
            return self.before(trained)
        values, y, weights = draws_of_held(networks, data, sampled_values)
        means, variances = self.outputs.split(values)
        weights = shares_of_seen(networks[0].spec, y, weights)
        y = self.outputs.standardized(y)
        centre = self.outputs.noise
        factors = best_noise_factors(means, variances, y, weights, centre)
        return trained.with_noise(factors)


def sampled_values(
    spec: NetworkSpec,
    weights: Sequence[NDArray[Any]],
    table: Table,
    n_samples: int,
    seed: int,
) -> Floats:
    """Draws of a network's values, (n_samples, n_rows, n_values)."""
    if isinstance(spec, Perceptron):
        outputs = sampled_outputs(spec, weights, table, n_samples, seed)
        return np.asarray(as_values(outputs, spec.outputs.activation, axis=2))
    sampler = Sampler(spec, weights, seed, trust=True)
    shapes = cast(Blueprint, spec).row_shapes
    (drawn,) = sampler.draw_table(table, shapes, n_samples, "stratified", "draws")
    return drawn


def shares_of_seen(
    spec: NetworkSpec, labels: Floats, weights: NDArray[Any]
) -> NDArray[np.floating[Any]]:
    """Weights of rows for each target, 0 for those that the loss does not look at."""
    outputs = cast(TargetOutputs, spec.outputs)
    columns = np.tile(np.asarray(weights)[:, None], outputs.n_targets)
    if outputs.loss_sees != "units":
        return columns
    y = labels[:, : outputs.n_targets]
    return columns * looks_at(slopes_of_loss(spec.make_loss(), y, outputs))


def best_noise_factors(
    means: Floats,
    variances: Floats,
    y: Floats,
    weights: NDArray[np.floating[Any]],
    centre: Sequence[float] | None = None,
) -> tuple[float, ...]:
    """Of each target the most probable factor of the noise's variance.

    The likelihood of a target is the mean over draws of a normal density. The factor's
    logarithm has a normal prior, of standard deviation `PRIOR_STD` around that of
    `centre`, or around 0: all of the variance of the target is noise.

    Parameters
    ----------
    means, variances : ndarray of shape (n_samples, n_rows, n_targets)
        Draws of the mean and of the noise's variance, in standard units.
    y : ndarray of shape (n_rows, n_targets)
        Targets, in standard units.
    weights : ndarray of shape (n_rows,) or (n_rows, n_targets)
        How much each row counts, relative to the others: see `as_evidence`.
    centre : sequence of float, default=None
        Factors that are likely before any row is seen.

    Returns
    -------
    factors : tuple of float
        Positive.
    """
    n_targets = y.shape[1]
    centres = np.log(centre) if centre is not None else np.zeros(n_targets)
    by_target = np.broadcast_to(weights.reshape(len(y), -1), y.shape)
    squares = np.square(means.astype(np.float64) - y)
    factors = []
    for k, middle in enumerate(centres):
        shares = as_evidence(by_target[:, k])
        if not shares.any():
            factors.append(float(np.exp(middle)))
            continue
        ratios, logs = squares[..., k] / variances[..., k], np.log(variances[..., k])

        def surprise(
            log_factor: float,
            ratios: Doubles = ratios,
            logs: Doubles = logs,
            middle: float = middle,
            shares: Doubles = shares,
        ) -> float:
            terms = -(ratios * np.exp(-log_factor) + logs + log_factor) / 2
            log_density = logsumexp(terms, axis=0)
            prior = np.square((log_factor - middle) / PRIOR_STD) / 2
            return float(prior - shares @ log_density)

        bounds = (middle - LARGEST_LOG, middle + LARGEST_LOG)
        found = minimize_scalar(surprise, bounds=bounds, options={"xatol": 0.005})
        factors.append(float(np.exp(found.x if np.isfinite(found.fun) else middle)))
    return tuple(factors)

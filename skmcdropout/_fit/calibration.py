"""Temperature of classes and noise of targets, found on rows held out of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from skmcdropout._fit.held_out import HeldNetwork, as_evidence, draws_of_held
from skmcdropout._perceptron.network import Network
from skmcdropout._perceptron.outputs import TargetOutputs
from skmcdropout._perceptron.state import TrainingData, TrainingState
from skmcdropout._utils.arrays import Floats

#: Logarithms of temperatures are looked for between its negative and this.
LARGEST_LOG_TEMPERATURE = 3.0


@dataclass(frozen=True)
class Temperature:
    """A temperature that is known, or is to be found on rows that are held out."""

    known: float | None

    def before(self, state: TrainingState) -> TrainingState:
        """A state that is not calibrated yet, to be looked at meanwhile."""
        return state.cooled(self.known or 1.0)

    def calibrated(
        self, trained: TrainingState, networks: list[HeldNetwork], data: TrainingData
    ) -> TrainingState:
        """A trained network that is cooled as others like it need, or it itself."""
        if not networks:
            return self.before(trained)
        return trained.cooled(best_temperature(*draws_of_held(networks, data)))


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
        How much each row counts, relative to the others: see `as_evidence`.

    Returns
    -------
    temperature : float
        Positive; 1 where nothing can be said.
    """
    shares = as_evidence(weights)
    if not shares.any():
        return 1.0
    index = y[None, :, None]

    def surprise(log_temperature: float) -> float:
        log_p = log_softmax(logits * np.float32(np.exp(-log_temperature)), axis=2)
        of_label = np.take_along_axis(log_p, index, axis=2)[:, :, 0]
        log_mean = logsumexp(of_label, axis=0) - np.log(len(logits))
        return log_temperature**2 / 2 - float(shares @ log_mean)

    bounds = (-LARGEST_LOG_TEMPERATURE, LARGEST_LOG_TEMPERATURE)
    found = minimize_scalar(surprise, bounds=bounds, options={"xatol": 0.005})
    return float(np.exp(found.x)) if np.isfinite(found.fun) else 1.0


Doubles = NDArray[np.float64]

#: Standard deviation of the prior of a factor's logarithm.
PRIOR_STD = 3.0

#: A factor's logarithm is looked for within this of the prior's centre.
LARGEST_LOG_FACTOR = 20.0


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
        values, y, weights = draws_of_held(networks, data)
        means, variances = self.outputs.split(values)
        weights = shares_of_seen(networks[0].spec, y, weights)
        y = self.outputs.standardized(y)
        centre = self.outputs.noise
        factors = best_noise_factors(means, variances, y, weights, centre)
        return trained.with_noise(factors)


def shares_of_seen(
    spec: Network, labels: Floats, weights: NDArray[Any]
) -> NDArray[np.floating[Any]]:
    """Weights of rows for each target, 0 for those that the loss does not look at."""
    n_targets = spec.outputs.n_targets
    columns = np.tile(np.asarray(weights)[:, None], n_targets)
    if spec.outputs.loss_sees != "units":
        return columns
    slopes = spec.slopes_of_loss(labels[:, :n_targets])
    return columns if slopes is None else columns * looks_at(slopes)


def looks_at(slopes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which targets (n_rows, n_targets) a loss of these slopes is not blind to.

    A loss that masks some is flat in what is predicted for them. All of a target that
    it never looks at.
    """
    is_seen = (slopes != 0).any(axis=0)
    return is_seen | ~is_seen.any(axis=0)


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

        bounds = (middle - LARGEST_LOG_FACTOR, middle + LARGEST_LOG_FACTOR)
        found = minimize_scalar(surprise, bounds=bounds, options={"xatol": 0.005})
        factors.append(float(np.exp(found.x if np.isfinite(found.fun) else middle)))
    return tuple(factors)

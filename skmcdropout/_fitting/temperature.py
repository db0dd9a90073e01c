"""The temperature of a perceptron's logits, found on rows that it was not trained on.

The mean over draws of a network is too sure where it learned the noise of few rows, and
too unsure where dropout blurs what many rows say clearly. One number mends both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from skmcdropout._fitting.held_out import HeldNetwork, as_evidence, draws_of_held
from skmcdropout._training.backpropagation import sampled_outputs
from skmcdropout._training.state import TrainingData, TrainingState
from skmcdropout._utils.arrays import Floats

#: Logarithms of temperatures are looked for between its negative and this.
LARGEST_LOG = 3.0


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
        return trained.cooled(
            best_temperature(*draws_of_held(networks, data, sampled_outputs))
        )


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

    bounds = (-LARGEST_LOG, LARGEST_LOG)
    found = minimize_scalar(surprise, bounds=bounds, options={"xatol": 0.005})
    return float(np.exp(found.x)) if np.isfinite(found.fun) else 1.0

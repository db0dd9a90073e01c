"""Losses on arrays: what a network's own Keras losses are, with their derivatives.

Each takes the outputs of some rows, their labels and factors of their losses, and gives
the sum of the losses and the derivatives of their mean. These stand where the outputs
were. The same for Keras's graphs: `_keras.losses`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmcdropout._perceptron.values import LARGEST_LOG_VARIANCE, LEAST_LOG_VARIANCE
from skmcdropout._utils.arrays import Floats

LOG_2_PI = math.log(2 * math.pi)

#: How many standard deviations a residual is at most to the gradient of a log-variance.
FAR = 5.0

#: The least mean squared error that a likelihood is made of, in standard units.
LEAST_VARIANCE = math.exp(LEAST_LOG_VARIANCE)

LOG_BOUNDS = np.float32(LEAST_LOG_VARIANCE), np.float32(LARGEST_LOG_VARIANCE)

ArrayLoss = Callable[[Floats, NDArray[Any], Floats], tuple[float, Floats]]


def cross_entropy(
    logits: Floats, y: NDArray[np.integer[Any]], factors: Floats
) -> tuple[float, Floats]:
    """-log softmax at `y`."""
    rows = np.arange(len(y))
    logits -= logits.max(axis=1, keepdims=True)
    of_class = logits[rows, y]
    np.exp(logits, out=logits)
    totals = logits.sum(axis=1)
    loss = float(factors @ (np.log(totals) - of_class))
    logits /= totals[:, None]
    logits[rows, y] -= 1
    logits *= (factors / np.float32(len(rows)))[:, None]
    return loss, logits


def common_variance(means: Floats, y: Floats, factors: Floats) -> tuple[float, Floats]:
    """As `_keras.losses.CommonVarianceLoss`."""
    means -= y
    squares = np.square(means)
    variance = np.maximum(squares.mean(axis=0), np.float32(LEAST_VARIANCE))
    terms = squares / variance + np.log(variance) + np.float32(LOG_2_PI)
    loss = float(factors @ terms.sum(axis=1)) / 2
    means *= (factors / np.float32(len(y)))[:, None] / variance
    return loss, means


def gaussian(outputs: Floats, y: Floats, factors: Floats) -> tuple[float, Floats]:
    """As `_keras.losses.GaussianLoss`, of means and log-variances."""
    means, logs = np.split(outputs, 2, axis=1)
    np.clip(logs, *LOG_BOUNDS, out=logs)
    means -= y
    variances = np.exp(logs)
    squares = np.square(means) / variances
    loss = float(factors @ (squares + logs + np.float32(LOG_2_PI)).sum(axis=1)) / 2
    means /= variances.mean(axis=0)
    np.minimum(squares, np.float32(FAR**2), out=squares)
    np.multiply(1 - squares, np.float32(0.5), out=logs)
    outputs *= (factors / np.float32(len(y)))[:, None]
    return loss, outputs


LOSSES: dict[str, ArrayLoss] = {
    "cross_entropy": cross_entropy,
    "common_variance": common_variance,
    "gaussian": gaussian,
}

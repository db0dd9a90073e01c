"""From the last layer of a network to values of draws, and what is wanted of them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from skmcdropout._utils.arrays import Floats

#: What makes probabilities of a last layer; all else makes real values.
PROBABILITIES = ("softmax", "sigmoid")

#: Logarithms of variances, in standard units, are kept between these: far from all
#: other rows a network extrapolates to anything.
LEAST_LOG_VARIANCE, LARGEST_LOG_VARIANCE = -14.0, 5.0


def values_of(z: Floats, activation: str, axis: int = 1) -> Floats:
    """Values from ``Wh + b``, whose units are along `axis`; `z` may be overwritten.

    A sigmoid is of one unit, for the second of two classes; a softmax is of each.
    """
    if activation == "softmax":
        z -= z.max(axis=axis, keepdims=True)
        np.exp(z, out=z)
        z /= z.sum(axis=axis, keepdims=True)
        return z
    if activation == "sigmoid":
        p = np.concatenate([z, -z], axis=axis)
        np.exp(p, out=p)
        p += 1
        return np.divide(np.float32(1), p, out=p)
    return as_values(z, activation, axis)


def as_values(outputs: Floats, activation: str, axis: int) -> Floats:
    """Means as they are, and what is said of the noise as variances."""
    if activation == "linear":
        return outputs
    means, spread = np.split(outputs, 2, axis=axis)
    if activation.endswith("_std"):
        variances = spread * np.abs(spread)  # negative where no std can be
    elif activation == "mean_and_any_log_variance":
        variances = np.exp(spread)
    else:
        variances = np.exp(np.clip(spread, LEAST_LOG_VARIANCE, LARGEST_LOG_VARIANCE))
    return np.concatenate([means, variances], axis=axis)


#: The smallest normal number of single precision, for 0 log 0 = 0.
TINY = np.finfo(np.float32).tiny

#: "draws": the values (n_draws, n, k). "mean": their mean (n, k). "moments": the mean
#: and variance over draws (n, k). "summary", of probabilities: their mean (n, k), its
#: entropy (n,), the mean entropy (n,), the largest share of votes (n,) and the
#: predicted class's standard deviation (n,).
Wanted = Literal["mean", "draws", "moments", "summary"]


def reduced(p: Floats, wanted: Wanted) -> tuple[Floats, ...]:
    """What is wanted of draws (n_draws, n_values, rows); formulas: `uncertainty`.

    Rows come last while draws are computed: values are few, and what is done to each
    number is several times slower where the last axis is short.
    """
    if wanted == "draws":
        return (np.swapaxes(p, 1, 2),)
    mean = _mean(p)  # (n_values, rows)
    if wanted == "mean":
        return (mean.T,)
    if wanted == "moments":
        return mean.T, _mean(np.square(p - mean)).T
    predicted = mean.argmax(axis=0)
    p_predicted = np.take_along_axis(p, predicted[None, None], axis=1)[:, 0]
    return (
        mean.T,
        _entropy(mean, axis=0),
        _mean(_entropy(p, axis=1)),
        _modal_share(p),
        np.sqrt(_mean(np.square(p_predicted - _mean(p_predicted)))),
    )


def _entropy(p: Floats, axis: int) -> Floats:
    """In nats; `entr` would do, but takes one number at a time."""
    logs = np.maximum(p, TINY)
    np.log(logs, out=logs)
    logs *= p
    return -logs.sum(axis=axis)


def _modal_share(p: Floats) -> Floats:
    """Share of the draws that vote for the class that most of them vote for.

    `argmax` would copy all: classes are not the last axis. Of equals the first wins.
    """
    n_draws, n_classes, n_rows = p.shape
    highest = p.max(axis=1)
    winner = np.zeros((n_draws, n_rows), np.int32)
    for number in reversed(range(1, n_classes)):
        np.copyto(winner, number, where=p[:, number] == highest)
    winner[p[:, 0] == highest] = 0
    places = winner * np.intp(n_rows) + np.arange(n_rows)
    votes = np.bincount(places.ravel(), minlength=n_classes * n_rows)
    most = votes.reshape(n_classes, n_rows).max(axis=0)
    return (most / n_draws).astype(np.float32)


def _mean(x: Floats) -> Floats:
    """Mean over draws, the first axis, to the last digit for any number of them."""
    return (np.add.reduce(x, axis=0, dtype=np.float64) / len(x)).astype(np.float32)

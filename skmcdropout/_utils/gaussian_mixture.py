"""Equal mixtures of Gaussians, one mixture for each row and output.

Arrays are float64 and finite: `means` of shape (n_draws, n_rows) or (n_draws, n_rows,
n_outputs), `stds` at least 0 and broadcastable to it, `y` of the shape of one draw. A
component with a standard deviation of 0 is a point: its cdf is a step.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf, logsumexp, ndtr, ndtri

Floats = NDArray[np.float64]

#: Numbers in an array of a block: some of them fit the cache.
BLOCK = 2**16

LOG_2_PI = np.log(2 * np.pi)

#: What rounding may make of the logarithm of a probability.
ROUNDING = 4 * np.finfo(np.float64).eps

#: Standard deviations within which almost all of a component lies, for `_bracket`.
WITHIN = 6.0


def log_density(y: Floats, means: Floats, stds: ArrayLike) -> Floats:
    """Log density of each row in nats, of shape (n_rows,): of all its outputs jointly.

    Outputs are independent given a draw. A point has the density of its limit: infinite
    where it is, zero elsewhere.
    """
    result = np.empty(len(y))
    for rows, m, s in _blocks(means, stds):
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            z = _standardized(y[rows] - m, s, at_point=0)
            log_densities = np.where(
                np.isinf(z**2), -np.inf, -(z**2) / 2 - np.log(s) - LOG_2_PI / 2
            )
            if m.ndim == 3:
                nowhere = np.isneginf(log_densities).any(axis=-1)
                joint = log_densities.sum(axis=-1)
                log_densities = np.where(nowhere, -np.inf, joint)
            result[rows] = logsumexp(log_densities, axis=0) - np.log(len(m))
    return result


def cdf(y: Floats, means: Floats, stds: ArrayLike) -> Floats:
    """Probability of at most `y`, of the shape of `y`."""
    result = np.empty(y.shape)
    for rows, m, s in _blocks(means, stds):
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            z = _standardized(y[rows] - m, s, at_point=np.inf)
        result[rows] = ndtr(z).mean(axis=0)
    return result


def crps(y: Floats, means: Floats, stds: ArrayLike) -> Floats:
    """Continuous ranked probability score of each `y`, of its shape and in its units.

    ``E|X - y| - E|X - X'| / 2`` in closed form (Grimit, Gneiting, Berrocal and Johnson,
    2006). The time grows with the square of the number of draws.
    """
    n_draws = len(means)
    result = np.empty(y.shape)
    for rows, m, s in _blocks(means, stds):
        to_y = _mean_absolute(y[rows] - m, s).sum(axis=0)
        between = s.sum(axis=0) / np.sqrt(np.pi)  # of each component with itself
        for i in range(n_draws - 1):
            scale = np.hypot(s[i], s[i + 1 :])
            between += _mean_absolute(m[i] - m[i + 1 :], scale).sum(axis=0)
        result[rows] = to_y / n_draws - between / n_draws**2
    return result


def quantiles(levels: Floats, means: Floats, stds: ArrayLike) -> Floats:
    """Quantiles, of the shape of one draw and an axis of levels at the end.

    The smallest values whose cdf reaches the levels, of shape (n_levels,) and in
    (0, 1).
    """
    result = np.empty((*means.shape[1:], len(levels)))
    for rows, m, s in _blocks(means, stds):
        n_draws = len(m)
        m = np.ascontiguousarray(m.reshape(n_draws, -1).T)
        s = np.ascontiguousarray(s.reshape(n_draws, -1).T)
        for i, level in enumerate(levels):
            found = _quantile(float(level), m, s)
            result[rows, ..., i] = found.reshape(result[rows, ..., i].shape)
    return result


def _blocks(means: Floats, stds: ArrayLike) -> Iterator[tuple[slice, Floats, Floats]]:
    """Some rows at a time, with their means and standard deviations."""
    stds = np.broadcast_to(np.asarray(stds, np.float64), means.shape)
    n_rows = means.shape[1]
    size = max(1, BLOCK * n_rows // means.size)
    for start in range(0, n_rows, size):
        rows = slice(start, start + size)
        yield rows, means[:, rows], stds[:, rows]


def _standardized(distance: Floats, stds: Floats, at_point: float) -> Floats:
    """Distances in standard deviations; `at_point` for no distance from a point."""
    z = distance / stds
    z[np.isnan(z)] = at_point
    return z


def _mean_absolute(mean: Floats, std: Floats) -> Floats:
    """``E|X|`` of a Gaussian X."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        z = _standardized(mean, std, at_point=0)
        density = np.exp(-(z**2) / 2) * np.sqrt(2 / np.pi)
    return std * density + mean * erf(z / np.sqrt(2))


def _quantile(level: float, means: Floats, stds: Floats) -> Floats:
    """Quantile of each mixture; components of shape (n_mixtures, n_draws).

    Newton's method on the logarithm of the smaller tail, within a bracket that halves
    where Newton's steps do not.
    """
    lower, upper = _bracket(level, means, stds)
    # Distances from a point near the quantile lose no digits where values are large.
    distances = means - lower[:, None]
    low, high = np.zeros(len(means)), upper - lower
    width = high
    has_points = stds.min(axis=-1) == 0
    # Where a step reaches the level exactly, the level may be a rounded 1 - 0.95.
    of_level = min(ROUNDING / min(level, 1 - level), 1e-9)
    slack = np.where(has_points, of_level, ROUNDING)
    spread = np.hypot(means.std(axis=-1), np.sqrt((stds**2).mean(axis=-1)))
    as_one = distances.mean(axis=-1) + spread * ndtri(level)  # of a single Gaussian
    is_within = (as_one > low) & (as_one < high)
    # The quantile of points alone is where the bracket begins.
    x = np.where(has_points, 0, np.where(is_within, as_one, high / 2))
    step = np.full(len(means), np.inf)
    result = np.empty(len(means))
    active = np.arange(len(means))
    while len(active):
        excess, newton = _compare(level, x, distances, stds)
        reached = excess >= -slack
        high, low = np.where(reached, x, high), np.where(reached, low, x)
        follows = (
            (x + newton >= low)
            & (x + newton <= high)
            & (np.abs(newton) <= np.abs(step) / 2)
        )
        following = np.where(follows, x + newton, (low + high) / 2)
        is_exact = np.abs(excess) <= ROUNDING
        is_narrow = high - low <= np.finfo(np.float64).eps * width
        is_close = follows & (np.abs(newton) <= 1e-11 * width)
        is_found = is_exact | is_narrow | is_close
        found = np.select([is_exact, is_narrow], [x, high], following)
        result[active[is_found]] = found[is_found]
        step, x = following - x, following
        if is_found.any():
            rest = ~is_found
            active, distances, stds = active[rest], distances[rest], stds[rest]
            x, step, low, high = x[rest], step[rest], low[rest], high[rest]
            width, slack = width[rest], slack[rest]
    return lower + result


def _bracket(level: float, means: Floats, stds: Floats) -> tuple[Floats, Floats]:
    """Values between which the quantile lies.

    It lies between the least and the largest quantile of the components. It also lies
    near an order statistic: if k of n components are below x with all but a share
    `outside` of their mass, the cdf at x is at least k / n * (1 - outside).
    """
    n = means.shape[-1]
    of_components = means + stds * ndtri(level)
    lower, upper = of_components.min(axis=-1), of_components.max(axis=-1)
    outside = ndtr(-WITHIN)
    k_lower = int(np.floor((level - outside) * n / (1 - outside)))
    if 0 <= k_lower < n:
        starts = np.partition(means - WITHIN * stds, k_lower, axis=-1)
        lower = np.maximum(lower, starts[:, k_lower])
    k_upper = int(np.ceil(level * n / (1 - outside))) - 1
    if k_upper < n:
        ends = np.partition(means + WITHIN * stds, k_upper, axis=-1)
        upper = np.minimum(upper, ends[:, k_upper])
    return lower, np.maximum(lower, upper)


def _compare(
    level: float, x: Floats, means: Floats, stds: Floats
) -> tuple[Floats, Floats]:
    """By how much the cdf at `x` is above the level, and Newton's step from there.

    In logarithms, and by the smaller of the two tails, which keeps its digits.
    """
    sign = 1 if level <= 0.5 else -1
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        z = _standardized(x[:, None] - means, stds, at_point=np.inf)
        densities = np.exp(-(z**2) / 2) / stds / np.sqrt(2 * np.pi)
        tail = ndtr(sign * z).mean(axis=-1)
        excess = sign * np.log(tail / min(level, 1 - level))
        return excess, -excess * tail / densities.mean(axis=-1)

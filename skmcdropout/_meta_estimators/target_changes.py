"""What a `TransformedTargetRegressor` makes of the targets of the network in it.

Changes are applied to each target by itself. All arrays have a row axis, before it any
number of others, and after it an axis of targets if there are several.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import FunctionTransformer, PowerTransformer

from skmcdropout._utils.private import scale_of_power

Doubles = NDArray[np.float64]

#: Differences of the network's values, and relative ones of targets, that are rounding.
ROUNDING, EQUAL = 1e-6, 1e-12

#: Halvings by which the end of a range is found.
N_HALVINGS = 80

#: Points between the least and the largest value at which a change must be monotone.
N_POINTS = 65

#: Logarithms of the slopes of functions of positive or all numbers.
LOG_SLOPES: dict[Any, Callable[[Doubles], Doubles]] = {
    np.log: lambda y: -np.log(y),
    np.log2: lambda y: -np.log(y) - np.log(np.log(2)),
    np.log10: lambda y: -np.log(y) - np.log(np.log(10)),
    np.log1p: lambda y: -np.log1p(y),
    np.sqrt: lambda y: -np.log(y) / 2 - np.log(2),
    np.cbrt: lambda y: -np.log(np.abs(y)) * 2 / 3 - np.log(3),
    np.arcsinh: lambda y: -np.log1p(y**2) / 2,
}


class Affine:
    """Targets that are multiplied and shifted."""

    def __init__(self, scale: Any, offset: Any) -> None:
        self._scale, self._offset = scale, offset

    def __call__(self, values: Doubles) -> Doubles:
        """Values in the units of y."""
        return values * self._scale + self._offset

    inverse = __call__

    def forward(self, y: Doubles) -> Doubles:
        """Targets as the network has them."""
        return (y - self._offset) / self._scale

    def log_slope(self, y: Doubles, middle: Doubles) -> Doubles:
        """Logarithm of the slope of `forward`."""
        return np.broadcast_to(-np.log(np.abs(self._scale)), y.shape)


class Monotone:
    """Targets that a transformer stretches in any monotone way.

    Where its inverse turns or is not defined, what lies beyond sits at the end.
    """

    def __init__(self, transformer: Any, n_targets: int) -> None:
        self._transformer = transformer
        self._n_targets = n_targets

    def __call__(self, values: Doubles) -> Doubles:
        """Values in the units of y."""
        z = self._as_rows(values)
        self._check_by_target(z)
        y = self._inverse(z)
        is_in_range = self._is_in_range(z, y)
        if not is_in_range.all():
            for k in range(z.shape[1]):
                self._clip(z, is_in_range, k)
            y = self._inverse(z)
        self._check_monotone(z)
        return y.reshape(values.shape)

    def inverse(self, values: Doubles) -> Doubles:
        """Values in the units of y, as the transformer has them; NaN for none."""
        return self._inverse(self._as_rows(values)).reshape(values.shape)

    def forward(self, y: Doubles) -> Doubles:
        """Targets as the network has them; NaN where there is no such target."""
        return self._forward(self._as_rows(y)).reshape(y.shape)

    def log_slope(self, y: Doubles, middle: Doubles) -> Doubles:
        """Logarithm of the slope of `forward`: of a known function, or numerically.

        `middle`, what is predicted, says how large targets are.
        """
        rows = self._as_rows(y)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self._log_slope(rows, self._as_rows(middle))
        return np.asarray(found).reshape(y.shape)

    def _log_slope(self, y: Doubles, middle: Doubles) -> Doubles:
        transformer = self._transformer
        if isinstance(transformer, FunctionTransformer) and not transformer.kw_args:
            known = LOG_SLOPES.get(transformer.func)
            if known is not None:
                return known(y)
        if isinstance(transformer, PowerTransformer):
            power = transformer.lambdas_ - 1
            if transformer.method == "box-cox":
                slopes = power * np.log(y)
            else:
                slopes = np.where(y >= 0, power, -power) * np.log1p(np.abs(y))
            has_scaler = transformer.standardize
            return slopes - (np.log(scale_of_power(transformer)) if has_scaler else 0)
        size = np.maximum(np.abs(y), np.abs(middle))
        step = np.finfo(np.float64).eps ** (1 / 3) * np.where(size > 0, size, 1)
        step = np.where(y == 0, step, np.minimum(step, np.abs(y) / 2))
        slope = np.abs(self._forward(y + step) - self._forward(y - step)) / (2 * step)
        is_end = np.isnan(slope)
        if is_end.any():
            slope = np.where(is_end, self._slope_at_end(y, step), slope)
        return np.log(slope)

    def _slope_at_end(self, y: Doubles, step: Doubles) -> Doubles:
        """Slope where one side has no targets; infinite or 0 if it has no limit."""
        here = self._forward(y)
        slopes = []
        for apart in (step, step / 16):
            low, high = here - self._forward(y - apart), self._forward(y + apart) - here
            slopes.append(np.abs(np.where(np.isnan(low), high, low)) / apart)
        wide, near = slopes
        is_limit = np.abs(near - wide) <= wide / 4
        return np.where(is_limit, near, np.where(near > wide, np.inf, 0))

    def _as_rows(self, values: Doubles) -> Doubles:
        return np.array(values, np.float64).reshape(-1, self._n_targets)

    def _forward(self, y: Doubles) -> Doubles:
        return self._called(self._transformer.transform, y)

    def _inverse(self, z: Doubles) -> Doubles:
        return self._called(self._transformer.inverse_transform, z)

    @classmethod
    def _called(cls, function: Callable[[Doubles], Any], rows: Doubles) -> Doubles:
        """The function of rows, NaN for those that it does not take."""
        found = np.full(rows.shape, np.nan)
        is_finite = np.isfinite(rows)
        if not is_finite.any(axis=0).all():
            return found
        # Each target by itself: another value stands where a row has none of one.
        stand_in = rows[is_finite.argmax(axis=0), np.arange(rows.shape[1])]
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore", RuntimeWarning)  # of what it is not for
                values = function(np.where(is_finite, rows, stand_in))
        except ValueError:
            if len(rows) > 1:
                parts = np.array_split(rows, 2)
                return np.concatenate([cls._called(function, part) for part in parts])
            return found
        values = np.asarray(values).reshape(len(rows), -1)
        if values.shape != rows.shape:
            raise ValueError(
                "transformer must change each target by itself for quantiles, draws "
                f"and uncertainties. Got one that makes {values.shape[1]} columns of "
                f"{rows.shape[1]}."
            )
        return np.where(is_finite, values, np.nan)

    def _is_in_range(self, z: Doubles, y: Doubles) -> NDArray[np.bool_]:
        """Where `y` is finite, and not also what another `z` becomes beyond a turn."""
        back = self._forward(y)
        is_back = np.abs(back - z) <= ROUNDING * np.abs(z)
        if is_back.all():
            return is_back
        between = self._inverse(np.where(is_back, z, (z + back) / 2))
        is_flat = np.abs(between - y) <= EQUAL * np.abs(y)
        return np.isfinite(y) & (is_back | is_flat)

    def _clip(self, z: Doubles, is_in_range: NDArray[np.bool_], k: int) -> None:
        """Bring what lies beyond the range of target `k` to its ends, in place."""
        column, is_beyond = z[:, k], ~is_in_range[:, k]
        middle = self._inside(z, is_in_range, k)
        row = z[is_in_range.sum(axis=1).argmax()]
        for side in (-1, 1):
            is_here = is_beyond & ((column - middle) * side > 0)
            if is_here.any():
                nearest = middle + side * np.abs(column[is_here] - middle).min()
                column[is_here] = self._end(row, k, middle, nearest)

    def _inside(self, z: Doubles, is_in_range: NDArray[np.bool_], k: int) -> float:
        """A value in the range of target `k`."""
        inside = z[is_in_range[:, k], k]
        if len(inside):
            return float(np.median(inside))
        tried = np.repeat(z[:1], 5, axis=0)
        tried[:, k] = 0, 1, -1, -z[:, k].min(), -z[:, k].max()
        is_inside = self._is_in_range(tried, self._inverse(tried))[:, k]
        if is_inside.any():
            return float(tried[is_inside.argmax(), k])
        raise ValueError(
            "transformer must have an inverse of what is predicted for targets "
            f"transformed by it. Got values from {z[:, k].min():.3g} to "
            f"{z[:, k].max():.3g}, all beyond its range: {self._transformer!r}."
        )

    def _end(self, row: Doubles, k: int, inside: float, beyond: float) -> float:
        """The end of the range of target `k`, by halving."""
        for _ in range(N_HALVINGS):
            middle = (inside + beyond) / 2
            z = row[None].copy()
            z[0, k] = middle
            if self._is_in_range(z, self._inverse(z))[0, k]:
                inside = middle
            else:
                beyond = middle
        return inside

    def _check_by_target(self, z: Doubles) -> None:
        """Refuse a transformer that mixes targets."""
        if self._n_targets == 1:
            return
        middle = np.median(z, axis=0)
        step = np.ptp(z, axis=0) / 8 + np.finfo(np.float64).tiny
        moved = self._inverse(middle + np.diag(step)) - self._inverse(middle[None])
        beside = moved[~np.eye(self._n_targets, dtype=bool)]
        if np.nanmax(np.abs(beside)) > ROUNDING * np.nanmax(np.abs(moved)):
            raise ValueError(
                "transformer must change each target by itself for quantiles, draws "
                f"and uncertainties. Got one that mixes them: {self._transformer!r}."
            )

    def _check_monotone(self, z: Doubles) -> None:
        low, high = z.min(axis=0), z.max(axis=0)
        y = self._inverse(np.linspace(low, high, N_POINTS))
        slack = ROUNDING * np.ptp(y, axis=0)
        steps = np.diff(y, axis=0)
        if not ((steps >= -slack).all(axis=0) | (steps <= slack).all(axis=0)).all():
            raise ValueError(
                "transformer must be monotone between what is predicted for targets "
                f"transformed by it, from {low} to {high}. Got {self._transformer!r}."
            )


def forward(changes: Sequence[Any], y: Doubles) -> Doubles:
    """Targets before all changes, of which the first is the innermost."""
    for change in reversed(changes):
        y = change.forward(y)
    return y


def inverse(changes: Sequence[Any], values: Doubles) -> Doubles:
    """What all changes make of values, as the transformers have it; NaN for none."""
    for change in changes:
        values = change.inverse(values)
    return values


def log_slope(changes: Sequence[Any], y: Doubles, middle: Doubles) -> Doubles:
    """Logarithm of the slope of `forward`; `middle` says how large targets are."""
    total = np.zeros(y.shape)
    for change in reversed(changes):
        total = total + change.log_slope(y, middle)
        y, middle = change.forward(y), change.forward(middle)
    return total

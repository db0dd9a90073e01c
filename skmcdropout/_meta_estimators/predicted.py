"""Distributions that networks in a regressor predict for some rows, in units of y."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from skmcdropout._meta_estimators.parts import changed, repeats
from skmcdropout._meta_estimators.target_changes import forward, inverse, log_slope
from skmcdropout._utils import gaussian_mixture
from skmcdropout._validation import row_blocks

Doubles = NDArray[np.float64]

#: Nodes of Gauss and Hermite, at which the moments of what became of a normal
#: distribution are taken. They reach 5.5 standard deviations: an inverse may have a
#: pole beyond, as that of Yeo and Johnson, by which formally there are no moments.
N_NODES = 12

#: Halvings between the quantiles of members for that of their union.
N_HALVINGS = 60

#: Points that stand for a distribution where scores need points, and for a draw at
#: least; how many standard deviations they reach, as do the nodes.
N_POINTS, LEAST_POINTS, REACH = 2000, 20, 5.5

#: Relative differences of targets that are rounding, and the least size of targets.
ROUNDING, SMALLEST = 1e-6, 1e-300


@dataclass(frozen=True)
class Member:
    """Draws of one network: normal distributions, and what becomes of these."""

    share: Fraction
    #: (n_draws, n_rows) or (n_draws, n_rows, n_outputs), each.
    means: Doubles
    stds: Doubles
    #: Monotone, the first first; none that only multiply and add.
    changes: tuple[Any, ...] = ()

    def moments(self) -> tuple[Doubles, Doubles]:
        """Mean and variance of each draw."""
        if not self.changes:
            return self.means, np.square(self.stds)
        nodes, weights = np.polynomial.hermite_e.hermegauss(N_NODES)
        weights = weights / weights.sum()
        centre = changed(self.means, self.changes)
        first, second = np.zeros_like(centre), np.zeros_like(centre)
        for node, weight in zip(nodes, weights, strict=True):
            apart = changed(self.means + node * self.stds, self.changes) - centre
            first += weight * apart
            second += weight * np.square(apart)
        return centre + first, np.maximum(second - np.square(first), 0)

    def quantiles(self, levels: Doubles) -> Doubles:
        """Of the equal mixture of all draws, levels last."""
        return _through(self, gaussian_mixture.quantiles, levels)

    def cdf(self, y: Doubles) -> Doubles:
        """Probability of at most `y`, of its shape."""
        if not self.changes:
            return gaussian_mixture.cdf(y, self.means, self.stds)
        z, side = self._placed(y)
        below = gaussian_mixture.cdf(z, self.means, self.stds)
        below = np.where(self._is_decreasing, 1 - below, below)
        return np.where(side == 0, below, side > 0)

    def log_density(self, y: Doubles) -> Doubles:
        """At targets, jointly for each row; minus infinity where there can be none."""
        if not self.changes:
            return gaussian_mixture.log_density(y, self.means, self.stds)
        z, side = self._placed(y)
        inner = gaussian_mixture.log_density(z, self.means, self.stds)
        slopes = np.where(side == 0, log_slope(self.changes, y, self._middle), 0)
        is_nowhere = (side != 0) | np.isneginf(slopes)
        is_nowhere = is_nowhere.reshape(len(y), -1).any(axis=1) | np.isneginf(inner)
        slopes = np.where(np.isneginf(slopes), 0, slopes).reshape(len(y), -1)
        return np.where(is_nowhere, -np.inf, inner + slopes.sum(axis=1))

    def _placed(self, y: Doubles) -> tuple[Doubles, NDArray[np.int_]]:
        """Targets as the network has them, 0 for those that nothing can become.

        And whether these lie below (-1) or above (1) what can; 0 for all others.
        """
        z = forward(self.changes, y)
        is_known = np.isfinite(z)
        z = np.where(is_known, z, 0)
        back, middle = inverse(self.changes, z), self._middle
        apart = np.where(is_known & np.isfinite(back), y - back, y - middle)
        tolerance = ROUNDING * (np.abs(y) + self._size)
        is_rounding = is_known & (np.abs(apart) <= tolerance)
        side = np.where(is_rounding, 0, np.where(apart >= 0, 1, -1))
        return np.where(side == 0, z, 0), side

    def just_below(self, y: Doubles) -> Doubles:
        """Probability of less than `y`: of what lies at the end of a range, nothing."""
        if not self.changes:
            return self.cdf(np.nextafter(y, -np.inf))
        return self.cdf(y - 2 * ROUNDING * (np.abs(y) + self._size))

    @cached_property
    def _middle(self) -> Doubles:
        """A value amid what is predicted for each target."""
        return changed(np.median(self.means, axis=0), self.changes)

    @cached_property
    def _size(self) -> Doubles:
        """How large targets are, above 0."""
        far = REACH * self.stds.max(axis=0)
        ends = np.stack([self.means.min(axis=0) - far, self.means.max(axis=0) + far])
        size = np.abs(changed(ends, self.changes)).max(axis=0, initial=SMALLEST)
        return np.where(self._middle == 0, size, np.abs(self._middle))

    def points(self) -> tuple[Doubles, Doubles]:
        """Points of each draw (n_draws, n_points, n_rows[, n_outputs]); their weights.

        Each draw has them at other places, so that those of equal draws are no less
        than many points of one.
        """
        n_draws = len(self.means)
        n_points = max(N_POINTS // n_draws, LEAST_POINTS)
        width = 2 * REACH / n_points
        places = (np.arange(n_points * n_draws) + 0.5) / n_draws * width - REACH
        nodes = places.reshape(n_points, n_draws).T
        weights = np.exp(-np.square(nodes) / 2)
        weights *= float(self.share) / n_draws / weights.sum(axis=1, keepdims=True)
        shaped = nodes.reshape(*nodes.shape, *(1,) * (self.means.ndim - 1))
        values = self.means[:, None] + shaped * self.stds[:, None]
        return changed(values, self.changes), weights

    @cached_property
    def _is_decreasing(self) -> NDArray[np.bool_]:
        """Of each target, whether larger values of the network are smaller ones."""
        axes = (0, 1)
        ends = [self.means.min(axis=axes), self.means.max(axis=axes) + 1e-9]
        spread = self.stds.max(axis=axes)
        low, high = ends[0] - spread, ends[1] + spread
        apart = changed(np.stack([low, high]), self.changes)
        return np.asarray(apart[1] < apart[0])


class Predicted(NamedTuple):
    """What members predict together, each with its share."""

    members: Sequence[Member]

    def pooled(self) -> Member:
        """One member with the draws of all, repeated by their shares.

        Of members that become of normal distributions in other ways there is none.
        """
        (changes,) = {member.changes for member in self.members}
        counts = self._repeats()
        means = [np.repeat(member.means, count, axis=0) for member, count in counts]
        stds = [np.repeat(member.stds, count, axis=0) for member, count in counts]
        return Member(Fraction(1), np.concatenate(means), np.concatenate(stds), changes)

    def _repeats(self) -> list[tuple[Member, int]]:
        shares = [member.share for member in self.members]
        counts = repeats(shares, [len(member.means) for member in self.members])
        return list(zip(self.members, counts, strict=True))

    def draws(self) -> tuple[Doubles, Doubles]:
        """Median and standard deviation of each draw, repeated by the shares."""
        medians, stds = [], []
        for member, count in self._repeats():
            median = changed(member.means, member.changes)
            std = np.sqrt(member.moments()[1]) if member.changes else member.stds
            medians.append(np.repeat(median, count, axis=0))
            stds.append(np.repeat(std, count, axis=0))
        return np.concatenate(medians), np.concatenate(stds)

    def quantiles(self, levels: Doubles) -> Doubles:
        """Quantiles, of the shape of one draw and an axis of levels at the end."""
        if len(self.members) == 1:
            return self.members[0].quantiles(levels)
        if len({member.changes for member in self.members}) == 1:
            with contextlib.suppress(ValueError):  # weights that are no small integers
                return self.pooled().quantiles(levels)
        of_members = [member.quantiles(levels) for member in self.members]
        low, high = np.min(of_members, axis=0), np.max(of_members, axis=0)
        for _ in range(N_HALVINGS):
            middle = (low + high) / 2
            reached = np.stack(
                [self.cdf(middle[..., i]) >= p for i, p in enumerate(levels)], axis=-1
            )
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        return high

    def cdf(self, y: Doubles) -> Doubles:
        """Probability of at most `y`, of its shape."""
        parts = [float(member.share) * member.cdf(y) for member in self.members]
        return np.sum(parts, axis=0)

    def log_density(self, y: Doubles) -> Doubles:
        """Logarithm of the density at targets, jointly for each row."""
        parts = [member.log_density(y) for member in self.members]
        shares = [float(member.share) for member in self.members]
        return logsumexp(np.stack(parts), axis=0, b=np.array(shares)[:, None])

    def just_below(self, y: Doubles) -> Doubles:
        """Probability of less than `y`, of its shape."""
        parts = [float(member.share) * member.just_below(y) for member in self.members]
        return np.sum(parts, axis=0)

    def crps(self, y: Doubles) -> Doubles:
        """Continuous ranked probability score of each target, of the shape of `y`.

        ``E|X - y| - E|X - X'| / 2``, of points, some rows at a time: where targets are
        stretched there is no closed form.
        """
        n_points = sum(max(N_POINTS, LEAST_POINTS * len(m.means)) for m in self.members)
        n_outputs = y[:1].size
        return np.concatenate(
            [
                self._of_rows(rows)._crps_of_points(y[rows])
                for rows in row_blocks(y, n_points * n_outputs)
            ]
        )

    def _of_rows(self, rows: slice) -> Predicted:
        return Predicted(
            [
                replace(member, means=member.means[:, rows], stds=member.stds[:, rows])
                for member in self.members
            ]
        )

    def _crps_of_points(self, y: Doubles) -> Doubles:
        found = [member.points() for member in self.members]
        points = np.concatenate([values.reshape(-1, *y.shape) for values, _ in found])
        weights = np.concatenate([weights.ravel() for _, weights in found])
        to_y = np.tensordot(weights, np.abs(points - y), axes=1)
        order = points.argsort(axis=0)
        gaps = np.diff(np.take_along_axis(points, order, axis=0), axis=0)
        below = np.cumsum(weights[order], axis=0)[:-1]
        return to_y - (gaps * below * (1 - below)).sum(axis=0)


def _through(member: Member, quantiles: Any, levels: Doubles) -> Doubles:
    """Quantiles of the network's own values, as its changes leave them."""
    found = quantiles(levels, member.means, member.stds)
    if not member.changes:
        return found

    def back(values: Doubles) -> Doubles:
        moved = changed(np.moveaxis(values, -1, 0), member.changes)
        return np.moveaxis(moved, 0, -1)

    is_decreasing = member._is_decreasing
    if not is_decreasing.any():
        return back(found)
    mirrored = quantiles(1 - levels, member.means, member.stds)
    return back(np.where(is_decreasing[..., None], mirrored, found))

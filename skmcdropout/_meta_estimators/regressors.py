"""Draws and measures of any regressor: of all the networks in it together."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor

from skmcdropout._meta_estimators.parts import (
    Leaf,
    changed,
    innermost,
    leaves,
    pooled,
    repeats,
)
from skmcdropout._regressor import MCDropoutRegressor
from skmcdropout._utils import gaussian_mixture
from skmcdropout._validation import (
    check_levels,
    check_rows,
    row_blocks,
    select_rows,
)

Doubles = NDArray[np.float64]


class Moments(NamedTuple):
    """Of the predicted distributions, in units of y."""

    mean: Doubles
    epistemic: Doubles  # variances
    aleatoric: Doubles

    def measures(self) -> dict[str, Doubles]:
        """All measures, by name."""
        return {
            "total_std": np.sqrt(self.epistemic + self.aleatoric),
            "epistemic_std": np.sqrt(self.epistemic),
            "aleatoric_std": np.sqrt(self.aleatoric),
        }


def moments(estimator: Any, X: Any) -> Moments:
    """Mean and variances of the draws of all networks, with any weights."""
    members = ((leaf.share, _moments(leaf)) for leaf in _networks(estimator, X))
    return pooled(members, "epistemic")


def _moments(leaf: Leaf) -> Moments:
    mean, (epistemic, aleatoric) = leaf.estimator._moments(leaf.rows)
    square = np.square(leaf.scale)
    return Moments(changed(mean, leaf.changes), epistemic * square, aleatoric * square)


def union_of_draws(estimator: Any, X: Any) -> tuple[Doubles, Doubles]:
    """Means and standard deviations of all networks, repeated by their weights."""
    blocks = [(means, stds) for _, means, stds in mixtures(estimator, X)]
    means, stds = (np.concatenate(x, axis=1) for x in zip(*blocks, strict=True))
    return means, stds


def mixtures(estimator: Any, X: Any) -> Iterator[tuple[slice, Doubles, Doubles]]:
    """Some rows at a time, with means and standard deviations of all draws."""
    members = [
        leaf._replace(estimator=copy.copy(leaf.estimator))
        for leaf in _networks(estimator, X)
    ]
    members = [
        leaf._replace(rows=check_rows(leaf.estimator, leaf.rows)) for leaf in members
    ]
    n_draws = [max(int(leaf.estimator.n_samples), 1) for leaf in members]
    counts = repeats([leaf.share for leaf in members], n_draws)
    n_values = sum(
        count * n * leaf.estimator._outputs.n_values
        for count, n, leaf in zip(counts, n_draws, members, strict=True)
    )
    for rows in row_blocks(members[0].rows, n_values):
        drawn = []
        for leaf, n, count in zip(members, n_draws, counts, strict=True):
            means, stds = leaf.estimator._mixture(select_rows(leaf.rows, rows))
            n_same = count * n // len(means)  # one draw, where nothing is sampled
            both = changed(means, leaf.changes), stds * leaf.scale
            drawn.append([np.repeat(values, n_same, axis=0) for values in both])
        means, stds = (np.concatenate(values) for values in zip(*drawn, strict=True))
        yield rows, means, stds


def intervals(estimator: Any, X: Any, coverage: float) -> dict[str, Doubles]:
    """Mean, ends of the central interval and epistemic_std, all of the same draws."""
    (share,) = check_levels([coverage], "coverage")
    levels = np.array([(1 - share) / 2, (1 + share) / 2])
    found = []
    for _, means, stds in mixtures(estimator, X):
        ends = gaussian_mixture.quantiles(levels, means, stds)
        # In double precision the mean of equal numbers may differ from them.
        epistemic = (means - means[0]).std(axis=0)
        found.append((means.mean(axis=0), ends[..., 0], ends[..., 1], epistemic))
    names = ("mean", "lower", "upper", "epistemic_std")
    columns = map(np.concatenate, zip(*found, strict=True))
    return dict(zip(names, columns, strict=True))


def log_density(estimator: Any, X: Any, y: Any) -> Doubles:
    """Logarithm of the density (n_rows,) that an estimator predicts at targets."""
    check_has_network(estimator)
    inner, rows, _ = innermost(estimator, X)
    if isinstance(inner, MCDropoutRegressor):
        return inner.predict_log_density(rows, y)
    targets = np.asarray(y, dtype=np.float64)
    found = []
    for block, means, stds in mixtures(inner, rows):
        if means.shape[1:] != targets[block].shape:
            raise ValueError(
                "y must have a target for each row of X and output. "
                f"Got shape {targets.shape}."
            )
        if not stds.min():
            raise ValueError(
                "noise_std must be above 0 for the predictions to have a density. Got "
                "0 (a parameter of from_keras)."
            )
        found.append(gaussian_mixture.log_density(targets[block], means, stds))
    return np.concatenate(found)


def check_has_network(estimator: Any) -> None:
    """Refuse what has no draws of values."""
    if not is_regressor(estimator):
        raise TypeError(
            "estimator must be an MCDropoutRegressor, or hold one, in a pipeline, "
            f"search or ensemble for instance. Got {estimator!r} instead."
        )


def _networks(estimator: Any, X: Any) -> Iterator[Leaf]:
    """The networks inside; all that is averaged must be one, as others say no noise."""
    check_has_network(estimator)
    for leaf in leaves(estimator, X):
        if not isinstance(leaf.estimator, MCDropoutRegressor):
            within = "" if leaf.estimator is estimator else f" in {estimator!r}"
            raise TypeError(
                "estimator must be an MCDropoutRegressor, or hold nothing but such "
                f"ones. Got {leaf.estimator!r}{within}."
            )
        yield leaf

"""Draws and measures of any regressor: of all the networks in it together."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.base import is_regressor

from skmcdropout._meta_estimators.parts import (
    Leaf,
    changed,
    innermost,
    leaves,
    parts_of,
    pooled,
)
from skmcdropout._meta_estimators.predicted import Member, Predicted
from skmcdropout._meta_estimators.target_changes import Affine, Monotone
from skmcdropout._regressor import MCDropoutRegressor
from skmcdropout._validation import (
    check_rows,
    check_targets,
    levels_of_interval,
    n_rows,
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
    if _stretched(leaf):
        blocks = [_moments_of(union.members[0]) for _, union in _of_leaves([leaf])]
        return Moments(*map(np.concatenate, zip(*blocks, strict=True)))
    mean, (epistemic, aleatoric) = leaf.estimator._moments(leaf.rows)
    square = np.square(leaf.scale)
    return Moments(changed(mean, leaf.changes), epistemic * square, aleatoric * square)


def _moments_of(member: Member) -> Moments:
    means, variances = member.moments()
    # In double precision the mean of equal numbers may differ from them.
    epistemic = (means - means[0]).var(axis=0)
    return Moments(means.mean(axis=0), epistemic, variances.mean(axis=0))


def predicted(estimator: Any, X: Any) -> Iterator[tuple[slice, Predicted]]:
    """Some rows at a time, with what all networks predict for them."""
    return _of_leaves(list(_networks(estimator, X)))


def _compared(estimator: Any, X: Any, y: Any) -> Iterator[tuple[Doubles, Predicted]]:
    """Targets of some rows at a time, with what all networks predict for them."""
    leaves = list(_networks(estimator, X))
    network = leaves[0].estimator
    targets = check_targets(y, network.n_outputs_)
    length = n_rows(check_rows(network, leaves[0].rows))
    if len(targets) != length:
        raise ValueError(
            "y must have a target for each row of X. "
            f"Got {len(targets)} for {length} rows."
        )
    if not network._has_columns:
        targets = targets[:, 0]
    return ((targets[rows], union) for rows, union in _of_leaves(leaves))


def _of_leaves(leaves: Sequence[Leaf]) -> Iterator[tuple[slice, Predicted]]:
    leaves = [leaf._replace(estimator=copy.copy(leaf.estimator)) for leaf in leaves]
    leaves = [
        leaf._replace(rows=check_rows(leaf.estimator, leaf.rows)) for leaf in leaves
    ]
    n_values = sum(
        max(int(leaf.estimator.n_samples), 1) * leaf.estimator._outputs.n_values
        for leaf in leaves
    )
    for rows in row_blocks(leaves[0].rows, n_values):
        yield rows, Predicted([_member(leaf, rows) for leaf in leaves])


def _member(leaf: Leaf, rows: slice) -> Member:
    means, stds = leaf.estimator._mixture(select_rows(leaf.rows, rows))
    n_draws = max(int(leaf.estimator.n_samples), 1)
    if len(means) < n_draws:  # one draw, where nothing is sampled
        means, stds = (np.repeat(x, n_draws // len(x), axis=0) for x in (means, stds))
    if _stretched(leaf):
        return Member(leaf.share, means, stds, _without_none(leaf.changes))
    return Member(leaf.share, changed(means, leaf.changes), stds * leaf.scale)


def _without_none(changes: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(c for c in changes if isinstance(c, (Affine, Monotone)))


def _stretched(leaf: Leaf) -> bool:
    """Whether more becomes of targets than that they are multiplied and shifted."""
    return any(isinstance(change, Monotone) for change in leaf.changes)


def union_of_draws(estimator: Any, X: Any) -> tuple[Doubles, Doubles]:
    """Medians and standard deviations of all draws, repeated by their weights."""
    blocks = [union.draws() for _, union in predicted(estimator, X)]
    medians, stds = (np.concatenate(x, axis=1) for x in zip(*blocks, strict=True))
    return medians, stds


def quantiles(estimator: Any, X: Any, levels: Doubles) -> Doubles:
    """Quantiles of what all networks predict together, an axis of levels at the end."""
    check_has_network(estimator)
    found = [union.quantiles(levels) for _, union in predicted(estimator, X)]
    return np.concatenate(found)


def is_stretched(estimator: Any) -> bool:
    """Whether targets of a network inside are more than multiplied and shifted."""
    return any(
        isinstance(part.change, Monotone) or is_stretched(part.estimator)
        for part in parts_of(estimator)
    )


def as_normal(estimator: Any, X: Any, y: Any) -> tuple[Doubles, Doubles, float]:
    """Targets as standard normal numbers, were the predictions honest; one such draw.

    They are the normal quantiles of the probabilities that are predicted below them.
    """
    below = [union.just_below(at) for at, union in _compared(estimator, X, y)]
    tiny = np.finfo(np.float64).eps
    normal = ndtri(np.clip(np.concatenate(below), tiny, 1 - tiny))
    return normal, np.zeros((1, *normal.shape)), 1.0


def crps(estimator: Any, X: Any, y: Any) -> Doubles:
    """Continuous ranked probability score (n_rows[, n_outputs]) of each target."""
    return np.concatenate([union.crps(at) for at, union in _compared(estimator, X, y)])


def intervals(estimator: Any, X: Any, coverage: float) -> dict[str, Doubles]:
    """Mean, ends of the central interval and epistemic_std, all of the same draws."""
    levels = levels_of_interval(coverage)
    found = []
    for _, union in predicted(estimator, X):
        ends = union.quantiles(levels)
        of_members = [(m.share, _moments_of(m)) for m in union.members]
        of_all = pooled(of_members, "epistemic")
        epistemic = np.sqrt(of_all.epistemic)
        found.append((of_all.mean, ends[..., 0], ends[..., 1], epistemic))
    names = ("mean", "lower", "upper", "epistemic_std")
    columns = map(np.concatenate, zip(*found, strict=True))
    return dict(zip(names, columns, strict=True))


def log_density(estimator: Any, X: Any, y: Any) -> Doubles:
    """Logarithm of the density (n_rows,) that an estimator predicts at targets."""
    check_has_network(estimator)
    inner, rows, _ = innermost(estimator, X)
    if isinstance(inner, MCDropoutRegressor):
        return inner.predict_log_density(rows, y)
    found = []
    for targets, union in _compared(inner, rows, y):
        if not min(member.stds.min() for member in union.members):
            raise ValueError(
                "noise_std must be above 0 for the predictions to have a density. Got "
                "0 (a parameter of from_keras)."
            )
        found.append(union.log_density(targets))
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

"""Draws and measures of any classifier: of all the networks in it together."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from inspect import signature
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr
from sklearn.base import is_classifier

from skmcdropout._classifier import MCDropoutClassifier
from skmcdropout._meta_estimators.parts import (
    Change,
    Part,
    changed,
    has_network,
    innermost,
    leaves,
    parts_of,
    pooled,
    repeats,
)
from skmcdropout._validation import rows_of
from skmcdropout.uncertainty import check_measures, from_summary

Array = NDArray[Any]

#: By how much the sum of a row's probabilities may differ from 1, as scikit-learn's
#: `log_loss` allows in single precision.
SUM_TOLERANCE = 1e-3

#: Measures of the mean alone.
WITHOUT_DRAWS = ("predictive_entropy", "least_confidence")


class Judgement(NamedTuple):
    """What a classifier says of rows, and how unsure it is."""

    #: The estimator's own (n_rows, n_classes), or none at all (n_rows, 0).
    proba: Array
    #: Labels of the largest probability; None if the estimator says others.
    labels: Array | None
    #: (n_rows,) each, by name.
    measures: dict[str, Array]


def judge(estimator: Any, X: Any, names: Sequence[str]) -> Judgement:
    """Predict and measure with the same draws."""
    check_measures(names)
    if not has_network(estimator):
        return _judge_without_draws(estimator, X, names)
    inner, rows, keeps_labels = innermost(estimator, X)
    if isinstance(inner, MCDropoutClassifier):
        summary = inner._draw(rows, "summary")
        proba, measures = summary[0], from_summary(*summary)
    else:
        tally = _tally(inner, rows)
        proba, measures = tally.own, tally.measures()
    labels = inner.classes_[proba.argmax(axis=1)] if keeps_labels else None
    return Judgement(proba, labels, measures)


def _judge_without_draws(estimator: Any, X: Any, names: Sequence[str]) -> Judgement:
    """Predict and measure with a classifier that is no network and holds none."""
    if _says_itself(estimator):
        own = {name: estimator.predict_uncertainty(X, name) for name in names}
        if hasattr(estimator, "predict_proba"):
            return Judgement(_proba_of(estimator, X), None, own)
        return Judgement(np.empty((len(own[names[0]]), 0)), None, own)
    for name in names:
        if name not in WITHOUT_DRAWS:
            _check_has_proba(estimator)
            raise ValueError(
                f"measure must be one of {list(WITHOUT_DRAWS)} for a classifier "
                "without a network of this package, as it has no Monte-Carlo draws. "
                f"Got {name!r} for {estimator!r}."
            )
    proba = _proba_of(estimator, X)
    if _has_several_labels(estimator, X, proba):
        # Those of all labels together, as if each were independent of the others.
        measures = {
            "predictive_entropy": (entr(proba) + entr(1 - proba)).sum(axis=1),
            "least_confidence": 1 - np.maximum(proba, 1 - proba).prod(axis=1),
        }
    else:
        _check_sums(estimator, proba)
        measures = {
            "predictive_entropy": entr(proba).sum(axis=1),
            "least_confidence": 1 - proba.max(axis=1),
        }
    return Judgement(proba, None, measures)


def _has_several_labels(estimator: Any, X: Any, proba: Array) -> bool:
    """Whether an estimator predicts an indicator of labels for each row."""
    return np.shape(estimator.predict(rows_of(X, [0])))[1:] == proba.shape[1:]


def _check_sums(estimator: Any, proba: Array) -> None:
    sums = proba.sum(axis=1)
    if not np.allclose(sums, 1, rtol=0, atol=SUM_TOLERANCE):
        raise ValueError(
            "predict_proba of estimator must give rows that sum to 1. Got sums from "
            f"{sums.min():.3g} to {sums.max():.3g}: {estimator!r}."
        )


def _says_itself(estimator: Any) -> bool:
    """Whether an estimator of others has measures of its own, by name."""
    method = getattr(estimator, "predict_uncertainty", None)
    return method is not None and "measure" in signature(method).parameters


def union_of_draws(estimator: Any, X: Any) -> Array:
    """Draws (n_draws, n_rows, n_classes) of all networks, repeated by their weights."""
    check_has_network(estimator)
    shares, draws = [], []
    for leaf in leaves(estimator, X):
        if isinstance(leaf.estimator, MCDropoutClassifier):
            drawn = leaf.estimator.sample_proba(leaf.rows)
        else:
            drawn = _proba_of(leaf.estimator, leaf.rows)[None]
        draws.append(changed(drawn, leaf.changes))
        shares.append(leaf.share)
    if len(draws) == 1:
        return draws[0]
    counts = repeats(shares, [len(drawn) for drawn in draws])
    return np.concatenate(
        [
            np.repeat(drawn, count, axis=0)
            for drawn, count in zip(draws, counts, strict=True)
        ]
    )


def mean_proba(estimator: Any, X: Any, n_samples: int) -> Array:
    """The estimator's own probabilities, had its networks this many draws."""
    parts = parts_of(estimator)
    if parts:
        weighted = []
        for part in parts:
            proba = mean_proba(part.estimator, part.rows(X), n_samples)
            change = (part.change,) if part.change else ()
            weighted.append(float(part.share) * changed(proba, change))
        return np.sum(weighted, axis=0)
    if isinstance(estimator, MCDropoutClassifier):
        estimator = copy.copy(estimator).set_params(n_samples=n_samples)
    return _proba_of(estimator, X)


def check_has_network(estimator: Any) -> None:
    """Refuse a classifier without draws, and a regressor."""
    if not has_network(estimator) or not is_classifier(estimator):
        _refuse(estimator, "an MCDropoutClassifier, or hold one")


def _check_has_proba(estimator: Any) -> None:
    if not is_classifier(estimator) or not hasattr(estimator, "predict_proba"):
        _refuse(estimator, "a classifier with predict_proba")


def _refuse(estimator: Any, wanted: str) -> NoReturn:
    raise TypeError(
        f"estimator must be {wanted}, in a pipeline, search or ensemble for instance. "
        f"Got {estimator!r} instead."
    )


def _proba_of(estimator: Any, X: Any) -> Array:
    """What any classifier predicts, as (n_rows, n_classes)."""
    _check_has_proba(estimator)
    proba = estimator.predict_proba(X)
    if not hasattr(proba, "ndim") or proba.ndim != 2:
        _refuse(estimator, "a classifier of one label a row")
    return np.asarray(proba)


class _Tally(NamedTuple):
    """Weighted means over draws, from which all measures come.

    The draws of many networks need not be in memory at once, and their weights may be
    any.
    """

    #: What the estimator itself predicts; it may calibrate means rather than draws.
    own: Array
    mean: Array  # (n_rows, n_classes), as the two that follow
    variance: Array
    votes: Array
    entropy: Array  # (n_rows,)

    def measures(self) -> dict[str, Array]:
        """All measures, by name."""
        predicted = self.mean.argmax(axis=1)
        std = np.sqrt(self.variance[np.arange(len(predicted)), predicted])
        total = entr(self.mean).sum(axis=1)
        share = self.votes.max(axis=1)
        return from_summary(self.mean, total, self.entropy, share, std)


def _tally(estimator: Any, X: Any, changes: tuple[Change, ...] = ()) -> _Tally:
    """Tally what `changes`, the first first, make of an estimator's draws."""
    parts = parts_of(estimator)
    if not parts:
        blocks = [_tally_of(draws, changes) for draws in _blocks(estimator, X)]
        return _Tally(*map(np.concatenate, zip(*blocks, strict=True)))
    return pooled(
        ((part.share, _tally_of_part(part, X, changes)) for part in parts), "variance"
    )


def _tally_of_part(part: Part, X: Any, changes: tuple[Change, ...]) -> _Tally:
    own_change = (part.change,) if part.change else ()
    tally = _tally(part.estimator, part.rows(X), own_change + changes)
    return tally._replace(own=changed(tally.own, own_change))


def _tally_of(draws: Array, changes: tuple[Change, ...]) -> _Tally:
    """Tally draws (n_draws, n_rows, n_classes)."""
    p = draws.astype(np.float64)
    own = p.mean(axis=0)
    p = changed(p, changes)
    chosen = p.argmax(axis=2)
    votes = np.stack([(chosen == c).mean(axis=0) for c in range(p.shape[2])], axis=1)
    entropy = entr(p).sum(axis=2).mean(axis=0)
    return _Tally(own, p.mean(axis=0), p.var(axis=0), votes, entropy)


def _blocks(estimator: Any, X: Any) -> Iterator[Array]:
    """Draws (n_draws, n_rows_of_block, n_classes), few enough to be held."""
    if isinstance(estimator, MCDropoutClassifier):
        return estimator._draws_in_blocks(X)
    return iter([_proba_of(estimator, X)[None]])

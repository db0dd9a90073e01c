"""What a meta-estimator predicts with: one rule for each kind, `rules`."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import singledispatch
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import RFE
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils.validation import check_is_fitted, validate_data

from skmcdropout._base import MCDropoutBase
from skmcdropout._meta_estimators.target_changes import Affine, Monotone

Array = NDArray[Any]
#: A named tuple of arrays.
Moments = TypeVar("Moments", bound=Any)
Change = Callable[[Array], Array]

#: Transformers of targets that multiply and add, so that standard deviations follow.
AFFINE = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler)

#: Draws that a union may have, as a multiple of those that are drawn.
MOST_REPEATS = 10


def _same(X: Any) -> Any:
    return X


class Part(NamedTuple):
    """One of the estimators whose predictions a meta-estimator averages."""

    estimator: Any
    #: What it is given, made of the rows that the meta-estimator gets.
    rows: Callable[[Any], Any] = _same
    #: Its share of the average; those of all parts sum to 1.
    share: Fraction = Fraction(1)
    #: What becomes of its probabilities (..., n_classes) or values; None for nothing.
    change: Change | None = None
    #: What the standard deviations of its values are multiplied with.
    scale: Any = 1.0
    #: Whether labels are still those of the largest probability.
    keeps_labels: bool = True


def parts_of(estimator: Any) -> list[Part]:
    """What a fitted meta-estimator averages; nothing if no network is inside."""
    check_is_fitted(estimator)
    if isinstance(estimator, MCDropoutBase):
        return []
    parts = rules(estimator)
    return parts if any(has_network(part.estimator) for part in parts) else []


def has_network(estimator: Any) -> bool:
    """Whether an estimator is a network of this package or predicts with one."""
    return isinstance(estimator, MCDropoutBase) or bool(parts_of(estimator))


class Leaf(NamedTuple):
    """An estimator without parts, and its place in what it was found in."""

    estimator: Any
    rows: Any
    share: Fraction
    #: Changes of its predictions, the first first.
    changes: tuple[Change, ...]
    scale: Any


def leaves(estimator: Any, X: Any) -> Iterator[Leaf]:
    """The networks inside, and other members of ensembles, with their rows."""
    parts = parts_of(estimator)
    if not parts:
        yield Leaf(estimator, X, Fraction(1), (), 1.0)
    for part in parts:
        for leaf in leaves(part.estimator, part.rows(X)):
            yield leaf._replace(
                share=part.share * leaf.share,
                changes=leaf.changes + ((part.change,) if part.change else ()),
                scale=part.scale * leaf.scale,
            )


def innermost(estimator: Any, X: Any) -> tuple[Any, Any, bool]:
    """Go inside for as long as there is one part, whose predictions nothing changes.

    The result is a snapshot, which no other thread fits, its rows, and whether the
    estimator's labels are its own.
    """
    keeps_labels = True
    while (parts := parts_of(estimator)) and parts[0].change is None and not parts[1:]:
        (part,) = parts
        keeps_labels &= part.keeps_labels
        estimator, X = part.estimator, part.rows(X)
    return copy.copy(estimator), X, keeps_labels


def changed(values: Array, changes: Sequence[Change]) -> Array:
    """What changes, the first first, make of predictions."""
    for change in changes:
        values = change(values)
    return values


def pooled(members: Iterable[tuple[Any, Moments]], variance: str) -> Moments:
    """Weighted means of the fields of named tuples, given with their shares.

    They have a `mean`, whose spread between members is added to the field `variance`.
    """
    union, weight = None, 0.0
    for share, found in members:
        weight += float(share)
        if union is None:
            union = found
            continue
        of_all = float(share / weight)
        between = of_all * (1 - of_all) * np.square(union.mean - found.mean)
        pairs = zip(union, found, strict=True)
        union = type(found)(*((1 - of_all) * a + of_all * b for a, b in pairs))
        union = union._replace(**{variance: getattr(union, variance) + between})
    assert union is not None
    return union


def repeats(shares: Sequence[Fraction], n_draws: Sequence[int]) -> list[int]:
    """How often each member's draws are repeated for their mean to have these shares.

    Integers, as small as can be.
    """
    of_a_draw = [share / n for share, n in zip(shares, n_draws, strict=True)]
    ratios = [(x / of_a_draw[0]).limit_denominator(10_000) for x in of_a_draw]
    whole = math.lcm(*(ratio.denominator for ratio in ratios))
    counts = [int(ratio * whole) for ratio in ratios]
    counts = [count // math.gcd(*counts) for count in counts]
    is_exact = all(
        abs(ratio * of_a_draw[0] - x) <= x / 10**9
        for ratio, x in zip(ratios, of_a_draw, strict=True)
    )
    total = sum(count * n for count, n in zip(counts, n_draws, strict=True))
    if not is_exact or total > MOST_REPEATS * sum(n_draws):
        raise ValueError(
            "weights and n_samples of an ensemble must be in proportion of small "
            "integers for its draws to be repeated by them. Got shares of "
            f"{[round(float(share), 6) for share in shares]} and {list(n_draws)} "
            "draws; predict_uncertainty takes any."
        )
    return counts


@singledispatch
def rules(estimator: Any) -> list[Part]:
    """What a fitted estimator averages, by its type; nothing if it is not known."""
    if hasattr(estimator, "best_estimator_"):  # any search
        return [Part(estimator.best_estimator_)]
    # A RejectingClassifier, which can't be imported here: it is built upon this.
    if hasattr(estimator, "accept") and hasattr(estimator, "estimator_"):
        return [Part(estimator.estimator_)]
    return []


@rules.register
def _(estimator: Pipeline) -> list[Part]:
    *before, (_, last) = estimator.steps
    transformers = [
        step
        for _, step in before
        if step not in (None, "passthrough") and not _is_sampler(step)
    ]

    def transformed(X: Any) -> Any:
        for step in transformers:
            X = step.transform(X)
        return X

    return [] if last in (None, "passthrough") else [Part(last, transformed)]


def _is_sampler(step: Any) -> bool:
    """Whether a step of imbalanced-learn resamples rows, which only a fit does."""
    return hasattr(step, "fit_resample") and not hasattr(step, "transform")


@rules.register
def _(estimator: FrozenEstimator) -> list[Part]:
    return [Part(estimator.estimator)]


@rules.register
def _(estimator: SelfTrainingClassifier) -> list[Part]:
    return [Part(estimator.estimator_)]


@rules.register(FixedThresholdClassifier)
@rules.register(TunedThresholdClassifierCV)
def _(estimator: Any) -> list[Part]:
    return [Part(estimator.estimator_, keeps_labels=False)]


@rules.register
def _(estimator: RFE) -> list[Part]:
    return [Part(estimator.estimator_, estimator.transform)]


@rules.register(StackingClassifier)
@rules.register(StackingRegressor)
def _(estimator: Any) -> list[Part]:
    # The change is none, but classes are numbers inside.
    return [Part(estimator.final_estimator_, estimator.transform, change=_same)]


@rules.register(VotingClassifier)
@rules.register(VotingRegressor)
def _(estimator: Any) -> list[Part]:
    if getattr(estimator, "voting", "soft") != "soft":
        if not any(map(has_network, estimator.estimators_)):
            return []
        raise ValueError(
            "voting must be 'soft' for uncertainties and draws: with 'hard' no "
            f"probabilities are averaged. Got {estimator.voting!r}."
        )
    given = estimator.weights
    named = estimator.estimators
    weights = [
        Fraction(float(weight))
        for (_, member), weight in zip(
            named, [1] * len(named) if given is None else given, strict=True
        )
        if not isinstance(member, str)  # "drop"
    ]
    if min(weights) < 0:
        raise ValueError(f"weights must be at least 0. Got {given}.")
    return [
        Part(member, share=weight / sum(weights))
        for member, weight in zip(estimator.estimators_, weights, strict=True)
        if weight
    ]


@rules.register(BaggingClassifier)
@rules.register(BaggingRegressor)
def _(estimator: Any) -> list[Part]:
    def of_features(features: Array) -> Callable[[Any], Any]:
        def rows(X: Any) -> Any:
            return validate_data(
                estimator,
                X,
                accept_sparse=["csr", "csc"],
                dtype=None,
                ensure_all_finite=False,
                reset=False,
            )[:, features]

        return rows

    members, features = estimator.estimators_, estimator.estimators_features_
    n_classes = getattr(estimator, "n_classes_", None)
    return [
        Part(
            member,
            of_features(columns),
            Fraction(1, len(members)),
            None if n_classes is None else _placed(member.classes_, n_classes),
        )
        for member, columns in zip(members, features, strict=True)
    ]


def _placed(columns: Array, n_classes: int) -> Change | None:
    """Zeros for the classes that were missing in a bootstrap sample."""
    if len(columns) == n_classes:
        return None

    def placed(proba: Array) -> Array:
        all_classes = np.zeros((*proba.shape[:-1], n_classes), proba.dtype)
        all_classes[..., columns] = proba
        return all_classes

    return placed


@rules.register
def _(estimator: CalibratedClassifierCV) -> list[Part]:
    members = estimator.calibrated_classifiers_
    if any(hasattr(member.estimator, "decision_function") for member in members):
        return []  # calibrates other things than probabilities
    share = Fraction(1, len(members))
    return [
        Part(member.estimator, share=share, change=_calibrated(member))
        for member in members
    ]


def _calibrated(calibrated_classifier: Any) -> Change:
    """Calibrate probabilities of any shape (..., n_classes).

    scikit-learn's own code does so, with a classifier that says what it is told.
    """
    calibrator = copy.copy(calibrated_classifier)
    calibrator.estimator = _Says(calibrated_classifier.estimator.classes_)

    def calibrated(proba: Array) -> Array:
        flat = calibrator.predict_proba(proba.reshape(-1, proba.shape[-1]))
        return np.asarray(flat).reshape(*proba.shape[:-1], -1)

    return calibrated


class _Says(ClassifierMixin, BaseEstimator):
    """A classifier whose rows are what it predicts."""

    def __init__(self, classes_: Array) -> None:
        self.classes_ = classes_

    def predict_proba(self, X: Array) -> Array:
        return X


@rules.register
def _(estimator: TransformedTargetRegressor) -> list[Part]:
    transformer = estimator.transformer_
    if not _is_affine(transformer):
        change = Monotone(transformer, _n_targets(estimator.regressor_))
        return [Part(estimator.regressor_, change=change)]
    n_targets = getattr(transformer, "n_features_in_", 1)
    offset = transformer.inverse_transform(np.zeros((1, n_targets)))[0]
    scale = transformer.inverse_transform(np.ones((1, n_targets)))[0] - offset
    if n_targets == 1:
        offset, scale = offset[0], scale[0]
    affine = Affine(scale, offset)
    return [Part(estimator.regressor_, change=affine, scale=abs(scale))]


def _n_targets(regressor: Any) -> int:
    """Number of targets of the networks in a regressor; transformers need not know."""
    while parts := parts_of(regressor):
        regressor = parts[0].estimator
    return int(getattr(regressor, "n_outputs_", 1))


def _is_affine(transformer: Any) -> bool:
    if isinstance(transformer, FunctionTransformer):
        return transformer.func is None and transformer.inverse_func is None
    return type(transformer) in AFFINE

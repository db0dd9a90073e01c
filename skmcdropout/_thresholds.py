"""Thresholds of `RejectingClassifier`: for all rows, or for each predicted class."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmcdropout.metrics import risk_coverage_curve
from skmcdropout.metrics._risk_control import (
    Accepted,
    RiskNotPromisedError,
    accept_at_risk,
)

#: Accepts no row.
NONE_ACCEPTED = Accepted(-np.inf, 0, 0)


class Thresholds(NamedTuple):
    """Thresholds, what they accept of the rows they were chosen on, and the errors."""

    threshold: Any
    coverage: Any
    risk: Any


class Rule(NamedTuple):
    """What is wanted: a risk with a confidence if there is one, else a coverage."""

    coverage: float
    max_risk: float | None
    confidence: float

    def choose(
        self,
        is_wrong: NDArray[np.bool_],
        uncertainty: NDArray[Any],
        n_promises: int = 1,
    ) -> Accepted:
        """Threshold for rows. All of several promises are kept with the confidence."""
        if self.max_risk is not None:
            level = (1 - self.confidence) / n_promises
            return accept_at_risk(is_wrong, uncertainty, self.max_risk, level)
        coverage, risk, thresholds = risk_coverage_curve(
            np.zeros(len(is_wrong)), is_wrong, uncertainty
        )
        chosen = np.argmax(coverage >= self.coverage - 1e-9)
        n_accepted = round(coverage[chosen] * len(is_wrong))
        n_errors = round(risk[chosen] * n_accepted)
        return Accepted(float(thresholds[chosen]), n_accepted, n_errors)


def thresholds_of(
    rule: Rule,
    is_wrong: NDArray[np.bool_],
    uncertainty: NDArray[Any],
    labels: NDArray[Any],
    classes: NDArray[Any] | None,
) -> Thresholds:
    """One threshold for all rows, or with `classes` one for each predicted class.

    Of a class for which nothing can be promised no row is accepted, with a warning. If
    there is none else, its error is raised.
    """
    if classes is None:
        accepted = rule.choose(is_wrong, uncertainty)
        return _summary(accepted, len(is_wrong))
    of_class = [labels == label for label in classes]
    found, refused = [], {}
    for label, rows in zip(classes.tolist(), of_class, strict=True):
        try:
            if not rows.any():
                raise RiskNotPromisedError("no row is predicted to be of it.")
            accepted = rule.choose(is_wrong[rows], uncertainty[rows], len(classes))
        except RiskNotPromisedError as error:
            refused[label] = f"{label!r}: {error}"
            accepted = NONE_ACCEPTED
        found.append(_summary(accepted, int(rows.sum())))
    if len(refused) == len(classes):
        most = classes.tolist()[int(np.argmax([rows.sum() for rows in of_class]))]
        raise ValueError(
            "per_class must leave a class of which rows can be accepted. Got none; of "
            f"the one predicted most, {refused[most]}"
        )
    if refused:
        warnings.warn(
            "All rows that are predicted to be of these classes will be rejected. "
            + " ".join(refused.values()),
            stacklevel=2,
        )
    return Thresholds(*map(np.array, zip(*found, strict=True)))


def _summary(accepted: Accepted, n_rows: int) -> Thresholds:
    threshold, n_accepted, n_errors = accepted
    return Thresholds(
        threshold,
        n_accepted / n_rows if n_rows else np.nan,
        n_errors / n_accepted if n_accepted else np.nan,
    )


def is_accepted(
    threshold: float | NDArray[np.float64],
    labels: NDArray[Any],
    uncertainty: NDArray[Any],
    classes: NDArray[Any],
) -> NDArray[np.bool_]:
    """Rows whose uncertainty is at most the threshold, or that of their class."""
    if np.ndim(threshold):
        threshold = np.asarray(threshold)[np.searchsorted(classes, labels)]
    return uncertainty <= threshold


def with_label(
    labels: NDArray[Any], accepted: NDArray[np.bool_], reject_label: Any
) -> NDArray[Any]:
    """Labels of accepted rows, and that for the others; objects if the kinds differ."""
    rejected = np.asarray(reject_label) if np.isscalar(reject_label) else None
    if rejected is not None and rejected.dtype.kind == labels.dtype.kind:
        return np.where(accepted, labels, rejected)
    mixed = labels.astype(object)
    for row in np.flatnonzero(~accepted):
        mixed[row] = reject_label
    return mixed

"""Scorers of an estimator's own uncertainty. Public in `skmcdropout.metrics`."""

from __future__ import annotations

import copy
from typing import Any

from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRequest

from skmcdropout._utils.private import BaseScorer
from skmcdropout.metrics import _selective
from skmcdropout.uncertainty import check_measures

SCORES = (
    "neg_aurc",
    "neg_excess_aurc",
    "neg_risk_at_coverage",
    "accuracy_at_coverage",
    "error_detection_auroc",
)


def make_uncertainty_scorer(
    score: str = "neg_aurc", measure: str = "predictive_entropy", **kwargs: Any
) -> _UncertaintyScorer:
    """Make a scorer of an uncertainty measure, for `scoring` in scikit-learn.

    Takes part in `GridSearchCV`, `cross_validate`, `permutation_importance` and so on,
    with an `MCDropoutClassifier` or a `Pipeline` or search that ends in one. (For the
    calibration errors use scikit-learn's `make_scorer` with
    ``response_method="predict_proba", greater_is_better=False``.)

    Parameters
    ----------
    score : str, default="neg_aurc"
        "neg_aurc", "neg_excess_aurc", "neg_risk_at_coverage", "accuracy_at_coverage" or
        "error_detection_auroc"; higher is better.
    measure : str, default="predictive_entropy"
        A measure of `MCDropoutClassifier.predict_uncertainty`.
    **kwargs : dict
        Parameters of the score, like ``coverage=0.8``.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y) -> float``.

    Raises
    ------
    ValueError
        If there is no such score or measure.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from skmcdropout import MCDropoutClassifier
    >>> from skmcdropout.metrics import make_uncertainty_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> scorer = make_uncertainty_scorer("accuracy_at_coverage", coverage=0.8)
    >>> clf = MCDropoutClassifier(epochs=20, random_state=0)
    >>> cross_val_score(clf, X, y, cv=3, scoring=scorer).shape
    (3,)
    """
    if score not in SCORES:
        raise ValueError(f"score must be one of {SCORES}. Got {score!r} instead.")
    check_measures([measure])
    return _UncertaintyScorer(score, measure, kwargs)


class _UncertaintyScorer(BaseScorer):
    """A score of an estimator's own uncertainty; higher is better."""

    def __init__(self, score: str, measure: str, kwargs: dict[str, Any]) -> None:
        self._asked = score, measure
        sign = -1 if score.startswith("neg_") else 1
        function = getattr(_selective, score.removeprefix("neg_"))
        super().__init__(function, sign, kwargs)

    def _score(
        self, method_caller: Any, estimator: Any, X: Any, y_true: Any, **metadata: Any
    ) -> float:
        self._refuse(metadata)
        _, measure = self._asked
        return self._sign * self._score_func(
            y_true, *judged(estimator, X, measure), **self._kwargs
        )

    def set_score_request(self, **metadata: Any) -> None:
        """Refuse metadata."""
        self._refuse(metadata)

    def _get_metadata_request(self) -> MetadataRequest:
        return MetadataRequest(owner=self)

    def _refuse(self, metadata: dict[str, Any]) -> None:
        if metadata:
            raise TypeError(f"{self!r} must get no metadata. Got {sorted(metadata)}.")

    def __repr__(self) -> str:
        score, measure = self._asked
        more = "".join(f", {name}={value!r}" for name, value in self._kwargs.items())
        return f"make_uncertainty_scorer({score!r}, {measure!r}{more})"


def judged(estimator: Any, X: Any, measure: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Predicted labels of rows, and how uncertain they are."""
    classifier, rows = last_step(estimator, X)
    classifier = copy.copy(classifier)  # that another thread may fit meanwhile
    return classifier.predict(rows), classifier.predict_uncertainty(rows, measure)


def last_step(estimator: Any, X: Any) -> tuple[Any, Any]:
    """The classifier an estimator ends in, and `X` as that gets it."""
    while not hasattr(estimator, "predict_uncertainty"):
        if isinstance(estimator, Pipeline):
            if len(estimator) > 1:
                X = estimator[:-1].transform(X)
            estimator = estimator[-1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            raise TypeError(
                "The estimator must have a method predict_uncertainty, or be a "
                f"Pipeline or a fitted search that ends in one. Got {estimator!r}."
            )
    return estimator, X

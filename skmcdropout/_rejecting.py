"""`RejectingClassifier`: leaves to others the rows a classifier is too unsure of."""

from __future__ import annotations

import copy
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    clone,
    is_regressor,
)
from sklearn.model_selection import cross_validate
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, indexable

from skmcdropout._utils.checksum import ChecksumMixin
from skmcdropout._utils.constraints import Number
from skmcdropout._utils.private import HasMethods, StrOptions, fit_context, rows_of
from skmcdropout.metrics import risk_coverage_curve
from skmcdropout.metrics._scorers import judged, last_step
from skmcdropout.uncertainty import MEASURES

DEFAULT_COVERAGE = 0.9


class RejectingClassifier(
    ClassifierMixin, MetaEstimatorMixin, ChecksumMixin, BaseEstimator
):
    """A classifier that abstains where it is too unsure.

    Rows whose uncertainty is above a threshold are rejected: left to a human, a second
    model or a better measurement [1]_. The threshold is chosen by cross-validation, on
    rows that the classifier was not trained on, for a wanted coverage or error rate.

    Parameters
    ----------
    estimator : estimator
        An `MCDropoutClassifier`, or a `Pipeline` or search that ends in one.
    measure : str, default="predictive_entropy"
        Measure of `MCDropoutClassifier.predict_uncertainty` that decides.
    coverage : float, default=None
        Share of the rows in (0, 1] that are to be accepted; 0.9 if `max_risk` is None
        too.
    max_risk : float, default=None
        Largest error rate in [0, 1) among the accepted rows; as many rows as that
        allows are accepted. Not together with `coverage`.
    reject_label : object, default=None
        What `predict` says for rejected rows, for instance -1 or "unsure". None lets it
        predict all rows, and `accept` tell which are accepted.
    cv : int, cross-validation generator, iterable or "prefit", default=None
        Splits, as in `cross_validate` (None: 5 stratified folds). With "prefit" the
        estimator is fitted already, and the threshold is chosen on the rows given to
        `fit`, which it should not have been trained on.
    n_jobs : int, default=None
        Fits at a time.

    Attributes
    ----------
    estimator_ : estimator
        The classifier, fitted on all rows.
    threshold_ : float
        Largest uncertainty that is accepted.
    coverage_ : float
        Share of the rows that were accepted when the threshold was chosen.
    risk_ : float
        Error rate among them.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of features seen in `fit`, if `estimator_` says so.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `estimator_` has them.

    See Also
    --------
    skmcdropout.metrics.risk_coverage_curve : Error rate and coverage of any threshold.
    sklearn.model_selection.TunedThresholdClassifierCV : Chooses a threshold of a binary
        decision, by the same conventions.

    Notes
    -----
    `coverage_` and `risk_` are estimates, of rows like those of `fit`; the risk is a
    little optimistic, since the threshold was chosen by it, and no guarantee. For
    guarantees see conformal prediction.

    References
    ----------
    .. [1] Chow, C. (1970). On optimum recognition error and reject tradeoff. IEEE
       Transactions on Information Theory 16, 41-46.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skmcdropout import MCDropoutClassifier, RejectingClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = RejectingClassifier(
    ...     MCDropoutClassifier(epochs=30, random_state=0), max_risk=0.01, cv=3
    ... ).fit(X, y)
    >>> bool(clf.risk_ <= 0.01)
    True
    >>> clf.accept(X).shape
    (150,)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [HasMethods(["fit", "predict"])],
        "measure": [StrOptions(set(MEASURES))],
        "coverage": [Number(Real, 0, 1, closed="right"), None],
        "max_risk": [Number(Real, 0, 1, closed="left"), None],
        "reject_label": "no_validation",
        "cv": ["cv_object", StrOptions({"prefit"})],
        "n_jobs": [Number(Integral, None, None, closed="neither"), None],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        measure: str = "predictive_entropy",
        coverage: float | None = None,
        max_risk: float | None = None,
        reject_label: Any = None,
        cv: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.measure = measure
        self.coverage = coverage
        self.max_risk = max_risk
        self.reject_label = reject_label
        self.cv = cv
        self.n_jobs = n_jobs

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike, **params: Any) -> RejectingClassifier:
        """Choose the threshold and fit the classifier.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Training data.
        y : array-like of shape (n_rows,)
            Class labels.
        **params : dict
            Parameters of the estimator's `fit`; those of the length of `X` are split
            with it.

        Returns
        -------
        self : RejectingClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If both `coverage` and `max_risk` are given, if no threshold has a risk as
            low as `max_risk`, or if the estimator is a regressor.
        """
        if self.coverage is not None and self.max_risk is not None:
            raise ValueError(
                "coverage and max_risk must not be given together. "
                f"Got coverage={self.coverage} and max_risk={self.max_risk}."
            )
        if is_regressor(self.estimator):
            raise ValueError(
                f"estimator must be a classifier. Got {self.estimator!r}, a regressor."
            )
        X, y = indexable(X, y)
        if isinstance(self.cv, str):
            check_is_fitted(self.estimator)
            fitted = self.estimator
            true, predicted, uncertainty = (
                np.asarray(y),
                *judged(fitted, X, self.measure),
            )
        else:
            fitted = clone(self.estimator).fit(X, y, **params)
            true, predicted, uncertainty = self._judged_by_folds(X, y, params)
        coverage, risk, thresholds = risk_coverage_curve(true, predicted, uncertainty)
        chosen = self._choose(coverage, risk)
        candidate = copy.copy(self)
        candidate.estimator_ = fitted
        candidate.classes_ = fitted.classes_
        candidate.threshold_ = float(thresholds[chosen])
        candidate.coverage_ = float(coverage[chosen])
        candidate.risk_ = float(risk[chosen])
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                setattr(candidate, name, getattr(fitted, name))
        self.__dict__ = candidate.__dict__  # at one stroke
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict labels; `reject_label`, if it is not None, for rejected rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        y : ndarray of shape (n_rows,)
            Labels.
        """
        check_is_fitted(self)
        snapshot = copy.copy(self)  # another thread may fit
        labels = snapshot.estimator_.predict(X)
        if snapshot.reject_label is None:
            return labels
        if labels.dtype.kind != np.asarray(snapshot.reject_label).dtype.kind:
            labels = labels.astype(object)
        return np.where(snapshot.accept(X), labels, snapshot.reject_label)

    def accept(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Say which rows are certain enough.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        is_accepted : ndarray of shape (n_rows,)
            True where the uncertainty is at most `threshold_`.
        """
        check_is_fitted(self)
        snapshot = copy.copy(self)
        return snapshot.predict_uncertainty(X) <= snapshot.threshold_

    def predict_uncertainty(self, X: ArrayLike) -> NDArray[np.float32]:
        """Say how unsure each prediction is, by the measure that decides.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        uncertainty : ndarray of shape (n_rows,)
            Higher = less certain.
        """
        check_is_fitted(self)
        classifier, rows = last_step(self.estimator_, X)
        return classifier.predict_uncertainty(rows, self.measure)

    @available_if(lambda self: hasattr(self.estimator, "predict_proba"))
    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Predict class probabilities, of rejected rows too.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes)
            In the order of `classes_`.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    def __sklearn_tags__(self) -> Any:
        """Those of the estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags

    def __copy__(self) -> RejectingClassifier:
        """A shallow copy, which shares what was learned."""
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def _judged_by_folds(
        self, X: Any, y: Any, params: dict[str, Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """True and predicted labels and uncertainties of rows that were held out."""
        folds = cross_validate(
            self.estimator,
            X,
            y,
            scoring=_no_score,
            cv=self.cv,
            n_jobs=self.n_jobs,
            params=params,
            return_estimator=True,
            return_indices=True,
            error_score="raise",
        )
        parts = []
        for fitted, held in zip(
            folds["estimator"], folds["indices"]["test"], strict=True
        ):
            rows, labels = rows_of(X, held), rows_of(y, held)
            parts.append((np.asarray(labels), *judged(fitted, rows, self.measure)))
        true, predicted, uncertainty = map(np.concatenate, zip(*parts, strict=True))
        return true, predicted, uncertainty

    def _choose(self, coverage: NDArray[Any], risk: NDArray[Any]) -> int:
        """Index of the threshold that is wanted."""
        if self.max_risk is None:
            wanted = DEFAULT_COVERAGE if self.coverage is None else self.coverage
            return int(np.argmax(coverage >= wanted - 1e-9))
        allowed = np.flatnonzero(risk <= self.max_risk)
        if not len(allowed):
            raise ValueError(
                f"max_risk must be at least {risk.min():.4g}, the lowest risk that any "
                f"threshold has on these rows. Got {self.max_risk}."
            )
        return int(allowed[-1])


def _no_score(estimator: Any, X: Any, y: Any) -> float:
    """Nothing: the folds' estimators are judged together."""
    return 0.0

"""Scorers of an estimator's own uncertainty. Public in `skmcdropout.metrics`."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor
from sklearn.utils.metadata_routing import MetadataRequest

from skmcdropout._meta_estimators import regressors
from skmcdropout._meta_estimators.functions import judge
from skmcdropout._meta_estimators.functions import total_measure as total_measure
from skmcdropout._utils.private import BaseScorer
from skmcdropout.metrics import _regression, _selective
from skmcdropout.uncertainty import MEASURES, REGRESSION_MEASURES, check_measures

#: Scores of values as well as of labels.
RISK_SCORES = ("neg_aurc", "neg_excess_aurc", "neg_risk_at_coverage")

SCORES = (*RISK_SCORES, "accuracy_at_coverage", "error_detection_auroc")

#: Scores of distributions.
DISTRIBUTION_SCORES = (
    "mean_log_density",
    "neg_crps",
    "neg_interval_score",
    "neg_quantile_calibration_error",
)

#: What a scorer itself passes to the functions of the scores.
PASSED = {"y_true", "y_pred", "uncertainty", "means", "stds", "lower", "upper"}
PASSED |= {"sample_weight"}


def make_uncertainty_scorer(
    score: str = "neg_aurc", measure: str | None = None, **kwargs: Any
) -> _UncertaintyScorer:
    """Make a scorer of an uncertainty measure, for `scoring` in scikit-learn.

    Takes part in `GridSearchCV`, `cross_validate`, `permutation_importance` and so on,
    with all that `skmcdropout.predict_uncertainty` takes: pipelines, searches and
    ensembles of `MCDropoutClassifier` or `MCDropoutRegressor`. For regressors the risk
    is the mean squared error. (For the calibration errors of classifiers use
    scikit-learn's `make_scorer` with ``response_method="predict_proba",
    greater_is_better=False``.)

    Parameters
    ----------
    score : str, default="neg_aurc"
        "neg_aurc", "neg_excess_aurc" or "neg_risk_at_coverage"; for classifiers also
        "accuracy_at_coverage" and "error_detection_auroc". Higher is better.
    measure : str, default=None
        A measure of the estimator's `predict_uncertainty`; of several outputs its root
        mean square. None is the total uncertainty, "predictive_entropy" for classifiers
        and "total_std" for regressors.
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
    TypeError
        If the score has no such parameter.

    See Also
    --------
    make_distribution_scorer : Scores of a regressor's predicted distributions.

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
    if measure is not None:
        check_measures([measure], {**MEASURES, **REGRESSION_MEASURES})
    asked = (score,) if measure is None else (score, measure)
    return _UncertaintyScorer("make_uncertainty_scorer", asked, _selective, kwargs)


def make_distribution_scorer(
    score: str = "mean_log_density", **kwargs: Any
) -> _DistributionScorer:
    """Make a scorer of predicted distributions, for `scoring` in scikit-learn.

    Takes part in `GridSearchCV`, `cross_validate`, `permutation_importance` and so on,
    with all that `skmcdropout.sample_predictions` takes: pipelines, searches and
    ensembles of `MCDropoutRegressor`.

    Parameters
    ----------
    score : str, default="mean_log_density"
        "mean_log_density", "neg_crps", "neg_interval_score" or
        "neg_quantile_calibration_error"; higher is better. The first three are proper
        scores. The last says whether the distributions are honest, not whether they
        are any good: do not choose by it alone.
    **kwargs : dict
        Parameters of the score, like ``coverage=0.8`` of the intervals that
        "neg_interval_score" asks for.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y) -> float``. All but the last score take a
        `sample_weight` of rows too.

    Raises
    ------
    ValueError
        If there is no such score.
    TypeError
        If the score has no such parameter.

    See Also
    --------
    make_uncertainty_scorer : Scores of the order of rows by their uncertainty.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import cross_val_score
    >>> from skmcdropout import MCDropoutRegressor
    >>> from skmcdropout.metrics import make_distribution_scorer
    >>> X, y = load_diabetes(return_X_y=True)
    >>> scorer = make_distribution_scorer("neg_interval_score", coverage=0.8)
    >>> reg = MCDropoutRegressor(epochs=20, random_state=0)
    >>> cross_val_score(reg, X, y, cv=3, scoring=scorer).shape
    (3,)
    """
    if score not in DISTRIBUTION_SCORES:
        raise ValueError(
            f"score must be one of {DISTRIBUTION_SCORES}. Got {score!r} instead."
        )
    return _DistributionScorer(
        "make_distribution_scorer", (score,), _regression, kwargs
    )


class _Scorer(BaseScorer):
    """A score of the metrics by its name; higher is better."""

    def __init__(
        self, maker: str, asked: tuple[str, ...], metrics: Any, kwargs: dict[str, Any]
    ) -> None:
        self._maker = maker
        self._asked = asked
        function = getattr(metrics, asked[0].removeprefix("neg_"))
        _check_parameters(function, kwargs)
        super().__init__(function, -1 if asked[0].startswith("neg_") else 1, kwargs)

    def _refuse(self, metadata: dict[str, Any]) -> None:
        if metadata:
            raise TypeError(f"{self!r} must get no metadata. Got {sorted(metadata)}.")

    def __repr__(self) -> str:
        given = [repr(name) for name in self._asked]
        given += [f"{name}={value!r}" for name, value in self._kwargs.items()]
        return f"{self._maker}({', '.join(given)})"


class _UncertaintyScorer(_Scorer):
    """A score of the order of rows by an estimator's own uncertainty."""

    def _score(
        self, method_caller: Any, estimator: Any, X: Any, y_true: Any, **metadata: Any
    ) -> float:
        self._refuse(metadata)
        score, *measure = self._asked
        kwargs = dict(self._kwargs)
        if is_regressor(estimator):
            if score not in RISK_SCORES:
                raise ValueError(
                    f"score must be one of {RISK_SCORES} for a regressor, whose "
                    f"predictions are not right or wrong. Got {score!r} instead."
                )
            kwargs.setdefault("loss", "squared_error")
        return self._sign * self._score_func(
            y_true, *judged(estimator, X, *measure), **kwargs
        )

    def set_score_request(self, **metadata: Any) -> None:
        """Refuse metadata."""
        self._refuse(metadata)

    def _get_metadata_request(self) -> MetadataRequest:
        return MetadataRequest(owner=self)


class _DistributionScorer(_Scorer):
    """A score of the distributions that a regressor predicts."""

    def _score(
        self, method_caller: Any, estimator: Any, X: Any, y_true: Any, **metadata: Any
    ) -> float:
        known = {"sample_weight"} & signature(self._score_func).parameters.keys()
        self._refuse({name: metadata[name] for name in metadata.keys() - known})
        kwargs = {**self._kwargs, **metadata}
        score = self._asked[0]
        if score == "mean_log_density":  # a few rows at a time
            densities = regressors.log_density(estimator, X, y_true)
            weight = kwargs.get("sample_weight")
            return float(_regression.mean_over_rows(densities, weight))
        if score == "neg_interval_score":
            kwargs.setdefault("coverage", 0.9)
            found = regressors.intervals(estimator, X, kwargs["coverage"])
            predicted = found["lower"], found["upper"]
        elif not regressors.is_stretched(estimator):
            predicted = regressors.union_of_draws(estimator, X)
        elif score == "neg_crps":
            scores = regressors.crps(estimator, X, y_true)
            of_outputs = _regression.mean_over_rows(scores, kwargs.get("sample_weight"))
            how = kwargs.get("multioutput", "uniform_average")
            return self._sign * _regression.mean_over_outputs(of_outputs, how)
        else:
            y_true, means, std = regressors.as_normal(estimator, X, y_true)
            predicted = means, np.full_like(means, std)
        return self._sign * self._score_func(y_true, *predicted, **kwargs)


def _check_parameters(function: Callable[..., Any], kwargs: dict[str, Any]) -> None:
    known = sorted(signature(function).parameters.keys() - PASSED)
    for name in kwargs:
        if name not in known:
            raise TypeError(
                f"kwargs must be parameters of {function.__name__}, of {known}. "
                f"Got {name!r} instead."
            )


def loss_of(estimator: Any) -> str:
    """Name of the loss of an estimator of its kind."""
    return "squared_error" if is_regressor(estimator) else "zero_one"


def judged(
    estimator: Any, X: Any, measure: str | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Predicted labels or values of rows, and how uncertain they are.

    Uncertainties of several outputs become one, their root mean square: the square of
    "total_std" is then the squared error that is expected, the mean over outputs.
    """
    predicted, labels, uncertainty = judge(estimator, X, measure)
    if uncertainty.ndim == 2:
        uncertainty = np.sqrt(np.square(uncertainty).mean(axis=1))
    if is_regressor(estimator):
        return predicted, uncertainty
    return estimator.predict(X) if labels is None else labels, uncertainty

"""The functions that find the networks in any estimator. Public in `skmcdropout`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_regressor
from sklearn.utils.validation import check_is_fitted

from skmcdropout._meta_estimators import classifiers, regressors
from skmcdropout.uncertainty import REGRESSION_MEASURES, check_measures


def sample_proba(estimator: Any, X: ArrayLike) -> NDArray[np.floating]:
    """Predict with each draw of the networks in any classifier by itself.

    Several networks, as of a `VotingClassifier`, give the union of their draws: a deep
    ensemble of Monte-Carlo dropout networks.

    Parameters
    ----------
    estimator : estimator
        Fitted `MCDropoutClassifier`, or an estimator that predicts with some: see
        Notes.
    X : array-like of shape (n_rows, n_features)
        Rows to predict, as `estimator` takes them.

    Returns
    -------
    draws : ndarray of shape (n_draws, n_rows, n_classes)
        Class probabilities, draws first, in the order of ``estimator.classes_``. All
        of it is in memory at once.

    Raises
    ------
    TypeError
        If the estimator is no classifier, or no network is in it.
    ValueError
        If the weights of an ensemble are such that draws would have to be repeated very
        often, or it votes by labels (``voting="hard"``).

    See Also
    --------
    predict_uncertainty : Measures of the same draws, in bounded memory.
    sample_predictions : The same for regressors.
    MCDropoutClassifier.sample_proba : The draws of a network alone.

    Notes
    -----
    Networks are found in

    - a `Pipeline` of scikit-learn or imbalanced-learn: rows go through the steps before
      the last, samplers left out;
    - a search (`GridSearchCV`, ...), `FrozenEstimator`, `RejectingClassifier`,
      `SelfTrainingClassifier`, `FixedThresholdClassifier` and
      `TunedThresholdClassifierCV`, `RFE` and `RFECV`;
    - the last estimator of a `StackingClassifier` or `StackingRegressor`;
    - `VotingClassifier` with ``voting="soft"``, `BaggingClassifier` and their
      regressors: the union of the members' draws. If members differ in weight or number
      of draws, draws are repeated, so that the mean over all is the ensemble's
      `predict_proba`. A member that is no network is one draw;
    - `CalibratedClassifierCV`: each draw is calibrated. The mean over calibrated draws
      may differ a little from `predict_proba`, which calibrates the mean;
    - `TransformedTargetRegressor`, with a scaler or any other transformer or function
      that is monotone in each target: the distributions are those of the targets
      themselves;

    and in all of these inside each other.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import BaggingClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skmcdropout import MCDropoutClassifier, sample_proba
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MCDropoutClassifier(epochs=5, n_samples=20)
    >>> ensemble = make_pipeline(
    ...     StandardScaler(),
    ...     BaggingClassifier(network, 3, bootstrap=False, random_state=0),
    ... ).fit(X, y)
    >>> draws = sample_proba(ensemble, X)
    >>> draws.shape
    (60, 150, 3)
    >>> bool(abs(draws.mean(axis=0) - ensemble.predict_proba(X)).max() < 1e-6)
    True
    """
    return classifiers.union_of_draws(estimator, X)


def sample_predictions(estimator: Any, X: ArrayLike, return_std: bool = False) -> Any:
    """Predict with each draw of the networks in any regressor by itself.

    Several networks, as of a `VotingRegressor`, give the union of their draws.

    Parameters
    ----------
    estimator : estimator
        Fitted `MCDropoutRegressor`, or an estimator that predicts with such ones and
        no others: see Notes of `sample_proba`.
    X : array-like of shape (n_rows, n_features)
        Rows to predict, as `estimator` takes them.
    return_std : bool, default=False
        Whether to return also the noise that each draw predicts.

    Returns
    -------
    means : ndarray of shape (n_draws, n_rows) or (n_draws, n_rows, n_outputs)
        The mean that each draw predicts, in units of y, draws first; its median where a
        `TransformedTargetRegressor` stretches targets, as by a logarithm. All of it is
        in memory at once.
    stds : ndarray of shape (n_draws, n_rows) or (n_draws, n_rows, n_outputs)
        Standard deviation of each draw's distribution, the noise, in units of y; only
        with `return_std`.

    Raises
    ------
    TypeError
        If the estimator is no regressor, or predicts with others than networks.
    ValueError
        If the weights of an ensemble are such that draws would have to be repeated very
        often, or targets were transformed in a way that is not monotone or mixes them.

    See Also
    --------
    predict_uncertainty : Standard deviations, in bounded memory.
    sample_proba : The same for classifiers.
    MCDropoutRegressor.sample_predictions : The draws of a network alone.

    Examples
    --------
    >>> from sklearn.compose import TransformedTargetRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> from skmcdropout import MCDropoutRegressor, sample_predictions
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = TransformedTargetRegressor(
    ...     MCDropoutRegressor(epochs=5, n_samples=20, random_state=0),
    ...     transformer=MinMaxScaler(),
    ... ).fit(X, y)
    >>> sample_predictions(reg, X).shape
    (20, 442)
    """
    means, stds = regressors.union_of_draws(estimator, X)
    return (means, stds) if return_std else means


def predict_uncertainty(
    estimator: Any, X: ArrayLike, measure: str | Sequence[str] | None = None
) -> NDArray[np.floating]:
    """Say how unsure any estimator with networks inside is; higher = less certain.

    The measures are those of all draws of all networks together, each network with its
    share of the vote.

    Parameters
    ----------
    estimator : estimator
        Fitted `MCDropoutClassifier` or `MCDropoutRegressor`, or an estimator that
        predicts with some (see Notes of `sample_proba`). Or any other classifier with
        `predict_proba`, for the measures that need no draws, "predictive_entropy" and
        "least_confidence". Where rows have several labels, as of a
        `OneVsRestClassifier` of an indicator, these are of all labels together, taken
        as independent: the sum of their entropies, and 1 minus the product of the
        larger probabilities.
    X : array-like of shape (n_rows, n_features)
        Rows to predict, as `estimator` takes them.
    measure : str or sequence of str, default=None
        One or several measures, by the names that `MCDropoutClassifier` and
        `MCDropoutRegressor` have for them: entropies in nats, standard deviations in
        units of y. None is the total uncertainty, "predictive_entropy" or "total_std".

    Returns
    -------
    uncertainty : ndarray of shape (n_rows[, n_outputs][, n_measures])
        With an axis of outputs if a regressor has several, and one of measures where
        `measure` is a sequence.

    Raises
    ------
    TypeError
        If the estimator is no classifier with `predict_proba`, and no regressor that
        predicts with networks of this package alone.
    ValueError
        If a measure does not exist, or needs draws where there are none.

    See Also
    --------
    cross_val_uncertainty : Of rows that were not trained on.
    sample_proba : The draws of classes, and which estimators are looked into.
    sample_predictions : The draws of values.
    skmcdropout.uncertainty : Formulas of the measures.

    Notes
    -----
    Memory is bounded: the draws of some rows and one network are held at a time.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skmcdropout import MCDropoutClassifier, predict_uncertainty
    >>> X, y = load_iris(return_X_y=True)
    >>> pipe = make_pipeline(
    ...     StandardScaler(), MCDropoutClassifier(epochs=5, random_state=0)
    ... ).fit(X, y)
    >>> predict_uncertainty(pipe, X).shape
    (150,)
    >>> predict_uncertainty(pipe, X, ["mutual_information", "predictive_std"]).shape
    (150, 2)
    """
    _, _, uncertainty = judge(estimator, X, measure)
    return uncertainty


def judge(
    estimator: Any, X: Any, measure: str | Sequence[str] | None = None
) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any]]:
    """Probabilities or values, labels and uncertainties, all of the same draws.

    Labels are None where the estimator must be asked for them, and of regressors.
    """
    check_is_fitted(estimator)
    measure = total_measure(estimator) if measure is None else measure
    names = [measure] if isinstance(measure, str) else list(measure)
    if is_regressor(estimator):
        check_measures(names, REGRESSION_MEASURES)
        moments = regressors.moments(estimator, X)
        predicted, labels, measures = moments.mean, None, moments.measures()
    else:
        predicted, labels, measures = classifiers.judge(estimator, X, names)
    if isinstance(measure, str):
        return predicted, labels, measures[measure]
    return predicted, labels, np.stack([measures[name] for name in names], axis=-1)


def total_measure(estimator: Any) -> str:
    """Name of the total uncertainty of an estimator of its kind."""
    return "total_std" if is_regressor(estimator) else "predictive_entropy"

"""What the networks in any regressor predict together. Public in `skmcdropout`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from skmcdropout._meta_estimators import regressors
from skmcdropout._validation import check_levels, levels_of_interval

Doubles = NDArray[np.float64]


def predict_interval(estimator: Any, X: ArrayLike, coverage: float = 0.9) -> Doubles:
    """Predict a central interval for each target, by the networks in any regressor.

    Parameters
    ----------
    estimator : estimator
        Fitted `MCDropoutRegressor`, or an estimator that predicts with such ones and
        no others: see Notes of `sample_proba`.
    X : array-like of shape (n_rows, n_features)
        Rows to predict, as `estimator` takes them.
    coverage : float, default=0.9
        Probability that a target is in it, in (0, 1). What is left out is half above
        and half below.

    Returns
    -------
    interval : ndarray of shape (n_rows, 2) or (n_rows, n_outputs, 2)
        Lower and upper bound, in units of y: see `predict_quantiles`.

    Raises
    ------
    TypeError
        If the estimator is no regressor, or predicts with others than networks.
    ValueError
        If `coverage` is not between 0 and 1, or targets were transformed in a way that
        is not monotone or mixes them.

    See Also
    --------
    MCDropoutRegressor.predict_interval : The same of a network alone.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.compose import TransformedTargetRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> from skmcdropout import MCDropoutRegressor, predict_interval
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = TransformedTargetRegressor(
    ...     MCDropoutRegressor(epochs=5, random_state=0),
    ...     func=np.log,
    ...     inverse_func=np.exp,
    ... ).fit(X, y)
    >>> interval = predict_interval(reg, X, coverage=0.99)
    >>> interval.shape, bool(interval.min() > 0)
    ((442, 2), True)
    """
    return predict_quantiles(estimator, X, levels_of_interval(coverage))


def predict_quantiles(
    estimator: Any, X: ArrayLike, quantiles: ArrayLike = (0.05, 0.5, 0.95)
) -> Doubles:
    """Predict quantiles of each target, by the networks in any regressor.

    Parameters
    ----------
    estimator : estimator
        Fitted `MCDropoutRegressor`, or an estimator that predicts with such ones and
        no others: see Notes of `sample_proba`.
    X : array-like of shape (n_rows, n_features)
        Rows to predict, as `estimator` takes them.
    quantiles : array-like of shape (n_quantiles,), default=(0.05, 0.5, 0.95)
        Probabilities in (0, 1) that a target is lower.

    Returns
    -------
    values : ndarray of shape (n_rows, n_quantiles) or (n_rows, n_outputs, n_quantiles)
        In units of y, quantiles of the distribution that all networks predict together,
        each with its share. Those of targets in a `TransformedTargetRegressor` are
        transformed back: what a network says beyond the range of the transformation,
        as below 0 of a square root, is at the end of the range.

    Raises
    ------
    TypeError
        If the estimator is no regressor, or predicts with others than networks.
    ValueError
        If `quantiles` are not between 0 and 1, or targets were transformed in a way
        that is not monotone or mixes them.

    See Also
    --------
    MCDropoutRegressor.predict_quantiles : The same of a network alone.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skmcdropout import MCDropoutRegressor, predict_quantiles
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = make_pipeline(
    ...     StandardScaler(), MCDropoutRegressor(epochs=5, random_state=0)
    ... ).fit(X, y)
    >>> predict_quantiles(reg, X, [0.1, 0.9]).shape
    (442, 2)
    """
    levels = check_levels(quantiles, "quantiles")
    return regressors.quantiles(estimator, X, levels)


def predict_log_density(estimator: Any, X: ArrayLike, y: ArrayLike) -> Doubles:
    """Logarithm of the density at given targets, by the networks in any regressor.

    Parameters
    ----------
    estimator : estimator
        Fitted `MCDropoutRegressor`, or an estimator that predicts with such ones and
        no others: see Notes of `sample_proba`.
    X : array-like of shape (n_rows, n_features)
        Rows to predict, as `estimator` takes them.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Their targets, in units of y.

    Returns
    -------
    log_density : ndarray of shape (n_rows,)
        In nats, per unit of y; of several targets jointly. Minus infinity at targets
        that a transformation does not take, as below 0 of a logarithm.

    Raises
    ------
    TypeError
        If the estimator is no regressor, or predicts with others than networks.
    ValueError
        If `y` has not a target for each row and output, or if no noise is known.

    See Also
    --------
    MCDropoutRegressor.predict_log_density : The same of a network alone.

    Notes
    -----
    Of targets that were transformed by a function g it is the logarithm of the density
    that is predicted at g(y), plus that of the slope of g there: in closed form for
    the logarithms, roots and arcsinh of NumPy and for `PowerTransformer`, else by
    differences.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.compose import TransformedTargetRegressor
    >>> from sklearn.datasets import load_diabetes
    >>> from skmcdropout import MCDropoutRegressor, predict_log_density
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = TransformedTargetRegressor(
    ...     MCDropoutRegressor(epochs=5, random_state=0),
    ...     func=np.log,
    ...     inverse_func=np.exp,
    ... ).fit(X, y)
    >>> inside = reg.regressor_.predict_log_density(X, np.log(y))
    >>> bool(np.allclose(predict_log_density(reg, X, y), inside - np.log(y)))
    True
    """
    check_is_fitted(estimator)
    return regressors.log_density(estimator, X, y)

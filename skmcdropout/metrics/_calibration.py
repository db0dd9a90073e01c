"""Whether predictions are right as often as their probabilities say.

Public in `skmcdropout.metrics`.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length, column_or_1d

Floats = NDArray[np.float64]


def top_label_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    n_bins: int = 15,
    strategy: str = "uniform",
) -> float:
    """Expected calibration error (ECE) of the predicted class's probability.

    Rows are put into bins by their largest probability; in each, the mean of it should
    be the share of right predictions. 0 is perfect; 0.05 says that the confidence is
    off by five percentage points, on average over rows. Only as fine as its bins:
    compare models with the same ones.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        True labels.
    y_prob : array-like of shape (n_rows, n_classes)
        Class probabilities, in the order of the sorted labels.
    labels : array-like of shape (n_classes,), default=None
        All labels, sorted, if not every one is in `y_true`.
    n_bins : int, default=15
        Number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width in [0, 1], or with equal numbers of rows.

    Returns
    -------
    error : float
        ``sum over bins of (rows in bin / rows) * |accuracy - mean confidence|``, in
        [0, 1].

    References
    ----------
    .. [1] Guo, C., Pleiss, G., Sun, Y. and Weinberger, K. (2017). On calibration of
       modern neural networks. ICML.

    Examples
    --------
    >>> from skmcdropout.metrics import top_label_calibration_error
    >>> y_prob = [[0.8, 0.2], [0.8, 0.2], [0.2, 0.8], [0.2, 0.8]]
    >>> round(top_label_calibration_error([0, 0, 1, 0], y_prob), 3)
    0.05
    """
    codes, proba = _codes(y_true, y_prob, labels)
    is_right = proba.argmax(axis=1) == codes
    return _calibration_error(is_right, proba.max(axis=1), n_bins, strategy)


def classwise_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    n_bins: int = 15,
    strategy: str = "uniform",
) -> float:
    """Mean over classes of the calibration error of each class's probability.

    Unlike `top_label_calibration_error` it looks at all probabilities, not only at the
    largest. 0 is perfect. With many classes most probabilities are near 0 and so is
    the error.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        True labels.
    y_prob : array-like of shape (n_rows, n_classes)
        Class probabilities, in the order of the sorted labels.
    labels : array-like of shape (n_classes,), default=None
        All labels, sorted, if not every one is in `y_true`.
    n_bins : int, default=15
        Number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width in [0, 1], or with equal numbers of rows.

    Returns
    -------
    error : float
        In [0, 1].

    References
    ----------
    .. [1] Kull, M., Perello-Nieto, M., Kängsepp, M., Silva Filho, T., Song, H. and
       Flach, P. (2019). Beyond temperature scaling: obtaining well-calibrated
       multi-class probabilities with Dirichlet calibration. NeurIPS.

    Examples
    --------
    >>> from skmcdropout.metrics import classwise_calibration_error
    >>> y_prob = [[0.8, 0.2], [0.8, 0.2], [0.2, 0.8], [0.2, 0.8]]
    >>> round(classwise_calibration_error([0, 0, 1, 0], y_prob), 3)
    0.25
    """
    codes, proba = _codes(y_true, y_prob, labels)
    errors = [
        _calibration_error(codes == k, column, n_bins, strategy)
        for k, column in enumerate(proba.T)
    ]
    return float(np.mean(errors))


def _codes(
    y_true: ArrayLike, y_prob: ArrayLike, labels: ArrayLike | None
) -> tuple[NDArray[np.intp], Floats]:
    """Column of the true class, and probabilities, of each row."""
    true = column_or_1d(y_true)
    proba = check_array(y_prob, dtype=np.float64, input_name="y_prob")
    check_consistent_length(true, proba)
    classes = np.unique(true) if labels is None else column_or_1d(labels)
    if len(classes) != proba.shape[1]:
        raise ValueError(
            f"y_prob must have a column for each of the labels, {classes}; give labels "
            f"if they are not all in y_true. Got {proba.shape[1]} columns."
        )
    if np.any(classes[:-1] >= classes[1:]):
        raise ValueError(f"labels must be sorted. Got {classes} instead.")
    unknown = np.setdiff1d(true, classes)
    if len(unknown):
        raise ValueError(f"y_true must hold only labels. Got {unknown} too.")
    if proba.min() < 0 or proba.max() > 1:
        raise ValueError(
            "y_prob must hold probabilities in [0, 1]. Got values from "
            f"{proba.min():.3g} to {proba.max():.3g}."
        )
    return np.searchsorted(classes, true), proba


def _calibration_error(
    happened: NDArray[np.bool_], probability: Floats, n_bins: int, strategy: str
) -> float:
    """Mean over rows of how far frequency and mean probability of a bin are apart."""
    if not isinstance(n_bins, Integral) or isinstance(n_bins, bool) or n_bins < 1:
        raise ValueError(
            f"n_bins must be an int of at least 1. Got {n_bins!r} instead."
        )
    if strategy == "uniform":
        bins = np.minimum((probability * n_bins).astype(int), n_bins - 1)
    elif strategy == "quantile":
        inner = np.quantile(probability, np.arange(1, n_bins) / n_bins)
        bins = np.searchsorted(inner, probability, side="right")
    else:
        raise ValueError(
            f"strategy must be 'uniform' or 'quantile'. Got {strategy!r} instead."
        )
    gaps = np.bincount(bins, weights=happened - probability, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(probability))

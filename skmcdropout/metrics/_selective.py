"""Scores of selective prediction: whether an uncertainty finds the errors.

Public in `skmcdropout.metrics`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score
from sklearn.utils import check_array, check_consistent_length, column_or_1d

Floats = NDArray[np.float64]


def risk_coverage_curve(
    y_true: ArrayLike, y_pred: ArrayLike, uncertainty: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Error rate among the rows that are at most so uncertain, for each threshold.

    Someone who lets a model decide only where it is certain enough can read here what
    share of the rows it decides (coverage), and how often it is wrong there (risk). The
    curve of a good uncertainty stays low until late.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        True labels.
    y_pred : array-like of shape (n_rows,)
        Predicted labels.
    uncertainty : array-like of shape (n_rows,)
        Higher = less certain.

    Returns
    -------
    coverage : ndarray of shape (n_thresholds,)
        Share of the rows with an uncertainty of at most the threshold, in (0, 1],
        increasing.
    risk : ndarray of shape (n_thresholds,)
        Share of wrong predictions among these, in [0, 1]; the last is the error rate.
    thresholds : ndarray of shape (n_thresholds,)
        The distinct uncertainties, increasing.

    References
    ----------
    .. [1] Geifman, Y. and El-Yaniv, R. (2017). Selective classification for deep
       neural networks. NeurIPS.

    Examples
    --------
    >>> from skmcdropout.metrics import risk_coverage_curve
    >>> y_true, y_pred, uncertainty = [0, 1, 1, 0], [0, 1, 1, 1], [1, 2, 3, 4]
    >>> coverage, risk, _ = risk_coverage_curve(y_true, y_pred, uncertainty)
    >>> coverage.tolist(), risk.tolist()
    ([0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 0.0, 0.25])
    """
    wrong, values = _errors(y_true, y_pred, uncertainty)
    thresholds, inverse = np.unique(values, return_inverse=True)
    n_kept = np.bincount(inverse).cumsum()
    n_wrong = np.bincount(inverse, weights=wrong).cumsum()
    return n_kept / len(values), n_wrong / n_kept, thresholds


def aurc(y_true: ArrayLike, y_pred: ArrayLike, uncertainty: ArrayLike) -> float:
    """Area under the risk-coverage curve: the mean risk over all coverages.

    0 for a model without errors. An uncertainty that says nothing gives the error rate
    of the model; the lower, the more errors stand among the uncertain rows. It
    measures model and uncertainty together: see `excess_aurc`.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        True labels.
    y_pred : array-like of shape (n_rows,)
        Predicted labels.
    uncertainty : array-like of shape (n_rows,)
        Higher = less certain.

    Returns
    -------
    area : float
        ``mean(errors among the i least uncertain rows / i for i = 1, ..., n_rows)``, in
        [0, 1].

    References
    ----------
    .. [1] Geifman, Y., Uziel, G. and El-Yaniv, R. (2019). Bias-reduced uncertainty
       estimation for deep neural classifiers. ICLR.

    Examples
    --------
    >>> from skmcdropout.metrics import aurc
    >>> aurc([0, 1, 1, 0], [0, 1, 1, 1], [1, 2, 3, 4])
    0.0625
    """
    return float(_risks(y_true, y_pred, uncertainty).mean())


def excess_aurc(y_true: ArrayLike, y_pred: ArrayLike, uncertainty: ArrayLike) -> float:
    """By how much `aurc` is above that of a perfect order, all errors last.

    0 for a perfect order of the rows, whatever the accuracy. It still grows with the
    error rate: compare it for models of about the same accuracy.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        True labels.
    y_pred : array-like of shape (n_rows,)
        Predicted labels.
    uncertainty : array-like of shape (n_rows,)
        Higher = less certain.

    Returns
    -------
    excess : float
        In [0, 1].

    References
    ----------
    .. [1] Geifman, Y., Uziel, G. and El-Yaniv, R. (2019). Bias-reduced uncertainty
       estimation for deep neural classifiers. ICLR.

    Examples
    --------
    >>> from skmcdropout.metrics import excess_aurc
    >>> excess_aurc([0, 1, 1, 0], [0, 1, 1, 1], [1, 2, 3, 4])
    0.0
    """
    wrong, _ = _errors(y_true, y_pred, uncertainty)
    return aurc(y_true, y_pred, uncertainty) - aurc(y_true, y_pred, wrong)


def risk_at_coverage(
    y_true: ArrayLike, y_pred: ArrayLike, uncertainty: ArrayLike, coverage: float = 0.9
) -> float:
    """Error rate among the least uncertain rows, a share `coverage` of all.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        True labels.
    y_pred : array-like of shape (n_rows,)
        Predicted labels.
    uncertainty : array-like of shape (n_rows,)
        Higher = less certain.
    coverage : float, default=0.9
        Share of the rows that are kept, in (0, 1], rounded up to a whole row.

    Returns
    -------
    risk : float
        In [0, 1].

    Examples
    --------
    >>> from skmcdropout.metrics import risk_at_coverage
    >>> risk_at_coverage([0, 1, 1, 0], [0, 1, 1, 1], [1, 2, 3, 4], coverage=0.75)
    0.0
    """
    if not 0 < coverage <= 1:
        raise ValueError(
            f"coverage must be a float in the range (0, 1]. Got {coverage!r} instead."
        )
    risks = _risks(y_true, y_pred, uncertainty)
    n_kept = max(1, int(np.ceil(round(coverage * len(risks), 6))))
    return float(risks[n_kept - 1])


def accuracy_at_coverage(
    y_true: ArrayLike, y_pred: ArrayLike, uncertainty: ArrayLike, coverage: float = 0.9
) -> float:
    """Accuracy among the least uncertain rows: 1 minus `risk_at_coverage`.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        True labels.
    y_pred : array-like of shape (n_rows,)
        Predicted labels.
    uncertainty : array-like of shape (n_rows,)
        Higher = less certain.
    coverage : float, default=0.9
        Share of the rows that are kept, in (0, 1], rounded up to a whole row.

    Returns
    -------
    accuracy : float
        In [0, 1]. It should grow as `coverage` falls.

    Examples
    --------
    >>> from skmcdropout.metrics import accuracy_at_coverage
    >>> accuracy_at_coverage([0, 1, 1, 0], [0, 1, 1, 1], [1, 2, 3, 4], coverage=1.0)
    0.75
    """
    return 1 - risk_at_coverage(y_true, y_pred, uncertainty, coverage)


def error_detection_auroc(
    y_true: ArrayLike, y_pred: ArrayLike, uncertainty: ArrayLike
) -> float:
    """Probability that a wrong prediction is more uncertain than a right one.

    0.5 is random, 1 a perfect separation; not defined (NaN, with scikit-learn's
    warning) without errors. It says nothing of how many errors there are.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        True labels.
    y_pred : array-like of shape (n_rows,)
        Predicted labels.
    uncertainty : array-like of shape (n_rows,)
        Higher = less certain.

    Returns
    -------
    auroc : float
        Area under the ROC curve of the errors, in [0, 1].

    References
    ----------
    .. [1] Hendrycks, D. and Gimpel, K. (2017). A baseline for detecting misclassified
       and out-of-distribution examples in neural networks. ICLR.

    Examples
    --------
    >>> from skmcdropout.metrics import error_detection_auroc
    >>> error_detection_auroc([0, 1, 0], [0, 1, 1], [1, 4, 3])
    0.5
    """
    wrong, values = _errors(y_true, y_pred, uncertainty)
    return float(roc_auc_score(wrong, values))


def ood_detection_auroc(uncertainty_in: ArrayLike, uncertainty_out: ArrayLike) -> float:
    """Probability that a row from elsewhere is more uncertain than one from here.

    0.5 is random, 1 a perfect separation of rows like the training data from rows out
    of their distribution.

    Parameters
    ----------
    uncertainty_in : array-like of shape (n_in,)
        Uncertainties of rows like the training data, of which none was trained on.
    uncertainty_out : array-like of shape (n_out,)
        Uncertainties of rows from elsewhere.

    Returns
    -------
    auroc : float
        Area under the ROC curve, in [0, 1].

    References
    ----------
    .. [1] Hendrycks, D. and Gimpel, K. (2017). A baseline for detecting misclassified
       and out-of-distribution examples in neural networks. ICLR.

    Examples
    --------
    >>> from skmcdropout.metrics import ood_detection_auroc
    >>> ood_detection_auroc([0.1, 0.5], [0.4, 0.9])
    0.75
    """
    inside, outside = _uncertainty(uncertainty_in), _uncertainty(uncertainty_out)
    is_out = np.repeat([0, 1], [len(inside), len(outside)])
    return float(roc_auc_score(is_out, np.concatenate([inside, outside])))


def _uncertainty(values: ArrayLike, name: str = "uncertainty") -> Floats:
    return column_or_1d(
        check_array(values, ensure_2d=False, dtype=np.float64, input_name=name)
    )


def _errors(
    y_true: ArrayLike, y_pred: ArrayLike, uncertainty: ArrayLike
) -> tuple[Floats, Floats]:
    """Whether each prediction is wrong (1 or 0), and its uncertainty."""
    true, predicted = column_or_1d(y_true), column_or_1d(y_pred)
    values = _uncertainty(uncertainty)
    check_consistent_length(true, predicted, values)
    kinds = {x.dtype.kind in "US" for x in (true, predicted) if x.dtype.kind != "O"}
    if len(kinds) > 1:
        raise ValueError(
            "y_true and y_pred must hold labels of one type. Got strings and numbers: "
            f"{true.dtype} and {predicted.dtype}."
        )
    return (true != predicted).astype(np.float64), values


def _risks(y_true: ArrayLike, y_pred: ArrayLike, uncertainty: ArrayLike) -> Floats:
    """Error rate among the i least uncertain rows, i = 1, ..., n.

    Each of several rows of equal uncertainty counts with their mean error, which gives
    the mean over all their orders.
    """
    wrong, values = _errors(y_true, y_pred, uncertainty)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_wrong = np.bincount(inverse, weights=wrong) / counts
    return np.repeat(mean_wrong, counts).cumsum() / np.arange(1, len(values) + 1)

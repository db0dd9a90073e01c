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
    y_true: ArrayLike,
    y_pred: ArrayLike,
    uncertainty: ArrayLike,
    *,
    loss: str = "zero_one",
) -> tuple[Floats, Floats, Floats]:
    """Mean loss among the rows that are at most so uncertain, for each threshold.

    Someone who lets a model decide only where it is certain enough can read here what
    share of the rows it decides (coverage), and how often or how far it is wrong there
    (risk). The curve of a good uncertainty stays low until late.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_outputs)
        True labels, or true values for the squared error.
    y_pred : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Predicted labels or values.
    uncertainty : array-like of shape (n_rows,)
        Higher = less certain.
    loss : {"zero_one", "squared_error"}, default="zero_one"
        Loss of a row: 1 for a wrong label, or the squared error of a value, the mean of
        it over outputs.

    Returns
    -------
    coverage : ndarray of shape (n_thresholds,)
        Share of the rows with an uncertainty of at most the threshold, in (0, 1],
        increasing.
    risk : ndarray of shape (n_thresholds,)
        Mean loss among these: the share of wrong labels, in [0, 1], or the mean squared
        error, in squared units of y. The last is that of all rows.
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
    losses, values = losses_of(y_true, y_pred, uncertainty, loss)
    thresholds, inverse = np.unique(values, return_inverse=True)
    n_kept = np.bincount(inverse).cumsum()
    total = np.bincount(inverse, weights=losses).cumsum()
    return n_kept / len(values), total / n_kept, thresholds


def aurc(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    uncertainty: ArrayLike,
    *,
    loss: str = "zero_one",
) -> float:
    """Area under the risk-coverage curve: the mean risk over all coverages.

    0 for a model without errors. An uncertainty that says nothing gives the mean loss
    of the model; the lower, the more errors stand among the uncertain rows. It
    measures model and uncertainty together: see `excess_aurc`.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_outputs)
        True labels, or true values for the squared error.
    y_pred : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Predicted labels or values.
    uncertainty : array-like of shape (n_rows,)
        Higher = less certain.
    loss : {"zero_one", "squared_error"}, default="zero_one"
        Loss of a row: 1 for a wrong label, or the squared error of a value, the mean of
        it over outputs.

    Returns
    -------
    area : float
        ``mean(losses of the i least uncertain rows / i for i = 1, ..., n_rows)``; in
        [0, 1] for labels, in squared units of y for the squared error.

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
    return float(_risks(*losses_of(y_true, y_pred, uncertainty, loss)).mean())


def excess_aurc(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    uncertainty: ArrayLike,
    *,
    loss: str = "zero_one",
) -> float:
    """By how much `aurc` is above that of a perfect order, the largest losses last.

    0 for a perfect order of the rows, whatever the accuracy. It still grows with the
    losses: compare it for models of about the same accuracy.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_outputs)
        True labels, or true values for the squared error.
    y_pred : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Predicted labels or values.
    uncertainty : array-like of shape (n_rows,)
        Higher = less certain.
    loss : {"zero_one", "squared_error"}, default="zero_one"
        Loss of a row: 1 for a wrong label, or the squared error of a value, the mean of
        it over outputs.

    Returns
    -------
    excess : float
        In [0, 1] for labels, in squared units of y for the squared error.

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
    losses, values = losses_of(y_true, y_pred, uncertainty, loss)
    excess = _risks(losses, values).mean() - _risks(losses, losses).mean()
    return max(0.0, float(excess))


def risk_at_coverage(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    uncertainty: ArrayLike,
    coverage: float = 0.9,
    *,
    loss: str = "zero_one",
) -> float:
    """Mean loss among the least uncertain rows, a share `coverage` of all.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_outputs)
        True labels, or true values for the squared error.
    y_pred : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Predicted labels or values.
    uncertainty : array-like of shape (n_rows,)
        Higher = less certain.
    coverage : float, default=0.9
        Share of the rows that are kept, in (0, 1], rounded up to a whole row.
    loss : {"zero_one", "squared_error"}, default="zero_one"
        Loss of a row: 1 for a wrong label, or the squared error of a value, the mean of
        it over outputs.

    Returns
    -------
    risk : float
        The error rate, in [0, 1], or the mean squared error, in squared units of y.

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
    risks = _risks(*losses_of(y_true, y_pred, uncertainty, loss))
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
    wrong, values = losses_of(y_true, y_pred, uncertainty, "zero_one")
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


def losses_of(
    y_true: ArrayLike, y_pred: ArrayLike, uncertainty: ArrayLike, loss: str
) -> tuple[Floats, Floats]:
    """Loss of each row, and its uncertainty."""
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {sorted(LOSSES)}. Got {loss!r} instead.")
    losses, values = LOSSES[loss](y_true, y_pred), _uncertainty(uncertainty)
    check_consistent_length(losses, values)
    return losses, values


def _zero_one(y_true: ArrayLike, y_pred: ArrayLike) -> Floats:
    true, predicted = column_or_1d(y_true), column_or_1d(y_pred)
    check_consistent_length(true, predicted)
    kinds = {x.dtype.kind in "US" for x in (true, predicted) if x.dtype.kind != "O"}
    if len(kinds) > 1:
        raise ValueError(
            "y_true and y_pred must hold labels of one type. Got strings and numbers: "
            f"{true.dtype} and {predicted.dtype}."
        )
    for name, labels in (("y_true", true), ("y_pred", predicted)):
        if labels.dtype.kind == "f" and (labels != np.rint(labels)).any():
            fraction = labels[labels != np.rint(labels)][0]
            raise ValueError(
                f"{name} must hold labels, no fractions, for the loss 'zero_one'; for "
                f"values there is loss='squared_error'. Got {fraction} instead."
            )
    return (true != predicted).astype(np.float64)


def _squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> Floats:
    true, predicted = (
        check_array(y, ensure_2d=False, dtype=np.float64, input_name=name)
        for y, name in ((y_true, "y_true"), (y_pred, "y_pred"))
    )
    check_consistent_length(true, predicted)
    of_outputs = true.reshape(len(true), -1), predicted.reshape(len(true), -1)
    if of_outputs[0].shape != of_outputs[1].shape:
        raise ValueError(
            "y_true and y_pred must have the same outputs. Got shapes "
            f"{true.shape} and {predicted.shape} instead."
        )
    return np.square(of_outputs[0] - of_outputs[1]).mean(axis=1)


LOSSES = {"zero_one": _zero_one, "squared_error": _squared_error}


def _risks(losses: Floats, values: Floats) -> Floats:
    """Mean loss of the i least uncertain rows, i = 1, ..., n.

    Each of several rows of equal uncertainty counts with their mean loss, which gives
    the mean over all their orders.
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_losses = np.bincount(inverse, weights=losses) / counts
    return np.repeat(mean_losses, counts).cumsum() / np.arange(1, len(values) + 1)

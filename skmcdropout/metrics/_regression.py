"""Scores of predictive distributions and intervals of numbers.

Public in `skmcdropout.metrics`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from skmcdropout._utils import gaussian_mixture
from skmcdropout.uncertainty import check_means_and_stds

Floats = NDArray[np.float64]


def mean_log_density(
    y_true: ArrayLike,
    means: ArrayLike,
    stds: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean log density of the true values under the draws: the higher, the better.

    ``mean_i log mean_t N(y_i; mean_ti, std_ti)``; the density of several outputs is
    that of all of them jointly. A proper score: its best value in the long run has the
    true distribution. One value far from all draws can dominate it, unlike `crps`.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_outputs)
        True values.
    means : array-like of shape (n_draws, n_rows) or (n_draws, n_rows, n_outputs)
        What each draw predicts, in units of y, draws first.
    stds : float or array-like of shape (n_outputs,) or of the shape of `means`
        Standard deviations of the noise, in units of y, above 0. Those of shape
        (n_outputs,) go with `means` that have outputs.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of the rows.

    Returns
    -------
    log_density : float
        In nats; a density, so it may be above 0. If y is multiplied by c it falls by
        log c for each output.

    Raises
    ------
    ValueError
        If an argument has another shape or is not finite, or if `stds` are not above 0:
        without noise there is no density.

    References
    ----------
    .. [1] Gneiting, T. and Raftery, A. E. (2007). Strictly proper scoring rules,
       prediction, and estimation. Journal of the American Statistical Association.

    Examples
    --------
    >>> from skmcdropout.metrics import mean_log_density
    >>> y_true, means = [0.0, 1.0], [[0.0, 1.5], [0.5, 1.0]]  # two draws of two rows
    >>> round(mean_log_density(y_true, means, stds=1.0), 3)
    -0.979
    """
    y, m, s = _check_mixture(y_true, means, stds)
    if s.min() == 0:
        raise ValueError(
            "stds must be above 0: without noise there is no density. Got 0 instead."
        )
    log_densities = gaussian_mixture.log_density(y, m, s)
    return float(mean_over_rows(log_densities, sample_weight))


def crps(
    y_true: ArrayLike,
    means: ArrayLike,
    stds: ArrayLike,
    *,
    multioutput: str | ArrayLike = "uniform_average",
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """Mean continuous ranked probability score (CRPS): the lower, the better.

    ``mean_i integral (F_i(x) - [y_i <= x])**2 dx``, F_i the cdf of the mixture of all
    draws of a row. A proper score: its best value in the long run has the true
    distribution. With one draw and no noise it is the mean absolute error. The time
    grows with the square of the number of draws.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_outputs)
        True values.
    means : array-like of shape (n_draws, n_rows) or (n_draws, n_rows, n_outputs)
        What each draw predicts, in units of y, draws first.
    stds : float or array-like of shape (n_outputs,) or of the shape of `means`
        Standard deviations of the noise, in units of y, at least 0. Those of shape
        (n_outputs,) go with `means` that have outputs.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape \
(n_outputs,), default="uniform_average"
        The score of each output, their mean, or the weights of a mean.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of the rows.

    Returns
    -------
    score : float or ndarray of shape (n_outputs,)
        In units of y, at least 0.

    Raises
    ------
    ValueError
        If an argument has another shape or is not finite, or `stds` below 0.

    References
    ----------
    .. [1] Grimit, E. P., Gneiting, T., Berrocal, V. J. and Johnson, N. A. (2006). The
       continuous ranked probability score for circular variables and its application
       to mesoscale forecast ensemble verification. Quarterly Journal of the Royal
       Meteorological Society.

    Examples
    --------
    >>> from skmcdropout.metrics import crps
    >>> y_true, means = [0.0, 1.0], [[0.0, 1.5], [0.5, 1.0]]  # two draws of two rows
    >>> round(crps(y_true, means, stds=1.0), 3)
    0.265
    >>> crps(y_true, means, stds=0.0)
    0.125
    """
    y, m, s = _check_mixture(y_true, means, stds)
    scores = gaussian_mixture.crps(y, m, s)
    return mean_over_outputs(mean_over_rows(scores, sample_weight), multioutput)


def interval_score(
    y_true: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    coverage: float = 0.9,
    *,
    multioutput: str | ArrayLike = "uniform_average",
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """Interval score, or Winkler score: the lower, the better.

    The mean width of the intervals, plus ``2 / (1 - coverage)`` times the mean distance
    of the true values from them. A proper score of the quantiles at
    ``(1 - coverage) / 2`` and ``(1 + coverage) / 2``: intervals that are narrow and
    still hold y as often as they say. It is ``4 / (1 - coverage)`` times the mean of
    scikit-learn's `mean_pinball_loss` of the two.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_outputs)
        True values.
    lower, upper : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Ends of the intervals, in units of y.
    coverage : float, default=0.9
        Share of the rows that the intervals should hold, in (0, 1).
    multioutput : {"raw_values", "uniform_average"} or array-like of shape \
(n_outputs,), default="uniform_average"
        The score of each output, their mean, or the weights of a mean.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of the rows.

    Returns
    -------
    score : float or ndarray of shape (n_outputs,)
        In units of y, at least 0.

    Raises
    ------
    ValueError
        If an argument has another shape or is not finite, if `lower` is above `upper`,
        or if `coverage` is not in (0, 1).

    References
    ----------
    .. [1] Gneiting, T. and Raftery, A. E. (2007). Strictly proper scoring rules,
       prediction, and estimation. Journal of the American Statistical Association.

    Examples
    --------
    >>> from skmcdropout.metrics import interval_score
    >>> interval_score([1.0, 4.0], [0.0, 1.0], [2.0, 3.0], coverage=0.5)
    4.0
    """
    if not 0 < coverage < 1:
        raise ValueError(
            f"coverage must be a float in the range (0, 1). Got {coverage!r} instead."
        )
    low, high = _check_interval(lower, upper)
    y = _check_values(y_true, low.shape, "lower and upper")
    outside = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    scores = high - low + 2 / (1 - coverage) * outside
    return mean_over_outputs(mean_over_rows(scores, sample_weight), multioutput)


def interval_coverage(
    y_true: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    multioutput: str | ArrayLike = "uniform_average",
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """Share of the true values that lie in their intervals.

    It should be what the intervals were made for, 0.9 say. Wide intervals reach it
    easily: read it with `interval_width`, or both in one with `interval_score`.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_outputs)
        True values.
    lower, upper : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Ends of the intervals, which belong to them, in units of y.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape \
(n_outputs,), default="uniform_average"
        The share of each output, their mean, or the weights of a mean.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of the rows.

    Returns
    -------
    coverage : float or ndarray of shape (n_outputs,)
        In [0, 1].

    Raises
    ------
    ValueError
        If an argument has another shape or is not finite, or `lower` is above `upper`.

    References
    ----------
    .. [1] Khosravi, A., Nahavandi, S., Creighton, D. and Atiya, A. F. (2011).
       Comprehensive review of neural network-based prediction intervals and new
       advances. IEEE Transactions on Neural Networks.

    Examples
    --------
    >>> from skmcdropout.metrics import interval_coverage
    >>> interval_coverage([1.0, 4.0], [0.0, 1.0], [2.0, 3.0])
    0.5
    """
    low, high = _check_interval(lower, upper)
    y = _check_values(y_true, low.shape, "lower and upper")
    is_inside = ((low <= y) & (y <= high)).astype(np.float64)
    return mean_over_outputs(mean_over_rows(is_inside, sample_weight), multioutput)


def interval_width(
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    multioutput: str | ArrayLike = "uniform_average",
    sample_weight: ArrayLike | None = None,
) -> float | Floats:
    """Mean width of intervals: of those that hold y equally often, narrow is better.

    Parameters
    ----------
    lower, upper : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Ends of the intervals, in units of y.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape \
(n_outputs,), default="uniform_average"
        The width of each output, their mean, or the weights of a mean.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of the rows.

    Returns
    -------
    width : float or ndarray of shape (n_outputs,)
        In units of y, at least 0.

    Raises
    ------
    ValueError
        If an argument has another shape or is not finite, or `lower` is above `upper`.

    References
    ----------
    .. [1] Khosravi, A., Nahavandi, S., Creighton, D. and Atiya, A. F. (2011).
       Comprehensive review of neural network-based prediction intervals and new
       advances. IEEE Transactions on Neural Networks.

    Examples
    --------
    >>> from skmcdropout.metrics import interval_width
    >>> interval_width([0.0, 1.0], [2.0, 5.0])
    3.0
    """
    low, high = _check_interval(lower, upper)
    widths = mean_over_rows(high - low, sample_weight)
    return mean_over_outputs(widths, multioutput)


def quantile_calibration_curve(
    y_true: ArrayLike,
    means: ArrayLike,
    stds: ArrayLike,
    levels: ArrayLike | None = None,
) -> tuple[Floats, Floats]:
    """Share of the true values at or below each predicted quantile.

    The quantiles are those of the mixture of all draws of a row. On the diagonal a
    distribution is calibrated; above it at low levels and below it at high levels, it
    is too narrow.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_outputs)
        True values.
    means : array-like of shape (n_draws, n_rows) or (n_draws, n_rows, n_outputs)
        What each draw predicts, in units of y, draws first.
    stds : float or array-like of shape (n_outputs,) or of the shape of `means`
        Standard deviations of the noise, in units of y, at least 0. Those of shape
        (n_outputs,) go with `means` that have outputs.
    levels : array-like of shape (n_levels,), default=None
        Levels of the quantiles, in (0, 1); 0.05, 0.1, ..., 0.95 if not given.

    Returns
    -------
    levels : ndarray of shape (n_levels,)
        The levels: what the shares should be.
    observed : ndarray of shape (n_levels,) or (n_levels, n_outputs)
        The shares, in [0, 1].

    Raises
    ------
    ValueError
        If an argument has another shape or is not finite, `stds` are below 0 or
        `levels` not in (0, 1).

    References
    ----------
    .. [1] Kuleshov, V., Fenner, N. and Ermon, S. (2018). Accurate uncertainties for
       deep learning using calibrated regression. ICML.

    Examples
    --------
    >>> from skmcdropout.metrics import quantile_calibration_curve
    >>> y_true, means = [-1.0, 0.2, 1.5, 3.0], [[0.0, 0.0, 1.0, 1.0]]  # one draw
    >>> _, observed = quantile_calibration_curve(y_true, means, 1.0, [0.25, 0.5, 0.75])
    >>> observed.tolist()
    [0.25, 0.25, 0.75]
    """
    y, m, s = _check_mixture(y_true, means, stds)
    p = _check_levels(levels)
    # A quantile is at least y if its level is above the probability of less than y.
    below = gaussian_mixture.cdf(np.nextafter(y, -np.inf), m, s)
    return p, np.array([(below < level).mean(axis=0) for level in p])


def quantile_calibration_error(
    y_true: ArrayLike,
    means: ArrayLike,
    stds: ArrayLike,
    *,
    multioutput: str | ArrayLike = "uniform_average",
) -> float | Floats:
    """Mean distance between levels and shares of the `quantile_calibration_curve`.

    At the levels 0.05, 0.1, ..., 0.95. 0 is perfect; 0.05 says that a predicted 90 %
    may be 85 % or 95 %. With n rows, a perfect distribution has an error of about
    ``0.3 / sqrt(n)``. It does not see how wide the distributions are: one and the same
    for all rows can be calibrated. For that see `crps` and `mean_log_density`.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or (n_rows, n_outputs)
        True values.
    means : array-like of shape (n_draws, n_rows) or (n_draws, n_rows, n_outputs)
        What each draw predicts, in units of y, draws first.
    stds : float or array-like of shape (n_outputs,) or of the shape of `means`
        Standard deviations of the noise, in units of y, at least 0. Those of shape
        (n_outputs,) go with `means` that have outputs.
    multioutput : {"raw_values", "uniform_average"} or array-like of shape \
(n_outputs,), default="uniform_average"
        The error of each output, their mean, or the weights of a mean.

    Returns
    -------
    error : float or ndarray of shape (n_outputs,)
        In [0, 0.5].

    Raises
    ------
    ValueError
        If an argument has another shape or is not finite, or `stds` below 0.

    References
    ----------
    .. [1] Kuleshov, V., Fenner, N. and Ermon, S. (2018). Accurate uncertainties for
       deep learning using calibrated regression. ICML.

    Examples
    --------
    >>> from skmcdropout.metrics import quantile_calibration_error
    >>> y_true, means = [-1.0, 0.2, 1.5, 3.0], [[0.0, 0.0, 1.0, 1.0]]  # one draw
    >>> round(quantile_calibration_error(y_true, means, stds=1.0), 3)
    0.116
    """
    levels, observed = quantile_calibration_curve(y_true, means, stds)
    distances = np.abs(observed.T - levels).mean(axis=-1)
    return mean_over_outputs(distances, multioutput)


def _check_values(values: ArrayLike, shape: tuple[int, ...], like: str) -> Floats:
    """True values, of the shape of those that they are compared with."""
    y = check_array(values, ensure_2d=False, dtype=np.float64, input_name="y_true")
    if y.shape != shape:
        raise ValueError(
            f"y_true must have the shape {shape} of {like}. Got {y.shape} instead."
        )
    return y


def _check_mixture(
    y_true: ArrayLike, means: ArrayLike, stds: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    m, s = check_means_and_stds(means, stds)
    return _check_values(y_true, m.shape[1:], "a draw of means"), m, s


def _check_interval(lower: ArrayLike, upper: ArrayLike) -> tuple[Floats, Floats]:
    low, high = (
        check_array(end, ensure_2d=False, dtype=np.float64, input_name=name)
        for end, name in ((lower, "lower"), (upper, "upper"))
    )
    if low.shape != high.shape:
        raise ValueError(
            "lower and upper must be of one shape. Got "
            f"{low.shape} and {high.shape} instead."
        )
    crossed = np.argwhere(low > high)
    if len(crossed):
        first = tuple(crossed[0])
        raise ValueError(
            f"lower must be at most upper. Got {low[first]} and {high[first]} in row "
            f"{first[0]} instead."
        )
    return low, high


def _check_levels(levels: ArrayLike | None) -> Floats:
    if levels is None:
        return np.arange(1, 20) / 20
    p = column_or_1d(
        check_array(levels, ensure_2d=False, dtype=np.float64, input_name="levels")
    )
    if p.min() <= 0 or p.max() >= 1:
        raise ValueError(
            "levels must be in the range (0, 1). Got values from "
            f"{p.min():.3g} to {p.max():.3g} instead."
        )
    return p


def mean_over_rows(scores: Floats, sample_weight: ArrayLike | None) -> Floats:
    """Weighted mean over rows, of shape () or (n_outputs,)."""
    if sample_weight is None:
        return scores.mean(axis=0)
    weight = column_or_1d(
        check_array(
            sample_weight,
            ensure_2d=False,
            dtype=np.float64,
            input_name="sample_weight",
        )
    )
    check_consistent_length(scores, weight)
    if weight.min() < 0 or weight.max() == 0:
        raise ValueError(
            "sample_weight must be at least 0 and above 0 for some row. Got values "
            f"from {weight.min():.3g} to {weight.max():.3g} instead."
        )
    return np.average(scores, axis=0, weights=weight)


def mean_over_outputs(scores: Floats, multioutput: str | ArrayLike) -> float | Floats:
    """What `multioutput` asks for of the scores of outputs, as in scikit-learn."""
    if isinstance(multioutput, str):
        if multioutput == "uniform_average":
            return float(scores.mean())
        if multioutput == "raw_values":
            return np.atleast_1d(scores)
        weights = None
    else:
        weights = np.asarray(multioutput, dtype=np.float64)
    if weights is None or weights.shape != np.atleast_1d(scores).shape:
        raise ValueError(
            "multioutput must be 'raw_values', 'uniform_average' or a weight for each "
            f"of {scores.size} outputs. Got {multioutput!r} instead."
        )
    return float(np.average(np.atleast_1d(scores), weights=weights))

"""Measures over draws of means and noise. Public in `skmcdropout.uncertainty`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def total_std(means: ArrayLike, stds: ArrayLike) -> Floats:
    """Standard deviation of the predictive distribution: the total uncertainty.

    ``sqrt(epistemic_std**2 + aleatoric_std**2)``: the variance of the draws' means plus
    the mean variance of the noise.

    Parameters
    ----------
    means : array-like of shape (n_draws, n_rows) or (n_draws, n_rows, n_outputs)
        What each draw predicts, in units of y, draws first.
    stds : float or array-like of shape (n_outputs,) or of the shape of `means`
        Standard deviations of the noise, in units of y, at least 0. Those of shape
        (n_outputs,) go with `means` that have outputs.

    Returns
    -------
    std : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        In units of y, at least 0.

    Raises
    ------
    ValueError
        If `means` or `stds` have another shape or are not finite, or `stds` below 0.

    References
    ----------
    Kendall, A. and Gal, Y. (2017). What uncertainties do we need in Bayesian deep
    learning for computer vision? NeurIPS.

    Examples
    --------
    >>> from skmcdropout.uncertainty import total_std
    >>> total_std([[5.0], [11.0]], stds=4.0)
    array([5.])
    """
    return np.hypot(epistemic_std(means, stds), aleatoric_std(means, stds))


def aleatoric_std(means: ArrayLike, stds: ArrayLike) -> Floats:
    """Standard deviation of the noise: the aleatoric uncertainty.

    ``sqrt(mean_t std_t**2)``: what stays when the model is known.

    Parameters
    ----------
    means : array-like of shape (n_draws, n_rows) or (n_draws, n_rows, n_outputs)
        What each draw predicts, in units of y, draws first. Only its shape counts.
    stds : float or array-like of shape (n_outputs,) or of the shape of `means`
        Standard deviations of the noise, in units of y, at least 0. Those of shape
        (n_outputs,) go with `means` that have outputs.

    Returns
    -------
    std : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        In units of y, at least 0.

    Raises
    ------
    ValueError
        If `means` or `stds` have another shape or are not finite, or `stds` below 0.

    References
    ----------
    Kendall, A. and Gal, Y. (2017). What uncertainties do we need in Bayesian deep
    learning for computer vision? NeurIPS.

    Examples
    --------
    >>> from skmcdropout.uncertainty import aleatoric_std
    >>> aleatoric_std([[5.0], [11.0]], stds=[[1.0], [7.0]])
    array([5.])
    """
    _, noise = check_means_and_stds(means, stds)
    return np.sqrt((noise**2).mean(axis=0))


def epistemic_std(means: ArrayLike, stds: ArrayLike = 0.0) -> Floats:
    """Standard deviation over draws of what they predict: the epistemic uncertainty.

    ``std_t mean_t`` (divisor n_draws): how much the draws disagree.

    Parameters
    ----------
    means : array-like of shape (n_draws, n_rows) or (n_draws, n_rows, n_outputs)
        What each draw predicts, in units of y, draws first.
    stds : float or array-like of the shapes that the others take, default=0.0
        Standard deviations of the noise. They change nothing here: all measures are
        called alike.

    Returns
    -------
    std : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        In units of y, at least 0.

    Raises
    ------
    ValueError
        If `means` or `stds` have another shape or are not finite, or `stds` below 0.

    References
    ----------
    Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian approximation. ICML.

    Examples
    --------
    >>> from skmcdropout.uncertainty import epistemic_std
    >>> epistemic_std([[5.0], [11.0]])
    array([3.])
    """
    predicted, _ = check_means_and_stds(means, stds)
    return (predicted - predicted[0]).std(axis=0)


REGRESSION_MEASURES: dict[str, Callable[[ArrayLike, ArrayLike], Floats]] = {
    function.__name__: function
    for function in (total_std, aleatoric_std, epistemic_std)
}


def check_means_and_stds(means: ArrayLike, stds: ArrayLike) -> tuple[Floats, Floats]:
    """Means and standard deviations of one shape; errors name what is wrong."""
    m, s = np.asarray(means, dtype=np.float64), np.asarray(stds, dtype=np.float64)
    if m.ndim not in (2, 3) or 0 in m.shape:
        raise ValueError(
            "means must be a non-empty array of shape (n_draws, n_rows) or (n_draws, "
            f"n_rows, n_outputs). Got shape {m.shape} instead."
        )
    if not np.isfinite(m).all():
        raise ValueError("means must be finite. Got NaN or infinity instead.")
    of_outputs = m.shape[2:]
    if s.shape not in {(), of_outputs, m.shape}:
        per_output = f", of shape (n_outputs,) = {of_outputs}" if of_outputs else ""
        raise ValueError(
            f"stds must be a number{per_output} or of the shape of means, {m.shape}. "
            f"Got shape {s.shape} instead."
        )
    if not (np.isfinite(s).all() and s.min() >= 0):
        wrong = s[~(np.isfinite(s) & (s >= 0))].flat[0]
        raise ValueError(f"stds must be finite and at least 0. Got {wrong} instead.")
    return m, np.broadcast_to(s, m.shape)

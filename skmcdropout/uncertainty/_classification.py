"""Measures over draws of class probabilities. Public in `skmcdropout.uncertainty`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

Array = NDArray[np.floating]


def predictive_entropy(draws: ArrayLike) -> Array:
    """Entropy of the mean prediction: the total uncertainty.

    ``H(mean_t p_t)``, with ``H(p) = -sum_c p_c log p_c``.

    Parameters
    ----------
    draws : array-like of shape (n_draws, n_rows, n_classes)
        Class probabilities, draws first.

    Returns
    -------
    entropy : ndarray of shape (n_rows,)
        In nats, between 0 and log(n_classes).

    Raises
    ------
    ValueError
        If `draws` is not a three-dimensional array of probabilities.

    References
    ----------
    Kendall, A. and Gal, Y. (2017). What uncertainties do we need in Bayesian deep
    learning for computer vision? NeurIPS.

    Examples
    --------
    >>> from skmcdropout.uncertainty import predictive_entropy
    >>> predictive_entropy([[[1.0, 0.0]], [[0.0, 1.0]]]).round(3)
    array([0.693])
    """
    p = _check_draws(draws)  # (T, n, k)
    return entr(p.mean(axis=0)).sum(axis=-1)


def expected_entropy(draws: ArrayLike) -> Array:
    """Mean over draws of each draw's entropy: the aleatoric uncertainty.

    ``mean_t H(p_t)``: what stays when the model is known, the noise of the data.

    Parameters
    ----------
    draws : array-like of shape (n_draws, n_rows, n_classes)
        Class probabilities, draws first.

    Returns
    -------
    entropy : ndarray of shape (n_rows,)
        In nats, between 0 and log(n_classes).

    Raises
    ------
    ValueError
        If `draws` is not a three-dimensional array of probabilities.

    References
    ----------
    Kendall, A. and Gal, Y. (2017). What uncertainties do we need in Bayesian deep
    learning for computer vision? NeurIPS.

    Examples
    --------
    >>> from skmcdropout.uncertainty import expected_entropy
    >>> expected_entropy([[[1.0, 0.0]], [[0.5, 0.5]]]).round(3)
    array([0.347])
    """
    p = _check_draws(draws)  # (T, n, k)
    return entr(p).sum(axis=-1).mean(axis=0)


def mutual_information(draws: ArrayLike) -> Array:
    """Predictive minus expected entropy: the epistemic uncertainty (BALD).

    ``H(mean_t p_t) - mean_t H(p_t)``: how much the draws disagree. Never below 0.

    Parameters
    ----------
    draws : array-like of shape (n_draws, n_rows, n_classes)
        Class probabilities, draws first.

    Returns
    -------
    information : ndarray of shape (n_rows,)
        In nats, between 0 and log(n_classes).

    Raises
    ------
    ValueError
        If `draws` is not a three-dimensional array of probabilities.

    References
    ----------
    Houlsby, N., Huszár, F., Ghahramani, Z. and Lengyel, M. (2011). Bayesian active
    learning for classification and preference learning. arXiv:1112.5745.

    Examples
    --------
    >>> from skmcdropout.uncertainty import mutual_information
    >>> mutual_information([[[1.0, 0.0]], [[0.0, 1.0]]]).round(3)
    array([0.693])
    """
    return np.maximum(predictive_entropy(draws) - expected_entropy(draws), 0)


def variation_ratio(draws: ArrayLike) -> Array:
    """Share of the draws that do not vote for the modal class.

    ``1 - max_c mean_t [argmax p_t = c]``; a draw's tie goes to its first class.

    Parameters
    ----------
    draws : array-like of shape (n_draws, n_rows, n_classes)
        Class probabilities, draws first.

    Returns
    -------
    ratio : ndarray of shape (n_rows,)
        Between 0 (all draws agree) and 1 - 1 / n_classes.

    Raises
    ------
    ValueError
        If `draws` is not a three-dimensional array of probabilities.

    References
    ----------
    Freeman, L. C. (1965). Elementary applied statistics. Wiley.

    Examples
    --------
    >>> from skmcdropout.uncertainty import variation_ratio
    >>> variation_ratio([[[0.9, 0.1]], [[0.8, 0.2]], [[0.7, 0.3]], [[0.4, 0.6]]])
    array([0.25])
    """
    p = _check_draws(draws)  # (T, n, k)
    votes = p.argmax(axis=-1)  # (T, n)
    shares = [(votes == c).mean(axis=0) for c in range(p.shape[-1])]
    return 1 - np.max(shares, axis=0)


def predictive_std(draws: ArrayLike) -> Array:
    """Standard deviation over draws of the predicted class's probability.

    ``std_t p_t[c]`` with ``c = argmax_c mean_t p_t[c]`` (divisor n_draws).

    Parameters
    ----------
    draws : array-like of shape (n_draws, n_rows, n_classes)
        Class probabilities, draws first.

    Returns
    -------
    std : ndarray of shape (n_rows,)
        Between 0 and 1/2.

    Raises
    ------
    ValueError
        If `draws` is not a three-dimensional array of probabilities.

    References
    ----------
    Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian approximation. ICML.

    Examples
    --------
    >>> from skmcdropout.uncertainty import predictive_std
    >>> predictive_std([[[0.9, 0.1]], [[0.7, 0.3]]]).round(3)
    array([0.1])
    """
    p = _check_draws(draws)  # (T, n, k)
    predicted = p.mean(axis=0).argmax(axis=-1)  # (n,)
    return p[:, np.arange(p.shape[1]), predicted].std(axis=0)


def least_confidence(draws: ArrayLike) -> Array:
    """One minus the mean probability of the predicted class.

    ``1 - max_c mean_t p_t[c]``.

    Parameters
    ----------
    draws : array-like of shape (n_draws, n_rows, n_classes)
        Class probabilities, draws first.

    Returns
    -------
    doubt : ndarray of shape (n_rows,)
        Between 0 and 1 - 1 / n_classes.

    Raises
    ------
    ValueError
        If `draws` is not a three-dimensional array of probabilities.

    References
    ----------
    Lewis, D. D. and Gale, W. A. (1994). A sequential algorithm for training text
    classifiers. SIGIR.

    Examples
    --------
    >>> from skmcdropout.uncertainty import least_confidence
    >>> least_confidence([[[0.9, 0.1]], [[0.7, 0.3]]]).round(3)
    array([0.2])
    """
    return 1 - _check_draws(draws).mean(axis=0).max(axis=-1)


MEASURES: dict[str, Callable[[ArrayLike], Array]] = {
    function.__name__: function
    for function in (
        predictive_entropy,
        expected_entropy,
        mutual_information,
        variation_ratio,
        predictive_std,
        least_confidence,
    )
}


def from_summary(
    mean: Array, total: Array, expected: Array, modal_share: Array, std: Array
) -> dict[str, Array]:
    """The measures by name, of draws of which only a summary was kept.

    `mean` has shape (n_rows, n_classes), the others (n_rows,): the entropy of the
    mean, the mean entropy, the largest share of votes and the standard deviation of
    the predicted class's probability.
    """
    return {
        "predictive_entropy": total,
        "expected_entropy": expected,
        "mutual_information": np.maximum(total - expected, 0),
        "variation_ratio": 1 - modal_share,
        "predictive_std": std,
        "least_confidence": 1 - mean.max(axis=-1),
    }


def _check_draws(draws: ArrayLike) -> Array:
    p = np.asarray(draws, dtype=np.float64)
    if p.ndim != 3 or 0 in p.shape:
        raise ValueError(
            "draws must be a non-empty array of shape (n_draws, n_rows, n_classes). "
            f"Got shape {p.shape} instead."
        )
    if not (p.min() >= 0 and np.allclose(p.sum(axis=-1), 1, rtol=0, atol=1e-3)):
        raise ValueError(
            "draws must hold probabilities: values of at least 0 that sum to 1 over "
            "the last axis (classes). Got others; are they logits, or is the axis "
            "order another?"
        )
    return p

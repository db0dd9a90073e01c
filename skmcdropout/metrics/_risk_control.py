"""Thresholds that keep a risk with a known confidence. Public in `skmcdropout.metrics`.

Let ``U_(1) <= ... <= U_(n)`` be the uncertainties of rows that are drawn independently
and ``r(u)`` the true error rate of rows less uncertain than ``u``. Below
``u = U_(k + 1)`` there are k rows, drawn independently from all rows less uncertain
than u. So with S errors among them ::

    p = P(Binomial(k, max_risk) <= S)

is a p-value of the null hypothesis ``r(u) > max_risk``.

The null hypotheses of all k are tested together, although u is an uncertainty that was
seen. That is sound: cut the axis of uncertainties where r crosses `max_risk`. At both
ends of a segment r is `max_risk`, so that is also the error rate within it. Given the
numbers of rows in the segments, it is fixed which null hypotheses are true, and the
p-value of each of these is valid: rows of whole segments err at the rate `max_risk`,
those of the segment that u is in, where r is above it, at a higher one. So each
procedure that controls the family-wise error of dependent p-values does so here.

This one is a fallback procedure (fixed sequence testing with several starts): k grows
in small steps, each start has a share of the error that is allowed, and where a test
passes its level is handed on to the next. The starts depend on n and `max_risk` alone.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from skmcdropout.metrics._selective import losses_of

#: Where tests start, in shares of the rows, and their shares of the level. Of what was
#: tried they lost the least coverage on easy and on hard tables.
STARTS = ((0.2, 1 / 3), (0.5, 2 / 3))

#: Tests from no row to all of them.
N_STEPS = 100


class Accepted(NamedTuple):
    """The rows that a threshold accepts."""

    threshold: float
    n_rows: int
    n_errors: int


class RiskNotPromisedError(ValueError):
    """No threshold keeps the risk with that confidence on these rows."""


def threshold_at_risk(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    uncertainty: ArrayLike,
    max_risk: float,
    *,
    confidence: float = 0.95,
) -> float:
    """Largest threshold whose error rate is at most `max_risk`, with a confidence.

    A threshold whose observed error rate is just `max_risk` breaks that promise every
    other time: it was chosen because errors happened to be few. This one accepts fewer
    rows, and in at most ``1 - confidence`` of all samples the true error rate of
    accepted rows is above `max_risk`.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,)
        True labels.
    y_pred : array-like of shape (n_rows,)
        Predicted labels.
    uncertainty : array-like of shape (n_rows,)
        Higher = less certain.
    max_risk : float
        Largest error rate, in (0, 1), of rows whose uncertainty is at most the
        threshold.
    confidence : float, default=0.95
        Probability, in (0, 1), over the rows given here, that the risk is kept.

    Returns
    -------
    threshold : float
        Rows with ``uncertainty <= threshold`` are accepted. It lies just below the
        uncertainty of a row; infinite if all rows may be accepted.

    Raises
    ------
    ValueError
        If no threshold can be promised. The message says how many rows would do.

    See Also
    --------
    skmcdropout.RejectingClassifier : Chooses it on rows not trained on, and applies it.
    risk_coverage_curve : The error rate that was observed, for each threshold.

    Notes
    -----
    The rows must be independent, like the future ones, and not trained on. Then this is
    exact for every classifier if no uncertainties are equal. Rows that are equally
    uncertain are accepted together, and the risk must not fall as uncertainty rises.

    If k rows are less uncertain than the next one, and S of them are wrong, then
    ``P(Binomial(k, max_risk) <= S)`` is a p-value of the hypothesis that the risk there
    is above `max_risk` [1]_. The k are tested in growing order, by a fallback procedure
    [3]_ from 20 and from 50 % of the rows on, whose family-wise error is at most
    ``1 - confidence``: "learn then test" [2]_.

    References
    ----------
    .. [1] Geifman, Y. and El-Yaniv, R. (2017). Selective classification for deep
       neural networks. NeurIPS.
    .. [2] Angelopoulos, A., Bates, S., Candès, E., Jordan, M. and Lei, L. (2021). Learn
       then test: calibrating predictive algorithms to achieve risk control.
       arXiv:2110.01052.
    .. [3] Wiens, B. (2003). A fixed sequence Bonferroni procedure for testing multiple
       endpoints. Pharmaceutical Statistics 2, 211-215.

    Examples
    --------
    >>> import numpy as np
    >>> from skmcdropout.metrics import threshold_at_risk
    >>> rng = np.random.default_rng(0)
    >>> uncertainty = rng.uniform(size=2000)
    >>> is_wrong = rng.uniform(size=2000) < 0.2 * uncertainty  # 8 % of those below 0.8
    >>> threshold = threshold_at_risk(np.zeros(2000), is_wrong, uncertainty, 0.08)
    >>> round(threshold, 2)
    0.59
    """
    for name, value in (("max_risk", max_risk), ("confidence", confidence)):
        if not 0 < value < 1:
            raise ValueError(
                f"{name} must be a float in the range (0, 1). Got {value}."
            )
    losses, values = losses_of(y_true, y_pred, uncertainty, "zero_one")
    given = np.asarray(uncertainty).dtype
    values = values.astype(given) if given.kind == "f" else values  # what is compared
    return accept_at_risk(losses > 0, values, max_risk, 1 - confidence).threshold


def accept_at_risk(
    is_wrong: NDArray[np.bool_],
    uncertainty: NDArray[Any],
    max_risk: float,
    level: float,
) -> Accepted:
    """Rows that can be accepted, with an error of at most `level`.

    Raises RiskNotPromisedError if none can be.
    """
    counts, levels = planned_tests(len(is_wrong), max_risk, level)
    tests, brought = _tests(is_wrong, uncertainty, counts, levels)
    n_rows, n_errors = np.array([test[1:] for test in tests]).T
    p_values = binom.cdf(n_errors, n_rows, max_risk)
    chosen, carried = None, 0.0
    for test, p_value, own in zip(tests, p_values, brought, strict=True):
        is_passed = p_value <= own + carried
        carried = own + carried if is_passed else 0.0
        chosen = test if is_passed else chosen
    if chosen is None:
        starts = [tests[start] for start in np.flatnonzero(brought)]
        raise RiskNotPromisedError(
            why_not_promised(starts, len(is_wrong), max_risk, level)
        )
    return chosen


def planned_tests(
    n_rows: int, max_risk: float, level: float
) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """Numbers of accepted rows to be tested, growing, and the level each one brings.

    No start has so few rows that its test could not pass.
    """
    starts = [
        (max(math.ceil(share * n_rows), rows_without_error(max_risk, part * level)),
         part * level)
        for share, part in STARTS
    ]  # fmt: skip
    if starts[0][0] >= starts[1][0] or starts[1][0] > n_rows:
        needed = rows_without_error(max_risk, level)
        starts = [(max(math.ceil(STARTS[1][0] * n_rows), needed), level)]
    starts = [(count, part) for count, part in starts if count <= n_rows]
    steps = np.ceil(np.arange(1, N_STEPS + 1) * n_rows / N_STEPS)
    counts = np.unique([*steps.astype(int), *(count for count, _ in starts)])
    levels = np.zeros(len(counts))
    for count, part in starts:
        levels[np.searchsorted(counts, count)] += part
    return counts, levels


def rows_without_error(max_risk: float, level: float) -> int:
    """Rows without an error that make a risk above `max_risk` as unlikely as `level`.

    The least k with ``(1 - max_risk)^k <= level``.
    """
    k = max(1, math.ceil(math.log(level) / math.log1p(-max_risk)) - 1)
    while binom.cdf(0, k, max_risk) > level:  # as the tests compute it
        k += 1
    return k


def rows_at_rate(rate: float, max_risk: float, level: float) -> float:
    """About how many rows with this error rate pass the test; infinite if none do."""
    if rate >= max_risk:
        return math.inf
    fewest = rows_without_error(max_risk, level)
    counts = np.unique(np.geomspace(fewest, fewest * 1e6, 500).astype(np.int64))
    passes = binom.cdf(np.round(rate * counts), counts, max_risk) <= level
    return float(counts[np.argmax(passes)]) if passes.any() else math.inf


def why_not_promised(
    starts: list[Accepted], n_rows: int, max_risk: float, level: float
) -> str:
    """What was seen where tests start, and how many accepted rows it would take."""
    fewest = rows_without_error(max_risk, level)
    text = (
        "max_risk must be a risk that these rows can promise with confidence "
        f"{1 - level:.4g}. Got {max_risk}, which takes at least {fewest:,} accepted "
        "rows without an error"
    )
    if not starts:
        return f"{text}; there are {n_rows:,} rows."
    best = min(starts, key=lambda start: start.n_errors / start.n_rows)
    lowest = best.n_errors / best.n_rows
    text = (
        f"{text}. The lowest risk seen is {lowest:.4g}, {best.n_errors:,} errors among "
        f"the {best.n_rows:,} least uncertain of {n_rows:,} rows"
    )
    needed = rows_at_rate(lowest, max_risk, level * STARTS[0][1])
    if math.isinf(needed):
        return f"{text}: more rows would hardly help."
    of_all = needed * n_rows / best.n_rows
    return (
        f"{text}: at that rate it takes about {needed:,.0f} of them, of {of_all:,.0f}."
    )


def _tests(
    is_wrong: NDArray[np.bool_],
    uncertainty: NDArray[Any],
    counts: NDArray[np.int_],
    levels: NDArray[np.float64],
) -> tuple[list[Accepted], NDArray[np.float64]]:
    """What each test would accept, and the level it brings.

    These are the k rows less uncertain than the next one; more than k where rows are
    equally uncertain, and all rows where there is no next one.
    """
    order = np.argsort(uncertainty, kind="stable")
    values = uncertainty[order]
    n_accepted = np.searchsorted(values, values[counts - 1], side="right")
    n_accepted, test = np.unique(n_accepted, return_inverse=True)
    brought = np.bincount(test, weights=levels).astype(np.float64)
    n_errors = np.cumsum(is_wrong[order])[n_accepted - 1]
    following = np.append(values, np.asarray(np.inf, values.dtype))[n_accepted]
    below = np.nextafter(following, np.asarray(-np.inf, values.dtype))
    thresholds = np.where(np.isinf(following), np.inf, below)
    tests = [
        Accepted(float(threshold), int(n), int(wrong))
        for threshold, n, wrong in zip(thresholds, n_accepted, n_errors, strict=True)
    ]
    return tests, brought

"""`threshold_at_risk`: against loops, closed forms and simulated samples."""

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skmcdropout.metrics import threshold_at_risk
from skmcdropout.metrics._risk_control import (
    RiskNotPromisedError,
    accept_at_risk,
    planned_tests,
    rows_without_error,
)


def p_value(n_errors, n_rows, max_risk):
    """P(Binomial(n_rows, max_risk) <= n_errors), in fractions."""
    p = Fraction(max_risk).limit_denominator(1000)
    return sum(
        math.comb(n_rows, i) * p**i * (1 - p) ** (n_rows - i)
        for i in range(n_errors + 1)
    )


def accepted_by_a_loop(is_wrong, uncertainty, max_risk, level):
    """The largest threshold of the fallback procedure, over sets of rows."""
    n_rows = len(uncertainty)
    first = max(math.ceil(0.2 * n_rows), rows_without_error(max_risk, level / 3))
    second = max(math.ceil(0.5 * n_rows), rows_without_error(max_risk, level * 2 / 3))
    starts = {first: level / 3, second: level * 2 / 3}
    if first >= second or second > n_rows:
        alone = max(math.ceil(0.5 * n_rows), rows_without_error(max_risk, level))
        starts = {alone: level}
    counts = {math.ceil(i * n_rows / 100) for i in range(1, 101)} | set(starts)
    best, carried, unused = None, 0.0, dict(starts)
    for k in sorted(count for count in counts if count <= n_rows):
        largest = sorted(uncertainty)[k - 1]
        rows = [i for i in range(n_rows) if uncertainty[i] <= largest]
        if best is not None and carried and len(rows) == len(best):
            continue  # the rows that were tested just now
        carried += sum(unused.pop(s) for s in list(unused) if s <= len(rows))
        if p_value(sum(is_wrong[i] for i in rows), len(rows), max_risk) <= carried:
            best = rows
        else:
            carried = 0.0
    return best


@pytest.mark.parametrize("digits", [1, 2, 8], ids="{} digits".format)
@pytest.mark.parametrize("seed", range(8))
def test_the_rows_are_those_of_a_loop_over_exact_tests(seed, digits):
    rng = np.random.RandomState(seed)
    uncertainty = rng.uniform(size=rng.randint(40, 150)).round(digits)
    is_wrong = rng.uniform(size=len(uncertainty)) < 0.4 * uncertainty**2
    expected = accepted_by_a_loop(is_wrong, uncertainty, 0.15, 0.1)
    y_pred = is_wrong.astype(int)
    args = (np.zeros(len(y_pred), int), y_pred, uncertainty, 0.15)
    if expected is None:
        with pytest.raises(ValueError, match="max_risk must be a risk that these rows"):
            threshold_at_risk(*args, confidence=0.9)
        return
    threshold = threshold_at_risk(*args, confidence=0.9)
    assert_array_equal(np.flatnonzero(uncertainty <= threshold), sorted(expected))


@pytest.mark.parametrize(
    ("max_risk", "confidence"), [(0.05, 0.95), (0.01, 0.95), (0.2, 0.9), (0.001, 0.99)]
)
def test_without_errors_as_many_rows_as_the_logarithms_say(max_risk, confidence):
    needed = math.ceil(math.log(1 - confidence) / math.log(1 - max_risk))
    y, uncertainty = np.zeros(needed), np.arange(needed)
    kept = threshold_at_risk(y, y, uncertainty, max_risk, confidence=confidence)
    assert kept == np.inf
    with pytest.raises(ValueError, match=f"at least {needed:,} .*; there are"):
        threshold_at_risk(
            y[1:], y[1:], uncertainty[1:], max_risk, confidence=confidence
        )


#: Error rate of a row by its uniform uncertainty, and where the risk crosses 10 %.
LAWS = {
    "rising": lambda u: 0.3 * u,  # risk 0.15 u
    "in waves": lambda u: 0.1 + 0.1 * np.sin(20 * u),
    "high where it is sure": lambda u: np.where(u < 0.1, 0.15, 0.03 + 0.3 * u**4),
}


def broken_promises(law, n_draws, n_rows=400, max_risk=0.1, confidence=0.95):
    """Share of samples whose threshold has a higher risk, and the mean coverage."""
    grid = np.linspace(0, 1, 20_001)
    risk = np.cumsum(LAWS[law](grid)) / np.arange(1, len(grid) + 1)
    rng = np.random.RandomState(0)
    n_broken, coverages = 0, []
    for _ in range(n_draws):
        u = rng.uniform(size=n_rows)
        is_wrong = rng.uniform(size=n_rows) < LAWS[law](u)
        try:
            accepted = accept_at_risk(is_wrong, u, max_risk, 1 - confidence)
        except RiskNotPromisedError:
            coverages.append(0)
            continue
        n_broken += np.interp(accepted.threshold, grid, risk) > max_risk
        coverages.append(accepted.n_rows / n_rows)
    return n_broken / n_draws, np.mean(coverages)


def test_the_promise_is_broken_no_more_often_than_allowed():
    broken, coverage = broken_promises("rising", 500, confidence=0.8)
    assert broken < 0.2 + 3 * math.sqrt(0.2 * 0.8 / 500)
    assert broken > 0.06  # not far more careful than it need be
    assert 0.3 < coverage < 2 / 3


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_the_promise_holds_in_ten_thousand_samples(law):
    broken, coverage = broken_promises(law, 10_000)
    assert broken < 0.05 + 2 * math.sqrt(0.05 * 0.95 / 10_000)
    if law == "rising":
        assert broken > 0.015
        assert coverage > 0.2


@pytest.mark.parametrize("n_rows", [20, 99, 100, 1234])
def test_levels_add_up_to_what_is_allowed_and_no_test_is_lost_from_the_outset(n_rows):
    counts, levels = planned_tests(n_rows, 0.2, 0.05)
    assert_array_equal(counts, np.unique(counts))
    assert counts[-1] == n_rows
    assert levels.sum() == pytest.approx(0.05)
    for count, level in zip(counts, levels, strict=True):
        assert not level or 0.8**count <= level


def test_single_precision_accepts_what_is_below_the_next_row():
    rng = np.random.RandomState(0)
    uncertainty = rng.uniform(size=500).astype(np.float32)
    is_wrong = uncertainty > 0.7
    threshold = threshold_at_risk(is_wrong * 0, is_wrong * 1, uncertainty, 0.05)
    n_accepted = (uncertainty <= threshold).sum()
    following = np.sort(uncertainty)[n_accepted]
    assert threshold == np.nextafter(following, np.float32(0))
    assert np.sort(uncertainty)[n_accepted - 1] < threshold


@pytest.mark.parametrize(
    ("rate", "n_rows", "message"),
    [
        (0.0, 58, r"Got 0\.05, .* at least 59 accepted .*; there are 58 rows"),
        (0.5, 600, r"lowest risk seen is 0\.5.*more rows would hardly help"),
        (0.04, 600, r"lowest risk seen is 0\.0333.*takes about ([\d,]+) of them"),
    ],
)
def test_a_refusal_says_what_was_seen_and_what_it_takes(rate, n_rows, message):
    n_errors = np.diff(np.floor(np.arange(n_rows + 1) * rate + 1e-9))
    with pytest.raises(ValueError, match=f"(?s){message}"):
        threshold_at_risk(np.zeros(n_rows), n_errors, np.arange(n_rows), 0.05)


def test_as_many_rows_as_a_refusal_asks_for_are_enough():
    def promised(n_rows):
        errors = np.diff(np.floor(np.arange(n_rows + 1) * 0.04 + 1e-9))
        return threshold_at_risk(np.zeros(n_rows), errors, np.arange(n_rows), 0.05)

    with pytest.raises(ValueError, match="of them, of") as refused:
        promised(600)
    asked = int(str(refused.value).rstrip(".").rpartition(" ")[2].replace(",", ""))
    assert promised(int(1.1 * asked)) > 0
    with pytest.raises(ValueError, match="of them, of"):
        promised(asked // 8)


def test_rows_that_are_all_as_uncertain_are_accepted_together():
    y, uncertainty = np.zeros(100), np.zeros(100)
    assert threshold_at_risk(y, y, uncertainty, 0.05) == np.inf
    y_pred = np.arange(100) % 2
    with pytest.raises(ValueError, match=r"50 errors among the 100 least uncertain"):
        threshold_at_risk(y, y_pred, uncertainty, 0.05)


@pytest.mark.parametrize("name", ["max_risk", "confidence"])
@pytest.mark.parametrize("value", [0, 1, -0.5, 2, np.nan])
def test_shares_that_are_none(name, value):
    given = {"max_risk": 0.1, "confidence": 0.9, name: value}
    with pytest.raises(ValueError, match=rf"{name} must be a float.* Got {value}"):
        threshold_at_risk([0], [0], [0.5], **given)

"""`threshold_at_risk`: against loops, closed forms and simulated samples."""

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.stats import binom

from skmcdropout.metrics import threshold_at_risk


def p_value(n_errors, n_rows, max_risk):
    """P(Binomial(n_rows, max_risk) <= n_errors), in integers."""
    p = Fraction(max_risk).limit_denominator(1000)
    wrong, of_all = p.numerator, p.denominator
    ways = sum(
        math.comb(n_rows, i) * wrong**i * (of_all - wrong) ** (n_rows - i)
        for i in range(n_errors + 1)
    )
    return Fraction(ways, of_all**n_rows)


def rows_without_error(max_risk, level):
    """The least number of rows whose test passes if none is wrong."""
    n_rows = 1
    while p_value(0, n_rows, max_risk) > level:
        n_rows += 1
    return n_rows


def starts_of_tests(n_rows, max_risk, level):
    """Numbers of rows where tests start, and the level that each one has."""
    first = max(math.ceil(0.2 * n_rows), rows_without_error(max_risk, level / 3))
    second = max(math.ceil(0.5 * n_rows), rows_without_error(max_risk, level * 2 / 3))
    if first < second <= n_rows:
        return {first: level / 3, second: level * 2 / 3}
    return {max(math.ceil(0.5 * n_rows), rows_without_error(max_risk, level)): level}


def counts_of_tests(n_rows, starts):
    counts = {math.ceil(i * n_rows / 100) for i in range(1, 101)} | set(starts)
    return sorted(count for count in counts if count <= n_rows)


def accepted_by_a_loop(is_wrong, uncertainty, max_risk, level):
    """The largest threshold of the fallback procedure, over sets of rows."""
    n_rows = len(uncertainty)
    unused = starts_of_tests(n_rows, max_risk, level)
    best, carried, tested = None, 0.0, 0
    for k in counts_of_tests(n_rows, unused):
        largest = sorted(uncertainty)[k - 1]
        rows = [i for i in range(n_rows) if uncertainty[i] <= largest]
        if len(rows) == tested:
            continue  # the rows that were tested just now
        tested = len(rows)
        carried += sum(unused.pop(s) for s in list(unused) if s <= len(rows))
        if p_value(sum(is_wrong[i] for i in rows), len(rows), max_risk) <= carried:
            best = rows
        else:
            carried = 0.0
    return best


def assert_threshold_is_that_of_the_loop(is_wrong, uncertainty, max_risk, level):
    expected = accepted_by_a_loop(is_wrong, uncertainty, max_risk, level)
    y_pred = is_wrong.astype(int)
    args = (np.zeros(len(y_pred), int), y_pred, uncertainty, max_risk)
    if expected is None:
        with pytest.raises(ValueError, match="max_risk must be a risk that these rows"):
            threshold_at_risk(*args, confidence=1 - level)
        return
    threshold = threshold_at_risk(*args, confidence=1 - level)
    assert_array_equal(np.flatnonzero(uncertainty <= threshold), sorted(expected))


@pytest.mark.parametrize("digits", [1, 2, 8], ids="{} digits".format)
@pytest.mark.parametrize("seed", range(8))
def test_the_rows_are_those_of_a_loop_over_exact_tests(seed, digits):
    rng = np.random.RandomState(seed)
    uncertainty = rng.uniform(size=rng.randint(40, 150)).round(digits)
    is_wrong = rng.uniform(size=len(uncertainty)) < 0.4 * uncertainty**2
    assert_threshold_is_that_of_the_loop(is_wrong, uncertainty, 0.15, 0.1)


@pytest.mark.parametrize("n_rows", [20, 99, 100, 1234])
def test_tests_are_planned_for_any_number_of_rows(n_rows):
    """Without one lost from the outset; they end with all rows."""
    rng = np.random.RandomState(n_rows)
    uncertainty = rng.permutation(n_rows) / n_rows
    for last in (0.0, 0.3, 0.45, 0.6):  # error rate of the least certain rows
        is_wrong = rng.uniform(size=n_rows) < last * uncertainty**2
        assert_threshold_is_that_of_the_loop(is_wrong, uncertainty, 0.2, 0.05)


@pytest.mark.parametrize(("n_rows", "max_risk"), [(20, 0.2), (40, 0.15), (60, 0.15)])
def test_few_rows_have_one_start_where_a_test_can_pass(n_rows, max_risk):
    """Not two, of which the second could come before the first."""
    uncertainty = np.arange(n_rows) / n_rows
    for n_right in range(n_rows + 1):  # and then only wrong ones
        is_wrong = np.arange(n_rows) >= n_right
        assert_threshold_is_that_of_the_loop(is_wrong, uncertainty, max_risk, 0.1)


@pytest.mark.parametrize(
    ("max_risk", "confidence"),
    [(0.05, 0.95), (0.01, 0.95), (0.2, 0.9), (0.001, 0.99)],
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


def true_risks(law):
    """Uncertainties, and the true risk of accepting rows up to there."""
    grid = np.linspace(0, 1, 20_001)
    return grid, np.cumsum(LAWS[law](grid)) / np.arange(1, len(grid) + 1)


def samples(law, n_samples, n_rows=400):
    """Sorted uncertainties, and whether the row is wrong, a sample a row."""
    rng = np.random.RandomState(0)
    u = np.sort(rng.uniform(size=(n_samples, n_rows)), axis=1)
    return u, rng.uniform(size=u.shape) < LAWS[law](u)


def found(is_wrong, u, max_risk, confidence):
    """The threshold; NaN where none is promised."""
    y = np.zeros(len(u))
    try:
        return threshold_at_risk(y, is_wrong, u, max_risk, confidence=confidence)
    except ValueError as refused:
        if "max_risk must be a risk that these rows can promise" not in str(refused):
            raise
        return np.nan


def thresholds_of_samples(is_wrong, u, max_risk, level):
    """Those of the fallback procedure, of all samples at a time."""
    n_samples, n_rows = u.shape
    starts = starts_of_tests(n_rows, max_risk, level)
    n_errors = np.cumsum(is_wrong, axis=1)
    following = np.column_stack([u, np.full(n_samples, np.inf)])
    below = np.where(np.isinf(following), np.inf, np.nextafter(following, -np.inf))
    carried = np.zeros(n_samples)
    thresholds = np.full(n_samples, np.nan)
    for k in counts_of_tests(n_rows, starts):
        carried += starts.get(k, 0.0)
        p_values = binom.cdf(np.arange(k + 1), k, max_risk)[n_errors[:, k - 1]]
        is_passed = p_values <= carried
        thresholds = np.where(is_passed, below[:, k], thresholds)
        carried = np.where(is_passed, carried, 0.0)
    return thresholds


def test_the_promise_is_broken_no_more_often_than_allowed():
    grid, risk = true_risks("rising")
    u, is_wrong = samples("rising", 500)
    pairs = zip(is_wrong, u, strict=True)
    thresholds = np.array([found(*pair, 0.1, 0.8) for pair in pairs])
    broken = (np.interp(thresholds, grid, risk) > 0.1).mean()
    assert broken < 0.2 + 3 * math.sqrt(0.2 * 0.8 / 500)
    assert broken > 0.06  # not far more careful than it need be
    coverage = (u <= thresholds[:, None]).mean()
    assert 0.3 < coverage < 2 / 3


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_the_promise_holds_in_ten_thousand_samples(law):
    """Of a procedure in NumPy, which gives the thresholds of the first samples."""
    grid, risk = true_risks(law)
    u, is_wrong = samples(law, 10_000)
    thresholds = thresholds_of_samples(is_wrong, u, 0.1, 0.05)
    some = zip(is_wrong[:150], u[:150], strict=True)
    assert_array_equal([found(*pair, 0.1, 0.95) for pair in some], thresholds[:150])
    broken = (np.interp(thresholds, grid, risk) > 0.1).mean()
    assert broken < 0.05 + 2 * math.sqrt(0.05 * 0.95 / 10_000)
    if law == "rising":
        assert broken > 0.015
        assert (u <= thresholds[:, None]).mean() > 0.2


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

"""Metrics of any labels, probabilities and ties against their definitions."""

import itertools
import math
import statistics
from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from skmcdropout import metrics


@st.composite
def judged_rows(draw, max_rows=6):
    """Labels, predictions and uncertainties of a few rows, many of them equal."""
    n = draw(st.integers(1, max_rows))
    labels = draw(
        st.sampled_from([[0, 1, 2], [-5, 7], ["a", "bb", "c"], [True, False]])
    )
    column = st.lists(st.sampled_from(labels), min_size=n, max_size=n)
    value = st.one_of(st.integers(0, 3), st.sampled_from([-1e300, 1e-300, 0.5]))
    values = draw(st.lists(value, min_size=n, max_size=n))
    return np.array(draw(column)), np.array(draw(column)), np.array(values, float)


def orders(values):
    """All orders of the rows, certain ones first, in which ties may stand."""
    rows = range(len(values))
    for order in itertools.permutations(rows):
        if all(values[i] <= values[j] for i, j in itertools.pairwise(order)):
            yield list(order)


def risks(wrong, order):
    return [
        Fraction(int(wrong[order[: i + 1]].sum()), i + 1) for i in range(len(wrong))
    ]


def area(wrong, order):
    return sum(risks(wrong, order)) / len(wrong)


@pytest.mark.slow
@given(judged_rows(max_rows=12))
def test_the_curve_has_a_point_for_each_threshold(rows):
    true, predicted, values = rows
    coverage, risk, thresholds = metrics.risk_coverage_curve(*rows)
    assert_array_equal(thresholds, sorted(set(values)))
    for c, r, t in zip(coverage, risk, thresholds, strict=True):
        kept = values <= t
        assert_allclose(c, kept.sum() / len(values), rtol=1e-15)
        assert_allclose(r, (true != predicted)[kept].mean(), rtol=1e-14)


@pytest.mark.slow
@given(judged_rows())
def test_the_area_is_the_mean_over_all_orders_of_ties(rows):
    true, predicted, values = rows
    areas = [area(true != predicted, order) for order in orders(values)]
    assert_allclose(metrics.aurc(*rows), float(sum(areas) / len(areas)), atol=1e-14)


@pytest.mark.slow
@given(judged_rows())
def test_the_excess_is_over_the_least_area_of_any_order(rows):
    true, predicted, values = rows
    wrong = true != predicted
    least = min(area(wrong, order) for order in orders([0] * len(values)))
    expected = metrics.aurc(*rows) - float(least)
    assert_allclose(metrics.excess_aurc(*rows), expected, atol=1e-14)


@pytest.mark.slow
@given(judged_rows(), st.integers(1, 24))
def test_risk_at_a_coverage_is_the_mean_over_all_orders_of_ties(rows, part):
    true, predicted, values = rows
    n_kept = -(-len(values) * part // 24)  # rounded up, in integers
    at = [risks(true != predicted, order)[n_kept - 1] for order in orders(values)]
    risk = metrics.risk_at_coverage(*rows, coverage=part / 24)
    assert_allclose(risk, float(sum(at) / len(at)), atol=1e-14)
    accuracy = metrics.accuracy_at_coverage(*rows, coverage=part / 24)
    assert_allclose(accuracy, 1 - risk, atol=1e-15)


@st.composite
def judged_values(draw):
    """Whole values, predictions and uncertainties of a few rows, many of them equal."""
    n = draw(st.integers(1, 6))
    column = hnp.arrays(np.int64, n, elements=st.integers(-3, 3))
    return tuple(draw(column) for _ in range(3))


@pytest.mark.slow
@given(judged_values(), st.integers(1, 24))
def test_risks_of_values_are_means_over_all_orders_of_ties(rows, part):
    true, predicted, values = rows
    squared, n = (true - predicted) ** 2, len(values)
    loss = {"loss": "squared_error"}
    in_orders = [risks(squared, order) for order in orders(values)]
    mean_risks = [float(sum(at) / len(at)) for at in zip(*in_orders, strict=True)]
    area_found = metrics.aurc(*rows, **loss)
    assert_allclose(area_found, statistics.fmean(mean_risks), atol=1e-13)
    at = metrics.risk_at_coverage(*rows, coverage=part / 24, **loss)
    assert_allclose(at, mean_risks[-(-n * part // 24) - 1], atol=1e-13)
    least = min(area(squared, order) for order in orders([0] * n))
    excess = metrics.excess_aurc(*rows, **loss)
    assert excess >= 0
    assert_allclose(excess, area_found - float(least), atol=1e-13)
    coverage, risk, thresholds = metrics.risk_coverage_curve(*rows, **loss)
    for c, r, t in zip(coverage, risk, thresholds, strict=True):
        assert_allclose(c, (values <= t).mean())
        assert_allclose(r, squared[values <= t].mean(), rtol=1e-14)


@pytest.mark.parametrize("coverage", [-0.1, 0.0, 1.0000001, np.nan])
def test_a_coverage_that_is_no_share_is_refused(coverage):
    for score in (metrics.risk_at_coverage, metrics.accuracy_at_coverage):
        with pytest.raises(ValueError, match=rf"coverage must be .* Got {coverage}"):
            score([0, 1], [0, 1], [1, 2], coverage)


def test_the_coverage_is_nine_tenths_unless_it_is_given():
    true, predicted = np.zeros(10), np.r_[np.zeros(9), 1]
    for certain, risk in ((np.arange(10), 0.0), (-np.arange(10), 1 / 9)):
        assert_allclose(metrics.risk_at_coverage(true, predicted, certain), risk)
        accuracy = metrics.accuracy_at_coverage(true, predicted, certain)
        assert_allclose(accuracy, 1 - risk)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_uncertainties_that_are_no_numbers_are_named(bad):
    message = "Input uncertainty contains (NaN|infinity)"
    with pytest.raises(ValueError, match=message):
        metrics.aurc([0, 1], [0, 1], [0.5, bad])
    with pytest.raises(ValueError, match=message):
        metrics.ood_detection_auroc([0.5, bad], [1.0])


def share_of_pairs(lower, upper):
    pairs = list(itertools.product(lower, upper))
    return sum((a < b) + (a == b) / 2 for a, b in pairs) / len(pairs)


@pytest.mark.slow
@given(judged_rows(max_rows=12))
def test_error_detection_is_the_share_of_pairs_ties_counting_half(rows):
    true, predicted, values = rows
    wrong = true != predicted
    assume(wrong.any() and not wrong.all())
    expected = share_of_pairs(values[~wrong], values[wrong])
    assert_allclose(metrics.error_detection_auroc(*rows), expected, atol=1e-12)


@pytest.mark.slow
@given(*[st.lists(st.integers(-3, 3), min_size=1, max_size=8)] * 2)
def test_ood_detection_is_the_share_of_pairs_ties_counting_half(inside, outside):
    auroc = metrics.ood_detection_auroc(inside, outside)
    assert_allclose(auroc, share_of_pairs(inside, outside), atol=1e-12)


@st.composite
def labelled_probabilities(draw):
    """Labels and probabilities in sixteenths, so that they fall on edges of bins."""
    n, k = draw(st.integers(1, 12)), draw(st.integers(2, 4))
    cuts = st.lists(st.integers(0, 16), min_size=k - 1, max_size=k - 1).map(sorted)
    cuts = draw(st.lists(cuts, min_size=n, max_size=n))
    proba = np.diff(np.array([[0, *c, 16] for c in cuts]), axis=1) / 16
    y = draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n))
    return np.array(y), proba


def bin_of(p, all_p, n_bins, strategy):
    if strategy == "uniform":  # [0, 1/n), ..., [1 - 1/n, 1]
        return min(math.floor(Fraction(p) * n_bins), n_bins - 1)
    edges = [np.quantile(all_p, i / n_bins) for i in range(1, n_bins)]
    return sum(p >= edge for edge in edges)


def calibration_error(happened, p, n_bins, strategy):
    bins = defaultdict(list)
    for h, value in zip(happened, p, strict=True):
        bins[bin_of(value, p, n_bins, strategy)].append((h, value))
    gap = 0.0
    for members in bins.values():
        frequency = statistics.fmean(float(h) for h, _ in members)
        confidence = statistics.fmean(value for _, value in members)
        gap += len(members) / len(p) * abs(frequency - confidence)
    return gap


BINS = st.sampled_from([1, 2, 4, 8, 16])
STRATEGIES = st.sampled_from(["uniform", "quantile"])


@pytest.mark.slow
@given(labelled_probabilities(), BINS, STRATEGIES)
def test_calibration_errors_are_gaps_bin_by_bin(labelled, n_bins, strategy):
    y, proba = labelled
    k = proba.shape[1]
    options = {"labels": range(k), "n_bins": n_bins, "strategy": strategy}
    top = [list(p).index(max(p)) for p in proba]
    expected = calibration_error(top == y, proba.max(axis=1), n_bins, strategy)
    found = metrics.top_label_calibration_error(y, proba, **options)
    assert_allclose(found, expected, atol=1e-12)
    of_class = [
        calibration_error(y == c, proba[:, c], n_bins, strategy) for c in range(k)
    ]
    found = metrics.classwise_calibration_error(y, proba, **options)
    assert_allclose(found, statistics.fmean(of_class), atol=1e-12)


CALIBRATION = [metrics.top_label_calibration_error, metrics.classwise_calibration_error]


@pytest.mark.parametrize("score", CALIBRATION)
def test_probabilities_in_single_precision_fall_into_the_bins_of_their_values(score):
    """0.7 in single precision is below 0.7, and times ten rounds to 7."""
    rng = np.random.RandomState(0)
    second = (rng.randint(11, size=60) / 10).astype(np.float32)
    proba = np.column_stack([1 - second, second])
    y = rng.randint(2, size=60)
    assert score(y, proba, n_bins=10) == score(y, proba.astype(float), n_bins=10)


@pytest.mark.parametrize("score", CALIBRATION)
def test_there_are_fifteen_uniform_bins_unless_others_are_asked_for(score):
    rng = np.random.RandomState(0)
    proba = rng.dirichlet(np.ones(3), size=400)
    y = rng.randint(3, size=400)
    assert score(y, proba) == score(y, proba, n_bins=15, strategy="uniform")
    for other in ({"n_bins": 14}, {"n_bins": 16}, {"strategy": "quantile"}):
        assert score(y, proba) != score(y, proba, **other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_true": [0, 1, 0]}, "inconsistent numbers of samples"),
        ({"y_prob": [[1.0, 0.0], [np.nan, 0.5]]}, "y_prob contains NaN"),
        ({"labels": [0, 0]}, "labels must be sorted"),
        ({"labels": [0, 2, 1], "y_prob": np.eye(3)[:2]}, "labels must be sorted"),
        ({"y_prob": [[1.0, 0.0], [-1e-9, 1.0]]}, r"Got values from -1e-09 to 1\."),
        ({"y_prob": [[1.0, 0.0], [0.0, 1.001]]}, r"Got values from 0 to 1\."),
    ],
)
def test_what_is_no_calibration_is_refused(change, message):
    arguments = {"y_true": [0, 1], "y_prob": np.eye(2), **change}
    with pytest.raises(ValueError, match=message):
        metrics.top_label_calibration_error(**arguments)

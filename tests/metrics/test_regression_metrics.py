"""Scores of distributions and intervals of numbers: closed forms and references."""

import numpy as np
import pytest
from mixtures import quantiles_by_bisection
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.metrics import (
    mean_absolute_error,
    mean_pinball_loss,
    mean_squared_error,
)

from skmcdropout.metrics import (
    aurc,
    crps,
    excess_aurc,
    interval_coverage,
    interval_score,
    interval_width,
    mean_log_density,
    quantile_calibration_curve,
    quantile_calibration_error,
    risk_at_coverage,
    risk_coverage_curve,
)

N_DRAWS, N_ROWS, N_OUTPUTS = 7, 40, 3

rng = np.random.RandomState(0)
MEANS = rng.normal(size=(N_DRAWS, N_ROWS))
STDS = 0.1 + rng.rand(*MEANS.shape)
Y = rng.normal(size=N_ROWS)
LOWER = Y - 1 + rng.normal(size=N_ROWS)
UPPER = LOWER + rng.rand(N_ROWS)
MEANS_3D = rng.normal(size=(N_DRAWS, N_ROWS, N_OUTPUTS))
STDS_3D = 0.1 + rng.rand(*MEANS_3D.shape)
Y_2D = rng.normal(size=(N_ROWS, N_OUTPUTS))
WEIGHTS = rng.randint(4, size=N_ROWS)

#: By name: each score as a function of rows of one output, and of several.
SCORES = {
    "mean_log_density": (
        lambda i, **k: mean_log_density(Y[i], MEANS[:, i], STDS[:, i], **k),
        None,  # one density of all outputs
    ),
    "crps": (
        lambda i, **k: crps(Y[i], MEANS[:, i], STDS[:, i], **k),
        lambda j, **k: crps(Y_2D[:, j], MEANS_3D[..., j], STDS_3D[..., j], **k),
    ),
    "interval_score": (
        lambda i, **k: interval_score(Y[i], LOWER[i], UPPER[i], **k),
        lambda j, **k: interval_score(
            Y_2D[:, j], *np.sort(MEANS_3D[:2, :, j], axis=0), **k
        ),
    ),
    "interval_coverage": (
        lambda i, **k: interval_coverage(Y[i], LOWER[i], UPPER[i], **k),
        lambda j, **k: interval_coverage(
            Y_2D[:, j], *np.sort(MEANS_3D[:2, :, j], axis=0), **k
        ),
    ),
    "interval_width": (
        lambda i, **k: interval_width(LOWER[i], UPPER[i], **k),
        lambda j, **k: interval_width(*np.sort(MEANS_3D[:2, :, j], axis=0), **k),
    ),
    "quantile_calibration_error": (
        lambda i, **k: quantile_calibration_error(Y[i], MEANS[:, i], STDS[:, i], **k),
        lambda j, **k: quantile_calibration_error(
            Y_2D[:, j], MEANS_3D[..., j], STDS_3D[..., j], **k
        ),
    ),
}
ALL = slice(None)
WEIGHTED = sorted(SCORES.keys() - {"quantile_calibration_error"})
OF_OUTPUTS = sorted(SCORES.keys() - {"mean_log_density"})


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_weight_counts_as_so_many_rows(name):
    score, _ = SCORES[name]
    repeated = np.repeat(np.arange(N_ROWS), WEIGHTS)
    found = score(ALL, sample_weight=WEIGHTS)
    assert isinstance(found, float)
    assert_allclose(found, score(repeated), rtol=1e-12)
    assert found != score(ALL)


@pytest.mark.parametrize("name", OF_OUTPUTS)
def test_outputs_are_scored_apart(name):
    score, of_outputs = SCORES[name]
    each = [of_outputs(j) for j in range(N_OUTPUTS)]
    assert_allclose(of_outputs(ALL, multioutput="raw_values"), each, rtol=1e-12)
    assert_allclose(of_outputs(ALL), np.mean(each), rtol=1e-12)
    weighted = of_outputs(ALL, multioutput=[1, 0, 3])
    assert_allclose(weighted, np.average(each, weights=[1, 0, 3]), rtol=1e-12)
    assert score(ALL, multioutput="raw_values").shape == (1,)


def test_the_log_density_is_of_all_outputs_jointly():
    densities = norm.pdf(Y_2D, MEANS_3D, STDS_3D).prod(axis=-1).mean(axis=0)
    found = mean_log_density(Y_2D, MEANS_3D, STDS_3D)
    assert_allclose(found, np.log(densities).mean(), rtol=1e-12)


def test_the_log_density_falls_by_the_logarithm_of_the_unit():
    found = mean_log_density(100 * Y, 100 * MEANS, 100 * STDS)
    assert_allclose(found, mean_log_density(Y, MEANS, STDS) - np.log(100), rtol=1e-12)


def test_crps_has_the_unit_of_y():
    expected = 100 * crps(Y, MEANS, STDS)
    assert_allclose(crps(100 * Y, 100 * MEANS, 100 * STDS), expected, rtol=1e-12)


def test_crps_of_a_draw_without_noise_is_the_mean_absolute_error():
    found = crps(Y, MEANS[:1], 0.0)
    assert_allclose(found, mean_absolute_error(Y, MEANS[0]), rtol=1e-12)


def test_standard_deviations_of_outputs_go_to_their_outputs():
    stds = np.array([0.1, 1.0, 3.0])
    full = np.broadcast_to(stds, MEANS_3D.shape)
    assert crps(Y_2D, MEANS_3D, stds) == crps(Y_2D, MEANS_3D, full)
    assert crps(Y_2D, MEANS_3D, stds) != crps(Y_2D, MEANS_3D, stds[::-1])


@pytest.mark.parametrize("score", [crps, lambda *a: -mean_log_density(*a)])
def test_the_true_distribution_has_the_best_score(score):
    draws = np.random.RandomState(1)
    means = draws.normal(size=(2, 20_000))
    of_draw = draws.randint(2, size=means.shape[1])
    y = np.where(of_draw, *means) + 0.5 * draws.normal(size=means.shape[1])
    best = score(y, means, 0.5)
    for others in ((means, 0.3), (means, 0.8), (means + 0.3, 0.5), (means[:1], 0.5)):
        assert score(y, *others) > best


# Intervals


@pytest.mark.parametrize("coverage", [0.1, 0.5, 0.95])
def test_the_interval_score_is_made_of_two_pinball_losses(coverage):
    tail = (1 - coverage) / 2
    low = mean_pinball_loss(Y, LOWER, alpha=tail)
    high = mean_pinball_loss(Y, UPPER, alpha=1 - tail)
    found = interval_score(Y, LOWER, UPPER, coverage)
    assert_allclose(found, 4 / (1 - coverage) * (low + high) / 2, rtol=1e-12)


def test_the_coverage_is_nine_tenths_unless_it_is_given():
    assert interval_score(Y, LOWER, UPPER) == interval_score(Y, LOWER, UPPER, 0.9)
    assert interval_score(Y, LOWER, UPPER) != interval_score(Y, LOWER, UPPER, 0.8)


def test_intervals_by_hand():
    y, lower, upper = [0.0, 2.0, 2.5, 9.0], [0.0, 1.0, 3.0, 5.0], [1.0, 2.0, 4.0, 7.0]
    assert interval_coverage(y, lower, upper) == 0.5  # the ends belong to it
    assert interval_width(lower, upper) == 5 / 4
    assert_allclose(interval_score(y, lower, upper, 0.75), 5 / 4 + 8 * 2.5 / 4)


# Calibration


def test_observed_shares_are_of_values_at_or_below_the_quantiles():
    levels = [0.02, 0.31, 0.5, 0.77]
    found, observed = quantile_calibration_curve(Y, MEANS, STDS, levels)
    assert_array_equal(found, levels)
    quantiles = quantiles_by_bisection(found, MEANS, STDS)
    assert_allclose(observed, (Y[:, None] <= quantiles).mean(axis=0))
    _, of_outputs = quantile_calibration_curve(Y_2D, MEANS_3D, STDS_3D, levels)
    quantiles = quantiles_by_bisection(found, MEANS_3D, STDS_3D)
    assert_allclose(of_outputs, (Y_2D[..., None] <= quantiles).mean(axis=0).T)


def test_without_noise_shares_are_of_values_at_or_below_the_order_statistics():
    """Values are draws themselves, so that they stand on steps of the cdf."""
    means = np.random.RandomState(0).randint(6, size=(20, 300)).astype(float)
    levels, observed = quantile_calibration_curve(means[0], means, 0.0)
    k = np.arange(1, 20)
    assert_array_equal(levels, k / 20)
    quantiles = np.sort(means, axis=0)[k - 1]
    assert_allclose(observed, (means[0] <= quantiles).mean(axis=1))


def test_the_error_is_the_mean_distance_from_nineteen_levels():
    levels = [i / 20 for i in range(1, 20)]
    found, observed = quantile_calibration_curve(Y, MEANS, STDS)
    assert_array_equal(found, levels)
    error = quantile_calibration_error(Y, MEANS, STDS)
    assert_allclose(error, np.abs(observed - levels).mean())


def test_values_drawn_from_the_distribution_are_calibrated():
    draws = np.random.RandomState(1)
    n = 5000
    means = draws.normal(size=(3, n))
    y = means[draws.randint(3, size=n), np.arange(n)] + 0.2 * draws.normal(size=n)
    assert quantile_calibration_error(y, means, 0.2) < 1 / np.sqrt(n)
    narrow_levels, narrow = quantile_calibration_curve(y, means[:1], 0.1)
    assert narrow[0] > narrow_levels[0] + 0.1
    assert narrow[-1] < narrow_levels[-1] - 0.1
    assert_allclose(quantile_calibration_error(y + 100, means, 0.2), 0.5)


# Risk and coverage of values

PREDICTED = Y + rng.normal(size=N_ROWS)
UNCERTAINTY = rng.rand(N_ROWS)
SQUARED = {"loss": "squared_error"}


def test_the_risk_of_all_rows_is_the_mean_squared_error():
    expected = mean_squared_error(Y, PREDICTED)
    coverage, risk, _ = risk_coverage_curve(Y, PREDICTED, UNCERTAINTY, **SQUARED)
    assert coverage[-1] == 1
    assert_allclose(risk[-1], expected)
    constant = np.zeros(N_ROWS)
    assert_allclose(aurc(Y, PREDICTED, constant, **SQUARED), expected)
    found = risk_at_coverage(Y, PREDICTED, UNCERTAINTY, 1.0, **SQUARED)
    assert_allclose(found, expected)


def test_the_least_uncertain_rows_have_their_own_squared_error():
    kept = np.argsort(UNCERTAINTY)[: N_ROWS // 4]
    expected = mean_squared_error(Y[kept], PREDICTED[kept])
    found = risk_at_coverage(Y, PREDICTED, UNCERTAINTY, 0.25, **SQUARED)
    assert_allclose(found, expected)


def test_an_order_by_the_squared_error_has_no_excess():
    error = np.abs(Y - PREDICTED)
    assert_allclose(excess_aurc(Y, PREDICTED, error, **SQUARED), 0, atol=1e-15)
    excess = excess_aurc(Y, PREDICTED, UNCERTAINTY, **SQUARED)
    area = aurc(Y, PREDICTED, UNCERTAINTY, **SQUARED)
    assert_allclose(excess, area - aurc(Y, PREDICTED, error, **SQUARED))
    assert excess > 0.1


def test_rounding_makes_no_excess_below_zero():
    """Of equal errors, added up one by one or as so many times their mean."""
    predicted = np.array([0.1, 0.1, 0.2, 0.3, 0.3, 0.3])
    assert excess_aurc(np.zeros(6), predicted, np.arange(6), **SQUARED) == 0


def test_the_squared_error_of_a_row_is_the_mean_over_outputs():
    predicted = Y_2D + rng.normal(size=Y_2D.shape)
    _, risk, _ = risk_coverage_curve(Y_2D, predicted, UNCERTAINTY, **SQUARED)
    assert_allclose(risk[-1], mean_squared_error(Y_2D, predicted))
    column = aurc(Y[:, None], PREDICTED, UNCERTAINTY, **SQUARED)
    assert column == aurc(Y, PREDICTED, UNCERTAINTY, **SQUARED)


def test_whole_numbers_in_floats_are_labels():
    assert aurc([0.0, 1.0], [0.0, 2.0], [1, 2]) == aurc([0, 1], [0, 2], [1, 2])


ONE, TWO = np.ones(3), np.ones((3, 2))
BAD = {
    "means of a row": (lambda: crps(ONE, ONE, 1), r"means must be .*Got shape \(3,\)"),
    "no draws": (lambda: crps(ONE, np.ones((0, 3)), 1), r"Got shape \(0, 3\)"),
    "nan means": (lambda: crps(ONE, ONE[None] * np.nan, 1), "means must be finite"),
    "y": (lambda: crps(TWO, ONE[None], 1), r"y_true .* \(3,\).* Got \(3, 2\) instead"),
    "nan y": (lambda: crps(ONE * np.nan, ONE[None], 1), "y_true contains NaN"),
    "stds": (lambda: crps(ONE, ONE[None], ONE), r"stds must .*\(1, 3\). Got shape"),
    "one std in an array": (lambda: crps(ONE, ONE[None], [1]), "stds must be a number"),
    "stds of outputs": (
        lambda: crps(TWO, TWO[None], ONE),
        r"stds must .*\(n_outputs,\) = \(2,\) or .*Got shape \(3,\)",
    ),
    "std below 0": (
        lambda: crps(ONE, ONE[None], -1),
        r"stds must be finite and at least 0. Got -1.0 instead",
    ),
    "std nan": (lambda: crps(ONE, ONE[None], np.nan), r"stds must .* Got nan instead"),
    "no noise": (
        lambda: mean_log_density(ONE, ONE[None], 0),
        "stds must be above 0: without noise there is no density. Got 0 instead",
    ),
    "crossed": (
        lambda: interval_width([0, 1, 2], [0, 1, 1]),
        r"lower must be at most upper. Got 2.0 and 1.0 in row 2 instead",
    ),
    "ends": (
        lambda: interval_width(ONE, TWO),
        r"lower and upper must be of one shape. Got \(3,\) and \(3, 2\)",
    ),
    "infinite end": (
        lambda: interval_width(ONE, [1, 2, np.inf]),
        "upper contains infinity",
    ),
    "y of intervals": (
        lambda: interval_score(TWO, ONE, ONE),
        r"y_true must have the shape \(3,\) of lower and upper",
    ),
    "coverage": (
        lambda: interval_score(ONE, ONE, ONE, coverage=1),
        r"coverage must be .*\(0, 1\). Got 1 instead",
    ),
    "levels": (
        lambda: quantile_calibration_curve(ONE, ONE[None], 1, [0, 0.5]),
        r"levels must be in the range \(0, 1\). Got values from 0 to 0.5 instead",
    ),
    "weights": (
        lambda: interval_width(ONE, ONE, sample_weight=[1, 2]),
        "inconsistent numbers of samples",
    ),
    "negative weights": (
        lambda: crps(ONE, ONE[None], 1, sample_weight=[1, 2, -1]),
        "sample_weight must be at least 0.*Got values from -1 to 2",
    ),
    "no weights": (
        lambda: crps(ONE, ONE[None], 1, sample_weight=[0, 0, 0]),
        "sample_weight must be .*above 0 for some row",
    ),
    "multioutput": (
        lambda: crps(ONE, ONE[None], 1, multioutput="variance_weighted"),
        "multioutput must be .*Got 'variance_weighted' instead",
    ),
    "weights of outputs": (
        lambda: crps(TWO, TWO[None], 1, multioutput=[1, 2, 3]),
        r"multioutput must be .* each of 2 outputs. Got \[1, 2, 3\] instead",
    ),
    "loss": (
        lambda: aurc(ONE, ONE, ONE, loss="mse"),
        r"loss must be one of \['squared_error', 'zero_one'\]. Got 'mse' instead",
    ),
    "values as labels": (
        lambda: aurc([1.0, 2.5], [1.0, 2.0], [1, 2]),
        "y_true must hold labels.*loss='squared_error'. Got 2.5 instead",
    ),
    "values as predictions": (
        lambda: excess_aurc([1, 2], [1.0, 2.25], [1, 2]),
        "y_pred must hold labels.*loss='squared_error'. Got 2.25 instead",
    ),
    "labels as values": (
        lambda: aurc(["a", "b"], ["a", "b"], [1, 2], loss="squared_error"),
        "could not convert string to float",
    ),
    "nan values": (
        lambda: aurc([1, 2], [1, np.nan], [1, 2], loss="squared_error"),
        "y_pred contains NaN",
    ),
    "outputs": (
        lambda: aurc(ONE, TWO, ONE, loss="squared_error"),
        r"must have the same outputs. Got shapes \(3,\) and \(3, 2\)",
    ),
    "uncertainty": (
        lambda: aurc(ONE, ONE, [1, 2], loss="squared_error"),
        "inconsistent numbers of samples",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call()

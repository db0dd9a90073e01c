"""Networks are found in any regressor, and what they say together is its own."""

import inside
import numpy as np
import pytest
from mixtures import quantiles_by_bisection
from nested import (
    FAST_REGRESSORS,
    REGRESSORS,
    X_REG,
    Y_REG,
    Y_TWO,
    fitted,
    piped,
    regressor,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingRegressor,
)
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)

from skmcdropout import (
    metrics,
    predict_uncertainty,
    sample_predictions,
    uncertainty,
)
from skmcdropout.metrics import make_distribution_scorer, make_uncertainty_scorer

STDS = list(uncertainty.REGRESSION_MEASURES)


@pytest.mark.parametrize("name", FAST_REGRESSORS)
def test_the_mean_over_draws_is_the_value_that_is_predicted(name):
    estimator = fitted(REGRESSORS, name)
    means = sample_predictions(estimator, X_REG)
    assert means.shape[1:] == (90,)
    predicted = estimator.predict(X_REG)
    size = abs(predicted).max()  # of which the rounding is
    assert_allclose(means.mean(axis=0), predicted, atol=1e-6 * size)


@pytest.mark.parametrize("name", FAST_REGRESSORS)
def test_values_are_scored_as_they_are_predicted(name):
    estimator = fitted(REGRESSORS, name)
    predicted = estimator.predict(X_REG)
    error = make_uncertainty_scorer("neg_risk_at_coverage", coverage=1.0)
    assert error(estimator, X_REG, predicted) > -1e-9 * predicted.var()
    expected = -metrics.risk_at_coverage(
        Y_REG,
        predicted,
        predict_uncertainty(estimator, X_REG, "total_std"),
        0.5,
        loss="squared_error",
    )
    some = make_uncertainty_scorer("neg_risk_at_coverage", coverage=0.5)
    assert_allclose(some(estimator, X_REG, Y_REG), expected, rtol=1e-4)


@pytest.mark.parametrize("name", FAST_REGRESSORS)
def test_standard_deviations_are_those_of_the_union_of_draws(name):
    estimator = fitted(REGRESSORS, name)
    draws = sample_predictions(estimator, X_REG, return_std=True)
    found = predict_uncertainty(estimator, X_REG, STDS)
    expected = [uncertainty.REGRESSION_MEASURES[name](*draws) for name in STDS]
    assert_allclose(found, np.column_stack(expected), rtol=1e-4, atol=1e-5)


def test_draws_of_a_regressor_alone_are_its_own():
    estimator = fitted(REGRESSORS, "pipeline")
    rows, last = estimator[0].transform(X_REG), estimator[-1]
    draws = sample_predictions(estimator, X_REG, return_std=True)
    own = last.sample_predictions(rows, return_std=True)
    for found, expected in zip(draws, own, strict=True):
        assert_array_equal(found, expected)
    assert_array_equal(
        predict_uncertainty(estimator, X_REG, STDS),
        last.predict_uncertainty(rows, STDS),
    )


@pytest.mark.parametrize(
    "scaler", [StandardScaler(), MinMaxScaler((2, 7)), MaxAbsScaler(), RobustScaler()]
)
def test_noise_comes_back_to_units_of_y_as_targets_do(scaler):
    estimator = TransformedTargetRegressor(
        regressor(n_samples=3, epochs=1), transformer=scaler
    ).fit(X_REG, Y_TWO)
    inner = estimator.regressor_.sample_predictions(X_REG, return_std=True)
    means, stds = sample_predictions(estimator, X_REG, return_std=True)
    ends = [
        [estimator.transformer_.inverse_transform(draw) for draw in inner[0] + sign]
        for sign in (-inner[1], inner[1])
    ]
    assert means.shape == stds.shape == (3, 90, 2)
    assert_allclose(means, (ends[0] + np.array(ends[1])) / 2, rtol=1e-5, atol=1e-5)
    assert_allclose(stds, (ends[1] - np.array(ends[0])) / 2, rtol=1e-4)


@pytest.mark.slow
def test_several_outputs_stay_several():
    bag = BaggingRegressor(piped(regressor()), 2, random_state=0).fit(X_REG, Y_TWO)
    draws = sample_predictions(bag, X_REG, return_std=True)
    assert draws[0].shape == (20, 90, 2)
    assert_allclose(draws[0].mean(axis=0), bag.predict(X_REG), rtol=1e-5)
    found = predict_uncertainty(bag, X_REG, STDS)
    assert found.shape == (90, 2, 3)
    for i, name in enumerate(STDS):
        expected = uncertainty.REGRESSION_MEASURES[name](*draws)
        assert_allclose(found[..., i], expected, rtol=1e-4)
    scorer = make_distribution_scorer()
    expected = metrics.mean_log_density(Y_TWO, *draws)
    assert_allclose(scorer(bag, X_REG, Y_TWO), expected, rtol=1e-6)


def test_distribution_scorers_score_an_ensemble_by_its_union_of_draws():
    estimator = fitted(REGRESSORS, "nested")
    draws = sample_predictions(estimator, X_REG, return_std=True)

    def score(name, **kwargs):
        return make_distribution_scorer(name, **kwargs)(estimator, X_REG, Y_REG)

    assert_allclose(
        score("mean_log_density"), metrics.mean_log_density(Y_REG, *draws), rtol=1e-6
    )
    assert_allclose(score("neg_crps"), -metrics.crps(Y_REG, *draws), rtol=1e-6)
    assert_allclose(
        score("neg_quantile_calibration_error"),
        -metrics.quantile_calibration_error(Y_REG, *draws),
        rtol=1e-6,
    )
    ends = np.moveaxis(quantiles_by_bisection([0.15, 0.85], *draws), -1, 0)
    assert_allclose(
        score("neg_interval_score", coverage=0.7),
        -metrics.interval_score(Y_REG, *ends, coverage=0.7),
        rtol=1e-6,
    )


@pytest.mark.parametrize(("name", "n"), [("pipeline", 1), ("nested", 3)])
def test_values_and_measures_are_of_one_draw(name, n, draw_calls):
    estimator = fitted(REGRESSORS, name)
    for score in (
        make_uncertainty_scorer(),
        make_distribution_scorer(),
        make_distribution_scorer("neg_interval_score"),
        make_distribution_scorer("neg_crps"),
    ):
        draw_calls.clear()
        score(estimator, X_REG, Y_REG)
        assert len(draw_calls) == n


def test_few_draws_of_values_are_in_memory_at_once(draw_calls, monkeypatch):
    estimator = fitted(REGRESSORS, "nested")
    score = make_distribution_scorer()
    at_once = score(estimator, X_REG, Y_REG)
    draw_calls.clear()
    inside.reduce_in_blocks(monkeypatch, 1000)
    assert_allclose(score(estimator, X_REG, Y_REG), at_once, rtol=1e-6)
    # Of 40 draws, as half of the vote is one network's: at most 25 rows.
    assert max(shape[1] for shape in draw_calls) <= 25

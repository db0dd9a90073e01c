"""Displays take every estimator with networks inside, and show what these draw."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from mixtures import quantiles_by_bisection
from nested import CLASSIFIERS, CODES, REGRESSORS, X_REG, Y_REG, X, Y, fitted, network
from numpy.testing import assert_allclose
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator

from skmcdropout import metrics, sample_predictions, sample_proba, uncertainty
from skmcdropout.plotting import (
    ConvergenceDisplay,
    PredictionIntervalDisplay,
    PredictiveBandDisplay,
    QuantileCalibrationDisplay,
    RiskCoverageDisplay,
    UncertaintyHistogramDisplay,
    UncertaintySurfaceDisplay,
)


@pytest.fixture(autouse=True)
def no_windows():
    mpl.use("Agg")
    yield
    plt.close("all")


@pytest.mark.parametrize("name", ["rejecting", "frozen", "weighted"])
def test_curves_and_histograms_are_of_the_draws_inside(name):
    estimator = fitted(CLASSIFIERS, name)
    draws = sample_proba(estimator, X)
    unsure = uncertainty.mutual_information(draws)
    predicted = np.unique(Y)[draws.mean(axis=0).argmax(axis=1)]
    curve = RiskCoverageDisplay.from_estimator(
        estimator, X, Y, measure="mutual_information"
    )
    assert_allclose(curve.aurc, metrics.aurc(Y, predicted, unsure), rtol=1e-3)
    groups = UncertaintyHistogramDisplay.from_estimator(
        estimator, X, Y, X_other=X + 3, measure="mutual_information"
    ).groups
    assert_allclose(groups["wrong"], unsure[predicted != Y], atol=1e-5)
    other = uncertainty.mutual_information(sample_proba(estimator, X + 3))
    assert_allclose(groups["other"], other, atol=1e-5)


def test_a_surface_is_of_the_draws_inside():
    plane = X[:, :2]
    ensemble = VotingClassifier(
        [("a", network(epochs=1)), ("b", network(1, epochs=1))], voting="soft"
    ).fit(plane, CODES)
    display = UncertaintySurfaceDisplay.from_estimator(
        ensemble, plane, Y, grid_resolution=4
    )
    left, right, bottom, top = display.extent
    grid = np.meshgrid(np.linspace(left, right, 4), np.linspace(bottom, top, 4))
    draws = sample_proba(ensemble, np.column_stack([axis.ravel() for axis in grid]))
    expected = uncertainty.mutual_information(draws).reshape(4, 4)
    assert_allclose(display.surfaces[2], expected, atol=1e-5)
    assert display.n_classes == 3


def test_convergence_is_of_all_networks_inside():
    members = [(f"m{i}", FrozenEstimator(network(i).fit(X, Y))) for i in range(2)]
    ensemble = VotingClassifier(members, voting="soft", weights=[1, 3]).fit(X, Y)
    display = ConvergenceDisplay.from_estimator(
        ensemble, X, n_samples=[2, 30], n_reference=200
    )

    def proba(n):
        for member in ensemble.estimators_:
            member.estimator.set_params(n_samples=n)
        return ensemble.predict_proba(X)

    assert [m.estimator.n_samples for m in ensemble.estimators_] == [10, 10]
    expected = [np.sqrt(np.mean((proba(n) - proba(200)) ** 2)) for n in (2, 30)]
    assert_allclose(display.rms, expected, rtol=1e-4)


@pytest.mark.slow
def test_convergence_is_of_probabilities_as_they_are_calibrated():
    estimator = CalibratedClassifierCV(FrozenEstimator(network().fit(X, Y))).fit(X, Y)
    display = ConvergenceDisplay.from_estimator(
        estimator, X, n_samples=[3], n_reference=100
    )
    inner = estimator.calibrated_classifiers_[0].estimator.estimator
    few, many = (
        (inner.set_params(n_samples=n), estimator.predict_proba(X))[1] for n in (3, 100)
    )
    assert_allclose(display.largest, [abs(few - many).max(axis=1).mean()], rtol=1e-4)


@pytest.mark.parametrize("name", ["frozen", "nested"])
def test_displays_of_values_are_of_the_draws_inside(name, draw_calls):
    estimator = fitted(REGRESSORS, name)
    means, stds = sample_predictions(estimator, X_REG, return_std=True)
    draw_calls.clear()
    intervals = PredictionIntervalDisplay.from_estimator(
        estimator, X_REG, Y_REG, coverage=0.8
    )
    n_networks = 1 if name == "frozen" else 3
    assert len(draw_calls) == n_networks
    predicted = estimator.predict(X_REG)
    atol = 1e-6 * abs(predicted).max()
    assert_allclose(intervals.y_pred, predicted, atol=atol)
    ends = quantiles_by_bisection([0.1, 0.9], means, stds)
    assert_allclose(intervals.lower, ends[:, 0], atol=10 * atol)
    assert_allclose(intervals.upper, ends[:, 1], atol=10 * atol)
    draw_calls.clear()
    band = PredictiveBandDisplay.from_estimator(
        estimator, X_REG, Y_REG, grid_resolution=5
    )
    assert len(draw_calls) == n_networks
    rows = np.tile(np.median(X_REG, axis=0), (5, 1))
    rows[:, 0] = band.grid
    expected = sample_predictions(estimator, rows).std(axis=0)
    assert_allclose(band.epistemic_std, expected, rtol=1e-5)
    curve = QuantileCalibrationDisplay.from_estimator(estimator, X_REG, Y_REG)
    error = metrics.quantile_calibration_error(Y_REG, means, stds)
    assert_allclose(curve.error, error, rtol=1e-6)

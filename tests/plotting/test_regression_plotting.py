"""Displays of regressors show the numbers that they predict and the metrics give."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.datasets import make_friedman1
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutRegressor
from skmcdropout.metrics import (
    aurc,
    interval_coverage,
    quantile_calibration_curve,
    quantile_calibration_error,
    risk_coverage_curve,
)
from skmcdropout.plotting import (
    ConvergenceDisplay,
    PredictionIntervalDisplay,
    PredictiveBandDisplay,
    QuantileCalibrationDisplay,
    RiskCoverageDisplay,
    UncertaintyHistogramDisplay,
    UncertaintySurfaceDisplay,
)

X, Y = make_friedman1(120, noise=1.0, random_state=0)
TWO = np.column_stack([Y, 50 * np.cos(Y)])


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def network():
    return MCDropoutRegressor((20,), epochs=20, random_state=0)


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(StandardScaler(), network()).fit(X, Y)


@pytest.fixture(scope="module")
def regressor_of_two():
    return network().fit(X, TWO)


def last(pipeline, rows=X):
    """The network, and rows as it gets them."""
    return pipeline[-1], pipeline[0].transform(rows)


def legend_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def outline(band):
    """Lower and upper edge of a band, left to right."""
    vertices = band.get_paths()[0].vertices
    n = (len(vertices) - 3) // 2
    return vertices[1 : n + 1, 1], vertices[n + 2 : -1, 1][::-1]


def test_bands_are_the_intervals_over_one_feature(pipeline):
    display = PredictiveBandDisplay.from_estimator(
        pipeline, X, Y, feature=3, coverage=0.8, grid_resolution=7, margin=0.5
    )
    low, high = X[:, 3].min(), X[:, 3].max()
    beyond = (high - low) / 2
    assert_allclose(display.grid, np.linspace(low - beyond, high + beyond, 7))
    rows = np.tile(np.median(X, axis=0), (7, 1))
    rows[:, 3] = display.grid
    fitted, scaled = last(pipeline, rows)
    mean = fitted.predict(scaled)
    assert_allclose(display.line_.get_ydata(), mean, rtol=1e-6)
    total, epistemic = display.ax_.collections[:2]
    assert_allclose(
        np.transpose(outline(total)), fitted.predict_interval(scaled, 0.8), rtol=1e-6
    )
    half = norm.ppf(0.9) * fitted.predict_uncertainty(scaled, "epistemic_std")
    assert_allclose(outline(epistemic), [mean - half, mean + half], rtol=1e-6)
    points = display.ax_.collections[2].get_offsets()
    assert_allclose(points, np.column_stack([X[:, 3], Y]))
    assert legend_of(display) == [
        "80 % of y (total)",
        "80 % of mean (epistemic)",
        "mean",
        "y",
    ]
    assert display.ax_.get_xlabel() == "feature 3"
    assert_allclose(display.ax_.get_xlim(), display.grid[[0, -1]])


def test_without_y_the_rows_are_ticks(pipeline):
    display = PredictiveBandDisplay.from_estimator(pipeline, X, grid_resolution=3)
    _, ticks = display.ax_.get_lines()
    assert_array_equal(ticks.get_xdata(), X[:, 0])
    assert legend_of(display)[-1] == "rows"
    assert len(display.ax_.collections) == 2


def test_of_many_points_some_are_drawn(pipeline):
    display = PredictiveBandDisplay.from_estimator(
        pipeline, X, Y, grid_resolution=3, n_rows=50, random_state=1
    )
    points = display.ax_.collections[2].get_offsets()
    assert len(points) == 50
    assert set(points[:, 1]) <= set(Y)
    assert legend_of(display)[-1] == "y (50 of 120)"
    again = display.plot(n_rows=50, random_state=1)
    assert_array_equal(again.ax_.collections[2].get_offsets(), points)


@pytest.mark.parametrize("table", [pd.DataFrame, pl.DataFrame])
def test_bands_know_features_by_their_names(table):
    names = list("abcdefghij")
    columns = {"columns" if table is pd.DataFrame else "schema": names}
    frame = table(X, **columns)
    fitted = MCDropoutRegressor((5,), epochs=1, random_state=0).fit(frame, Y)
    display = PredictiveBandDisplay.from_estimator(
        fitted, frame, Y, feature="d", grid_resolution=3
    )
    by_number = PredictiveBandDisplay.from_estimator(
        fitted, frame, Y, feature=3, grid_resolution=3
    )
    assert display.ax_.get_xlabel() == by_number.ax_.get_xlabel() == "d"
    assert_array_equal(display.rows, X[:, 3])
    assert_array_equal(display.upper, by_number.upper)
    with pytest.raises(ValueError, match=r"or one of \['a', .*Got 'z' instead"):
        PredictiveBandDisplay.from_estimator(fitted, frame, feature="z")


def test_each_display_draws_the_target_it_is_asked_for(regressor_of_two):
    band = PredictiveBandDisplay.from_estimator(
        regressor_of_two, X, TWO, target=1, grid_resolution=3
    )
    rows = np.tile(np.median(X, axis=0), (3, 1))
    rows[:, 0] = band.grid
    assert_allclose(band.mean, regressor_of_two.predict(rows)[:, 1], rtol=1e-5)
    assert_array_equal(band.y, TWO[:, 1])
    intervals = PredictionIntervalDisplay.from_estimator(
        regressor_of_two, X, TWO, target=1
    )
    ends = regressor_of_two.predict_interval(X)[:, 1]
    assert_array_equal(np.transpose([intervals.lower, intervals.upper]), ends)
    predicted = regressor_of_two.predict(X)[:, 1]
    assert_allclose(intervals.y_pred, predicted, rtol=1e-5)
    curve = QuantileCalibrationDisplay.from_estimator(
        regressor_of_two, X, TWO, target=1
    )
    draws = regressor_of_two.sample_predictions(X, return_std=True)
    _, observed = quantile_calibration_curve(TWO, *draws)
    assert_array_equal(curve.observed, observed[:, 1])
    for display in (
        PredictiveBandDisplay,
        PredictionIntervalDisplay,
        QuantileCalibrationDisplay,
    ):
        for target in (2, -1, 0.5):
            with pytest.raises(ValueError, match=rf"range \[0, 2\).*Got {target}"):
                display.from_estimator(regressor_of_two, X, TWO, target=target)


def test_the_calibration_curve_is_that_of_the_metric(pipeline):
    display = QuantileCalibrationDisplay.from_estimator(pipeline, X, Y, name="net")
    fitted, rows = last(pipeline)
    draws = fitted.sample_predictions(rows, return_std=True)
    levels, observed = quantile_calibration_curve(Y, *draws)
    assert_array_equal(display.line_.get_xdata(), levels)
    assert_array_equal(display.line_.get_ydata(), observed)
    error = quantile_calibration_error(Y, *draws)
    assert legend_of(display) == ["calibrated", f"net, error {error:.3f}"]


def test_calibration_curves_share_a_diagonal():
    means = np.zeros((1, 50))
    y = np.random.RandomState(0).randn(50)
    _, ax = plt.subplots()
    for std in (0.5, 1.0):
        QuantileCalibrationDisplay.from_predictions(
            y, means, std, name=f"std {std}", ax=ax
        )
    labels = [line.get_label() for line in ax.get_lines()]
    assert [label.partition(",")[0] for label in labels] == [
        "calibrated",
        "std 0.5",
        "std 1.0",
    ]
    assert_array_equal(ax.get_lines()[0].get_xydata(), [[0, 0], [1, 1]])


def test_a_calibration_curve_is_of_one_output():
    with pytest.raises(ValueError, match=r"means must be of shape .*Got shape \(1, 3,"):
        QuantileCalibrationDisplay.from_predictions(
            np.zeros((3, 2)), np.zeros((1, 3, 2)), 1.0
        )


def test_intervals_are_those_predicted_and_misses_stand_out(pipeline):
    display = PredictionIntervalDisplay.from_estimator(pipeline, X, Y, coverage=0.7)
    fitted, rows = last(pipeline)
    low, high = fitted.predict_interval(rows, 0.7).T
    share = interval_coverage(Y, low, high)
    is_inside = (low <= Y) & (high >= Y)
    assert 0 < share < 1
    bars = display.ax_.collections
    for group, bar, points in zip(
        (is_inside, ~is_inside), bars, display.ax_.get_lines()[1:], strict=True
    ):
        assert_allclose(
            [segment.ravel() for segment in bar.get_segments()],
            np.column_stack([Y, low, Y, high])[group],
        )
        assert_allclose(
            points.get_xydata(), np.column_stack([Y, fitted.predict(rows)])[group]
        )
    assert points.get_color() != display.ax_.get_lines()[1].get_color()
    n = is_inside.sum()
    assert legend_of(display) == [
        f"inside: {n} rows ({100 * share:.0f} %)",
        f"outside: {120 - n} rows ({100 - 100 * share:.0f} %)",
    ]
    assert display.ax_.get_legend().get_title().get_text() == "70 % intervals"


def test_the_legend_counts_all_rows_where_some_are_drawn():
    y = np.arange(1000.0)
    ends = y + np.where(y < 250, 1, -1), y + 2  # the first quarter is outside
    drawn = []
    for random_state in (0, 0, 1):
        display = PredictionIntervalDisplay.from_predictions(
            y, y, *ends, n_rows=100, random_state=random_state
        )
        assert legend_of(display)[1] == "outside: 250 rows (25 %)"
        title = display.ax_.get_legend().get_title().get_text()
        assert title == "100 of 1000 rows drawn"
        points = [line.get_xdata() for line in display.ax_.get_lines()[1:]]
        drawn.append(np.concatenate(points))
    assert_array_equal(drawn[0], drawn[1])
    assert set(drawn[0]) != set(drawn[2])
    assert len(set(drawn[0])) == 100
    everything = display.plot(n_rows=None)
    assert sum(len(line.get_xdata()) for line in everything.ax_.get_lines()[1:]) == 1000


def test_the_diagonal_does_not_drag_the_axes_to_zero():
    y = np.linspace(1900, 2000, 10)
    display = PredictionIntervalDisplay.from_predictions(y, y, y - 5, y + 5)
    assert display.ax_.get_xlim()[0] > 1800
    assert display.ax_.get_ylim()[0] > 1800


BAD_INTERVALS = {
    "y_pred": (([1, 2], [1], [0, 0], [3, 3]), "inconsistent numbers of samples"),
    "lower": (([1, 2], [1, 2], [4, 0], [3, 3]), "lower must be at most upper"),
    "outputs": (
        (np.zeros((2, 2)), [0, 0], np.zeros((2, 2)), np.ones((2, 2))),
        r"y_true must be of shape \(n_rows,\).*Got shape \(2, 2\)",
    ),
}


@pytest.mark.parametrize("name", BAD_INTERVALS)
def test_bad_intervals(name):
    given, message = BAD_INTERVALS[name]
    with pytest.raises(ValueError, match=message):
        PredictionIntervalDisplay.from_predictions(*given)


@pytest.mark.parametrize("n_rows", [0, -3, 2.5])
def test_a_number_of_rows_that_cannot_be_drawn_is_refused(n_rows):
    with pytest.raises(ValueError, match=rf"n_rows must be an int .*Got {n_rows}"):
        PredictionIntervalDisplay.from_predictions([1], [1], [0], [2], n_rows=n_rows)


def test_the_risk_of_a_regressor_is_its_mean_squared_error(pipeline):
    display = RiskCoverageDisplay.from_estimator(pipeline, X, Y)
    fitted, rows = last(pipeline)
    given = Y, fitted.predict(rows), fitted.predict_uncertainty(rows, "total_std")
    coverage, risk, _ = risk_coverage_curve(*given, loss="squared_error")
    assert_allclose(display.line_.get_xdata(), coverage)
    assert_allclose(display.line_.get_ydata(), risk)
    area = aurc(*given, loss="squared_error")
    assert legend_of(display) == [f"total_std, AURC {area:.4g}"]
    assert display.ax_.get_ylabel() == "risk: mean squared error"
    again = display.plot()
    assert again.ax_.get_ylabel() == "risk: mean squared error"


def test_histograms_of_a_regressor_are_of_small_and_large_errors(pipeline):
    display = UncertaintyHistogramDisplay.from_estimator(
        pipeline, X, Y, X_other=3 * X[:30], measure="epistemic_std"
    )
    fitted, rows = last(pipeline)
    unsure = fitted.predict_uncertainty(rows, "epistemic_std")
    error = abs(Y - fitted.predict(rows))
    is_small = error <= np.median(error)
    assert_array_equal(display.groups["small error"], unsure[is_small])
    assert_array_equal(display.groups["large error"], unsure[~is_small])
    other = fitted.predict_uncertainty(last(pipeline, 3 * X[:30])[1], "epistemic_std")
    assert_array_equal(display.groups["other"], other)
    assert display.ax_.get_xlabel() == "epistemic_std"


def test_risks_and_histograms_take_several_outputs(regressor_of_two):
    display = RiskCoverageDisplay.from_estimator(regressor_of_two, X, TWO)
    errors = (TWO - regressor_of_two.predict(X)) ** 2
    assert_allclose(display.risk[-1], errors.mean())
    groups = UncertaintyHistogramDisplay.from_estimator(regressor_of_two, X, TWO).groups
    assert [len(group) for group in groups.values()] == [60, 60]


@pytest.mark.parametrize("display", [ConvergenceDisplay, UncertaintySurfaceDisplay])
def test_displays_of_classes_refuse_a_regressor(display, pipeline):
    with pytest.raises(TypeError, match=r"must be a classifier .*Got Pipeline"):
        display.from_estimator(pipeline, X[:, :2])


@pytest.mark.parametrize(
    "display",
    [PredictiveBandDisplay, PredictionIntervalDisplay, QuantileCalibrationDisplay],
)
def test_displays_of_values_refuse_a_classifier(display, moons_classifier, moons):
    with pytest.raises(
        TypeError, match=r"be an MCDropoutRegressor.*Got MCDropoutClass"
    ):
        display.from_estimator(moons_classifier, *moons)

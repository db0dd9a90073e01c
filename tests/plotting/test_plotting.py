"""Displays show the numbers that the metrics and the classifier give."""

import warnings

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier, predict_uncertainty
from skmcdropout.metrics import aurc, risk_coverage_curve
from skmcdropout.plotting import (
    ConvergenceDisplay,
    RiskCoverageDisplay,
    UncertaintyHistogramDisplay,
    UncertaintySurfaceDisplay,
)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def pipeline(moons):
    parameters = {"epochs": 10, "n_samples": 30, "temperature": 1.0, "random_state": 0}
    network = MCDropoutClassifier((20,), **parameters)
    return make_pipeline(StandardScaler(), network).fit(*moons)


def uncertainty(pipeline, X, measure="predictive_entropy"):
    return pipeline[-1].predict_uncertainty(pipeline[0].transform(X), measure)


def test_the_curve_is_that_of_the_metric(pipeline, moons):
    X, y = moons
    display = RiskCoverageDisplay.from_estimator(
        pipeline, X, y, measure="mutual_information"
    )
    unsure = uncertainty(pipeline, X, "mutual_information")
    coverage, risk, _ = risk_coverage_curve(y, pipeline.predict(X), unsure)
    assert_array_equal(display.line_.get_xdata(), coverage)
    assert_array_equal(display.line_.get_ydata(), risk)
    (label,) = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    area = aurc(y, pipeline.predict(X), unsure)
    assert label == f"mutual_information, AURC {area:.4f}"
    assert display.figure_ is display.ax_.figure
    assert display.ax_.get_xlim() == (0, 1)
    assert display.ax_.get_ylim()[0] == 0


def test_several_curves_share_axes(pipeline, moons):
    figure, axis = plt.subplots()
    for measure in ("predictive_entropy", "variation_ratio"):
        display = RiskCoverageDisplay.from_estimator(
            pipeline, *moons, measure=measure, ax=axis, color="black"
        )
    assert display.ax_ is axis
    assert display.figure_ is figure
    assert len(axis.get_legend().get_texts()) == 2
    again = display.plot()
    assert again is display
    assert display.ax_ is not axis


def test_a_curve_without_name_and_area_has_no_legend():
    display = RiskCoverageDisplay([0.5, 1.0], [0.0, 0.25]).plot()
    assert display.ax_.get_legend() is None
    assert_array_equal(display.line_.get_ydata(), [0.0, 0.25])


def test_histograms_of_rows_from_here_alone_have_no_other_group(pipeline, moons):
    display = UncertaintyHistogramDisplay.from_estimator(pipeline, *moons)
    assert set(display.groups) == {"right", "wrong"}
    assert sum(map(len, display.groups.values())) == len(moons[1])


def test_histograms_hold_each_group_whole(pipeline, moons):
    X, y = moons
    display = UncertaintyHistogramDisplay.from_estimator(
        pipeline, X, y, X_other=X[:50] + 5, bins=7
    )
    unsure = uncertainty(pipeline, X)
    right = pipeline.predict(X) == y
    assert_array_equal(display.groups["right"], unsure[right])
    assert_array_equal(display.groups["wrong"], unsure[~right])
    assert_array_equal(display.groups["other"], uncertainty(pipeline, X[:50] + 5))
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    counts = {"right": right.sum(), "wrong": (~right).sum(), "other": 50}
    assert names == [f"{group} ({n} rows)" for group, n in counts.items()]
    for patch in display.ax_.patches:  # outlines of bars that sum to 1
        heights = patch.get_path().vertices[1:-1:2, 1]
        assert_allclose(heights[:7].sum(), 1, atol=1e-6)
    assert display.ax_.get_xlabel() == "predictive_entropy"


def test_groups_may_be_empty():
    display = UncertaintyHistogramDisplay.from_predictions([0, 1], [0, 1], [0.1, 0.3])
    assert len(display.groups["wrong"]) == 0


def test_surfaces_are_the_measures_on_a_grid(pipeline, moons):
    X, y = moons
    display = UncertaintySurfaceDisplay.from_estimator(
        pipeline, X, y, grid_resolution=11, eps=0.5
    )
    total, aleatoric, epistemic = display.surfaces
    assert_allclose(total, aleatoric + epistemic, atol=1e-6)
    left, right, bottom, top = display.extent
    assert_allclose([left, bottom], X.min(axis=0) - 0.5)
    corner = uncertainty(pipeline, [[right, top]])
    assert_allclose(total[-1, -1], corner[0], atol=1e-5)
    corner = uncertainty(pipeline, [[right, bottom]])
    assert_allclose(total[0, -1], corner[0], atol=1e-5)
    for axis, surface in zip(display.axes_, display.surfaces, strict=True):
        (image,) = axis.get_images()
        assert_array_equal(image.get_array(), surface)
        assert image.get_clim() == (0, np.log(2))
    assert [t.get_text() for t in display.ax_.get_legend().get_texts()] == [
        "class 0",
        "class 1",
    ]


def test_surfaces_are_drawn_where_they_are_asked_for(pipeline, moons):
    figure, axes = plt.subplots(1, 3)
    display = UncertaintySurfaceDisplay.from_estimator(
        pipeline, moons[0], grid_resolution=5, axes=axes
    )
    assert list(display.axes_) == list(axes)
    assert display.figure_ is figure
    assert [len(axis.get_images()) for axis in axes] == [1, 1, 1]


def test_surfaces_need_two_features(digits):
    X, y = digits
    network = MCDropoutClassifier((5,), epochs=1, temperature=1.0)
    network.fit(X[:100], y[:100])
    with pytest.raises(ValueError, match=r"X must have two features.*Got 64"):
        UncertaintySurfaceDisplay.from_estimator(network, X)


def test_convergence_is_the_deviation_from_many_draws(pipeline, moons):
    X, _ = moons
    display = ConvergenceDisplay.from_estimator(
        pipeline, X, n_samples=[5, 50], n_reference=200
    )
    network, rows = pipeline[-1], pipeline[0].transform(X)
    assert network.n_samples == 30
    try:
        reference = network.set_params(n_samples=200).predict_proba(rows)
        gap = network.set_params(n_samples=5).predict_proba(rows) - reference
    finally:
        network.set_params(n_samples=30)
    assert_allclose(display.rms[0], np.sqrt(np.mean(gap**2)), rtol=1e-4)
    assert_allclose(display.largest[0], abs(gap).max(axis=1).mean(), rtol=1e-4)
    assert display.rms[1] < display.rms[0]
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["5", "50"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_pipeline_that_selects_columns_by_name_is_given_them(library):
    frames = pytest.importorskip(library)
    rng = np.random.RandomState(0)
    table = rng.normal(size=(60, 2))
    frame = frames.DataFrame({"age": table[:, 0], "income": table[:, 1]})
    y = (table[:, 0] > table[:, 1]).astype(int)
    scaled = ColumnTransformer([("n", StandardScaler(), ["income", "age"])])
    pipe = make_pipeline(
        scaled, MCDropoutClassifier((8,), epochs=2, n_samples=5, random_state=0)
    )
    try:
        pipe.fit(frame, y)
    except AttributeError:
        if library == "pandas":
            raise
        pytest.skip("scikit-learn selects no columns of Polars by name here")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        display = UncertaintySurfaceDisplay.from_estimator(
            pipe, frame, y, grid_resolution=4
        )
        RiskCoverageDisplay.from_estimator(pipe, frame, y)
        UncertaintyHistogramDisplay.from_estimator(pipe, frame, y)
        ConvergenceDisplay.from_estimator(pipe, frame)
    assert [axis.get_xlabel() for axis in display.axes_] == ["age"] * 3
    assert display.ax_.get_ylabel() == "income"
    left, right, bottom, top = display.extent
    corners = frames.DataFrame({"age": [left, right], "income": [bottom, top]})
    expected = predict_uncertainty(pipe, corners)
    assert_allclose(display.surfaces[0, [0, -1], [0, -1]], expected, atol=1e-6)

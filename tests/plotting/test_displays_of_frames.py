"""Displays of frames, with pipelines that select columns by name.

The reference is the same pipeline without names, over the columns of an array.
"""

import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from plain import PLAIN
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor, predict_uncertainty
from skmcdropout.plotting import (
    ConvergenceDisplay,
    PredictionIntervalDisplay,
    PredictiveBandDisplay,
    QuantileCalibrationDisplay,
    RiskCoverageDisplay,
    UncertaintyHistogramDisplay,
    UncertaintySurfaceDisplay,
)

NAMES = ["age", "income"]
TABLE = np.random.RandomState(0).normal(0, [1, 2], size=(80, 2))
CLASSES = (TABLE[:, 0] + TABLE[:, 1] > 0).astype(int)
VALUES = TABLE[:, 0] - 5 * TABLE[:, 1]

SMALL = {"epochs": 2, "n_samples": 6, "random_state": 0, **PLAIN}
CLASSIFIER = MCDropoutClassifier((8,), **SMALL)
REGRESSOR = MCDropoutRegressor(
    (8,), **{name: value for name, value in SMALL.items() if name != "temperature"}
)


@pytest.fixture(autouse=True)
def no_windows():
    mpl.use("Agg")
    yield
    plt.close("all")


def pandas_frame(table=TABLE, names=NAMES):
    return pd.DataFrame(table, columns=names)


def polars_frame(table=TABLE, names=NAMES):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(table, schema=list(names), orient="row")
    if not hasattr(StandardScaler().fit(frame), "feature_names_in_"):
        pytest.skip("this scikit-learn does not read the column names of this polars")
    return frame


FRAMES = {"pandas": pandas_frame, "polars": polars_frame}


def pipeline(network, columns, X, y):
    """Columns as they are, the second first: no rounding tells them apart."""
    first, second = columns
    steps = [("second", "passthrough", [second]), ("first", "passthrough", [first])]
    return make_pipeline(ColumnTransformer(steps), network).fit(X, y)


DISPLAYS = {
    "risk and coverage": lambda fitted, X, y: RiskCoverageDisplay.from_estimator(
        fitted, X, y
    ),
    "histogram": lambda fitted, X, y: UncertaintyHistogramDisplay.from_estimator(
        fitted, X, y, X_other=X[:9]
    ),
    "convergence": lambda fitted, X, y: ConvergenceDisplay.from_estimator(
        fitted, X, n_samples=(2, 3), n_reference=20
    ),
    "surface": lambda fitted, X, y: UncertaintySurfaceDisplay.from_estimator(
        fitted, X, y, grid_resolution=4
    ),
    "band": lambda fitted, X, y: PredictiveBandDisplay.from_estimator(
        fitted, X, y, grid_resolution=5
    ),
    "intervals": lambda fitted, X, y: PredictionIntervalDisplay.from_estimator(
        fitted, X, y
    ),
    "quantiles": lambda fitted, X, y: QuantileCalibrationDisplay.from_estimator(
        fitted, X, y
    ),
}
OF_NUMBERS = {"band", "intervals", "quantiles"}


def numbers_of(display):
    """All that a display holds but names, figures and artists."""
    held = vars(display)
    held = {**held, **held.get("groups", {})}
    return {
        name: np.asarray(value)
        for name, value in held.items()
        if not name.endswith("_") and isinstance(value, np.ndarray | float | tuple)
    }


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("name", DISPLAYS)
def test_a_display_of_a_frame_shows_what_it_shows_of_the_array(name, frame):
    X = frame()
    network, y = (REGRESSOR, VALUES) if name in OF_NUMBERS else (CLASSIFIER, CLASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of names that are missing
        by_name = DISPLAYS[name](pipeline(network, NAMES, X, y), X, y)
    by_number = DISPLAYS[name](pipeline(network, [0, 1], TABLE, y), TABLE, y)
    shown, expected = numbers_of(by_name), numbers_of(by_number)
    assert shown.keys() == expected.keys()
    assert len(shown) >= 2
    for key in shown:
        if shown[key].dtype.kind == "f":
            assert_array_equal(shown[key], expected[key], err_msg=key)


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_the_axes_of_a_surface_are_named_after_the_columns(frame):
    X = frame()
    fitted = pipeline(CLASSIFIER, NAMES, X, CLASSES)
    display = UncertaintySurfaceDisplay.from_estimator(fitted, X, grid_resolution=3)
    assert {axis.get_xlabel() for axis in display.axes_} == {"age"}
    assert display.ax_.get_ylabel() == "income"
    again = display.plot(axes=plt.subplots(1, 3)[1])
    assert again.axes_[2].get_xlabel() == "age"


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_surface_has_the_first_column_along_the_horizontal_axis(frame):
    X = frame()
    fitted = pipeline(CLASSIFIER, NAMES, X, CLASSES)
    display = UncertaintySurfaceDisplay.from_estimator(fitted, X, grid_resolution=2)
    left, right, bottom, top = display.extent
    corners = [[left, bottom], [right, bottom], [left, top], [right, top]]
    expected = predict_uncertainty(fitted, frame(np.array(corners)))
    assert_array_equal(display.surfaces[0].ravel(), expected)


def test_columns_that_the_estimator_has_in_another_order_are_found_by_name():
    fitted = pipeline(CLASSIFIER, NAMES, pandas_frame(), CLASSES)
    turned = pandas_frame()[NAMES[::-1]]
    straight = UncertaintySurfaceDisplay.from_estimator(
        fitted, pandas_frame(), grid_resolution=3
    )
    display = UncertaintySurfaceDisplay.from_estimator(
        fitted, turned, grid_resolution=3
    )
    assert display.ax_.get_xlabel() == "income"
    # The draws of a row are the same in any order of rows, to rounding of float32.
    transposed = straight.surfaces.transpose(0, 2, 1)
    assert_allclose(display.surfaces, transposed, atol=1e-5)


def test_an_array_and_a_frame_without_names_number_the_axes():
    fitted = pipeline(CLASSIFIER, [0, 1], TABLE, CLASSES)
    of_array = UncertaintySurfaceDisplay.from_estimator(
        fitted, TABLE, grid_resolution=3
    )
    assert of_array.ax_.get_xlabel() == "feature 0"
    assert of_array.ax_.get_ylabel() == "feature 1"
    numbered = UncertaintySurfaceDisplay.from_estimator(
        fitted, pd.DataFrame(TABLE), grid_resolution=3
    )
    assert_array_equal(numbered.surfaces, of_array.surfaces)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["search", "voting"])
def test_a_surface_of_an_estimator_around_a_pipeline_of_names(kind):
    steps = [("numbers", StandardScaler(), NAMES)]
    inner = make_pipeline(ColumnTransformer(steps), CLASSIFIER)
    if kind == "search":
        estimator = GridSearchCV(inner, {"mcdropoutclassifier__n_samples": [3]}, cv=2)
    else:
        estimator = VotingClassifier([("a", inner), ("b", inner)], voting="soft")
    X = pandas_frame()
    display = UncertaintySurfaceDisplay.from_estimator(
        estimator.fit(X, CLASSES), X, grid_resolution=3
    )
    right, top = display.extent[1], display.extent[3]
    corner = predict_uncertainty(estimator, pandas_frame([[right, top]]))
    assert_allclose(display.surfaces[0][-1, -1], corner[0], atol=1e-5)


@pytest.mark.parametrize(
    "frame",
    [
        pandas_frame().astype("float32"),
        pandas_frame().round().astype("int64"),
        pandas_frame().round().astype("Int64"),
        pandas_frame().set_index(np.arange(80) * 3 + 7),
    ],
    ids=["float32", "int64", "Int64", "another index"],
)
def test_a_surface_of_columns_of_other_types(frame):
    fitted = pipeline(CLASSIFIER, NAMES, frame, CLASSES)
    display = UncertaintySurfaceDisplay.from_estimator(
        fitted, frame, pd.Series(CLASSES, index=frame.index), grid_resolution=3
    )
    columns = [frame[name].astype(float) for name in NAMES]
    bounds = [bound for c in columns for bound in (c.min() - 1, c.max() + 1)]
    assert_allclose(display.extent, bounds, rtol=1e-6)
    assert np.isfinite(display.surfaces).all()

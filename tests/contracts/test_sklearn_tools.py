"""Pipelines, searches, frames and meta-estimators of scikit-learn."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from plain import PLAIN
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier


@pytest.fixture
def quick():
    return MCDropoutClassifier(
        (16,), epochs=30, n_samples=20, random_state=0,
        **{**PLAIN, "learning_rate": 0.01},
    )  # fmt: skip


def test_in_a_pipeline(quick, blobs):
    X, y = blobs
    pipeline = make_pipeline(StandardScaler(), quick).fit(X * 100, y)
    assert pipeline.score(X * 100, y) > 0.7
    scaled = pipeline[0].transform(X * 100)
    assert_array_equal(
        pipeline.predict_proba(X * 100), pipeline[-1].predict_proba(scaled)
    )


def test_cross_validation(quick, moons):
    X, y = moons
    scores = cross_val_score(quick, X, y, cv=3)
    assert scores.min() > 0.8
    result = cross_validate(quick, X, y, cv=3, scoring=["accuracy", "neg_log_loss"])
    assert_array_equal(result["test_accuracy"], scores)
    proba = cross_val_predict(quick, X, y, cv=3, method="predict_proba")
    assert proba.shape == (300, 2)
    assert_allclose(-result["test_neg_log_loss"].mean(), log_loss(y, proba), rtol=1e-3)


def test_grid_search_over_rate_and_draws(quick, moons):
    X, y = moons
    grid = {"dropout_rate": [0.1, 0.5], "n_samples": [0, 10]}
    search = GridSearchCV(quick, grid, cv=2, scoring="neg_log_loss")
    search.fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 4  # both parameters reach the prediction
    refitted = clone(quick).set_params(**search.best_params_).fit(X, y)
    assert_array_equal(search.predict_proba(X), refitted.predict_proba(X))


def test_grid_search_in_a_pipeline(quick, moons):
    X, y = moons
    pipeline = make_pipeline(StandardScaler(), quick)
    grid = {"mcdropoutclassifier__dropout_rate": [0.1, [0.3]]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert search.best_score_ > 0.8


@pytest.mark.parametrize(
    "labels",
    [
        ["cat", "dog", "eel"],
        [10, 20, 40],
        np.array([-1, 0, 7], dtype=np.int8),
        np.array(["x", "y", "z"], dtype=object),
    ],
    ids=["str", "gaps", "int8", "object"],
)
def test_labels_come_back_as_they_were(quick, blobs, labels):
    X, codes = blobs
    y = np.asarray(labels)[codes]
    fitted = quick.fit(X, y)
    assert_array_equal(fitted.classes_, labels)
    assert fitted.predict(X).dtype == y.dtype
    assert fitted.score(X, y) > 0.7
    plain = clone(quick).fit(X, codes)
    assert_array_equal(fitted.predict_proba(X), plain.predict_proba(X))


def test_boolean_labels_and_two_columns(quick, moons):
    X, y = moons
    fitted = quick.fit(X, y.astype(bool))
    assert fitted.predict(X).dtype == bool
    assert fitted.predict_proba(X).shape == (300, 2)
    assert_allclose(fitted.predict_proba(X).sum(axis=1), 1, atol=1e-6)
    assert_array_equal(
        fitted.predict(X), fitted.predict_proba(X).argmax(axis=1).astype(bool)
    )
    assert_allclose(
        fitted.predict_log_proba(X), np.log(fitted.predict_proba(X)), rtol=1e-6
    )


def reads_names_of(frame):
    """Whether this scikit-learn does; 1.6 and 1.7 do not know polars 2."""
    return hasattr(StandardScaler().fit(frame({"a": [0.0, 1.0]})), "feature_names_in_")


POLARS = pytest.param(
    pl.DataFrame,
    marks=pytest.mark.skipif(
        not reads_names_of(pl.DataFrame),
        reason="this scikit-learn does not read the column names of this polars",
    ),
)


@pytest.mark.parametrize("frame", [pd.DataFrame, POLARS])
def test_frames_with_names(quick, blobs, frame):
    X, y = blobs
    names = ["a", "b", "c", "d"]
    table = frame(dict(zip(names, X.T, strict=True)))
    fitted = quick.fit(table, y)
    assert_array_equal(fitted.feature_names_in_, names)
    plain = clone(quick).fit(X, y)
    assert_array_equal(fitted.predict_proba(table), plain.predict_proba(X))
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(table[["b", "a", "c", "d"]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        fitted.predict(X)
    assert not hasattr(fitted.fit(X, y), "feature_names_in_")


def test_class_weight_moves_the_boundary(quick, moons):
    X, y = moons
    rare = np.r_[np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:15]]
    X, y = X[rare], y[rare]
    shares = {
        name: (clone(quick).set_params(class_weight=weight).fit(X, y).predict(X)).mean()
        for name, weight in {
            "none": None, "balanced": "balanced", "dict": {0: 1, 1: 10}, "zero": {0: 10}
        }.items()
    }  # fmt: skip
    assert shares["balanced"] > shares["none"]
    assert shares["dict"] > shares["none"] >= shares["zero"]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda c: CalibratedClassifierCV(c, cv=2),
        lambda c: VotingClassifier(
            [("mc", c), ("lr", LogisticRegression())], voting="soft"
        ),
        lambda c: BaggingClassifier(c, n_estimators=3, random_state=0),
        lambda c: OneVsRestClassifier(c),
    ],
    ids=["calibrated", "voting", "bagging", "one-vs-rest"],
)
def test_inside_a_meta_estimator(quick, blobs, wrap):
    X, y = blobs
    wrapped = wrap(quick).fit(X, y)
    assert_allclose(wrapped.predict_proba(X).sum(axis=1), 1, rtol=1e-5)
    assert wrapped.score(X, y) > 0.7


def test_permutation_importance_finds_the_useless_feature(quick, blobs):
    X, y = blobs
    X = np.column_stack([X, np.zeros(60)])
    result = permutation_importance(quick.fit(X, y), X, y, random_state=0)
    assert result.importances_mean[:4].max() > 0.02
    assert result.importances_mean[4] == 0

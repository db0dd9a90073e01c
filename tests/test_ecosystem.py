"""Used for real with the libraries it should be at home in (extra "ecosystem")."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.preprocessing import StandardScaler

from skmcdropout import (
    MCDropoutClassifier,
    MCDropoutRegressor,
    metrics,
    predict_uncertainty,
    sample_proba,
)

NETWORK = MCDropoutClassifier((30,), epochs=20, n_samples=30, random_state=0)


def test_conformal_sets_with_mapie_cover_as_they_say(digits):
    classification = pytest.importorskip(
        "mapie.classification", reason="MAPIE is not installed"
    )
    X, X_rest, y, y_rest = train_test_split(*digits, train_size=0.4, random_state=0)
    X_cal, X_test, y_cal, y_test = train_test_split(X_rest, y_rest, random_state=0)
    fitted = clone(NETWORK).set_params(epochs=5).fit(X, y)
    for score in ("lac", "aps"):
        conformal = classification.SplitConformalClassifier(
            fitted, confidence_level=0.9, conformity_score=score, random_state=0
        ).conformalize(X_cal, y_cal)
        labels, sets = conformal.predict_set(X_test)
        covered = sets[np.arange(len(y_test)), y_test, 0]
        assert_array_equal(labels, fitted.predict(X_test))
        assert covered.mean() > 0.86
        assert sets[:, :, 0].sum(axis=1).mean() < 4


class Part(RegressorMixin, BaseEstimator):
    """One number a row from a fitted regressor, as MAPIE asks for."""

    def __init__(self, fitted, quantile=None):
        self.fitted = fitted
        self.quantile = quantile

    def fit(self, X, y):
        self.n_features_in_ = self.fitted.n_features_in_
        return self

    def predict(self, X):
        if self.quantile is None:
            return self.fitted.predict_uncertainty(X)
        return self.fitted.predict_quantiles(X, [self.quantile])[:, 0]


@pytest.fixture(scope="module")
def skewed():
    """Rows to train, calibrate and test on, with noise that is not normal."""
    rng = np.random.RandomState(0)
    X = rng.uniform(-2, 2, size=(2000, 2))
    y = np.sin(2 * X[:, 0]) + (1.2 + X[:, 1] / 2) * rng.exponential(size=len(X))
    return tuple((X[rows], y[rows]) for rows in np.split(np.arange(2000), [400, 1000]))


REGRESSOR = MCDropoutRegressor((30,), epochs=20, n_samples=30, random_state=0)


@pytest.mark.parametrize("way", ["split", "normalised", "quantiles"])
def test_conformal_intervals_with_mapie_cover_as_they_say(skewed, way):
    regression = pytest.importorskip(
        "mapie.regression", reason="MAPIE is not installed"
    )
    from mapie.conformity_scores import ResidualNormalisedScore

    (X, y), (X_cal, y_cal), (X_test, y_test) = skewed
    fitted = clone(REGRESSOR).fit(X, y)
    if way == "quantiles":
        parts = [Part(fitted, q).fit(X, y) for q in (0.1, 0.9, 0.5)]
        conformal = regression.ConformalizedQuantileRegressor(
            parts, confidence_level=0.8, prefit=True
        )
        expected = fitted.predict_quantiles(X_test, [0.5])[:, 0]
    else:
        score = ResidualNormalisedScore(Part(fitted).fit(X, y), prefit=True)
        conformal = regression.SplitConformalRegressor(
            fitted,
            confidence_level=0.8,
            conformity_score="absolute" if way == "split" else score,
        )
        expected = fitted.predict(X_test)
    conformal.conformalize(X_cal, y_cal)
    points, bounds = conformal.predict_interval(X_test)
    lower, upper = bounds[:, :, 0].T
    assert_allclose(points, expected, rtol=1e-6)
    assert abs(metrics.interval_coverage(y_test, lower, upper) - 0.8) < 0.05
    width = upper - lower
    if way == "split":  # one width for all rows
        assert_allclose(width, width[0], rtol=1e-4)
    elif way == "normalised":
        std = fitted.predict_uncertainty(X_test)
        assert_allclose(width / std, width[0] / std[0], rtol=1e-4)
    else:
        moved = width - np.diff(fitted.predict_quantiles(X_test, [0.1, 0.9]))[:, 0]
        assert_allclose(moved, moved[0], atol=1e-4)


def test_cross_conformal_intervals_with_mapie_need_no_rows_to_calibrate(skewed):
    regression = pytest.importorskip(
        "mapie.regression", reason="MAPIE is not installed"
    )
    (X, y), _, (X_test, y_test) = skewed
    conformal = regression.CrossConformalRegressor(
        clone(REGRESSOR), confidence_level=0.8, cv=3, random_state=0
    ).fit_conformalize(X, y)
    _, bounds = conformal.predict_interval(X_test)
    lower, upper = bounds[:, :, 0].T
    assert 0.75 < metrics.interval_coverage(y_test, lower, upper) < 0.9


@pytest.mark.parametrize("strategy", ["GreedyBALD", "QueryByCommittee"])
def test_active_learning_with_scikit_activeml_asks_where_draws_disagree(
    digits, strategy
):
    pool = pytest.importorskip(
        "skactiveml.pool", reason="scikit-activeml is not installed"
    )
    from skactiveml.classifier import SklearnClassifier

    X, y = digits[0][:300], digits[1][:300].astype(float)
    known = np.where(np.arange(300) < 40, y, np.nan)
    learner = SklearnClassifier(NETWORK, classes=range(10))
    query = getattr(pool, strategy)(
        sample_predictions_method_name="sample_proba", random_state=0
    )
    asked, utilities = query.query(
        X, known, ensemble=learner, batch_size=5, return_utilities=True
    )
    fitted = clone(NETWORK).fit(X[:40], y[:40].astype(int))
    disagreement = fitted.predict_uncertainty(X, "mutual_information")
    assert (asked >= 40).all()
    # Both utilities are the mutual information of label and draw.
    assert_allclose(utilities[0, 40:], disagreement[40:], atol=1e-4)
    assert asked[0] == 40 + disagreement[40:].argmax()


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as workers,
        distributed.Client(workers) as client,
    ):
        yield client


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_grid_search_on_a_dask_cluster_is_that_on_one_machine(digits, cluster):
    import joblib

    X, y = digits[0][:400], digits[1][:400]
    grid = {"dropout_rate": [0.1, 0.4], "n_samples": [0, 20]}
    search = GridSearchCV(clone(NETWORK).set_params(epochs=3), grid, cv=2)
    expected = clone(search).fit(X, y)
    with joblib.parallel_config("dask"):
        search.fit(X, y)
    assert len(cluster.nthreads()) == 2
    assert_allclose(
        search.cv_results_["mean_test_score"],
        expected.cv_results_["mean_test_score"],
        atol=1e-6,
    )
    assert_allclose(search.predict_proba(X), expected.predict_proba(X), atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dask_arrays_are_predicted_block_by_block(digits, cluster):
    import dask.array as da

    X, y = digits
    fitted = clone(NETWORK).fit(X[:500], y[:500])
    blocks = da.from_array(X, chunks=(200, -1))
    proba = blocks.map_blocks(
        fitted.predict_proba, dtype=np.float32, chunks=(blocks.chunks[0], (10,))
    )
    assert_allclose(proba.compute(), fitted.predict_proba(X), atol=1e-6)
    unsure = blocks.map_blocks(fitted.predict_uncertainty, dtype="f4", drop_axis=1)
    assert_allclose(unsure.compute(), fitted.predict_uncertainty(X), atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dask_dataframes_are_predicted_partition_by_partition(digits, cluster):
    dd = pytest.importorskip("dask.dataframe", reason="Dask is not installed")
    import pandas as pd

    frame = pd.DataFrame(digits[0]).add_prefix("pixel ")
    fitted = clone(NETWORK).fit(frame[:500], digits[1][:500])
    parts = dd.from_pandas(frame, npartitions=4)
    unsure = parts.map_partitions(
        lambda part: pd.Series(fitted.predict_uncertainty(part), part.index),
        meta=(None, "f4"),
    )
    assert_allclose(unsure.compute(), fitted.predict_uncertainty(frame), atol=1e-5)


@pytest.mark.slow
def test_parts_of_data_that_does_not_fit_reach_the_accuracy_of_fit(digits):
    X, X_test, y, y_test = train_test_split(*digits, random_state=0)
    whole = clone(NETWORK).fit(X, y)
    parts = clone(NETWORK)
    for _ in range(NETWORK.epochs):
        for rows in np.array_split(np.arange(len(X)), 5):
            parts.partial_fit(X[rows], y[rows], classes=np.arange(10))
    assert parts.score(X_test, y_test) > whole.score(X_test, y_test) - 0.01


def test_distributions_of_numbers_score_as_in_scoringrules():
    scoringrules = pytest.importorskip(
        "scoringrules", reason="scoringrules is not installed"
    )
    rng = np.random.RandomState(0)
    y, means, stds = rng.normal(size=50), rng.normal(size=(7, 50)), rng.rand(7, 50)
    expected = scoringrules.crps_mixnorm(y, means.T, stds.T)
    assert_allclose(metrics.crps(y, means, stds), expected.mean(), rtol=1e-12)
    expected = -scoringrules.logs_mixnorm(y, means.T, stds.T)
    found = metrics.mean_log_density(y, means, stds)
    assert_allclose(found, expected.mean(), rtol=1e-12)
    lower, upper = y - rng.rand(50), y + rng.rand(50) - 0.3
    upper = np.maximum(lower, upper)
    expected = scoringrules.interval_score(y, lower, upper, 0.2)
    found = metrics.interval_score(y, lower, upper, coverage=0.8)
    assert_allclose(found, expected.mean(), rtol=1e-12)


def test_samplers_of_imbalanced_learn_are_left_out(digits):
    pipeline = pytest.importorskip(
        "imblearn.pipeline", reason="imbalanced-learn is not installed"
    )
    from imblearn.under_sampling import RandomUnderSampler

    X, y = digits[0][:400], digits[1][:400] > 7
    steps = StandardScaler(), RandomUnderSampler(random_state=0), clone(NETWORK)
    for estimator in (
        pipeline.make_pipeline(*steps),
        GridSearchCV(pipeline.make_pipeline(*steps), {}, cv=2),
    ):
        estimator.fit(X, y)
        inner = getattr(estimator, "best_estimator_", estimator)[-1]
        rows = StandardScaler().fit(X).transform(X)
        assert_array_equal(sample_proba(estimator, X), inner.sample_proba(rows))
        assert_array_equal(
            predict_uncertainty(estimator, X, "mutual_information"),
            inner.predict_uncertainty(rows, "mutual_information"),
        )
        assert_allclose(
            inner.predict_proba(rows), estimator.predict_proba(X), atol=1e-6
        )


def test_a_balanced_bag_of_imbalanced_learn_is_an_ensemble(digits):
    ensemble = pytest.importorskip(
        "imblearn.ensemble", reason="imbalanced-learn is not installed"
    )
    X, y = digits[0][:400], digits[1][:400] > 7
    estimator = ensemble.BalancedBaggingClassifier(clone(NETWORK), 2, random_state=0)
    draws = sample_proba(estimator.fit(X, y), X)
    assert len(draws) == 60
    assert_allclose(draws.mean(axis=0), estimator.predict_proba(X), atol=1e-6)

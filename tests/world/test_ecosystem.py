"""Used for real with the libraries it should be at home in (extra "ecosystem")."""

import copy
import itertools
import math
import pickle
import re
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
from lanes import fast
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.datasets import load_iris, make_classification
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
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


# imbalanced-learn


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


@pytest.fixture(scope="module")
def rare():
    """Rows of two classes, of which the second is rare."""
    return make_classification(
        500, n_features=6, n_informative=4, weights=[0.9], random_state=0
    )


def test_copies_of_a_sampler_of_imbalanced_learn_are_integer_weights(rare):
    sampling = pytest.importorskip(
        "imblearn.over_sampling", reason="imbalanced-learn is not installed"
    )
    from imblearn.pipeline import make_pipeline

    X, y = rare
    sampler = sampling.RandomOverSampler(random_state=0)
    pipe = make_pipeline(sampler, clone(NETWORK)).fit(X, y)
    counts = np.bincount(pipe[0].sample_indices_, minlength=len(y))
    weighted = clone(NETWORK).fit(X, y, sample_weight=counts)
    assert counts.max() > 1
    assert_array_equal(pipe.predict_proba(X), weighted.predict_proba(X))


def test_smote_before_the_network_finds_more_of_a_rare_class(rare):
    sampling = pytest.importorskip(
        "imblearn.over_sampling", reason="imbalanced-learn is not installed"
    )
    from imblearn.pipeline import make_pipeline

    pipe = make_pipeline(sampling.SMOTE(random_state=0), clone(NETWORK))
    balanced, plain = (
        cross_val_score(estimator, *rare, cv=3, scoring="recall").mean()
        for estimator in (pipe, NETWORK)
    )
    assert balanced > plain + 0.1


# Optuna


def test_optuna_prunes_a_fit_by_a_callback_of_keras(blobs):
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed")
    integration = pytest.importorskip(
        "optuna_integration", reason="Optuna's integration is not installed"
    )
    pruned = []

    def objective(trial):
        rate = trial.suggest_float("dropout_rate", 0.1, 0.9)
        classifier = clone(NETWORK).set_params(
            dropout_rate=rate,
            learning_rate=0.03,
            early_stopping=True,
            validation_fraction=0.3,
            callbacks=integration.KerasPruningCallback(trial, "val_loss"),
        )
        try:
            classifier.fit(*blobs)
        except optuna.TrialPruned:
            pruned.append(classifier)
            raise
        return min(classifier.history_["val_loss"])

    study = optuna.create_study(
        sampler=optuna.samplers.GridSampler({"dropout_rate": [0.1, 0.9, 0.2]}, seed=1),
        pruner=optuna.pruners.ThresholdPruner(upper=0.7, n_warmup_steps=8),
    )
    study.optimize(objective, n_trials=3)
    found = {t.params["dropout_rate"]: t for t in study.trials}
    assert found[0.9].state.name == "PRUNED"
    assert len(found[0.9].intermediate_values) == 9  # epochs, counted once each
    assert [hasattr(classifier, "classes_") for classifier in pruned] == [False]
    for rate in (0.1, 0.2):
        reported = found[rate].intermediate_values.values()
        assert_allclose(min(reported), found[rate].value, rtol=1e-6)
    assert study.best_params["dropout_rate"] < 0.9


# MLflow


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_mlflow_loads_what_it_saved_trusting_the_types_of_the_guide(
    blobs, tmp_path, kind
):
    flavour = pytest.importorskip("mlflow.sklearn", reason="MLflow is not installed")
    skops = pytest.importorskip("skops.io", reason="skops is not installed")
    X, y = blobs
    estimator = {"classifier": NETWORK, "regressor": REGRESSOR}[kind]
    fitted = clone(estimator).fit(X, y)
    trusted = skops.get_untrusted_types(data=skops.dumps(fitted))
    assert trusted
    for name in trusted:
        package, _, rest = name.partition(".")
        assert package == "skmcdropout"
        assert rest in PAGE  # the guide lists them
    for how in (
        {"serialization_format": "cloudpickle"},
        {"serialization_format": "skops", "skops_trusted_types": trusted},
    ):
        path = tmp_path / how["serialization_format"]
        requirements = {"pip_requirements": ["skmcdropout"]}  # none are looked for
        flavour.save_model(fitted, path, **how, **requirements)
        loaded = flavour.load_model(str(path))
        assert_array_equal(loaded.predict(X), fitted.predict(X))
        assert_array_equal(loaded.predict_uncertainty(X), fitted.predict_uncertainty(X))


# SHAP


@pytest.fixture(scope="module")
def iris_classifier():
    X, y = load_iris(return_X_y=True)
    return clone(NETWORK).fit(X, y)


def shapley_values(function, row, background):
    """By their definition: over all subsets of the features."""
    n = len(row)
    worth = {}
    for subset in itertools.chain.from_iterable(
        itertools.combinations(range(n), size) for size in range(n + 1)
    ):
        rows = background.copy()
        rows[:, subset] = row[list(subset)]
        worth[frozenset(subset)] = function(rows).mean(axis=0)
    values = []
    for i in range(n):
        others = [s for s in worth if i not in s]
        weights = [
            math.factorial(len(s)) * math.factorial(n - 1 - len(s)) for s in others
        ]
        gains = [worth[s | {i}] - worth[s] for s in others]
        values.append(
            sum(w * gain for w, gain in zip(weights, gains, strict=True))
            / math.factorial(n)
        )
    return np.array(values)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "explainer", fast("kernel", among=["exact", "kernel", "permutation"])
)
@pytest.mark.parametrize("what", ["predict_proba", "predict_uncertainty"])
def test_shap_explains_probabilities_and_uncertainties(
    iris_classifier, explainer, what
):
    shap = pytest.importorskip("shap", reason="SHAP is not installed")
    X = load_iris().data
    background, row = X[::30], X[60]
    method, seen = getattr(iris_classifier, what), []

    def function(rows):
        result = method(rows)
        seen.extend(zip(rows.copy(), result, strict=True))
        return result

    if explainer == "kernel":
        kernel = shap.KernelExplainer(function, background)
        values = kernel.shap_values(X[60:61], silent=True)[0]
    else:
        masker = shap.maskers.Independent(background)
        explain = shap.Explainer(function, masker, algorithm=explainer, seed=0)
        values = explain(X[60:61], max_evals=500, silent=True).values[0]
    expected = shapley_values(method, row, background)
    is_sampled = explainer == "permutation"
    assert_allclose(values, expected, atol=0.03 if is_sampled else 1e-5)
    # A row that comes in a batch of SHAP's has the value that it has alone.
    for x, value in seen[::7]:
        assert_allclose(value, method(x[None])[0], atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_shaps_deep_explainer_explains_the_ordinary_prediction(iris_classifier):
    shap = pytest.importorskip("shap", reason="SHAP is not installed")
    X = load_iris().data.astype(np.float32)
    ordinary = copy.copy(iris_classifier).set_params(n_samples=0)
    explainer = shap.DeepExplainer(ordinary.model_, X[::30])
    values = explainer.shap_values(X[60:62])
    mean = ordinary.predict_proba(X[::30]).mean(axis=0)
    sums = values.sum(axis=1) + mean
    assert_allclose(sums, ordinary.predict_proba(X[60:62]), atol=1e-5)


# crepes


@pytest.mark.parametrize("class_cond", [False, True])
def test_conformal_sets_with_crepes_cover_as_they_say(digits, class_cond):
    crepes = pytest.importorskip("crepes", reason="crepes is not installed")
    X, X_rest, y, y_rest = train_test_split(*digits, train_size=0.4, random_state=0)
    X_cal, X_test, y_cal, y_test = train_test_split(X_rest, y_rest, random_state=0)
    conformal = crepes.WrapClassifier(clone(NETWORK).set_params(epochs=5))
    conformal.fit(X, y)
    conformal.calibrate(X_cal, y_cal, class_cond=class_cond)
    p_values = conformal.predict_p(X_test, smoothing=False)
    # Of rows to calibrate on, those whose label seems no likelier than this one.
    learner = conformal.learner
    scores = 1 - learner.predict_proba(X_cal)[np.arange(len(y_cal)), y_cal]
    test_scores = 1 - learner.predict_proba(X_test)
    for k in range(10):
        known = scores[y_cal == k] if class_cond else scores
        higher = (known >= test_scores[:, k, None]).sum(axis=1)
        assert_allclose(p_values[:, k], (higher + 1) / (len(known) + 1))
    covered = p_values[np.arange(len(y_test)), y_test] >= 0.1
    assert covered.mean() > 0.86


def test_conformal_intervals_with_crepes_are_wide_where_we_are_unsure(skewed):
    crepes = pytest.importorskip("crepes", reason="crepes is not installed")
    from crepes.extras import DifficultyEstimator

    (X, y), (X_cal, y_cal), (X_test, y_test) = skewed
    fitted = clone(REGRESSOR).fit(X, y)
    difficulty = DifficultyEstimator().fit(X, f=fitted.predict_uncertainty, beta=0)
    conformal = crepes.WrapRegressor(fitted)
    conformal.calibrate(X_cal, y_cal, de=difficulty)
    lower, upper = conformal.predict_int(X_test, confidence=0.8).T
    assert abs(metrics.interval_coverage(y_test, lower, upper) - 0.8) < 0.05
    width = (upper - lower) / fitted.predict_uncertainty(X_test)
    assert_allclose(width, width[0], rtol=1e-4)


# ONNX


def sequential(meta, dropout_rate):
    return keras.Sequential(
        [
            keras.layers.Dense(8, "relu"),  # built when it sees the first rows
            keras.layers.Dropout(dropout_rate),
            keras.layers.Dense(meta["n_classes_"], "softmax"),
        ]
    )


def two_inputs(meta, dropout_rate):
    inputs = {name: keras.Input((2,), name=name) for name in ("sepal", "petal")}
    x = keras.layers.concatenate(list(inputs.values()))
    x = keras.layers.Dropout(dropout_rate)(keras.layers.Dense(8, "relu")(x))
    return keras.Model(inputs, keras.layers.Dense(meta["n_classes_"], "softmax")(x))


ORDINARY = {
    "perceptron": clone(NETWORK),
    "loaded": clone(NETWORK),
    "sequential": MCDropoutClassifier(model=sequential, epochs=5, random_state=0),
    "two inputs": MCDropoutClassifier(model=two_inputs, epochs=5, random_state=0),
    "regressor": clone(REGRESSOR),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ORDINARY)
def test_a_network_goes_to_onnx_right_after_fit(tmp_path, kind):
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
    X, y = load_iris(return_X_y=True)
    X = X.astype(np.float32)
    given = {"sepal": X[:, :2], "petal": X[:, 2:]} if kind == "two inputs" else X
    fitted = clone(ORDINARY[kind]).set_params(n_samples=0).fit(given, y)
    if kind == "loaded":
        fitted = pickle.loads(pickle.dumps(fitted))
    path = str(tmp_path / "network.onnx")
    fitted.model_.export(path, format="onnx", verbose=False)
    session = runtime.InferenceSession(path)
    if kind != "two inputs":
        given = {session.get_inputs()[0].name: X}
    (found,) = session.run(None, given)
    if kind == "regressor":
        assert_allclose(found[:, 0], fitted.predict(X), atol=1e-5)
    else:
        rows = given if kind == "two inputs" else X
        assert_allclose(found, fitted.predict_proba(rows), atol=1e-5)


# The guide

PAGE = (Path(__file__).parents[2] / "docs/guide/neighbours.rst").read_text()

#: What the recipes of each section import.
NEEDED = {
    "imbalanced-learn": ["imblearn"],
    "Optuna": ["optuna", "optuna_integration"],
    "MLflow": ["mlflow.sklearn"],
    "SHAP": ["shap"],
    "crepes": ["crepes"],
    "MAPIE": ["mapie"],
    "ONNX": ["onnxruntime", "tf2onnx"],
}


def recipes():
    """The code of each section, by its title; that of "" comes before all others."""
    found = {}
    parts = re.split(r"^(.+)\n-{4,}$", PAGE, flags=re.MULTILINE)
    for title, text in zip(["", *parts[1::2]], parts[0::2], strict=True):
        blocks = re.findall(r"code-block:: python\n\n((?:(?: {4}.*)?\n)+)", text)
        found[title] = "\n".join(map(textwrap.dedent, blocks))
    return {title: code for title, code in found.items() if code}


RECIPES = recipes()


def test_every_recipe_of_the_guide_is_run():
    assert set(RECIPES) == {"", *NEEDED}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("title", NEEDED)
def test_a_recipe_of_the_guide_runs(title):
    for module in NEEDED[title]:
        pytest.importorskip(module, reason=f"{module} is not installed")
    exec(RECIPES[""] + RECIPES[title], {"__name__": "recipe"})

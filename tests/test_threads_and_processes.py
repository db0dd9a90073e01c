"""Side by side in threads and processes: the numbers are those of one after the other.

(What a fork does after a prediction is told in the tests of errors.)
"""

import multiprocessing
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import joblib
import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from threadpoolctl import threadpool_info, threadpool_limits

from skmcdropout import MCDropoutClassifier, RejectingClassifier
from skmcdropout._training.adam import Adam

pytestmark = pytest.mark.slow

X = np.random.RandomState(0).normal(size=(60, 4)) + np.arange(60)[:, None] % 3
Y = np.arange(60) % 3


def build(meta, units=5, dropout_rate=0.3):
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dropout(dropout_rate),
            keras.layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


def estimators():
    """Ones that share what is compiled and ones that do not."""
    plain = MCDropoutClassifier((6,), epochs=2, n_samples=8, random_state=0)
    changes = [
        {},
        {"hidden_layer_sizes": (9,)},
        {"dropout_rate": 0.5},
        {"random_state": 1},
        {"batch_normalization": True},
        {"early_stopping": True},
        {"callbacks": keras.callbacks.Callback()},
        {"model": build, "hidden_layer_sizes": (128, 128)},
    ]
    return [clone(plain).set_params(**change) for change in changes]


def together(works, n_threads=8):
    """Results of functions that begin at the same moment in as many threads."""
    barrier = threading.Barrier(len(works))

    def begin(work):
        barrier.wait(60)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(begin, works))


@pytest.fixture(scope="module")
def alone():
    return [estimator.fit(X, Y).sample_proba(X) for estimator in estimators()]


def test_fits_of_all_kinds_at_once_are_those_of_one_after_the_other(alone):
    for _ in range(2):
        fits = [lambda e=e: e.fit(X, Y).sample_proba(X) for e in estimators()]
        for found, expected in zip(together(fits), alone, strict=True):
            assert_array_equal(found, expected)


def test_fits_of_one_kind_at_once_are_those_of_one_after_the_other():
    def fit(seed):
        classifier = MCDropoutClassifier((7,), epochs=2, random_state=seed)
        return classifier.fit(X[seed:], Y[seed:]).predict_proba(X)

    expected = [fit(seed) for seed in range(6)]
    found = together([lambda seed=seed: fit(seed) for seed in range(6)])
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(a, b)


def test_predictions_of_one_classifier_at_once_are_all_right():
    classifier = MCDropoutClassifier((7,), epochs=2, n_samples=20, random_state=0)
    for fitted in (
        classifier.fit(X, Y),
        MCDropoutClassifier(model=build, epochs=1, random_state=0).fit(X, Y),
    ):
        fresh = [lambda rows=rows: fitted.sample_proba(X[:rows]) for rows in (5, 60)]
        others = [
            lambda: fitted.predict_proba(X),
            lambda: fitted.predict_uncertainty(X),
            lambda: fitted.predict(X),
        ]
        works = (fresh + others) * 2
        found = together(works)  # the first to predict: all draw at once
        for a, work in zip(found, works, strict=True):
            assert_array_equal(a, work())


def test_copies_are_trained_on_while_the_original_predicts():
    fitted = MCDropoutClassifier((7,), epochs=2, random_state=0).fit(X, Y)
    proba = fitted.predict_proba(X)
    onwards = clone(fitted).fit(X, Y).partial_fit(X, Y).predict_proba(X)
    state = joblib.hash(fitted.__getstate__())

    def train_on():
        copied = MCDropoutClassifier()
        copied.__setstate__(fitted.__getstate__())
        return copied.partial_fit(X, Y).predict_proba(X)

    found = together([train_on, lambda: fitted.predict_proba(X)] * 3)
    for a, expected in zip(found, [onwards, proba] * 3, strict=True):
        assert_array_equal(a, expected)
    assert joblib.hash(fitted.__getstate__()) == state


def test_threads_that_share_a_memory_get_what_was_trained(tmp_path):
    classifier = MCDropoutClassifier((7,), epochs=2, random_state=0)
    expected = clone(classifier).fit(X, Y).predict_proba(X)
    classifier.set_params(memory=str(tmp_path))
    fits = [lambda: clone(classifier).fit(X, Y).predict_proba(X) for _ in range(4)]
    for found in together(fits):
        assert_array_equal(found, expected)


GRID = {"dropout_rate": [0.1, 0.5], "hidden_layer_sizes": [(5,), (6, 3)]}


def searched(**params):
    search = GridSearchCV(
        MCDropoutClassifier(epochs=2, n_samples=10, random_state=0),
        GRID,
        cv=2,
        scoring="neg_log_loss",
        error_score="raise",
        **params,
    )
    return search.fit(X, Y)


def test_a_search_in_threads_is_that_of_one_after_the_other():
    expected = searched()
    with joblib.parallel_config("threading", n_jobs=4):
        found = searched()
    for name in ("mean_test_score", "split0_test_score", "split1_test_score"):
        assert_array_equal(found.cv_results_[name], expected.cv_results_[name])
    assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


def test_a_search_in_processes_within_processes_is_that_of_one_after_the_other():
    """Two workers, each with two fits at a time: scikit-learn's nested n_jobs."""
    rejecting = RejectingClassifier(
        MCDropoutClassifier((5,), epochs=2, random_state=0), cv=2
    )
    expected = cross_val_score(rejecting, X, Y, cv=2, error_score="raise")
    with joblib.parallel_config("loky", n_jobs=2):
        found = cross_val_score(
            rejecting.set_params(n_jobs=2), X, Y, cv=2, error_score="raise"
        )
    assert_allclose(found, expected, rtol=0, atol=0)


def fitted_and_predicted(classifier, table):
    """For another process: what was learned here, and what is learned there."""
    return (
        classifier.sample_proba(table),
        clone(classifier).fit(X, Y).sample_proba(table),
    )


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_gets_and_gives_classifiers(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"{sys.platform} starts no process by {method}")
    classifier = MCDropoutClassifier((6,), epochs=2, n_samples=8, random_state=0)
    draws = classifier.fit(X, Y).sample_proba(X)
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        there = pool.submit(fitted_and_predicted, classifier, X).result(120)
        trained = pool.submit(clone(classifier).fit, X, Y).result(120)
    for found in (*there, trained.sample_proba(X)):
        assert_array_equal(found, draws)


@pytest.mark.parametrize(("width", "expected"), [(8, 1), (40_000, 3)])
def test_small_matrix_products_run_on_one_thread_and_large_ones_on_all(
    width, expected, monkeypatch
):
    used, step = [], Adam.step

    def tell_and_step(*args):
        used.append(threads_of_blas())
        return step(*args)

    monkeypatch.setattr(Adam, "step", tell_and_step)
    table = np.random.RandomState(0).normal(size=(256, 4))
    classifier = MCDropoutClassifier((width,), batch_size=256, epochs=1, temperature=1)
    with threadpool_limits(3, user_api="blas"):
        classifier.fit(table, np.arange(256) % 2)
        assert threads_of_blas() == {3}
    assert used == [{expected}]


def threads_of_blas():
    pools = threadpool_info()
    return {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"}

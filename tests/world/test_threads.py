"""Threads side by side: the numbers are those of one after the other.

And results of one call are those of one fit, whatever other threads do meanwhile.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import GridSearchCV
from survival import build

from skmcdropout import MCDropoutClassifier, RejectingClassifier

X = np.random.RandomState(0).normal(size=(60, 4)) + np.arange(60)[:, None] % 3
Y = np.arange(60) % 3


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


@pytest.mark.slow
def test_fits_of_all_kinds_at_once_are_those_of_one_after_the_other(alone):
    for _ in range(2):
        fits = [lambda e=e: e.fit(X, Y).sample_proba(X) for e in estimators()]
        for found, expected in zip(together(fits), alone, strict=True):
            assert_array_equal(found, expected)


@pytest.mark.slow
def test_fits_of_one_kind_at_once_are_those_of_one_after_the_other():
    def fit(seed):
        classifier = MCDropoutClassifier((7,), epochs=2, random_state=seed)
        return classifier.fit(X[seed:], Y[seed:]).predict_proba(X)

    expected = [fit(seed) for seed in range(6)]
    found = together([lambda seed=seed: fit(seed) for seed in range(6)])
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(a, b)


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_search_in_threads_is_that_of_one_after_the_other():
    expected = searched()
    with joblib.parallel_config("threading", n_jobs=4):
        found = searched()
    for name in ("mean_test_score", "split0_test_score", "split1_test_score"):
        assert_array_equal(found.cv_results_[name], expected.cv_results_[name])
    assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


# Results of one call


class Refitted(MCDropoutClassifier):
    """Another thread fits `refitted(self)` to other labels after the draws."""

    refitted = None

    def predict_proba(self, X):
        proba = super().predict_proba(X)
        if self.refitted is not None:
            other = self.refitted()
            y = other.classes_[np.arange(len(X)) % 2] + 10
            thread = threading.Thread(target=other.fit, args=(X, y))
            thread.start()
            thread.join()
        return proba


@pytest.mark.parametrize("which", ["the estimator", "what it predicts with"])
def test_labels_are_those_of_the_network_that_was_drawn_from(which, moons, monkeypatch):
    X, y = moons
    classifier = Refitted((8,), epochs=2, n_samples=5, random_state=0).fit(X, y)
    expected = classifier.predict(X)
    outside = which == "the estimator"
    monkeypatch.setattr(
        Refitted, "refitted", lambda self: classifier if outside else self
    )
    assert_array_equal(classifier.predict(X), expected)
    assert_array_equal(classifier.classes_, [10, 11] if outside else [0, 1])


class RowsThatSet:
    """Rows that set a parameter of a classifier while it reads them."""

    def __init__(self, X, classifier, **params):
        self.X, self.classifier, self.params = X, classifier, params

    @property
    def shape(self):
        return self.X.shape

    def __array__(self, dtype=None, copy=None):
        self.classifier.set_params(**self.params)
        return np.array(self.X, dtype)


def test_draws_are_as_many_as_were_asked_for_at_the_call(moons):
    X, y = moons
    classifier = MCDropoutClassifier((8,), epochs=1, n_samples=5, dropout_rate=0.0)
    classifier.fit(X, y)
    rows = RowsThatSet(X, classifier, n_samples=50)
    assert classifier.sample_proba(rows).shape == (5, 300, 2)
    assert classifier.n_samples == 50


@pytest.mark.slow
def test_results_of_one_call_are_never_of_two_fits(moons):
    X, y = moons
    first = MCDropoutClassifier((8,), epochs=1, n_samples=5, random_state=0).fit(X, y)
    second = MCDropoutClassifier((8,), epochs=1, n_samples=5, random_state=0)
    second.fit(X, y + 10)
    possible = [first.predict(X).tolist(), second.predict(X).tolist()]
    shared = MCDropoutClassifier((8,), epochs=1, n_samples=5, random_state=0).fit(X, y)
    is_over = threading.Event()

    def fit():
        try:
            for i in range(4):
                shared.fit(X, y + 10 * (i % 2))
        finally:
            is_over.set()

    thread = threading.Thread(target=fit)
    thread.start()
    while not is_over.is_set():
        assert shared.predict(X).tolist() in possible
    thread.join()


def test_threads_share_one_keras_model(moons):
    X, y = moons
    classifier = MCDropoutClassifier((8,), epochs=1, n_samples=5).fit(X, y)
    expected = classifier.predict_proba(X)
    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(lambda _: classifier.model_, range(8)))
        proba = list(pool.map(lambda _: classifier.predict_proba(X), range(16)))
    assert len(set(map(id, models))) == 1
    for result in proba:
        assert_allclose(result, expected, atol=1e-6)


def test_a_fit_of_another_thread_does_not_mix_with_a_rejection(moons):
    X, y = moons
    classifier = RejectingClassifier(
        MCDropoutClassifier((8,), epochs=1, n_samples=5, random_state=0),
        coverage=0.5, cv=2, reject_label=-1,
    ).fit(X, y)  # fmt: skip
    expected = classifier.predict(X)
    fitted = classifier.estimator_

    class Refitting(ClassifierMixin, BaseEstimator):
        """Like the classifier, but that another thread fits while it predicts."""

        def __sklearn_is_fitted__(self):
            return True

        def fit(self, rows, labels):
            return self

        def predict(self, rows):
            labels = fitted.predict(rows)
            classifier.threshold_ = -1.0
            return labels

        def predict_uncertainty(self, rows, measure):
            return fitted.predict_uncertainty(rows, measure)

    classifier.estimator_ = Refitting()
    assert_array_equal(classifier.predict(X), expected)

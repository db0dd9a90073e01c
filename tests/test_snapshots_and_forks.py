"""Estimators shared by threads and processes: one fit a call, and no hanging."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin

from skmcdropout import MCDropoutClassifier, RejectingClassifier


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


def test_draws_are_as_many_as_were_asked_for_at_the_call(moons, monkeypatch):
    X, y = moons
    classifier = MCDropoutClassifier((8,), epochs=1, n_samples=5, dropout_rate=0.0)
    classifier.fit(X, y)
    draw = MCDropoutClassifier._draw

    def draw_and_set(self, *args):
        drawn = draw(self, *args)
        classifier.set_params(n_samples=50)
        return drawn

    monkeypatch.setattr(MCDropoutClassifier, "_draw", draw_and_set)
    assert classifier.sample_proba(X).shape == (5, 300, 2)


def test_results_of_one_call_are_never_of_two_fits(moons):
    X, y = moons
    first = MCDropoutClassifier((8,), epochs=1, n_samples=5, random_state=0).fit(X, y)
    second = MCDropoutClassifier((8,), epochs=1, n_samples=5, random_state=0)
    second.fit(X, y + 10)
    possible = [first.predict(X).tolist(), second.predict(X).tolist()]
    shared = MCDropoutClassifier((8,), epochs=1, n_samples=5, random_state=0).fit(X, y)
    is_over = threading.Event()

    def fit():
        for i in range(12):
            shared.fit(X, y + 10 * (i % 2))
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
        np.testing.assert_allclose(result, expected, atol=1e-6)


SCRIPT = """
import multiprocessing, sys
from sklearn.datasets import load_iris
from skmcdropout import MCDropoutClassifier, MCDropoutRegressor
X, y = load_iris(return_X_y=True)
quick = MCDropoutClassifier((8,), epochs=1, n_samples=5, random_state=0)
{before}
def work(_):
    try:
        {work}
    except RuntimeError as error:
        return str(error)
    return "worked"
if __name__ == "__main__":
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        print(*pool.map(work, range(2)), sep="\\n")
"""


def outcome(method, before, work, tmp_path):
    """What two processes say that were started after `before`."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(method=method, before=before, work=work))
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.splitlines()


posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")


@pytest.mark.slow
@posix
@pytest.mark.parametrize(
    "work",
    [
        "quick.predict(X)",
        "quick.fit(X, y)",
        "quick.partial_fit(X, y)",
        "quick.model_",
        "MCDropoutClassifier.from_keras(None)",
    ],
)
def test_a_fork_after_a_prediction_is_an_error_with_the_remedy(work, tmp_path):
    check_that_a_fork_is_refused("quick.fit(X, y).predict(X)", work, tmp_path)


@pytest.mark.slow
@posix
@pytest.mark.parametrize("method", ["predict", "predict_interval", "sample_y"])
def test_a_fork_of_a_regressor_is_that_error_too(method, tmp_path):
    before = "quick = MCDropoutRegressor((8,), epochs=1).fit(X, y); quick.predict(X)"
    check_that_a_fork_is_refused(before, f"quick.{method}(X)", tmp_path)


def check_that_a_fork_is_refused(before, work, tmp_path):
    said = outcome("fork", before, work, tmp_path)
    assert len(said) == 2
    for line in said:
        assert "must not run TensorFlow in a process that was forked" in line
        assert "'spawn' or 'forkserver'" in line


@pytest.mark.slow
@posix
def test_a_fork_before_anything_has_run_works(tmp_path):
    assert outcome("fork", "", "quick.fit(X, y).predict(X)", tmp_path) == ["worked"] * 2


@pytest.mark.slow
def test_spawned_processes_work_after_a_prediction(tmp_path):
    before = "if __name__ == '__main__': quick.fit(X, y).predict(X)"
    work = "quick.fit(X, y).predict(X)"
    assert outcome("spawn", before, work, tmp_path) == ["worked"] * 2


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

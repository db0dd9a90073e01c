"""Processes side by side: the numbers are those of one, and a fork is no trap.

Perceptrons survive a fork at any time. TensorFlow's threads are not forked along: what
runs TensorFlow in a fork of a process where it has run is an error that tells what to
do, where it would hang.
"""

import multiprocessing
import sys

import joblib
import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor, RejectingClassifier

X = np.random.RandomState(0).normal(size=(60, 4)) + np.arange(60)[:, None] % 3
Y = np.arange(60) % 3


def quick():
    return MCDropoutClassifier((6,), epochs=2, n_samples=8, random_state=0)


def fitted_and_predicted(classifier, table):
    """For another process: what was learned here, and what is learned there."""
    again = clone(classifier).fit(X, Y)
    return classifier.sample_proba(table), again.sample_proba(table), again


def check_gives_and_gets(call):
    """`call` calls a function in a process where nothing was fitted before."""
    classifier = quick().fit(X, Y)
    draws = classifier.sample_proba(X)
    given, learned, again = call(fitted_and_predicted, classifier, X)
    for found in (given, learned, again.sample_proba(X)):
        assert_array_equal(found, draws)


@pytest.mark.slow
def test_a_process_of_a_fork_server_gives_and_gets_classifiers(in_new_process):
    check_gives_and_gets(in_new_process)


@pytest.mark.slow
def test_a_worker_of_joblib_gives_and_gets_classifiers():
    with joblib.parallel_config("loky", n_jobs=2):
        check_gives_and_gets(lambda f, *args: joblib.Parallel()([(f, args, {})])[0])


@pytest.mark.slow
def test_a_search_in_processes_within_processes_is_that_of_one_after_the_other():
    """Two workers, each with two fits at a time: scikit-learn's nested n_jobs."""
    rejecting = RejectingClassifier(quick(), cv=2)
    expected = cross_val_score(rejecting, X, Y, cv=2, error_score="raise")
    with joblib.parallel_config("loky", n_jobs=2):
        found = cross_val_score(
            rejecting.set_params(n_jobs=2), X, Y, cv=2, error_score="raise"
        )
    assert_array_equal(found, expected)


# Forks

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")


def outcome(work):
    """What a work says that may be refused."""
    try:
        work()
    except RuntimeError as error:
        return str(error)
    return "worked"


#: Estimators of the process that is forked.
forked = {}

OF_PERCEPTRONS = {
    "predict": lambda: forked["classifier"].predict(X),
    "fit": lambda: forked["classifier"].fit(X, Y),
    "partial_fit": lambda: forked["classifier"].partial_fit(X, Y),
    "many rows": lambda: forked["classifier"].predict(np.tile(X, (50, 1))),
    "a wide fit": lambda: quick().set_params(hidden_layer_sizes=(2000,)).fit(X, Y),
    "a regressor's predict": lambda: forked["regressor"].predict(X),
    "a regressor's predict_interval": lambda: forked["regressor"].predict_interval(X),
    "a regressor's sample_y": lambda: forked["regressor"].sample_y(X),
    "one whose model_ was built": lambda: forked["of a model_"].predict(X),
}
OF_KERAS = {
    "a network's predict": lambda: forked["network"].predict(X),
    "a network's fit": lambda: forked["network"].fit(X, Y),
    "another optimizer": lambda: quick().set_params(optimizer="rmsprop").fit(X, Y),
    "model_": lambda: forked["classifier"].model_,
    "from_keras": lambda: MCDropoutClassifier.from_keras(net()),
}
WORKS = {**OF_PERCEPTRONS, **OF_KERAS}


def net(meta=None):
    """A small network of Keras."""
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((4,)), layers.Dropout(0.2), layers.Dense(3, activation="softmax")]
    )


def outcome_of(name):
    return outcome(WORKS[name])


def outcomes_in_a_fork(names):
    """Of some works, in a fork of this process; one that hangs is an error."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.map_async(outcome_of, names).get(300)


def outcomes_of_perceptrons():
    """In forks of a process that has fitted and predicted, without TensorFlow."""
    forked["classifier"] = quick().fit(X, Y)
    forked["classifier"].predict(np.tile(X, (50, 1)))
    regressor = MCDropoutRegressor((6,), epochs=1, noise="constant", random_state=0)
    forked["regressor"] = regressor.fit(X, Y)
    forked["of a model_"] = quick().fit(X, Y)
    return outcomes_in_a_fork(list(OF_PERCEPTRONS))


def outcomes_after_tensorflow_has_run():
    """Of perceptrons and of Keras's networks, in a fork and here."""
    outcomes_of_perceptrons()
    forked["of a model_"].model_.predict(X, verbose=0)
    forked["network"] = MCDropoutClassifier.from_keras(net(), n_samples=3)
    forked["network"].predict(X)
    there = outcomes_in_a_fork(list(WORKS))
    here = [outcome_of(name) for name in WORKS]
    return there[: len(OF_PERCEPTRONS)], there[len(OF_PERCEPTRONS) :], here


@pytest.mark.slow
@posix
def test_perceptrons_survive_a_fork_after_a_prediction(in_new_process):
    found = in_new_process(outcomes_of_perceptrons)
    assert dict(zip(OF_PERCEPTRONS, found, strict=True)) == dict.fromkeys(
        OF_PERCEPTRONS, "worked"
    )


@pytest.fixture(scope="module")
def outcomes(in_new_process):
    return in_new_process(outcomes_after_tensorflow_has_run)


@pytest.mark.slow
@posix
def test_perceptrons_survive_a_fork_after_tensorflow_has_run(outcomes):
    of_perceptrons, _, _ = outcomes
    assert set(of_perceptrons) == {"worked"}


@pytest.mark.slow
@posix
def test_networks_of_keras_in_such_a_fork_are_an_error_with_the_remedy(outcomes):
    _, of_keras, _ = outcomes
    assert len(of_keras) == len(OF_KERAS)
    for said in of_keras:
        assert "must not run TensorFlow in a process that was forked" in said
        assert "'spawn' or 'forkserver'" in said


@pytest.mark.slow
@posix
def test_a_process_that_was_forked_goes_on(outcomes):
    _, _, here = outcomes
    assert set(here) == {"worked"}

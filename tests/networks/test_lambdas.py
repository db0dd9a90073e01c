"""Lambdas in networks: they are called as they are, with all that they name."""

import copy
import pickle

import keras
import numpy as np
import pytest
from joblib import Parallel, delayed
from keras import layers, ops
from numpy.testing import assert_allclose
from sklearn.base import clone

from skmcdropout import MCDropoutClassifier

X = np.random.RandomState(0).normal(size=(30, 4)).astype(np.float32)
Y = np.arange(30) % 3
SCALE = 2.0


def network(*steps, activation="relu"):
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation=activation),
            *steps,
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax"),
        ]
    )


def closing_over(module):
    """Its cells hold what Keras can't write."""
    return network(layers.Lambda(lambda x: module.tanh(x) / SCALE))


def branched():
    x = keras.Input((4,))
    h = layers.Lambda(lambda x: ops.concatenate([x, ops.abs(x) * SCALE], 1))(x)
    h = h + layers.Lambda(lambda x: x * SCALE)(layers.Dropout(0.2)(h))
    return keras.Model(x, layers.Dense(3, activation="softmax")(h))


MADE = {
    "a constant": lambda: network(layers.Lambda(lambda x: ops.abs(x) * SCALE)),
    "a closure": lambda: closing_over(ops),
    "an activation": lambda: network(activation=lambda x: ops.relu(x) * SCALE),
    "two of them": branched,
    "nested": lambda: network(
        keras.Sequential([layers.Lambda(lambda x: ops.sin(x) * SCALE)])
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_a_trained_network_with_them_is_that_of_keras(name):
    trained = MADE[name]()
    clf = MCDropoutClassifier.from_keras(trained, n_samples=0, epochs=1)
    assert_allclose(clf.predict_proba(X), trained(X), atol=1e-6)
    copied = copy.deepcopy(clf)
    assert_allclose(copied.predict_proba(X), trained(X), atol=1e-6)
    assert_allclose(copied.model_(X), trained(X), atol=1e-6)
    clone(clf).fit(X, Y)
    assert all(f.__name__ == "<lambda>" for f in lambdas(trained))


def lambdas(trained):
    held = [v for la in trained.layers for v in vars(la).values() if callable(v)]
    return [v for v in held if "lambda" in getattr(v, "__name__", "")]


@pytest.mark.parametrize("name", MADE)
def test_a_function_may_build_them(name):
    clf = MCDropoutClassifier(
        model=lambda meta: MADE[name](), epochs=1, n_samples=0, random_state=0
    ).fit(X, Y)
    assert_allclose(clf.predict_proba(X), clf.model_(X), atol=1e-6)


def test_two_of_one_code_and_other_names_are_not_taken_for_each_other():
    code = "lambda x: x * factor"
    first, second = eval(code, {"factor": 2.0}), eval(code, {"factor": -3.0})
    both = network(layers.Lambda(first), layers.Lambda(second))
    clf = MCDropoutClassifier.from_keras(both, n_samples=0)
    assert_allclose(clf.predict_proba(X), both(X), atol=1e-6)


class Held:
    """What Keras does not know how to write."""

    factor = 3.0


def closing_over_an_object(held):
    return network(layers.Lambda(lambda x: x * held.factor))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: closing_over(ops), "must name classes and functions.*'module'"),
        (lambda: closing_over_an_object(Held()), r"no lambda whose code.*Name the fun"),
    ],
)
def test_a_file_without_what_they_name_is_refused_in_words(made, message):
    trained = made()
    clf = MCDropoutClassifier.from_keras(trained, n_samples=0)
    assert_allclose(clf.predict_proba(X), trained(X), atol=1e-6)
    loaded = pickle.loads(pickle.dumps(clf))
    with pytest.raises(ValueError, match=message):
        loaded.predict_proba(X)


def test_threads_share_them():
    clf = MCDropoutClassifier.from_keras(MADE["a constant"](), n_samples=0)
    expected = clf.predict_proba(X)
    found = Parallel(2, prefer="threads")(
        delayed(clf.predict_proba)(X) for _ in range(4)
    )
    for proba in found:
        assert_allclose(proba, expected, atol=1e-6)

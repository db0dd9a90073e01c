"""Fits that end early: what a classifier must still be after them."""

import copy
from functools import partial

import joblib
import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skmcdropout import MCDropoutClassifier

X = np.random.RandomState(0).normal(size=(40, 4)) + np.arange(40)[:, None] % 3
Y = np.arange(40) % 3


def build(meta, dropout_rate=0.5):
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(5, activation="tanh"),
            keras.layers.Dropout(dropout_rate),
            keras.layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


SHORT = {"epochs": 3, "n_samples": 7, "random_state": 0}

#: Classifiers that are trained on arrays, and by TensorFlow.
KINDS = {
    "mlp": partial(MCDropoutClassifier, (6,), **SHORT),
    "model": partial(MCDropoutClassifier, model=build, **SHORT),
}

#: Other data to fit to: for the array trainer of another shape, and for TensorFlow
#: of the same one, so that a fit before or after may share what is compiled.
OTHER = {
    "mlp": (X[::-1, :2] * 3, (Y + 1) % 2),
    "model": (X[::-1] * 3, (Y + 1) % 3 + 5),
}


def draws_of_new_fits():
    """Draws of a fit of each kind."""
    return {name: new().fit(X, Y).sample_proba(X) for name, new in KINDS.items()}


def learned(classifier):
    """Digest of all that a fit has learned, whatever the parameters are now."""
    plain = copy.copy(classifier).set_params(**MCDropoutClassifier().get_params())
    return joblib.hash(plain)


def check_that_it_survives(classifier, interrupted, kind, expected):
    """After a call that ends early, neither the state nor the next fit know of it.

    `interrupted` is the call, which must end with its error, or see to it that it has.
    """
    draws, before = classifier.sample_proba(X), learned(classifier)
    interrupted(classifier)
    assert learned(classifier) == before
    assert_array_equal(classifier.sample_proba(X), draws)
    assert_array_equal(KINDS[kind]().fit(X, Y).sample_proba(X), expected[kind])


def raises(error, call):
    """A call that must raise this error, to be given to `check_that_it_survives`."""

    def interrupted(classifier):
        with pytest.raises(error):
            call(classifier)

    return interrupted

"""Parameters that are set after a fit, and what is said of them."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor

X = np.random.RandomState(0).normal(size=(40, 3))
Y = np.arange(40) % 2


def quick(**params):
    return MCDropoutClassifier((6,), epochs=1, n_samples=5, random_state=0, **params)


@pytest.fixture
def fitted():
    return quick().fit(X, Y)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dropout_rate", 0.5),
        ("dropout_rate", [0.5]),
        ("temperature", 2.0),
        ("hidden_layer_sizes", (6, 6)),
        ("activation", "tanh"),
    ],
)
def test_a_network_that_is_described_otherwise_after_fit_is_told_of_once(
    fitted, name, value
):
    before = fitted.predict_proba(X)
    fitted.set_params(**{name: value})
    with pytest.warns(UserWarning, match=f"{name}=.* was set after fit.*fitted with"):
        assert_array_equal(fitted.predict_proba(X), before)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict(X)
        copy.copy(fitted).predict_uncertainty(X)


def test_another_value_is_another_warning_and_a_fit_ends_them(fitted):
    for rate in (0.4, 0.5):
        fitted.set_params(dropout_rate=rate)
        with pytest.warns(UserWarning, match=f"dropout_rate={rate}"):
            fitted.predict(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fitted.fit(X, Y).predict_proba(X).shape == (40, 2)


def test_nothing_is_said_of_what_acts_or_is_the_same(fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.set_params(n_samples=7, sampling="independent", epochs=3, alpha=2.0)
        fitted.set_params(hidden_layer_sizes=6, dropout_rate=np.float64(0.25))
        fitted.predict(X)
        pickle.loads(pickle.dumps(fitted)).predict(X)
        clone(fitted).set_params(dropout_rate=0.5).fit(X, Y).predict(X)
        going_on = quick(warm_start=True).fit(X, Y).set_params(dropout_rate=0.5)
        going_on.fit(X, Y).predict(X)


def test_a_file_keeps_what_was_fitted_and_what_was_set(fitted):
    loaded = pickle.loads(pickle.dumps(fitted.set_params(dropout_rate=0.5)))
    with pytest.warns(UserWarning, match=r"predicts with dropout_rate=0\.25"):
        loaded.predict(X)


def test_of_a_regressor_too():
    fitted = MCDropoutRegressor((6,), epochs=1, n_samples=5, random_state=0).fit(X, Y)
    fitted.set_params(noise="constant")
    with pytest.warns(UserWarning, match="noise='constant' was set after fit"):
        fitted.predict_interval(X)

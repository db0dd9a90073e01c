"""Probabilities are double precision, and each row of them sums to 1."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_wine
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier, RejectingClassifier, sample_proba

X, Y = load_wine(return_X_y=True)
X = StandardScaler().fit_transform(X)
QUICK = MCDropoutClassifier((16,), epochs=2, n_samples=10, random_state=0)


def network(n_units=3, activation="softmax"):
    return keras.Sequential(
        [
            keras.Input((13,)),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(n_units, activation=activation),
        ]
    )


ESTIMATORS = {
    "a perceptron": QUICK,
    "no draws": MCDropoutClassifier((16,), epochs=2, n_samples=0, random_state=0),
    "logits": MCDropoutClassifier(
        model=lambda meta: network(activation=None), epochs=1, random_state=0
    ),
    "a pipeline": make_pipeline(StandardScaler(), QUICK),
    "bagged": BaggingClassifier(QUICK, 2, random_state=0),
    "voting": VotingClassifier(
        [("a", QUICK), ("b", MLPClassifier(max_iter=5, random_state=0))], voting="soft"
    ),
    "calibrated": CalibratedClassifierCV(QUICK, cv=2, ensemble=False),
    "rejecting": RejectingClassifier(QUICK, coverage=0.8, cv=2),
}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer:UserWarning")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_rows_sum_to_1_in_double_precision(name):
    fitted = ESTIMATORS[name].fit(X, Y)
    proba = fitted.predict_proba(X)
    assert proba.dtype == np.float64
    assert_allclose(proba.sum(axis=1), 1, rtol=0, atol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log_loss(Y, proba)
    draws = sample_proba(fitted, X)
    assert draws.dtype == np.float64
    assert_allclose(draws.sum(axis=2), 1, rtol=0, atol=1e-12)


def test_two_classes_of_one_output_and_its_labels():
    fitted = MCDropoutClassifier.from_keras(network(1, "sigmoid"), random_state=0)
    proba = fitted.predict_proba(X)
    assert proba.dtype == np.float64
    assert_allclose(proba.sum(axis=1), 1, rtol=0, atol=1e-12)
    assert_array_equal(fitted.predict(X), proba.argmax(axis=1))
    assert_array_equal(fitted.predict_log_proba(X), np.log(proba))

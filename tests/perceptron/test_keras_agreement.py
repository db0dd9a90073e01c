"""The engine against Keras itself, run the slow way."""

import copy

import inside
import numpy as np
import pytest
from lanes import fast
from numpy.testing import assert_allclose
from plain import PLAIN
from rounding import atol_of_proba, size_of_logits
from sklearn.preprocessing import StandardScaler
from slow_keras import compared

from skmcdropout import MCDropoutClassifier

NETWORKS = {
    "hidden dropout": {"hidden_layer_sizes": (30, 20), "dropout_rate": 0.2},
    "the textbook net": {
        "hidden_layer_sizes": (300, 100),
        "activation": "elu",
        "batch_normalization": True,
        "dropout_position": "all",
        "dropout_rate": 0.2,
    },
    "a rate for each position": {
        "hidden_layer_sizes": (30, 20),
        "dropout_position": "all",
        "dropout_rate": [0.1, 0.5, 0.3],
    },
    "last layer only": {
        "hidden_layer_sizes": (30, 20),
        "dropout_position": 1,
        "dropout_rate": 0.5,
    },
    "too wide to thin": {"hidden_layer_sizes": (300, 200, 10), "dropout_rate": 0.4},
}


@pytest.fixture(params=fast("a rate for each position", among=NETWORKS), scope="module")
def fitted(request, digits):
    X, y = digits
    X = StandardScaler().fit_transform(X)
    classifier = MCDropoutClassifier(
        **NETWORKS[request.param], temperature=0.4, epochs=2, random_state=0
    )
    return classifier.fit(X[:500], y[:500]), X[500:630].astype(np.float32)


#: Numbers of draws and rows: one row alone; few; draws whose weights are too many to be
#: kept, for few and for many rows.
SIZES = [(60, 1), (60, 50), (700, 50), (700, 130)]


@pytest.mark.parametrize(("n_draws", "n_rows"), SIZES)
def test_draws_are_those_of_keras_with_the_same_masks(fitted, n_draws, n_rows):
    classifier, X = fitted
    draws, by_keras, atol, noise, rates = compared(
        classifier, classifier.model_, X[:n_rows], n_draws
    )
    assert_allclose(draws, by_keras, rtol=0, atol=atol)
    for kept, rate in zip(noise, rates, strict=True):
        std = np.sqrt(rate * (1 - rate))
        assert abs(kept.mean() - (1 - rate)) < 5 * std / np.sqrt(kept.size)
        of_units = kept.mean(axis=0) - (1 - rate)
        assert abs(of_units).max() < 5 * std / np.sqrt(n_draws)
        assert abs(of_units).max() > std / np.sqrt(n_draws)  # no strata


def test_predictions_are_means_over_stratified_draws(fitted):
    classifier, X = fitted
    given = classifier, classifier.model_, X
    _, by_keras, atol, noise, rates = compared(*given, sampling="stratified")
    proba = copy.copy(classifier).set_params(n_samples=60).predict_proba(X)
    assert_allclose(proba, by_keras.mean(axis=0), rtol=0, atol=atol)
    for kept, rate in zip(noise, rates, strict=True):
        assert abs(kept.sum(axis=0) - (1 - rate) * 60).max() < 1


def test_all_ways_to_draw_are_compared(digits, monkeypatch):
    """Else sizes have to be others, for draws to be kept, thinned anew or masked."""
    ways = inside.ways_of_chains(monkeypatch)
    X, y = digits
    network = NETWORKS["too wide to thin"]
    classifier = MCDropoutClassifier(**network, **PLAIN, epochs=1, random_state=0)
    classifier.fit(X[:100], y[:100])
    ways.clear()
    for n_draws, n_rows in SIZES:
        classifier.set_params(n_samples=n_draws).predict_proba(X[:n_rows])
    assert ways == ["kept", "kept", "beside", "thinned anew"]


def test_no_draws_is_the_prediction_of_the_keras_model(fitted):
    classifier, X = fitted
    proba = copy.copy(classifier).set_params(n_samples=0).predict_proba(X)
    # The temperature is within the weights of the last layer.
    atol = atol_of_proba(size_of_logits(classifier.model_, X))
    expected = classifier.model_.predict(X, verbose=0)
    assert_allclose(proba, expected, rtol=0, atol=atol)


def test_the_textbook_net_is_built_layer_by_layer(digits):
    X, y = digits
    classifier = MCDropoutClassifier(**NETWORKS["the textbook net"], epochs=1)
    layers = classifier.fit(X[:100], y[:100]).model_.layers
    assert [type(layer).__name__ for layer in layers] == [
        "BatchNormalization",
        *["Dropout", "Dense", "BatchNormalization", "Activation"] * 2,
        "Dropout",
        "Dense",
    ]
    dense = [layer for layer in layers if type(layer).__name__ == "Dense"]
    assert [layer.units for layer in dense] == [300, 100, 10]
    assert [type(d.kernel_initializer).__name__ for d in dense[:2]] == ["HeNormal"] * 2
    assert [d.activation.__name__ for d in dense] == ["linear", "linear", "softmax"]
    assert {la.activation.__name__ for la in layers if la.name.startswith("act")} == {
        "elu"
    }

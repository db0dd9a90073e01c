"""The engine against Keras itself, run the slow way."""

import numpy as np
import pytest
import tensorflow as tf
from keras.layers import Dropout
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier
from skmcdropout._networks.class_outputs import ClassOutputs
from skmcdropout._networks.perceptron import Perceptron, build_network

pytestmark = pytest.mark.slow

N_PASSES = 2000

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
    "too wide to thin": {"hidden_layer_sizes": (200, 150, 10), "dropout_rate": 0.4},
}


@pytest.fixture(params=NETWORKS, scope="module")
def fitted(request, digits):
    X, y = digits
    X = StandardScaler().fit_transform(X)
    classifier = MCDropoutClassifier(
        **NETWORKS[request.param], n_samples=N_PASSES, epochs=3, random_state=0
    )
    return classifier.fit(X[:1000], y[:1000]), X[1000:1100].astype(np.float32)


def keras_passes(network, X, n_passes):
    """Draws of `network` layer by layer, Dropout alone in training mode."""

    @tf.function
    def one_pass(x):
        for layer in network.layers:
            x = layer(x, training=isinstance(layer, Dropout))
        return x

    return np.stack([one_pass(X).numpy() for _ in range(n_passes)])


def test_draws_are_those_of_keras(fitted):
    """Mean and variance of the draws, within the error of 2 000 passes of Keras."""
    classifier, X = fitted
    passes = keras_passes(classifier.model_, X, N_PASSES).astype(np.float64)
    error = passes.std(axis=0) / np.sqrt(N_PASSES)
    varies = passes.std(axis=0) > 0.04  # the rest is too skewed for a normal error
    z = (classifier.predict_proba(X) - passes.mean(axis=0))[varies]
    z /= np.sqrt(2) * error[varies]  # both sides are estimates
    print(
        f"in standard errors: rms {np.sqrt(np.mean(z**2)):.2f}, max {abs(z).max():.1f}"
    )
    assert len(z) > 100
    assert np.sqrt(np.mean(z**2)) < 1.3
    assert abs(z).max() < 5
    classifier = classifier.set_params(sampling="independent")
    ratio = classifier.sample_proba(X).var(axis=0).sum() / passes.var(axis=0).sum()
    classifier.set_params(sampling="stratified")
    assert_allclose(ratio, 1, atol=0.06)


def test_no_draws_is_the_prediction_of_the_keras_model(fitted):
    classifier, X = fitted
    classifier.set_params(n_samples=0)
    try:
        proba = classifier.predict_proba(X)
    finally:
        classifier.set_params(n_samples=N_PASSES)
    assert_allclose(proba, classifier.model_.predict(X, verbose=0), atol=2e-6)


@pytest.mark.parametrize("kernel_initializer", ["he_normal", "orthogonal"])
@pytest.mark.parametrize("batch_normalization", [False, True])
def test_training_starts_from_the_weights_of_the_keras_model(
    batch_normalization, kernel_initializer
):
    arch = Perceptron(
        n_features=7,
        hidden_layer_sizes=(5, 4),
        outputs=ClassOutputs.of_perceptron(3),
        activation="relu",
        rates=(None, 0.2, 0.2),
        batch_normalization=batch_normalization,
        l2=0.0,
        max_norm=None,
    )
    network = build_network(arch, arch._layer_seeds(3), kernel_initializer)
    weights = arch.initial_weights(3, kernel_initializer)
    for ours, theirs in zip(weights, network.get_weights(), strict=True):
        assert_array_equal(ours, theirs)


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

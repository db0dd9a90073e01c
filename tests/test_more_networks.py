"""Networks as people write them against Keras itself, run the slow way."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_networks import N_ROWS, with_weights
from more_keras_networks import MORE_NETWORKS
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils.fixes import parse_version
from test_networks import as_called, repeated, some

from skmcdropout import MCDropoutClassifier
from skmcdropout._networks.keras_backend import seeded_generators

N_PASSES, N_COPIES = 500, 100

#: Layers that do something else in training beside the noise within them.
OTHERWISE_IN_TRAINING = ("BatchNormalization", "SpectralNormalization", "Centred")

#: Every third, for each copy is tried anew.
PICKLED = list(MORE_NETWORKS)[::3]

#: What older versions of Keras get wrong themselves, and since when they don't.
NEEDS_KERAS = {
    "wide and deep": ("3.10", "one-hot layers infer a wrong shape"),
    "positions and causal attention": ("3.10", "attention warns of its own masks"),
    "normalizations": ("3.10", "there is no RMSNormalization"),
    "a layer shared at two depths": ("3.10", "it can't be built from its config"),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore:Layer 'sequential.*destroy the mask:UserWarning"
    ),
]


@pytest.fixture(params=MORE_NETWORKS, scope="module")
def case(request):
    """A Keras network, its classifier, and rows."""
    needed, why = NEEDS_KERAS.get(request.param, ("3", ""))
    if parse_version(keras.__version__) < parse_version(needed):
        pytest.skip(f"before Keras {needed} {why}")
    with seeded_generators(0):
        network, X = MORE_NETWORKS[request.param]()
    with_weights(network)
    has_graph = hasattr(network, "_run_through_graph")
    is_open = not has_graph and not isinstance(network, keras.Sequential)
    return network, from_keras(network, False if is_open else None), X


def from_keras(network, from_logits):
    return MCDropoutClassifier.from_keras(
        network, from_logits=from_logits, random_state=0
    )


def at_rest(network, X):
    """What `network` predicts in inference mode, with nothing dropped."""
    held = [
        (layer, name)
        for layer in network._flatten_layers()
        for name in ("rate", "dropout")
        if name in vars(layer) and isinstance(getattr(layer, name), float)
    ]
    before = [getattr(layer, name) for layer, name in held]
    for layer, name in held:
        setattr(layer, name, 0.0)
    outputs = network(as_called(network, X), training=False)
    for (layer, name), value in zip(held, before, strict=True):
        setattr(layer, name, value)
    return outputs


def keras_passes(network, X):
    """Draws of `network` in training mode, all but the noise in inference mode."""
    for layer in network._flatten_layers():
        if type(layer).__name__ in OTHERWISE_IN_TRAINING:
            call = layer.call
            vars(layer)["call"] = lambda x, call=call, **kw: call(x, training=False)
    one_pass = tf.function(lambda x: network(x, training=True), autograph=False)
    copies = as_called(network, repeated(X, N_COPIES))
    outputs = [one_pass(copies).numpy() for _ in range(N_PASSES // N_COPIES)]
    for layer in network._flatten_layers():
        vars(layer).pop("call", None)
    return np.reshape(outputs, (N_PASSES, N_ROWS, -1)).astype(np.float64)


def test_draws_are_those_of_keras(case, request):
    network, classifier, X = case
    proba = copy.copy(classifier).set_params(n_samples=0).predict_proba(X)
    # Processors that multiply halves themselves add them up as the call is made.
    is_half = request.node.callspec.params["case"] == "bfloat16"
    assert_allclose(proba, at_rest(network, X), atol=2e-2 if is_half else 1e-5)
    passes = keras_passes(network, X)
    classifier = copy.copy(classifier).set_params(
        n_samples=4 * N_PASSES, sampling="independent"
    )
    draws = classifier.sample_proba(X).astype(np.float64)
    error = np.sqrt(passes.var(axis=0) / len(passes) + draws.var(axis=0) / len(draws))
    varies = passes.std(axis=0) > 0.01  # the rest is too skewed for a normal error
    z = (abs(draws.mean(axis=0) - passes.mean(axis=0)) / error)[varies]
    assert len(z) >= N_ROWS
    assert z.max() < 5
    assert_allclose(draws.var(axis=0).sum() / passes.var(axis=0).sum(), 1, atol=0.15)


def test_order_company_chunks_and_pickle_change_nothing(case, request, monkeypatch):
    _, classifier, X = case
    proba = classifier.predict_proba(X)
    if request.node.callspec.params["case"] in PICKLED:
        copied = pickle.loads(pickle.dumps(classifier))
        assert_array_equal(copied.predict_proba(X), proba)
    # Logits of these weights reach 80, so that their last digit is 1e-5.
    order = np.random.RandomState(0).permutation(N_ROWS)
    assert_allclose(classifier.predict_proba(some(X, order)), proba[order], atol=1e-5)
    assert_allclose(classifier.predict_proba(some(X, [3])), proba[[3]], atol=1e-5)
    monkeypatch.setattr("skmcdropout._drawing.chunks.CHUNK_FLOATS", 1)
    monkeypatch.setattr("skmcdropout._drawing.graph_engine.GROUP_FLOATS", 2000)
    assert_allclose(classifier.predict_proba(X), proba, atol=1e-5)

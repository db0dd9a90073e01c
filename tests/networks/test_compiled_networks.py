"""Networks are compiled once to be drawn from, for all of their kind."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import inside
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_networks import NETWORKS, with_weights
from numpy.testing import assert_allclose, assert_array_equal
from rounding import atol_of_proba, size_of_logits

from skmcdropout import MCDropoutClassifier


@pytest.fixture
def made(monkeypatch):
    """Grows with each network compiled to draw from; none is in store."""
    return inside.compiled_networks(monkeypatch)


@pytest.mark.slow
def test_what_comes_before_the_noise_is_computed_once():
    """A layer that counts its rows sees each row once, whatever the draws."""
    seen = []

    @keras.saving.register_keras_serializable("tests")
    class Counting(keras.layers.Layer):
        def call(self, x):
            tf.py_function(lambda n: seen.append(int(n)), [tf.shape(x)[0]], [])
            return x

    layers = keras.layers
    for between in ([layers.Flatten()], [layers.LSTM(3, dropout=0.2)]):
        steps = [Counting(), layers.Dropout(0.5), *between, layers.Dense(3, "softmax")]
        network = keras.Sequential([keras.Input((6, 4)), *steps])
        classifier = MCDropoutClassifier.from_keras(network, n_samples=50)
        classifier.predict_proba(np.ones((32, 6, 4)))
        seen.clear()
        classifier.predict_proba(np.ones((32, 6, 4)))
        assert sum(seen) == 32


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convolutions", "logits", "simple rnn"])
def test_one_compiled_network_draws_for_all_of_its_kind(name, made):
    network, X = NETWORKS[name]()
    classifiers, alone = [], []
    for seed in range(2):
        with_weights(network, scale=0.4 + 0.1 * seed)
        classifiers.append(MCDropoutClassifier.from_keras(network, random_state=seed))
        alone.append(classifiers[-1].sample_proba(X))
        inside.forget_compiled()
        classifiers[-1] = pickle.loads(pickle.dumps(classifiers[-1]))
    assert abs(alone[0] - alone[1]).max() > 1e-3
    made.clear()
    for _ in range(2):
        for classifier, expected in zip(classifiers, alone, strict=True):
            assert_array_equal(classifier.sample_proba(X), expected)
    assert len(made) == 1


def test_networks_that_hold_constants_are_compiled_each_for_itself(made):
    X = np.random.RandomState(0).normal(size=(20, 3)).astype(np.float32)
    classifiers = []
    for scale in (1, 100):
        normalize = keras.layers.Normalization()
        normalize.adapt(scale * X)
        dense = keras.layers.Dense(2, "softmax")
        network = keras.Sequential(
            [keras.Input((3,)), normalize, keras.layers.Dropout(0.5), dense]
        )
        dense.set_weights([np.eye(3, 2), np.zeros(2)])
        classifiers.append(MCDropoutClassifier.from_keras(network, random_state=0))
    first, second = classifiers
    for _ in range(2):
        assert_allclose(first.sample_proba(X), second.sample_proba(100 * X), atol=1e-5)
    assert len(made) == 2


def dense_network(*first, width=4):
    steps = [*first, keras.layers.Dropout(0.5), keras.layers.Dense(2, "softmax")]
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(width), *steps])


class Turned(keras.layers.Layer):
    """What it does stands under a key "name"."""

    def __init__(self, how, **kwargs):
        super().__init__(**kwargs)
        self.how = how

    def call(self, x):
        return -x if self.how["name"] == "turned" else 2 * x

    def get_config(self):
        return {**super().get_config(), "how": self.how}


def mixed(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return dense_network(keras.layers.LayerNormalization(), width=64)
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.slow
@pytest.mark.parametrize(
    "pair",
    [
        lambda: [dense_network(Turned({"name": name})) for name in ("turned", "twice")],
        lambda: [mixed(policy) for policy in ("float32", "mixed_bfloat16")],
    ],
    ids=["a name in a configuration", "precision"],
)
def test_networks_that_differ_in_more_than_names_are_compiled_apart(pair, made):
    networks = [with_weights(network) for network in pair()]
    X = np.random.RandomState(0).normal(size=(40, 3)).astype(np.float32)
    classifiers = [
        MCDropoutClassifier.from_keras(network, n_samples=0) for network in networks
    ]
    for classifier, network in zip(classifiers, networks, strict=True):
        expected = network.predict(X, verbose=0)
        rounding = 2e-2 if expected.dtype.name == "bfloat16" else 1e-5
        expected = expected.astype(np.float64)
        assert_allclose(classifier.predict_proba(X), expected, atol=rounding)
    assert len(made) == 2


def test_networks_that_differ_in_names_alone_are_compiled_once(made):
    X = np.ones((4, 3), np.float32)
    networks = [dense_network() for _ in range(2)]
    assert networks[0].layers[0].name != networks[1].layers[0].name
    for network in networks:
        MCDropoutClassifier.from_keras(network, n_samples=3).predict_proba(X)
    assert len(made) == 1


FACTOR = 1.0


class Global(keras.layers.Layer):
    """What it computes depends on more than it holds."""

    def call(self, x):
        return FACTOR * x


@pytest.mark.slow
def test_code_of_the_user_is_compiled_for_each_classifier(monkeypatch):
    network = with_weights(dense_network(Global()))
    X = np.ones((4, 3), np.float32)
    expected = []
    for factor in (1.0, -2.0):
        monkeypatch.setattr(f"{__name__}.FACTOR", factor)
        classifier = MCDropoutClassifier.from_keras(network, n_samples=0)
        expected.append(classifier.predict_proba(X))
        assert_allclose(expected[-1], network(X), atol=1e-6)
    assert abs(expected[0] - expected[1]).max() > 0.01


def test_a_classifier_keeps_what_was_compiled_for_it_however_many_there_are(
    made, monkeypatch
):
    inside.keep_few_kinds(monkeypatch, 1)
    X = np.ones((4, 3), np.float32)
    classifiers = [
        MCDropoutClassifier.from_keras(dense_network(width=width), n_samples=3)
        for width in (1, 2, 3)
    ]
    for _ in range(2):
        for classifier in classifiers:
            classifier.predict_proba(X)
    assert len(made) == len(classifiers)


def test_threads_see_one_network():
    classifier = MCDropoutClassifier.from_keras(dense_network(), n_samples=3)
    with ThreadPoolExecutor(4) as threads:
        seen = list(threads.map(lambda _: classifier.model_, range(8)))
    assert len(set(map(id, seen))) == 1


@pytest.mark.parametrize(
    "name",
    ["one sigmoid", pytest.param("textbook image net", marks=pytest.mark.slow)],
)
def test_a_chain_of_dense_layers_draws_what_is_drawn_layer_by_layer(name, monkeypatch):
    """Two ways to the same draws: masks folded into weights, and layer by layer."""
    network, X = NETWORKS[name]()
    with_weights(network)

    def draws(in_chain):
        inside.forget_compiled()
        classifier = MCDropoutClassifier.from_keras(network, random_state=0)
        assert inside.draws_in_a_chain(classifier) is in_chain
        return classifier.sample_proba(X)

    expected = draws(True)
    inside.never_draw_in_chains(monkeypatch)
    atol = atol_of_proba(4 * size_of_logits(network, X))  # dropout scales what it keeps
    assert_allclose(draws(False), expected, rtol=0, atol=atol)


def test_weights_that_an_interrupt_left_in_a_compiled_network_are_not_trusted():
    X = np.ones((4, 3), np.float32)
    first, second = (
        MCDropoutClassifier.from_keras(with_weights(dense_network()), n_samples=3)
        for _ in range(2)
    )
    second.model_.set_weights([2 * w for w in second.model_.get_weights()])
    expected = first.sample_proba(X)
    with pytest.MonkeyPatch.context() as patch:
        inside.interrupt_when_weights_are_set(patch)
        with pytest.raises(KeyboardInterrupt):
            second.sample_proba(X)
    assert_array_equal(first.sample_proba(X), expected)

"""Draws of every kind of Keras network against Keras itself, run the slow way."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_networks import N_ROWS, NETWORKS, with_weights
from lanes import fast
from numpy.testing import assert_allclose, assert_array_equal

from skmcdropout import MCDropoutClassifier
from skmcdropout._drawing import compiled_network
from skmcdropout._networks.keras_backend import seeded_generators

N_PASSES = 2000

#: Networks of the fast lane.
FAST = (
    "mlp",
    "residual",
    "nested",
    "several inputs by name",
    "gaussian noise",
    "alpha dropout",
)


@pytest.fixture(params=fast(*FAST, among=NETWORKS), scope="module")
def case(request):
    """A Keras network, its classifier, and rows."""
    with seeded_generators(0):  # of the masks of Keras, that we are compared with
        network, X = NETWORKS[request.param]()
    with_weights(network)
    from_logits = False if request.param == "subclassed" else None
    classifier = MCDropoutClassifier.from_keras(
        network, from_logits=from_logits, random_state=0
    )
    return network, classifier, X


def repeated(X, n):
    if isinstance(X, dict):
        return {name: repeated(array, n) for name, array in X.items()}
    return np.concatenate([X] * n)


def some(X, indices):
    if isinstance(X, dict):
        return {name: array[indices] for name, array in X.items()}
    return X[indices]


def as_called(network, X):
    """Rows in the structure that the network was built with."""
    if isinstance(X, dict) and isinstance(network.input, list):
        return [X[x.name] for x in network.inputs]
    return X


def class_probabilities(network, outputs):
    """What the outputs of the networks of this file say of the classes."""
    last = getattr(network, "out", network.layers[-1])
    linear = last.activation is keras.activations.linear
    if outputs.shape[-1] == 1:
        p = tf.sigmoid(outputs).numpy() if linear else outputs
        return np.concatenate([1 - p, p], axis=-1)
    return tf.nn.softmax(outputs).numpy() if linear else outputs


def keras_passes(network, X):
    """Draws of `network` in training mode, but for BatchNormalization.

    Keras draws a mask for each row, so that copies of the rows are passes too.
    """
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False  # which is Keras's way to inference mode
    one_pass = tf.function(lambda x: network(x, training=True))
    n_copies = 100
    copies = as_called(network, repeated(X, n_copies))
    outputs = [
        one_pass(copies).numpy().reshape(n_copies, N_ROWS, -1)
        for _ in range(N_PASSES // n_copies)
    ]
    return class_probabilities(network, np.concatenate(outputs))


def test_draws_are_those_of_keras(case):
    """Mean and variance of the draws, within the error of 2 000 passes of Keras."""
    network, classifier, X = case
    passes = keras_passes(network, X).astype(np.float64)
    classifier = copy.deepcopy(classifier).set_params(
        n_samples=N_PASSES, sampling="independent"
    )
    draws = classifier.sample_proba(X).astype(np.float64)
    error = np.sqrt((passes.var(axis=0) + draws.var(axis=0)) / N_PASSES)
    varies = passes.std(axis=0) > 0.005  # the rest is too skewed for a normal error
    z = ((draws.mean(axis=0) - passes.mean(axis=0)) / error)[varies]
    ratio = draws.var(axis=0).sum() / passes.var(axis=0).sum()
    print(f"rms {np.sqrt(np.mean(z**2)):.2f}, max {abs(z).max():.1f}, {ratio:.3f}")
    assert len(z) >= N_ROWS
    assert np.sqrt(np.mean(z**2)) < 1.7
    assert abs(z).max() < 5
    assert_allclose(ratio, 1, atol=0.1)


def test_stratified_draws_have_the_same_mean(case):
    network, classifier, X = case
    passes = keras_passes(network, X).astype(np.float64)
    classifier = copy.deepcopy(classifier).set_params(n_samples=500)
    error = passes.std(axis=0) * np.sqrt(1 / N_PASSES + 1 / 500)
    varies = passes.std(axis=0) > 0.005
    z = ((classifier.predict_proba(X) - passes.mean(axis=0)) / error)[varies]
    assert np.sqrt(np.mean(z**2)) < 1.5
    assert abs(z).max() < 5


def test_no_draws_is_the_prediction_of_the_keras_model(case):
    network, classifier, X = case
    proba = copy.deepcopy(classifier).set_params(n_samples=0).predict_proba(X)
    for layer in network._flatten_layers():
        if type(layer).__name__ in ("AlwaysDropout", "MCDropout"):
            vars(layer)["call"] = lambda x, training=None: x
    outputs = network(as_called(network, X), training=False).numpy()
    for layer in network._flatten_layers():
        vars(layer).pop("call", None)
    assert_allclose(proba, class_probabilities(network, outputs), atol=2e-6)


def test_predictions_do_not_depend_on_order_or_company(case):
    _, classifier, X = case
    proba = classifier.predict_proba(X)
    order = np.random.RandomState(0).permutation(N_ROWS)
    assert_allclose(classifier.predict_proba(some(X, order)), proba[order], atol=1e-6)
    assert_allclose(classifier.predict_proba(some(X, [3])), proba[[3]], atol=1e-6)
    assert_array_equal(classifier.predict_proba(X), proba)


def test_chunks_and_groups_of_draws_change_nothing(case, monkeypatch):
    _, classifier, X = case
    X = repeated(X, 3)
    expected = classifier.sample_proba(X)
    monkeypatch.setattr("skmcdropout._drawing.chunks.CHUNK_FLOATS", 1)
    monkeypatch.setattr("skmcdropout._drawing.graph_engine.GROUP_FLOATS", 2000)
    # Logits of these weights reach 80, so that their last digit is 1e-5.
    assert_allclose(classifier.sample_proba(X), expected, atol=1e-5)


def test_a_pickled_copy_predicts_the_same(case):
    _, classifier, X = case
    copied = pickle.loads(pickle.dumps(classifier))
    assert_array_equal(copied.predict_proba(X), classifier.predict_proba(X))


@pytest.mark.slow
def test_the_network_of_the_user_stays_as_it_was(case):
    network, classifier, X = case
    layers = network._flatten_layers()
    held = [sorted(vars(layer)) for layer in layers]
    weights = network.get_weights()
    copied = copy.deepcopy(classifier)
    copied.set_params(batch_size=4).partial_fit(
        X, np.arange(N_ROWS) % len(copied.classes_)
    )
    assert [sorted(vars(layer)) for layer in layers] == held
    for before, now in zip(weights, network.get_weights(), strict=True):
        assert_array_equal(before, now)
    assert abs(copied.predict_proba(X) - classifier.predict_proba(X)).max() > 0


IN_A_CHAIN = {
    "mlp": True,
    "textbook image net": True,
    "convolutions before dense layers": True,
    "nested in line": True,
    "logits": True,
    "one sigmoid": True,
    "layers that are always active": False,
    "convolutions": False,
    "residual": False,
}


@pytest.mark.parametrize("name", fast("one sigmoid", among=IN_A_CHAIN))
def test_a_chain_of_dense_layers_draws_what_the_graph_draws(name, monkeypatch):
    """Two ways to the same draws: masks folded into weights, and layer by layer."""
    network, X = NETWORKS[name]()
    with_weights(network)

    def draws(in_chain):
        compiled_network._compiled.clear()
        classifier = MCDropoutClassifier.from_keras(network, random_state=0)
        drawn = classifier.sample_proba(X)
        (engine,) = classifier._sampler._compiled._engines.values()
        assert (type(engine).__name__ == "ChainEngine") is in_chain
        return drawn

    expected = draws(IN_A_CHAIN[name])
    monkeypatch.setattr("skmcdropout._drawing.engines.read_tail", lambda *args: None)
    assert_allclose(draws(False), expected, atol=1e-5)


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


@pytest.fixture
def made(monkeypatch):
    """Networks compiled to draw from, from now on; none is in store."""
    made = []

    class Counted(compiled_network.CompiledNetwork):
        def __init__(self, *args):
            made.append(1)
            super().__init__(*args)

    monkeypatch.setattr(compiled_network, "CompiledNetwork", Counted)
    compiled_network._compiled.clear()
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convolutions", "logits", "gru"])
def test_one_compiled_network_draws_for_all_of_its_kind(name, made):
    network, X = NETWORKS[name]()
    classifiers, alone = [], []
    for seed in range(3):
        with_weights(network, scale=0.4 + 0.1 * seed)
        classifiers.append(MCDropoutClassifier.from_keras(network, random_state=seed))
        alone.append(classifiers[-1].sample_proba(X))
        compiled_network._compiled.clear()
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
def test_networks_that_differ_in_more_than_names_are_of_different_kinds(pair):
    networks = [with_weights(network) for network in pair()]
    X = np.random.RandomState(0).normal(size=(40, 3)).astype(np.float32)
    classifiers = [
        MCDropoutClassifier.from_keras(network, n_samples=0) for network in networks
    ]
    kinds = {classifier._spec.without_names() for classifier in classifiers}
    assert len(kinds) == 2
    for classifier, network in zip(classifiers, networks, strict=True):
        expected = network.predict(X, verbose=0).astype(np.float32)
        assert_allclose(classifier.predict_proba(X), expected, atol=1e-3)


def test_names_alone_make_no_other_kind():
    a, b = (MCDropoutClassifier.from_keras(dense_network()) for _ in range(2))
    assert a._spec.config != b._spec.config
    assert a._spec.without_names() == b._spec.without_names()


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


@pytest.mark.slow
def test_a_classifier_keeps_what_was_compiled_for_it_however_many_there_are(made):
    X = np.ones((4, 3), np.float32)
    classifiers = [
        MCDropoutClassifier.from_keras(dense_network(width=width), n_samples=3)
        for width in range(1, compiled_network.MAX_KINDS + 3)
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

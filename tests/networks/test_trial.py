"""Networks are drawn from as far as their numbers are shown to be Keras's own."""

import pickle
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from numpy.testing import assert_allclose, assert_array_equal
from rounding import atol_of_proba, sizes_of_sums
from slow_keras import compared

from skmcdropout import MCDropoutClassifier
from skmcdropout.layers import MCDropout

X = np.random.RandomState(0).normal(size=(12, 8)).astype(np.float32)
Y = np.arange(12) % 3


def softmax(x):
    return layers.Dense(3, activation="softmax")(x)


def in_line(*steps, shape=(8,)):
    last = layers.Dense(3, activation="softmax")
    return keras.Sequential([keras.Input(shape), *steps, last])


def predicted(network, rows, **parameters):
    classifier = MCDropoutClassifier.from_keras(network, random_state=0, **parameters)
    return classifier.predict_proba(rows)


def assert_draws_are_those_of_keras(network, rows):
    """With the same masks, each kept as often; the masks."""
    classifier = MCDropoutClassifier.from_keras(
        network, random_state=0, from_logits=False
    )
    draws, by_keras, atol, noise, rates = compared(classifier, network, rows)
    assert_allclose(draws, by_keras, rtol=0, atol=atol)
    assert draws.std(axis=0).max() > 0.01
    for kept, rate in zip(noise, rates, strict=True):
        assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate / kept.size)
    return noise


def assert_rests_as_keras(network, rows):
    """With nothing drawn the prediction is Keras's own."""
    with sizes_of_sums(network) as sizes:
        expected = network(rows, training=False)
    got = predicted(network, rows, n_samples=0)
    assert_allclose(got, expected, rtol=0, atol=atol_of_proba(max(sizes)))


class Within(layers.Layer):
    """Calls a dropout layer of its own, in its own way."""

    def __init__(self, way, **kwargs):
        super().__init__(**kwargs)
        self.way = way
        self.dropout = layers.Dropout(0.5)

    def call(self, x, training=False):
        if self.way == "never":
            return self.dropout(x, training=False)
        if self.way == "if training":
            return self.dropout(x, training=True) if training else x
        return self.dropout(x)

    def get_config(self):
        return {**super().get_config(), "way": self.way}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["never", "if training", "by context"])
def test_dropout_within_a_layer_is_drawn_when_keras_draws_it(way):
    x = keras.Input((8,))
    h = Within(way)(layers.Dense(16, activation="relu")(x))
    network = keras.Model(x, softmax(layers.Dropout(0.1)(h)))
    assert_draws_are_those_of_keras(network, X)


class Decorated(keras.Model):
    """Compiled by TensorFlow by itself, with a condition that it alone can read."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(16, activation="relu")
        self.dropout = layers.Dropout(0.4)
        self.last = layers.Dense(3, activation="softmax")

    @tf.function
    def call(self, x, training=None):
        h = self.hidden(x)
        if tf.reduce_sum(tf.ones(2)) > 3:
            h = 0 * h
        return self.last(self.dropout(h, training=training))


def decorated(meta=None):
    network = Decorated()
    network.compile(keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy")
    return network


@pytest.mark.slow
def test_what_tensorflow_has_compiled_is_drawn_from_and_trained():
    network = decorated()
    network(X)
    assert_draws_are_those_of_keras(network, X)
    classifier = MCDropoutClassifier(model=decorated, epochs=60, random_state=0)
    classifier.fit(X, Y)
    losses = classifier.history_["loss"]
    assert losses[-1] < losses[0] - 0.3
    assert isinstance(type(classifier.model_).call, type(Decorated.call))
    assert "call" not in vars(classifier.model_)


class WithoutTraining(keras.Model):
    """Keras calls it in no mode, so that its dropout never drops."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = layers.Dropout(0.5)
        self.last = layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.last(self.dropout(x))


def test_a_model_whose_call_takes_no_training_has_nothing_to_sample():
    network = WithoutTraining()
    network(X)
    assert_array_equal(network(X), network(X))
    with pytest.warns(UserWarning, match="nothing to sample"):
        classifier = MCDropoutClassifier.from_keras(network, from_logits=False)
    assert_allclose(classifier.predict_proba(X), network(X), atol=1e-6)


@pytest.mark.slow
def test_layers_of_one_seed_drop_the_same_units_as_in_keras():
    """Two equal branches, one taken from the other: nothing is left of them."""

    def difference(seeds):
        x = keras.Input((8,))
        first, second = (layers.Dropout(0.5, seed=seed)(x) for seed in seeds)
        return keras.Model(x, softmax(first - second))

    for seeds, is_zero in (((1, 1), True), ((1, 2), False)):
        network = difference(seeds)
        ours = MCDropoutClassifier.from_keras(network, n_samples=20).sample_proba(X)
        by_keras = np.stack([network(X, training=True) for _ in range(20)])
        for draws in (ours, by_keras):
            assert bool(draws.std(axis=0).max() < 1e-6) is is_zero


def test_one_seed_in_a_chain_of_dense_layers():
    steps = [layers.Dropout(0.5, seed=7), layers.Dense(8, use_bias=False)]
    network = in_line(*steps, layers.Dropout(0.5, seed=7))
    network.set_weights([np.eye(8), *network.get_weights()[1:]])
    first, second = assert_draws_are_those_of_keras(network, X)
    assert_array_equal(first, second)


WAITS = np.random.RandomState(0)


class Slow(layers.Layer):
    def call(self, x):
        if tf.executing_eagerly():
            time.sleep(0.2 * WAITS.uniform())
        return x


@pytest.mark.slow
def test_a_network_stays_as_it_is_when_threads_make_classifiers_of_it():
    network = in_line(layers.Dense(5), Slow(), MCDropout(0.3))
    before = [sorted(vars(layer)) for layer in network._flatten_layers()]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(MCDropoutClassifier.from_keras, [network] * 4))
    assert [sorted(vars(layer)) for layer in network._flatten_layers()] == before


class ScaledTanh(layers.Activation):
    def __init__(self, activation="tanh", **kwargs):
        super().__init__(activation, **kwargs)

    def call(self, x):
        return 1.7 * ops.tanh(2 * x / 3)


class Doubling(layers.Flatten):
    def call(self, x):
        return 2 * super().call(x)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [ScaledTanh, Doubling])
def test_layers_derived_from_those_of_a_chain_do_what_they_do(layer):
    network = in_line(layers.Dropout(0.2), layers.Dense(6), layer())
    assert_rests_as_keras(network, X)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer 'sequential:UserWarning")
def test_a_mask_given_to_a_nested_network_counts():
    x = keras.Input((6,), dtype="int32")
    inner = keras.Sequential([layers.Dropout(0.3), layers.LSTM(5)])
    h = inner(layers.Embedding(10, 4)(x), mask=ops.not_equal(x, 0))
    network = keras.Model(x, softmax(h))
    rows = np.random.RandomState(0).randint(1, 10, (5, 6))
    rows[:, 3:] = 0
    assert_rests_as_keras(network, rows)


def time_major():
    x = keras.Input((5, 8))
    before = ops.transpose(x, (1, 0, 2))
    h = ops.transpose(layers.Dense(8)(layers.Dropout(0.4)(x)), (1, 0, 2))
    return keras.Model(
        x, softmax(layers.Flatten()(ops.transpose(h + before, (1, 0, 2))))
    )


def test_what_the_fast_way_gets_wrong_goes_a_slower_way_and_says_so():
    network = time_major()
    rows = np.random.RandomState(0).normal(size=(4, 5, 8)).astype(np.float32)
    with pytest.warns(UserWarning, match=r"The layer '.*computed\s+anew from its inp"):
        assert_draws_are_those_of_keras(network, rows)


def test_integers_beyond_single_precision_stay_exact():
    x = keras.Input((1,), dtype="int64")
    h = layers.Embedding(50, 4, embeddings_initializer="normal")(layers.Hashing(50)(x))
    network = keras.Model(x, softmax(layers.Dropout(0.3)(layers.Flatten()(h))))
    ids = np.array([[2**24], [2**24 + 1], [2**40 + 1], [-5]])
    assert_rests_as_keras(network, ids)
    with pytest.raises(ValueError, match=r"X must hold integers from .*Got values"):
        predicted(network, ids + 2**60)


@pytest.mark.slow
def test_adapted_layers_keep_what_they_adapted_to():
    age = np.random.RandomState(0).uniform(18, 90, (200, 1)).astype(np.float32)
    y = (age[:, 0] > 50).astype(int)

    def build(meta=None):
        bins = layers.Discretization(num_bins=6)
        bins.adapt(age)
        steps = [bins, layers.Embedding(6, 4), layers.Flatten(), layers.Dropout(0.2)]
        return keras.Sequential(
            [keras.Input((1,)), *steps, layers.Dense(2, activation="softmax")]
        )

    network = build()
    assert_rests_as_keras(network, age)
    classifier = MCDropoutClassifier(model=build, epochs=60, random_state=0)
    assert classifier.fit(age, y).score(age, y) > 0.9


def test_a_vocabulary_is_part_of_a_network():
    ids = np.array([[3], [7], [9], [4]])
    lookup = layers.IntegerLookup()
    lookup.adapt(np.array([3, 7, 7, 9]))
    steps = [layers.Embedding(8, 3), layers.Flatten(), layers.Dropout(0.3)]
    network = keras.Sequential(
        [keras.Input((1,), dtype="int64"), lookup, *steps, layers.Dense(2, "softmax")]
    )
    classifier = MCDropoutClassifier.from_keras(network, n_samples=0)
    expected = network.predict(ids, verbose=0)
    for copied in (classifier, pickle.loads(pickle.dumps(classifier))):
        assert_allclose(copied.predict_proba(ids), expected, atol=1e-6)


def test_words_are_left_to_a_step_before():
    lookup = layers.StringLookup(vocabulary=["good", "bad"])
    steps = [lookup, layers.Embedding(4, 3), layers.Flatten(), layers.Dropout(0.3)]
    network = keras.Sequential(
        [keras.Input((1,), dtype="string"), *steps, layers.Dense(2, "softmax")]
    )
    with pytest.raises(ValueError, match=r"must take numbers.*make_pipeline\("):
        MCDropoutClassifier.from_keras(network)


AUGMENTATIONS = [
    ("RandomGrayscale", {"factor": 0.5}),
    ("RandomHue", {"factor": 0.3}),
    ("RandomSaturation", {"factor": 0.3}),
    ("RandomSharpness", {"factor": 0.3}),
    ("RandomPosterization", {"factor": 4}),
    ("MixUp", {}),
    ("Equalization", {}),
    ("RandomFlip", {}),
    ("RandomErasing", {}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), AUGMENTATIONS)
def test_augmentation_rests_when_predicting(name, options):
    if not hasattr(layers, name):
        pytest.skip(f"this Keras has no {name}")
    layer = getattr(layers, name)(**options)
    network = in_line(layer, layers.Flatten(), layers.Dropout(0.3), shape=(12, 12, 3))
    images = np.random.RandomState(0).uniform(0, 255, (3, 12, 12, 3)).astype("float32")
    network.set_weights([w / 300 for w in network.get_weights()])
    assert_rests_as_keras(network, images)


@pytest.mark.slow
def test_a_network_built_by_its_first_batch_takes_any_number_of_rows():
    network = keras.Sequential(
        [
            layers.Dense(9, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(3, "softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(X, Y, batch_size=4, verbose=0)
    assert_rests_as_keras(network, X)


@pytest.mark.slow
@pytest.mark.parametrize("length", [40, 120])
def test_long_sequences_of_any_length(length):
    def text(meta=None):
        steps = [layers.Conv1D(8, 7, strides=3, activation="relu") for _ in range(2)]
        return keras.Sequential(
            [
                keras.Input((None,), dtype="int32"),
                layers.Embedding(200, 8),
                *steps,
                layers.GlobalMaxPooling1D(),
                layers.Dropout(0.5),
                layers.Dense(3, activation="softmax"),
            ]
        )

    network, rows = text(), np.random.RandomState(0).randint(1, 200, (12, length))
    assert_rests_as_keras(network, rows)
    MCDropoutClassifier(model=text, epochs=1).fit(rows, Y).predict_proba(rows)


@pytest.mark.slow
def test_rows_too_short_for_a_convolution_are_refused():
    """TensorFlow raises, or gives numbers that mean nothing, as the processor is."""
    network = keras.Sequential(
        [
            keras.Input((None, 2)),
            layers.Conv1D(4, 7, strides=3),
            layers.Conv1D(4, 7, strides=3),
            layers.GlobalMaxPooling1D(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )
    classifier = MCDropoutClassifier.from_keras(network, random_state=0)
    with pytest.raises(ValueError, match=r"large enough.* Got rows of shape \(16, 2\)"):
        classifier.predict(np.zeros((5, 16, 2)))
    assert classifier.predict(np.zeros((5, 40, 2))).shape == (5,)


class WithoutConfig(layers.Layer):
    def __init__(self, array):
        super().__init__()
        self.array = array

    def call(self, x):
        return x * self.array


def without_config(meta, scale=1.0):
    return in_line(WithoutConfig(scale), layers.Dense(5), layers.Dropout(0.3))


@pytest.mark.slow
def test_a_function_is_called_again_where_there_is_no_configuration():
    classifier = MCDropoutClassifier(
        model=without_config, model__scale=3.0, epochs=2, random_state=0
    ).fit(X, Y)
    expected = classifier.set_params(n_samples=0).predict_proba(X)
    assert_allclose(classifier.model_(X), expected, atol=1e-6)
    copied = pickle.loads(pickle.dumps(classifier))
    assert_array_equal(copied.predict_proba(X), expected)
    assert_array_equal(copied.partial_fit(X, Y).classes_, classifier.classes_)


class ZeroGate(layers.Layer):
    """What is wrong behind it shows once it has been trained."""

    def build(self, shape):
        self.gate = self.add_weight(shape=(), initializer="zeros")

    def call(self, x):
        return x + self.gate * (x - ops.mean(x, axis=0))


def test_what_counts_for_nothing_before_training_is_tried_too():
    model = in_line(layers.Dense(5), ZeroGate(name="gate"), layers.Dropout(0.3))
    with pytest.raises(ValueError, match="'gate' gives depends on the other rows"):
        MCDropoutClassifier.from_keras(model)


class LaterDropout(layers.Dropout):
    """Of a Keras to come, by its module: drops by another law."""

    def call(self, inputs, training=False):
        return super().call(inputs, training=training) ** 2


def test_a_layer_of_a_later_keras_is_not_trusted_for_its_name(monkeypatch):
    monkeypatch.setattr(LaterDropout, "__module__", "keras.src.layers.later")
    with pytest.raises(ValueError, match="must do what the layer of Keras"):
        MCDropoutClassifier.from_keras(in_line(LaterDropout(0.3)))


def mean_square(y_true, y_pred):
    return ops.mean(y_pred**2, axis=-1)


def test_metrics_may_hold_a_function_of_the_users():
    def build(meta=None):
        network = in_line(layers.Dense(5), layers.Dropout(0.2))
        metric = keras.metrics.MeanMetricWrapper(mean_square, name="square")
        network.compile(
            "sgd",
            "sparse_categorical_crossentropy",
            metrics=[metric],
        )
        return network

    classifier = MCDropoutClassifier(model=build, epochs=1).fit(X, Y)
    assert classifier.history_["square"][0] > 0


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_history_holds_the_metrics_of_a_compiled_model(weighted):
    def build(meta=None):
        network = in_line(layers.Dense(5, kernel_initializer="ones"))
        network.set_weights(
            [np.sin(np.arange(w.size)).reshape(w.shape) for w in network.get_weights()]
        )
        top = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")
        given = {"weighted_metrics" if weighted else "metrics": ["accuracy", top]}
        network.compile("sgd", "sparse_categorical_crossentropy", **given)
        return network

    weights = np.arange(12) % 4 + 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # nothing to sample
        classifier = MCDropoutClassifier(model=build, epochs=3, batch_size=12).fit(
            X, Y, weights
        )
    by_keras = build().fit(
        X, Y, sample_weight=weights / weights.mean(), epochs=3, batch_size=12, verbose=0
    )
    for name, values in by_keras.history.items():
        assert_allclose(classifier.history_[name], values, rtol=1e-5)
    assert len(by_keras.history) == 3


def test_the_trial_of_an_ordinary_network_is_short(monkeypatch):
    """A bound that only a mistake of kind can break: a few times what it needs."""
    calls, call = [], layers.Dense.call

    def counted(self, inputs, training=None):
        calls.append(1)
        return call(self, inputs, training)

    monkeypatch.setattr(layers.Dense, "call", counted)
    steps = [layers.Dense(30, "relu"), layers.Dropout(0.3), layers.Dense(9)]
    MCDropoutClassifier.from_keras(in_line(*steps))
    assert len(calls) < 100

"""`from_keras`: a trained Keras model becomes a fitted classifier."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import layers
from keras_networks import NETWORKS, with_weights
from lanes import fast
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.utils.fixes import parse_version
from sklearn.utils.validation import check_is_fitted

from skmcdropout import MCDropoutClassifier


@pytest.fixture(scope="module")
def trained(digits):
    X, y = digits
    first, last = (keras.initializers.GlorotUniform(seed) for seed in (1, 2))
    network = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(50, activation="relu", kernel_initializer=first),
            layers.Dropout(0.3, seed=3),
            layers.Dense(10, activation="softmax", kernel_initializer=last),
        ]
    )
    network.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    network.fit(X[:1000], y[:1000], epochs=4, shuffle=False, verbose=0)
    return network


def test_it_is_fitted_without_fitting(trained, digits):
    X, y = digits
    classifier = MCDropoutClassifier.from_keras(trained, n_samples=30, random_state=0)
    check_is_fitted(classifier)
    assert classifier.n_samples == 30
    assert classifier.classes_.tolist() == list(range(10))
    assert classifier.n_features_in_ == 64
    assert classifier.history_ == {}
    assert classifier.n_iter_ == 0
    assert classifier.score(X[1000:], y[1000:]) > 0.85
    assert_allclose(
        classifier.set_params(n_samples=0).predict_proba(X),
        trained(X),
        atol=1e-6,
    )


def test_the_model_is_copied(trained, digits):
    X, _ = digits
    classifier = MCDropoutClassifier.from_keras(trained, random_state=0)
    before, weights = classifier.predict_proba(X), trained.get_weights()
    assert classifier.model_ is not trained
    trained.set_weights([w * 0 for w in weights])
    assert_array_equal(classifier.predict_proba(X), before)
    trained.set_weights(weights)


def test_the_seed_makes_it_repeatable(trained, digits):
    X, _ = digits
    first, again, other = (
        MCDropoutClassifier.from_keras(trained, random_state=seed).predict_proba(X)
        for seed in (0, 0, 1)
    )
    assert_array_equal(first, again)
    assert abs(first - other).max() > 0


@pytest.mark.slow
def test_classes_are_given_in_the_order_of_the_outputs(trained, digits):
    """And come out sorted, columns of probabilities with them."""
    X, y = digits
    names = np.array(list("qwertyuiop"))
    plain = MCDropoutClassifier.from_keras(trained, random_state=0)
    named = MCDropoutClassifier.from_keras(trained, names, random_state=0)
    assert named.classes_.tolist() == sorted(names)
    assert_allclose(
        named.predict_proba(X), plain.predict_proba(X)[:, np.argsort(names)], atol=1e-6
    )
    of_e = plain.sample_proba(X[:5])[..., 2]
    assert_allclose(named.sample_proba(X[:5])[..., 0], of_e, atol=1e-6)
    assert_array_equal(named.predict(X), names[plain.predict(X)])
    measures = ["predictive_entropy", "variation_ratio"]
    assert_allclose(
        named.predict_uncertainty(X, measures),
        plain.predict_uncertainty(X, measures),
        atol=1e-6,
    )
    plain.partial_fit(X, y)
    # in another order of the rows, for labels are a part of what orders them
    named.partial_fit(X, names[y])
    assert_allclose(named.history_["loss"], plain.history_["loss"], rtol=0.1)


@pytest.mark.parametrize(
    "name", fast("one sigmoid", among=["one sigmoid", "one logit of a graph"])
)
def test_a_single_output_is_the_second_class(name):
    network, X = NETWORKS[name]()
    with_weights(network)
    plain = MCDropoutClassifier.from_keras(network, random_state=0)
    named = MCDropoutClassifier.from_keras(network, ["yes", "no"], random_state=0)
    assert plain.classes_.tolist() == [0, 1]
    assert named.classes_.tolist() == ["no", "yes"]
    expected = plain.predict_proba(X)[:, ::-1]
    assert_allclose(named.predict_proba(X), expected, atol=2.4e-7)
    z = network(X).numpy()[:, 0]
    p = z if name == "one sigmoid" else 1 / (1 + np.exp(-z))
    proba = plain.set_params(n_samples=0).predict_proba(X)
    assert_allclose(proba, np.column_stack([1 - p, p]), atol=1e-6)


@pytest.mark.slow
def test_a_softmax_by_operations_and_layers_is_read():
    for last in (keras.ops.softmax, layers.Softmax(), layers.Activation("softmax")):
        x = keras.Input((4,))
        network = keras.Model(x, last(layers.Dense(3)(layers.Dropout(0.2)(x))))
        proba = MCDropoutClassifier.from_keras(network).predict_proba(np.eye(4))
        assert_allclose(proba.sum(axis=1), 1, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [(0.5, 0.4, 0.4), (-0.2, 0.6, 0.6)], ids=str)
def test_outputs_that_are_no_probabilities_are_refused(outputs):
    """Either their sum is not 1, or one is negative."""
    x = keras.Input((4,))
    last = layers.Dense(3, kernel_initializer="zeros")
    network = keras.Model(x, layers.Reshape((3,))(last(layers.Dropout(0.2)(x))))
    last.bias.assign(outputs)
    classifier = MCDropoutClassifier.from_keras(network, from_logits=False)
    with pytest.raises(ValueError, match=r"outputs must be probabilities.*sums from"):
        classifier.predict_proba(np.eye(4))


@pytest.mark.slow
def test_what_the_last_layer_does_not_say_must_be_said():
    x = keras.Input((4,))
    z = layers.Dense(3)(layers.Dropout(0.2)(x))
    network = keras.Model(x, layers.Reshape((3,))(z))
    with pytest.raises(ValueError, match="from_logits must be True or False"):
        MCDropoutClassifier.from_keras(network)
    proba = MCDropoutClassifier.from_keras(network, from_logits=True).predict_proba(
        np.eye(4)
    )
    assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    wrong = MCDropoutClassifier.from_keras(network, from_logits=False)
    with pytest.raises(ValueError, match=r"outputs must be probabilities.*sums from"):
        wrong.predict_proba(np.eye(4))
    p = keras.Model(x, layers.Reshape((3,))(layers.Softmax()(z)))
    right = MCDropoutClassifier.from_keras(p, from_logits=False)
    assert_allclose(right.predict_proba(np.eye(4)).sum(axis=1), 1, atol=1e-6)


def test_a_loaded_file(trained, digits, tmp_path):
    X, _ = digits
    trained.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    expected = MCDropoutClassifier.from_keras(trained, random_state=0)
    from_file = MCDropoutClassifier.from_keras(loaded, random_state=0)
    assert_array_equal(from_file.predict_proba(X), expected.predict_proba(X))


def test_fine_tuning_starts_from_the_weights_and_fit_does_not(trained, digits):
    X, y = digits
    fresh = clone(MCDropoutClassifier.from_keras(trained, epochs=1, random_state=0))
    assert not hasattr(fresh, "classes_")
    from_scratch = fresh.fit(X[:1000], y[:1000])
    tuned = MCDropoutClassifier.from_keras(trained, random_state=0)
    tuned.partial_fit(X[:1000], y[:1000])
    warm = MCDropoutClassifier.from_keras(
        trained,
        random_state=0,
        epochs=1,
        warm_start=True,
    ).fit(X[:1000], y[:1000])
    assert_array_equal(warm.predict_proba(X), tuned.predict_proba(X))
    assert tuned.history_["loss"][0] < 0.5 * from_scratch.history_["loss"][0]


@pytest.mark.slow
def test_it_goes_where_fitted_classifiers_go(trained, digits):
    X, y = digits
    classifier = MCDropoutClassifier.from_keras(trained, random_state=0)
    calibrated = CalibratedClassifierCV(FrozenEstimator(classifier), cv=2)
    assert calibrated.fit(X, y).score(X, y) > 0.9


@pytest.mark.slow
def test_any_length_of_sequence():
    x = keras.Input((None, 3))
    h = layers.SimpleRNN(4, dropout=0.2, recurrent_dropout=0.2)(x)
    network = keras.Model(x, layers.Dense(2, activation="softmax")(h))
    classifier = MCDropoutClassifier.from_keras(network, random_state=0)
    rng = np.random.RandomState(0)
    for length in (2, 4):
        assert classifier.predict_proba(rng.normal(size=(6, length, 3))).shape == (6, 2)


def test_mixed_precision_is_predicted_in_double():
    policy = keras.DTypePolicy("mixed_bfloat16")
    network = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="relu", dtype=policy),
            layers.Dropout(0.2, dtype=policy),
            layers.Dense(3, activation="softmax", dtype="float32"),
        ]
    )
    proba = MCDropoutClassifier.from_keras(network).predict_proba(np.eye(4))
    assert proba.dtype == np.float64
    assert_allclose(proba.sum(axis=1), 1, atol=1e-6)


def test_weights_set_by_the_user_count(trained, digits):
    X, _ = digits
    classifier = MCDropoutClassifier.from_keras(trained, random_state=0)
    before = classifier.predict_proba(X)
    weights = classifier.model_.get_weights()
    classifier.model_.set_weights([w * 0 for w in weights])
    assert_allclose(classifier.predict_proba(X), 0.1)
    classifier.model_.set_weights(weights)
    assert_array_equal(classifier.predict_proba(X), before)


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_lambda_layer_is_used_but_not_loaded_unasked():
    network = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Lambda(lambda x: 2 * x),
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax"),
        ]
    )
    classifier = MCDropoutClassifier.from_keras(network, n_samples=0)
    assert_allclose(classifier.predict_proba(np.eye(4)), network(np.eye(4)), atol=1e-6)
    loaded = pickle.loads(pickle.dumps(classifier))
    with pytest.raises(ValueError, match=r"(?s)lambda.*enable_unsafe_deserialization"):
        loaded.predict_proba(np.eye(4))


@pytest.mark.slow
def test_an_adapted_normalization_is_kept(digits):
    X, y = digits
    normalize = layers.Normalization()
    normalize.adapt(16 * X + 3)
    steps = [normalize, layers.Dense(20), layers.Dropout(0.2), layers.Dense(10)]
    network = keras.Sequential([keras.Input((64,)), *steps, layers.Softmax()])
    classifier = MCDropoutClassifier.from_keras(network, n_samples=0, random_state=0)
    assert_allclose(classifier.predict_proba(X), network(X), atol=1e-5)
    copied = pickle.loads(pickle.dumps(classifier))
    assert_allclose(copied.predict_proba(X), network(X), atol=1e-5)
    classifier.partial_fit(16 * X + 3, y)
    assert classifier.history_["loss"][0] < 10
    other = layers.Normalization(axis=None, mean=X.mean(), variance=X.var())
    network = keras.Sequential([keras.Input((64,)), other, *steps[1:]])
    MCDropoutClassifier.from_keras(network).partial_fit(X, y)


@pytest.mark.slow
def test_operations_in_line_and_inputs_by_name():
    x = keras.Input((5,))
    h = keras.activations.relu(layers.Dense(8)(x))
    h = keras.ops.reshape(layers.Dropout(0.3)(inputs=h), (-1, 8))
    network = keras.Model(x, layers.Dense(3, activation="softmax")(h))
    classifier = MCDropoutClassifier.from_keras(network, random_state=0)
    assert classifier.predict_uncertainty(np.eye(5), "mutual_information").min() > 0


@pytest.mark.skipif(
    parse_version(keras.__version__) < parse_version("3.10"),
    reason="older Keras can't build such a network again",
)
def test_the_last_activation_is_that_of_the_output():
    x = keras.Input((3,))
    dense = layers.Dense(3)
    network = keras.Model(x, dense(layers.Softmax()(dense(layers.Dropout(0.3)(x)))))
    proba = MCDropoutClassifier.from_keras(network).predict_proba(np.eye(3))
    assert_allclose(proba.sum(axis=1), 1, atol=1e-6)


@keras.saving.register_keras_serializable("tests of from_keras")
class Subclassed(keras.Model):
    """A model whose graph can't be read."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(6, activation="relu")
        self.dropout = layers.Dropout(0.3)
        self.out = layers.Dense(3, activation="softmax")

    def call(self, x, training=None):
        return self.out(self.dropout(self.hidden(x), training=training))


@pytest.mark.slow
def test_a_subclassed_model_is_trained_again_and_stays_frozen():
    network = Subclassed()
    X = np.random.RandomState(0).normal(size=(12, 3)).astype(np.float32)
    network(X)
    network.hidden.trainable = False
    y = np.arange(len(X)) % 3
    classifier = MCDropoutClassifier.from_keras(
        network, from_logits=False, epochs=2, random_state=0
    )
    kernel = network.hidden.kernel.numpy()
    classifier.partial_fit(X, y)
    assert not classifier.model_.hidden.trainable
    assert_array_equal(classifier.model_.hidden.kernel, kernel)
    assert abs(classifier.model_.out.kernel - network.out.kernel).numpy().max() > 0
    assert clone(classifier).fit(X, y).n_iter_ == 2


@pytest.mark.slow
def test_threads_predict_the_same():
    network, X = NETWORKS["multi head attention"]()
    classifier = MCDropoutClassifier.from_keras(with_weights(network), random_state=0)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: classifier.predict_proba(X), range(12)))
    for proba in results:
        assert_array_equal(proba, results[0])


def compiled_with(loss, *last):
    steps = [keras.Input((8,)), layers.Dropout(0.2), *last]
    network = keras.Sequential(steps)
    network.compile("adam", loss)
    return network


LOSSES_OF_OTHER_TASKS = {
    "probabilities for logits": (
        "sparse_categorical_crossentropy", 10, "must have from_logits=True",
    ),
    "one value": ("mse", 1, "as for regression"),
    "several values": ("mae", 3, "as for regression"),
    "several labels a row": (
        keras.losses.BinaryCrossentropy(from_logits=True), 3, "as for several labels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES_OF_OTHER_TASKS)
def test_networks_compiled_for_another_task_are_refused(name):
    loss, n_units, message = LOSSES_OF_OTHER_TASKS[name]
    with pytest.raises(ValueError, match=message):
        MCDropoutClassifier.from_keras(compiled_with(loss, layers.Dense(n_units)))


@pytest.mark.slow
def test_outputs_said_to_be_logits_may_have_any_loss():
    network = compiled_with("mse", layers.Dense(3))
    classifier = MCDropoutClassifier.from_keras(network, from_logits=True, n_samples=0)
    X = np.random.RandomState(0).normal(size=(20, 8)).astype(np.float32)
    expected = keras.ops.softmax(network.predict(X, verbose=0))
    assert_allclose(classifier.predict_proba(X), expected, atol=1e-6)
    classifier.set_params(epochs=1).fit(X, np.arange(20) % 3)


@pytest.mark.slow
def test_networks_adapted_to_other_data_do_not_share_a_trainer():
    """Normalization holds what it adapted to as constants of a compiled step."""
    X = np.random.RandomState(0).normal(size=(60, 4)).astype(np.float32)
    y = np.arange(60) % 3
    losses = []
    for scale in (1, 100):
        normalize = layers.Normalization()
        normalize.adapt(scale * X)
        first, last = (keras.initializers.GlorotUniform(seed) for seed in (1, 2))
        network = keras.Sequential(
            [
                keras.Input((4,)),
                normalize,
                layers.Dense(5, kernel_initializer=first),
                layers.Dropout(0.2),
                layers.Dense(3, activation="softmax", kernel_initializer=last),
            ]
        )
        classifier = MCDropoutClassifier.from_keras(network, random_state=0)
        losses += classifier.partial_fit(scale * X, y).history_["loss"]
    assert_allclose(*losses, rtol=0.1)

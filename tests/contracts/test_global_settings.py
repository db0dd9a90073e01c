"""Global settings change nothing and stay as they are; what is gone leaves nothing."""

import contextlib
import gc

import keras
import numpy as np
import pytest
import sklearn
import tensorflow as tf
from inside import forget_compiled, keep_few_trainers
from numpy.testing import assert_array_equal

from skmcdropout import MCDropoutClassifier


def quick(**params):
    given = {"epochs": 1, "temperature": 1.0, "n_samples": 10, "random_state": 0}
    return MCDropoutClassifier(**{"hidden_layer_sizes": (8,), **given, **params})


@contextlib.contextmanager
def set_in_keras(setting, value):
    before = getattr(keras.config, setting)()
    getattr(keras.config, f"set_{setting}")(value)
    try:
        yield
        now = getattr(keras.config, setting)()
        assert getattr(now, "name", now) == value
    finally:
        getattr(keras.config, f"set_{setting}")(before)


@pytest.fixture(scope="module")
def expected(moons):
    X, y = moons
    return quick(temperature="auto").fit(X, y).partial_fit(X, y).predict_proba(X)


@pytest.mark.parametrize(
    "option",
    [
        {"transform_output": "pandas"},
        {"transform_output": "polars"},
        {"transform_output": "default"},
        {"enable_metadata_routing": True},
        {"assume_finite": True},
        {"skip_parameter_validation": True},
        {"display": "text"},
    ],
    ids=str,
)
def test_options_of_scikit_learn(option, moons, expected):
    X, y = moons
    with sklearn.config_context(**option):
        fitted = quick(temperature="auto").fit(X, y).partial_fit(X, y)
        assert type(fitted.predict_proba(X)) is np.ndarray
        assert_array_equal(fitted.predict_proba(X), expected)


def test_callbacks_see_the_options_of_the_user(moons):
    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(sklearn.get_config()["transform_output"])

    seen = []
    with sklearn.config_context(transform_output="pandas"):
        quick(epochs=2, callbacks=Watch()).fit(*moons)
    assert seen == ["pandas", "pandas"]


@contextlib.contextmanager
def all_set_in_keras(**values):
    with contextlib.ExitStack() as stack:
        for setting, value in values.items():
            stack.enter_context(set_in_keras(setting, value))
        yield


SETTINGS = [
    {
        "floatx": "float64",
        "dtype_policy": "float64",
        "image_data_format": "channels_first",
    },
    {"floatx": "float16", "dtype_policy": "mixed_float16"},
    {"floatx": "bfloat16", "dtype_policy": "float64"},
]
PARAMETERS = {
    "plain": {},
    "max_norm": {"optimizer": "sgd", "max_norm": 1.0, "dropout_position": "all"},
    "early stopping": {"early_stopping": True, "activation": "gelu"},
    "initializer": {
        "kernel_initializer": keras.initializers.VarianceScaling(),
        "batch_normalization": False,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_settings_of_keras_do_not_change_a_perceptron(name, moons):
    X, y = moons

    def drawn():
        classifier = quick(**PARAMETERS[name])
        return classifier.fit(X, y).partial_fit(X, y).sample_proba(X)

    expected = drawn()
    for values in SETTINGS:
        forget_compiled()
        with all_set_in_keras(**values):
            assert_array_equal(drawn(), expected)
    assert_array_equal(drawn(), expected)  # by what was compiled meanwhile


def of_float64(meta):
    inputs = keras.Input((2,))
    h = keras.layers.Dense(8, activation="relu", kernel_regularizer="l2")(inputs)
    h = keras.layers.Dropout(0.3)(h) + h
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(h))


@pytest.mark.slow
def test_a_network_in_double_precision_is_trained_and_drawn_from(moons):
    X, y = moons
    with set_in_keras("dtype_policy", "float64"):
        fitted = MCDropoutClassifier(model=of_float64, epochs=1, n_samples=0)
        fitted.fit(X, y)
        assert {weight.dtype for weight in fitted.model_.get_weights()} == {
            np.dtype(np.float64)
        }
        expected = fitted.model_.predict(X.astype(np.float32), verbose=0)
    np.testing.assert_allclose(fitted.predict_proba(X), expected, atol=1e-6)
    fitted.partial_fit(X, y)  # under other settings than it was built with


def n_graphs():
    gc.collect()
    return sum(isinstance(thing, tf.Graph) for thing in gc.get_objects())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["callbacks", "another momentum"])
def test_graphs_of_trainers_that_are_gone_are_gone(kind, moons, monkeypatch):
    """Each holds some 3 MB."""
    keep_few_trainers(monkeypatch, 1)

    def fit(i):
        parameters = {"optimizer": keras.optimizers.SGD(momentum=0.1 * i)}
        if kind == "callbacks":  # trainers that users have seen are not kept
            parameters = {"optimizer": "sgd", "callbacks": keras.callbacks.Callback()}
        quick(**parameters).fit(*moons)

    counts = []
    for i in range(4):
        fit(i)
        counts.append(n_graphs())
    assert counts[0] > 0
    assert counts[3] <= counts[1] + 2

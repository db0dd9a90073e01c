"""Global settings of scikit-learn and Keras change nothing and stay as they are."""

import contextlib
import gc

import keras
import numpy as np
import pytest
import sklearn
import tensorflow as tf
from numpy.testing import assert_array_equal
from tensorflow.python.eager import context

from skmcdropout import MCDropoutClassifier
from skmcdropout._networks.keras_backend import single_precision
from skmcdropout._utils import kernels


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


@pytest.mark.slow
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
def test_options_of_scikit_learn(option, moons):
    X, y = moons
    quick = MCDropoutClassifier((8,), epochs=2, random_state=0)
    expected = quick.fit(X, y).partial_fit(X, y).predict_proba(X)
    with sklearn.config_context(**option):
        fitted = quick.fit(X, y).partial_fit(X, y)
        assert type(fitted.predict_proba(X)) is np.ndarray
        assert_array_equal(fitted.predict_proba(X), expected)


def test_callbacks_see_the_options_of_the_user(moons):
    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(sklearn.get_config()["transform_output"])

    seen = []
    with sklearn.config_context(transform_output="pandas"):
        MCDropoutClassifier((8,), epochs=2, callbacks=Watch()).fit(*moons)
    assert seen == ["pandas", "pandas"]


SETTINGS = [
    ("floatx", "float64"),
    ("floatx", "float16"),
    ("floatx", "bfloat16"),
    ("dtype_policy", "float64"),
    ("dtype_policy", "mixed_float16"),
    ("image_data_format", "channels_first"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "value"), SETTINGS)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"optimizer": "sgd", "max_norm": 1.0, "dropout_position": "all"},
        {"batch_normalization": True, "early_stopping": True, "activation": "gelu"},
        {"kernel_initializer": keras.initializers.VarianceScaling()},
    ],
    ids=["plain", "max_norm", "batch norm", "initializer"],
)
def test_settings_of_keras_do_not_change_a_perceptron(
    parameters, setting, value, moons
):
    X, y = moons
    # An alpha of its own, for a kind of network that no test has compiled before.
    alpha = 0.01 + 1e-4 * SETTINGS.index((setting, value))
    quick = MCDropoutClassifier(
        (8,), epochs=2, alpha=alpha, random_state=0, **parameters
    )
    with set_in_keras(setting, value):
        seen = quick.fit(X, y).partial_fit(X, y).sample_proba(X)
    assert_array_equal(quick.fit(X, y).partial_fit(X, y).sample_proba(X), seen)


def of_float64(meta):
    inputs = keras.Input((2,))
    h = keras.layers.Dense(8, activation="relu", kernel_regularizer="l2")(inputs)
    h = keras.layers.Dropout(0.3)(h) + h
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(h))


@pytest.mark.slow
def test_a_network_in_double_precision_is_trained_and_drawn_from(moons):
    X, y = moons
    with set_in_keras("dtype_policy", "float64"):
        quick = MCDropoutClassifier(model=of_float64, epochs=2, n_samples=0)
        fitted = quick.fit(X, y)
        assert {weight.dtype for weight in fitted.model_.get_weights()} == {
            np.dtype(np.float64)
        }
        expected = fitted.model_.predict(X.astype(np.float32), verbose=0)
    np.testing.assert_allclose(fitted.predict_proba(X), expected, atol=1e-6)
    fitted.partial_fit(X, y)  # under other settings than it was built with


def test_floatx_is_restored_by_the_last_who_needs_single_precision():
    with set_in_keras("floatx", "float64"):
        first, second = single_precision(), single_precision()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert keras.config.floatx() == "float32"
        second.__exit__(None, None, None)
        assert keras.config.floatx() == "float64"


def n_graphs():
    gc.collect()
    return sum(isinstance(thing, tf.Graph) for thing in gc.get_objects())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["callbacks", "another alpha"])
def test_graphs_of_trainers_that_are_gone_are_gone(kind, moons):
    """Each holds some 3 MB."""

    def fit(i):
        classifier = MCDropoutClassifier((8,), epochs=1, alpha=0.02)
        if kind == "callbacks":
            classifier.set_params(callbacks=keras.callbacks.Callback())
        else:
            classifier.set_params(alpha=0.02 + 1e-4 * i)
        classifier.fit(*moons)

    for i in range(10):  # one more than are kept
        fit(i)
    before = n_graphs()
    for i in range(10, 16):
        fit(i)
    assert n_graphs() <= before + 2


@pytest.mark.slow
def test_kernels_of_what_is_gone_are_let_go_and_the_rest_still_works(
    moons, moons_classifier, monkeypatch
):
    """Each would keep about 1 MB for as long as the process lives."""
    cleared = []
    eager = context.context()
    clear = eager.clear_kernel_cache
    monkeypatch.setattr(kernels, "N_GONE", 3)
    monkeypatch.setattr(
        type(eager), "clear_kernel_cache", lambda self: cleared.append(clear())
    )
    expected = moons_classifier.predict_proba(moons[0])
    for _ in range(8):
        callback = keras.callbacks.Callback()
        MCDropoutClassifier(
            (8,), epochs=1, optimizer="sgd", temperature=1.0, callbacks=callback
        ).fit(*moons)
        gc.collect()
    assert 1 < len(cleared) < 8
    np.testing.assert_array_equal(moons_classifier.predict_proba(moons[0]), expected)

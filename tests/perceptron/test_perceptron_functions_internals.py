"""Activations, initial weights and optimizers in NumPy, against Keras's own."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import ks_2samp

from skmcdropout._parameters import KERNEL_INITIALIZERS
from skmcdropout._perceptron import optimizers
from skmcdropout._perceptron.activations import ACTIVATIONS
from skmcdropout._perceptron.initializers import initial_kernel
from skmcdropout._perceptron.optimizers import (
    described,
    optimizer_for,
    own_learning_rate,
)

NAMES = [
    *("elu", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "linear", "mish"),
    *("relu", "relu6", "selu", "sigmoid", "silu", "softplus", "softsign", "tanh"),
]
KINKS = [0.0, -0.0, 3.0, -3.0, 6.0, -6.0]
# TensorFlow takes what is below 1.2e-38, the smallest normal number, for zero.
TINY = [2e-38, -2e-38, 1e-20, -1e-20, 1e-7, -1e-7]
Z = np.concatenate(
    [np.linspace(-100, 100, 4001), np.linspace(-9, 9, 3001), KINKS, TINY]
).astype(np.float32)

LARGE = np.float32([1e10, -1e10, 1e25, -1e25, 3e38, -3e38])

all_activations = pytest.mark.parametrize("name", NAMES)


def in_numpy(name, z):
    """Values and slopes; `z` is kept back from slopes that do not need it."""
    activation = ACTIVATIONS[name]
    values = activation.apply(z.copy())
    given = z if activation.needs_input else np.full_like(z, np.nan)
    return values, activation.slopes(given, values)


def in_keras(name, z):
    inputs = tf.constant(z)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values = keras.activations.get(name)(inputs)
    return np.asarray(values), np.asarray(tape.gradient(values, inputs))


def test_there_are_fifteen_activations():
    assert sorted(ACTIVATIONS) == NAMES


@all_activations
def test_values_are_those_of_keras(name):
    values, expected = in_numpy(name, Z)[0], in_keras(name, Z)[0]
    assert values.dtype == np.float32
    # Next to -1, the error of erf, half an ulp, is multiplied by z.
    atol = 1.5e-6 if name == "gelu" else 3e-7
    assert_allclose(values, expected, rtol=2e-6, atol=atol)


@all_activations
def test_slopes_are_those_of_tensorflow_also_at_the_kinks(name):
    # Just below zero TensorFlow's selu is 0, and its slope that of the other side.
    z = Z[(Z <= -1e-7) | (Z >= 0)] if name == "selu" else Z
    slopes, expected = in_numpy(name, z)[1], in_keras(name, z)[1]
    # Mish's of TensorFlow are off by 4e-6.
    atol = 1e-5 if name == "mish" else 1e-6
    assert_allclose(slopes, expected, rtol=5e-6, atol=atol)


@all_activations
def test_slopes_are_new_arrays_in_single_precision(name):
    z = Z[:6].copy()
    values = ACTIVATIONS[name].apply(z.copy())
    before = values.copy()
    slopes = ACTIVATIONS[name].slopes(z, values)
    assert slopes.dtype == np.float32
    assert not np.shares_memory(slopes, values)
    assert not np.shares_memory(slopes, z)
    assert_array_equal(values, before)
    assert_array_equal(z, Z[:6])


@all_activations
@pytest.mark.parametrize("shape", [(24,), (2, 3, 4)], ids=str)
def test_arrays_have_any_number_of_axes(name, shape):
    z = np.linspace(-4, 4, 24, dtype=np.float32)[: int(np.prod(shape))]
    expected = in_numpy(name, z)
    for array, flat in zip(in_numpy(name, z.reshape(shape)), expected, strict=True):
        assert np.shape(array) == shape
        assert_allclose(np.ravel(array), flat, rtol=2e-6, atol=3e-7)


@all_activations
def test_no_finite_input_warns(name):
    with warnings.catch_warnings(), np.errstate(all="warn", under="ignore"):
        warnings.simplefilter("error")
        for array in in_numpy(name, np.concatenate([Z, LARGE])):
            assert np.isfinite(array).all()


@all_activations
def test_a_value_that_is_no_number_stays_none(name):
    values, _ = in_numpy(name, np.float32([1, np.nan, -1]))
    assert_array_equal(np.isnan(values), [False, True, False])


SHAPE = (300, 200)


def keras_kernel(name, shape):
    initializer = keras.initializers.get(name)
    config = {**initializer.get_config(), "seed": 7}
    return np.asarray(type(initializer).from_config(config)(shape))


all_initializers = pytest.mark.parametrize("name", sorted(KERNEL_INITIALIZERS))


@all_initializers
@pytest.mark.parametrize("shape", [SHAPE, (200, 300)], ids=str)
def test_kernels_follow_the_law_of_keras(name, shape):
    kernel, expected = initial_kernel(name, shape, 3), keras_kernel(name, shape)
    assert kernel.shape == shape
    assert kernel.dtype == np.float32
    assert ks_2samp(kernel.ravel(), expected.ravel()).pvalue > 0.001
    # Standard errors: std / sqrt(60_000) of the mean, at most .4 % of std of the std.
    assert_allclose(kernel.mean(), 0, atol=5 * expected.std() / 60_000**0.5)
    assert_allclose(kernel.std(), expected.std(), rtol=0.015)


@all_initializers
def test_kernels_have_the_bounds_of_keras(name):
    kernel, expected = initial_kernel(name, SHAPE, 3), keras_kernel(name, SHAPE)
    # The tails of normal laws, cut off nowhere, differ from sample to sample.
    rtol = 0.2 if name in {"random_normal", "orthogonal"} else 0.003
    assert_allclose(np.abs(kernel).max(), np.abs(expected).max(), rtol=rtol)


@all_initializers
def test_a_seed_gives_one_kernel(name):
    kernel = initial_kernel(name, (5, 3), 3)
    assert_array_equal(kernel, initial_kernel(name, (5, 3), 3))
    assert (kernel != initial_kernel(name, (5, 3), 4)).any()


@pytest.mark.parametrize("shape", [(7, 7), (9, 4), (4, 9), (5, 1)], ids=str)
def test_orthogonal_kernels_have_orthonormal_columns_or_else_rows(shape):
    kernel = initial_kernel("orthogonal", shape, 0)
    few = kernel if shape[0] >= shape[1] else kernel.T
    assert kernel.shape == shape
    assert_allclose(few.T @ few, np.eye(min(shape)), atol=1e-6)


def test_orthogonal_kernels_have_entries_of_either_sign_on_their_diagonal():
    """As LAPACK gives it, without the signs of R, most of the first are negative."""
    first = [initial_kernel("orthogonal", (3, 2), seed)[0, 0] for seed in range(400)]
    assert abs(np.sign(first).sum()) < 5 * 400**0.5


def test_an_unknown_initializer_is_an_error():
    with pytest.raises(KeyError, match="zeros"):
        initial_kernel("zeros", (2, 3), 0)


KINDS = {
    "Adam": keras.optimizers.Adam(0.01),
    "Adam, other betas": keras.optimizers.Adam(
        0.02, beta_1=0.5, beta_2=0.8, epsilon=1e-3
    ),
    "Adam, no moments": keras.optimizers.Adam(0.01, beta_1=0.0, beta_2=0.0),
    "AdamW": keras.optimizers.AdamW(0.01),
    "AdamW, much decay": keras.optimizers.AdamW(0.05, weight_decay=0.7, beta_1=0.6),
    "AdamW, no decay": keras.optimizers.AdamW(0.05, weight_decay=0.0),
    "SGD": keras.optimizers.SGD(0.1),
    "SGD, momentum": keras.optimizers.SGD(0.1, momentum=0.9),
    "SGD, Nesterov": keras.optimizers.SGD(0.1, momentum=0.7, nesterov=True),
    "SGD, Nesterov's without momentum": keras.optimizers.SGD(0.1, nesterov=True),
}

all_kinds = pytest.mark.parametrize("kind", KINDS)


def made(given, size):
    known = described(given)
    return optimizer_for(known, size), own_learning_rate(known)


def steps_of(optimizer, vector, gradients, rate):
    for gradient in gradients:
        optimizer.step(vector, gradient, rate)
    return vector


def problem(size=13, n_steps=20):
    """A vector, and gradients of very different sizes."""
    rng = np.random.RandomState(0)
    sizes = 10.0 ** rng.uniform(-4, 2, size)
    gradients = (rng.normal(size=(n_steps, size)) * sizes).astype(np.float32)
    return rng.normal(size=size).astype(np.float32), gradients


@all_kinds
@pytest.mark.parametrize("block", [5, 2**15])
def test_steps_are_those_of_keras(kind, block, monkeypatch):
    monkeypatch.setattr(optimizers, "BLOCK", block)
    vector, gradients = problem()
    variable = keras.Variable(vector)
    reference = type(KINDS[kind]).from_config(KINDS[kind].get_config())
    optimizer, rate = made(KINDS[kind], len(vector))
    for gradient in gradients:
        reference.apply([tf.constant(gradient)], [variable])
        optimizer.step(vector, gradient, rate)
        expected = np.asarray(variable)
        assert_allclose(vector, expected, rtol=5e-6, atol=5e-6)
    assert optimizer.n_steps == len(gradients)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_name_means_the_defaults_of_keras(name):
    vector, gradients = problem()
    variable = keras.Variable(vector)
    reference = keras.optimizers.get(name)
    for gradient in gradients:
        reference.apply([tf.constant(gradient)], [variable])
    optimizer = optimizer_for((name, {}), len(vector))
    steps_of(optimizer, vector, gradients, float(reference.learning_rate.numpy()))
    assert_allclose(vector, np.asarray(variable), rtol=5e-6, atol=5e-6)


@all_kinds
def test_a_state_goes_on_where_it_was_copied(kind):
    start, gradients = problem()
    straight, rate = made(KINDS[kind], len(start))
    expected = steps_of(straight, start.copy(), gradients, rate)
    first, second = (made(KINDS[kind], len(start))[0] for _ in range(2))
    vector = steps_of(first, start.copy(), gradients[:8], rate)
    state = first.state
    steps_of(first, vector.copy(), gradients[8:], rate)  # leaves the copy alone
    second.state = state
    assert second.n_steps == 8
    assert_array_equal(steps_of(second, vector, gradients[8:], rate), expected)


@all_kinds
def test_a_step_changes_the_vector_and_leaves_the_gradient(kind):
    vector, gradients = problem()
    given = gradients.copy()
    optimizer, rate = made(KINDS[kind], len(vector))
    before = vector.copy()
    steps_of(optimizer, vector, gradients[:1], rate)
    assert (vector != before).all()
    assert_array_equal(gradients, given)


class MyAdam(keras.optimizers.Adam):
    pass


Impostor = type("Adam", (keras.optimizers.Adam,), {})


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("adam", "adam"),
        ("Adam", "adam"),
        ("ADAMW", "adamw"),
        ("SGD", "sgd"),
        (keras.optimizers.Adam, "adam"),
        (keras.optimizers.AdamW, "adamw"),
        (keras.optimizers.SGD, "sgd"),
    ],
)
def test_names_and_classes_are_described_without_a_configuration(given, name):
    assert described(given) == (name, {})
    assert own_learning_rate(described(given)) is None


@all_kinds
def test_instances_are_described_with_their_configuration(kind):
    optimizer = KINDS[kind]
    name, config = described(optimizer)
    assert name == type(optimizer).__name__.lower()
    assert config == optimizer.get_config()
    assert described((type(optimizer), optimizer.get_config())) == (name, config)
    assert own_learning_rate((name, config)) == config["learning_rate"]


@pytest.mark.parametrize(
    "given",
    [
        "rmsprop",
        "Keras",
        "",
        None,
        3,
        (),
        ("adam", {}),
        (keras.optimizers.Adam, {}, 1),
        (keras.optimizers.RMSprop, {"learning_rate": 0.1}),
        keras.optimizers.RMSprop,
        keras.optimizers.RMSprop(),
        keras.optimizers.Adamax,
        MyAdam,
        MyAdam(),
        Impostor,
        Impostor(),
        dict,
        *(
            kind(**changes)
            for kind in (
                keras.optimizers.Adam,
                keras.optimizers.AdamW,
                keras.optimizers.SGD,
            )
            for changes in (
                {"clipnorm": 1.0},
                {"clipvalue": 1.0},
                {"global_clipnorm": 1.0},
                {"gradient_accumulation_steps": 2},
                {"loss_scale_factor": 8.0},
                {"use_ema": True},
                {"learning_rate": keras.optimizers.schedules.CosineDecay(0.1, 9)},
            )
        ),
        keras.optimizers.Adam(amsgrad=True),
        keras.optimizers.AdamW(amsgrad=True),
        keras.optimizers.Adam(weight_decay=0.1),
        keras.optimizers.SGD(weight_decay=0.1),
        keras.optimizers.Adam(beta_1=1.0),
        keras.optimizers.Adam(beta_2=1 - 1e-9),
    ],
    ids=lambda given: type(given).__name__,
)
def test_all_else_is_left_to_keras(given):
    assert described(given) is None

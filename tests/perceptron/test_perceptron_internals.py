"""Training on arrays: gradients, dropout, losses and Adam of TensorFlow and Keras."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose
from scipy import sparse

from skmcdropout._keras.build import build_network
from skmcdropout._perceptron.activations import ACTIVATIONS
from skmcdropout._perceptron.architecture import EPSILON
from skmcdropout._perceptron.backpropagation import (
    Backpropagation,
    sampled_outputs,
)
from skmcdropout._perceptron.initializers import initial_kernel
from skmcdropout._perceptron.layers import Dropout, momentum
from skmcdropout._perceptron.outputs import ClassOutputs
from skmcdropout._perceptron.perceptron import Perceptron

RNG = np.random.RandomState(0)
X = RNG.normal(size=(23, 5)).astype(np.float32)
Y = np.arange(23) % 3
FACTORS = RNG.uniform(0.5, 2, size=23).astype(np.float32)


@pytest.fixture(autouse=True)
def same_numbers_in_any_order_of_the_tests():
    RNG.seed(1)


def perceptron(**changes):
    given = {
        "n_features": 5,
        "hidden_layer_sizes": (7, 6),
        "outputs": ClassOutputs.of_perceptron(3),
        "activation": "relu",
        "rates": (0.2, 0.5, None),
        "batch_normalization": False,
        "l2": 0.01,
        "max_norm": None,
    }
    return Perceptron(**{**given, **changes})


def initial_weights(spec):
    def make_kernel(seed, shape):
        return initial_kernel("he_normal", shape, seed)

    return spec.initial_weights(0, make_kernel)


def normalized(values, gamma, beta):
    mean, variance = tf.nn.moments(values, [0])
    scaled = tf.nn.batch_normalization(values, mean, variance, beta, gamma, EPSILON)
    return scaled, mean, variance


def by_tensorflow(spec, weights, masks, X=X):
    """Sum of the losses, gradients and what the normalizations saw, in double."""
    values = [tf.constant(weight, tf.float64) for weight in weights]
    seen = []
    with tf.GradientTape() as tape:
        tape.watch(values)
        given = iter(values)

        def normalize(h):
            gamma, beta, *_ = itertools.islice(given, 4)
            h, mean, variance = normalized(h, gamma, beta)
            seen.extend([mean, variance])
            return h

        h = tf.constant(X, tf.float64)
        penalty = 0.0
        if spec.batch_normalization:
            h = normalize(h)
        for i, mask in enumerate(masks):
            h = h if mask is None else h * mask
            kernel, bias = next(given), next(given)
            penalty += spec.l2 * tf.reduce_sum(kernel**2)
            h = h @ kernel + bias
            if i < len(masks) - 1:
                h = normalize(h) if spec.batch_normalization else h
                h = keras.activations.get(spec.activation)(h)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(Y, h)
        loss = tf.reduce_mean(losses * FACTORS.astype(float)) + penalty
    gradients = tape.gradient(loss, values)
    return float(loss) * len(X), [g for g in gradients if g is not None], seen


@pytest.mark.parametrize("batch_normalization", [False, True])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize(
    "rates", [(None, None, None), (0.2, 0.5, 0.3), (None, 0.4, 0.0)], ids=str
)
def test_gradients_are_those_of_tensorflow(
    activation, batch_normalization, rates, monkeypatch
):
    spec = perceptron(
        activation=activation, batch_normalization=batch_normalization, rates=rates
    )
    weights = [w + RNG.normal(size=w.shape) * 0.1 for w in initial_weights(spec)]
    arrays = Backpropagation(spec, weights)
    arrays.make_room(len(X) + 2)
    used, forward = [], Dropout.forward

    def noted(self, values, bits):
        given = values.copy()
        dropped = forward(self, values, bits)
        used.append(np.where(given != 0, dropped, 0) / np.where(given != 0, given, 1))
        return dropped

    monkeypatch.setattr(Dropout, "forward", noted)
    loss = arrays.differentiate(X, Y, FACTORS, np.random.SFC64(0), n_steps=20)
    masks = []
    for factors, rate in zip(used, rates, strict=True):
        is_kept = factors > 0
        masks.append(is_kept / (1 - rate) if rate else None)
        if rate:
            assert 0 < is_kept.mean() < 1
            assert_allclose(factors[is_kept], 1 / (1 - rate), rtol=1e-5)
    reference = by_tensorflow(spec, weights, masks)
    check_step(arrays, loss, weights, reference, atol=2e-6, rtol=1e-7)


@pytest.mark.parametrize("batch_normalization", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_gradients_of_sparse_rows_are_those_of_tensorflow(batch_normalization, offset):
    spec = perceptron(rates=(None,) * 3, batch_normalization=batch_normalization)
    weights = [w + RNG.normal(size=w.shape) * 0.1 for w in initial_weights(spec)]
    if not batch_normalization:
        offset /= 1000
    rows = np.where(RNG.uniform(size=X.shape) < 0.4, X, 0)
    rows[:, 0] = X[:, 0] + offset  # without zeros
    rows[:, 1] = 0
    rows[:, 2] = offset * (np.arange(len(X)) > 0)  # but one
    rows = rows.astype(np.float32)
    arrays = Backpropagation(spec, weights)
    arrays.make_room(len(X) + 2, is_sparse=True)
    given = sparse.csr_array(rows), Y, FACTORS, np.random.SFC64(0)
    loss = arrays.differentiate(*given, n_steps=20)
    reference = by_tensorflow(spec, weights, [None] * 3, rows)
    check_step(arrays, loss, weights, reference, atol=3e-6, rtol=1e-6)


def check_step(arrays, loss, weights, reference, atol, rtol):
    """Loss, gradient within `atol`, and moving moments, of weights as they were."""
    expected, gradients, seen = reference
    assert_allclose(loss, expected, rtol=1e-5)
    flat = np.concatenate([np.ravel(gradient) for gradient in gradients])
    assert_allclose(arrays.gradient, flat, atol=atol)
    moved, before = (
        _moving(arrays._spec, given) for given in (arrays.weights, weights)
    )
    for now, old, batch in zip(moved, before, seen, strict=True):
        assert_allclose(now, old * 0.7 + batch * 0.3, rtol=rtol, atol=1e-6)


def _moving(spec, weights):
    """Moving means and variances, in order."""
    layout = spec.layout(weights)
    normalizations = [layout.normalization, *(x.normalization for x in layout.layers)]
    return [x for each in normalizations if each for x in (each.mean, each.variance)]


@pytest.mark.parametrize("batch_normalization", [False, True])
def test_sparse_rows_are_evaluated_as_dense_ones(batch_normalization):
    spec = perceptron(rates=(None, 0.5, 0), batch_normalization=batch_normalization)
    weights = [w + RNG.uniform(size=w.shape) for w in initial_weights(spec)]
    dense, other = Backpropagation(spec, weights), Backpropagation(spec, weights)
    other.make_room(5, is_sparse=True)
    rows = sparse.csr_array(X)
    expected = dense.evaluate(X, Y, FACTORS)
    assert_allclose(
        list(other.evaluate(rows, Y, FACTORS).values()), list(expected.values()), 1e-5
    )
    drawn = sampled_outputs(spec, weights, rows, 3, seed=1)
    expected = sampled_outputs(spec, weights, X, 3, seed=1)  # up to some hundred
    assert_allclose(drawn, expected, rtol=2e-6, atol=1e-5)


def test_the_momentum_of_normalization_becomes_the_default_of_keras():
    assert momentum(0) == 0.1
    assert momentum(10**6) == keras.layers.BatchNormalization().momentum


@pytest.mark.parametrize("rate", [1 / 3, 1e-5, 0.99999])
def test_units_are_dropped_at_the_rate_itself(rate):
    """Not at the nearest of 2 ** 16 rates, which is as far as 7.6e-6 from it."""
    n_batches, size = 2000, 20_000
    dropout, bits = Dropout(rate, 200, 100), np.random.SFC64(1)
    ones = np.ones((200, 100), np.float32)
    kept = sum(np.count_nonzero(dropout.forward(ones, bits)) for _ in range(n_batches))
    # units of a batch share a threshold: its part of the variance is of batches alone
    places = rate * 2**16 % 1
    variance = rate * (1 - rate) / size + places * (1 - places) / 2**32
    error = kept / (n_batches * size) - (1 - rate)
    assert abs(error) < 4 * (variance / n_batches) ** 0.5


def test_masks_of_layers_and_batches_are_independent():
    bits = np.random.SFC64(0)
    first, second = Dropout(0.5, 500, 40), Dropout(0.5, 500, 40)
    ones = np.ones((500, 40), np.float32)
    draws = [d.forward(ones, bits).ravel() > 0 for d in (first, second) * 3]
    correlations = np.corrcoef(np.array(draws, float))
    assert np.abs(correlations - np.eye(6)).max() < 4.5 / np.sqrt(500 * 40)


@pytest.mark.parametrize("norm", [0.5, 100.0])
def test_weights_into_a_hidden_unit_are_bounded_as_by_keras(norm):
    spec = perceptron(max_norm=norm)
    weights = [3 * w for w in initial_weights(spec)]
    arrays = Backpropagation(spec, weights)
    arrays.constrain()
    bound = keras.constraints.MaxNorm(norm, axis=0)
    for i, (now, before) in enumerate(zip(arrays.weights, weights, strict=True)):
        is_bounded = before.ndim == 2 and i < 4
        expected = bound(before).numpy() if is_bounded else before
        assert_allclose(now, expected, rtol=1e-5)


def test_evaluation_is_that_of_the_network():
    spec = perceptron(batch_normalization=True)
    weights = [w + RNG.uniform(size=w.shape) for w in initial_weights(spec)]
    network = build_network(spec, 0)
    network.set_weights(weights)
    found = Backpropagation(spec, weights).evaluate(X, Y, FACTORS)
    p = network.predict(X, verbose=0).astype(float)
    weigh = FACTORS / FACTORS.sum()
    assert_allclose(
        found["loss"], -(weigh * np.log(p[np.arange(23), Y])).sum(), rtol=1e-5
    )
    assert_allclose(
        found["accuracy"], (weigh * (p.argmax(axis=1) == Y)).sum(), rtol=1e-6
    )

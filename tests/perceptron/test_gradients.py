"""Steps of training seen from outside: the gradient, and the units that are dropped."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from first_weights import Begins
from numpy.testing import assert_allclose
from scipy import sparse

from skmcdropout import MCDropoutClassifier

RNG = np.random.RandomState(0)
X = RNG.normal(size=(23, 5)).astype(np.float32)
Y = np.arange(23) % 3
WEIGHTS = RNG.uniform(0.5, 2, size=23)
EPSILON = 1e-3  # of batch normalization


@pytest.fixture(autouse=True)
def same_numbers_in_any_order_of_the_tests():
    RNG.seed(1)


def memoryless(learning_rate):
    """Adam whose steps tell the gradient g: -learning_rate * g / (abs(g) + 1)."""
    return keras.optimizers.Adam(learning_rate, beta_1=0.0, beta_2=0.0, epsilon=1.0)


def first_step(X, **parameters):
    """A classifier after one step on all rows, and its weights before."""
    begins = Begins()
    given = {"hidden_layer_sizes": (7, 6), "alpha": 3.0, "temperature": 1.0}
    given |= {"dropout_rate": 0.0, "random_state": 0, "batch_size": 23, "epochs": 1}
    fitted = MCDropoutClassifier(
        **{**given, **parameters}, optimizer=memoryless(1.0), callbacks=begins
    ).fit(X, Y, WEIGHTS)
    return fitted, begins.weights[0]


def gradient(before, after, learning_rate):
    step = (before.astype(float) - after) / learning_rate
    return step / (1 - abs(step))


def by_tensorflow(weights, X, y, masks, factors=1.0, alpha=0.0, activation="tanh"):
    """Mean loss, gradients and what normalizations saw, in double precision.

    Weights are those of batch normalization where there are vectors of four.
    """
    values = [tf.constant(weight, tf.float64) for weight in weights]
    n_layers = len(masks)
    is_normalized = len(weights) > 2 * n_layers
    seen = []
    with tf.GradientTape() as tape:
        tape.watch(values)
        given = iter(values)

        def normalize(h):
            gamma, beta, *_ = itertools.islice(given, 4)
            mean, variance = tf.nn.moments(h, [0])
            seen.extend([mean, variance])
            scale = beta, gamma, EPSILON
            return tf.nn.batch_normalization(h, mean, variance, *scale)

        h = tf.constant(X, tf.float64)
        h = normalize(h) if is_normalized else h
        squares = 0.0
        for i, mask in enumerate(masks):
            kernel, bias = next(given), next(given)
            squares += tf.reduce_sum(kernel**2)
            h = (h if mask is None else h * mask) @ kernel + bias
            if i < n_layers - 1:
                h = normalize(h) if is_normalized else h
                h = keras.activations.get(activation)(h)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, h)
        loss = tf.reduce_mean(losses * factors) + alpha / 2 / len(X) * squares
    return float(loss), tape.gradient(loss, values), seen


def check_first_step(X, tables, atol, **parameters):
    """The step from `tables`, which are `X` in some form, is that of TensorFlow."""
    fitted, before = first_step(tables, **parameters)
    after = fitted.model_.get_weights()
    n_layers = len(fitted.hidden_layer_sizes) + 1
    loss, gradients, seen = by_tensorflow(
        before,
        X,
        Y,
        [None] * n_layers,
        WEIGHTS / WEIGHTS.mean(),
        fitted.alpha,
        fitted.activation,
    )
    assert_allclose(fitted.history_["loss"], [loss], rtol=1e-5)
    moments = iter(seen)
    for old, new, expected in zip(before, after, gradients, strict=True):
        if expected is None:  # a moving mean or variance
            batch = next(moments).numpy()
            assert_allclose(new, 0.1 * old + 0.9 * batch, rtol=1e-6, atol=1e-6)
        else:
            assert_allclose(gradient(old, new, 1.0), expected, atol=atol)


CASES = {
    f"{activation}{', normalized' if is_normalized else ''}": {
        "activation": activation,
        "batch_normalization": is_normalized,
    }
    for activation in ("relu", "tanh", "sigmoid", "linear")
    for is_normalized in (False, True)
}
CASES["many weights"] = {
    "activation": "relu",
    "batch_normalization": True,
    "hidden_layer_sizes": (300, 120),
}


@pytest.mark.parametrize("name", CASES)
def test_a_step_follows_the_gradient_of_tensorflow(name):
    check_first_step(X, X, atol=5e-6, **CASES[name])


@pytest.mark.parametrize("batch_normalization", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_a_step_on_sparse_rows_does_so_too(batch_normalization, offset):
    if not batch_normalization:
        offset /= 1000
    rows = np.where(RNG.uniform(size=X.shape) < 0.4, X, 0)
    rows[:, 0] = X[:, 0] + offset  # without zeros
    rows[:, 1] = 0
    rows[:, 2] = offset * (np.arange(len(X)) > 0)  # but one
    check_first_step(
        rows.astype(np.float32),
        sparse.csr_array(rows.astype(np.float32)),
        atol=1e-5,
        batch_normalization=batch_normalization,
        activation="relu",
    )


N_ROWS, N_OWN, N_HIDDEN, N_EPOCHS = 6, 5, 8, 60
RATES = 0.3, 0.5


@pytest.fixture(scope="module")
def trained_with_dropout():
    """Rows, labels and the weights after each of some epochs of one step.

    Each row has features of its own, which are 0 in all others. So the change of the
    weights of these says which of its units were dropped: what one of its inputs gives,
    or gives to a hidden unit, stays as it was.
    """
    rng = np.random.RandomState(0)
    own = rng.choice([-1.0, 1.0], size=(N_ROWS, N_OWN)) * rng.uniform(0.5, 1)
    X = np.zeros((N_ROWS, N_ROWS, N_OWN), np.float32)
    X[np.arange(N_ROWS), np.arange(N_ROWS)] = own
    X, y, begins = X.reshape(N_ROWS, -1), np.arange(N_ROWS) % 3, Begins()
    MCDropoutClassifier(
        (N_HIDDEN,), "tanh", dropout_position="all", dropout_rate=list(RATES),
        alpha=0.0, batch_normalization=False, optimizer=memoryless(0.01),
        epochs=N_EPOCHS, batch_size=N_ROWS, temperature=1.0, random_state=0,
        callbacks=begins,
    ).fit(X, y)  # fmt: skip
    return X, y, begins.weights


def kept_units(before, after):
    """Which inputs and hidden units of each row a step kept."""
    moved = (before[0] != after[0]).reshape(N_ROWS, N_OWN, N_HIDDEN)
    return moved.any(axis=2), moved.any(axis=1)


def test_a_step_follows_the_gradient_of_the_units_that_it_keeps(trained_with_dropout):
    X, y, weights = trained_with_dropout
    for before, after in itertools.islice(itertools.pairwise(weights), 5):
        inputs, hidden = kept_units(before, after)
        assert inputs.any(axis=1).all()  # or else nothing tells of the hidden units
        of_inputs = np.tile(inputs.ravel(), (N_ROWS, 1)) / (1 - RATES[0])
        masks = [of_inputs, hidden / (1 - RATES[1])]
        _, expected, _ = by_tensorflow(before, X, y, masks)
        for old, new, slopes in zip(before, after, expected, strict=True):
            assert_allclose(gradient(old, new, 0.01), slopes, atol=5e-5)


def test_steps_drop_units_at_their_rates_anew_for_each_row(trained_with_dropout):
    _, _, weights = trained_with_dropout
    steps = [kept_units(*pair) for pair in itertools.pairwise(weights)]
    inputs, hidden = (np.array(kept) for kept in zip(*steps, strict=True))
    told = inputs.any(axis=2)
    for kept, rate in ((inputs, RATES[0]), (hidden[told], RATES[1])):
        deviation = np.sqrt(rate * (1 - rate) / kept.size)
        assert abs((~kept).mean() - rate) < 4.5 * deviation
    entries = np.hstack([inputs.reshape(N_EPOCHS, -1), hidden.reshape(N_EPOCHS, -1)])
    correlations = np.corrcoef(entries, rowvar=False)
    of_pairs = correlations[np.triu_indices_from(correlations, 1)]
    assert abs(of_pairs.mean()) < 0.02
    assert_allclose(of_pairs.std(), 1 / np.sqrt(N_EPOCHS), rtol=0.2)
    assert abs(of_pairs).max() < 0.8  # no two units share their fate

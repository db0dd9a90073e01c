"""Losses on arrays, early stopping, and what "auto" makes of a number of rows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose
from scipy.stats import norm

from skmcdropout._fit.parameters import OF_CLASSES, OF_TARGETS, batch_size, n_epochs
from skmcdropout._keras.losses import CommonVarianceLoss, GaussianLoss
from skmcdropout._keras.outputs import in_graphs
from skmcdropout._keras.process import IdlePool
from skmcdropout._perceptron.epochs import EarlyStopping
from skmcdropout._perceptron.losses import LOSSES
from skmcdropout._perceptron.outputs import ClassOutputs, TargetOutputs
from skmcdropout._perceptron.values import LARGEST_LOG_VARIANCE, LEAST_LOG_VARIANCE

RNG = np.random.RandomState(0)
N_ROWS = 9
TARGETS = RNG.normal(size=(N_ROWS, 2)).astype(np.float32)
CASES = {
    "classes": (ClassOutputs.of_perceptron(4), np.arange(N_ROWS) % 4),
    "means": (TargetOutputs.standard(2, None), TARGETS),
    "means and log-variances": (TargetOutputs.standard(2, "log_variance"), TARGETS),
}


@pytest.fixture(autouse=True)
def same_numbers_in_any_order_of_the_tests():
    RNG.seed(1)


def by_keras(outputs, y, units, factors):
    """Sum of the losses and derivatives of their weighted mean."""
    graph = in_graphs(outputs)
    loss = graph.default_loss()
    x = tf.constant(units)
    with tf.GradientTape() as tape:
        tape.watch(x)
        activate = keras.activations.get(graph.keras_activation)
        rows = loss.call(tf.constant(y), activate(x))
        mean = tf.reduce_mean(rows * factors)
    return float(mean) * len(y), tape.gradient(mean, x).numpy()


@pytest.mark.parametrize("case", CASES)
def test_values_and_derivatives_are_those_of_keras(case):
    outputs, y = CASES[case]
    units = RNG.normal(size=(N_ROWS, outputs.n_units)).astype(np.float32)
    factors = RNG.uniform(0.5, 2, size=N_ROWS).astype(np.float32)
    expected, slopes = by_keras(outputs, y, units, factors)
    found, ours = LOSSES[outputs.loss](units.copy(), y, factors)
    assert_allclose(found, expected, rtol=1e-5)
    assert_allclose(ours, slopes, atol=1e-6)


def test_the_loss_of_a_common_variance_is_the_least_there_is():
    means = RNG.normal(size=(N_ROWS, 2)).astype(np.float32)
    found = float(np.mean(CommonVarianceLoss().call(TARGETS, means)))
    std = np.sqrt(np.mean((TARGETS - means) ** 2, axis=0))
    for factor in (0.9, 1.0, 1.1):
        log_density = norm(means, factor * std).logpdf(TARGETS).sum(axis=1).mean()
        assert found <= -log_density + 1e-6
    assert_allclose(found, -norm(means, std).logpdf(TARGETS).sum(axis=1).mean(), 1e-5)


@pytest.mark.parametrize("spread", ["log_variance", "std"])
def test_the_gaussian_loss_is_minus_the_log_density(spread):
    means, stds = RNG.normal(size=(N_ROWS, 2)), RNG.uniform(0.5, 2, size=(N_ROWS, 2))
    given = stds if spread == "std" else 2 * np.log(stds)
    units = np.hstack([means, given]).astype(np.float32)
    found = GaussianLoss(spread).call(TARGETS, units)
    expected = -norm(means, stds).logpdf(TARGETS).sum(axis=1)
    assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_log_variance_that_went_too_far_can_come_back(sign):
    """Its derivative is that of the bound, not zero."""
    outputs, y = CASES["means and log-variances"]
    units = np.zeros((N_ROWS, 4), np.float32)
    units[:, 2:] = sign * 1e3
    factors = np.ones(N_ROWS, np.float32)
    _, expected = by_keras(outputs, y, units, factors)
    loss, slopes = LOSSES["gaussian"](units.copy(), y, factors)
    assert np.isfinite(loss)
    assert_allclose(slopes, expected, rtol=1e-5)
    assert (sign * slopes[:, 2:] > 0).all()
    values = in_graphs(outputs).values(tf.constant(units)).numpy()[:, 2:]
    bound = {-1: LEAST_LOG_VARIANCE, 1: LARGEST_LOG_VARIANCE}[sign]
    assert_allclose(values, np.exp(bound), rtol=1e-5)


@pytest.mark.parametrize(
    ("n_rows", "of_classes", "of_targets"),
    [(10, 64, 32), (1600, 64, 50), (2048, 64, 64), (6400, 200, 200), (10**6, 256, 256)],
)
def test_batches_follow_the_size_of_the_table(n_rows, of_classes, of_targets):
    assert batch_size("auto", n_rows, OF_CLASSES) == of_classes
    assert batch_size("auto", n_rows, OF_TARGETS) == of_targets
    assert batch_size(7, n_rows, OF_CLASSES) == 7


@pytest.mark.parametrize(
    ("n_rows", "of_classes", "of_targets"),
    [(0, 50, 300), (2500, 50, 200), (10_000, 50, 100), (40_000, 25, 50), (10**9, 1, 1)],
)
def test_epochs_follow_the_size_of_the_table(n_rows, of_classes, of_targets):
    assert n_epochs("auto", n_rows, OF_CLASSES) == of_classes
    assert n_epochs("auto", n_rows, OF_TARGETS) == of_targets
    assert n_epochs(7, n_rows, OF_TARGETS) == 7


class FakeTrainer:
    """Weights that are the number of the epoch."""

    stops = False

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights


def stopped_at(losses, patience=2):
    """Epoch that training stops after, and the epoch whose weights are restored."""
    trainer = FakeTrainer()
    stopper = EarlyStopping(trainer, patience)
    for epoch, (validation, training) in enumerate(losses):
        trainer.set_weights(epoch)
        stopper.on_epoch_end(epoch, {"val_loss": validation, "loss": training})
        if trainer.stops:
            break
    stopper.on_train_end({})
    return epoch, trainer.weights


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([(3, 1), (2, 2), (4, 0), (4, 0), (1, 1)], (3, 1)),
        ([(3, 3), (2, 2), (1, 1)], (2, 2)),
        ([(0, 3), (0, 2), (0, 1), (0, 1), (0, 1)], (4, 2)),
        ([(0, 3), (5e-5, 2), (9e-5, 1), (2e-4, 0), (2e-4, 0)], (4, 2)),
        ([(1, 3), (1, 4), (1 - 2e-4, 5), (1, 1), (1, 1)], (4, 2)),
        ([(np.nan, 3), (1, 2), (1, 2), (1, 2)], (3, 1)),
    ],
    ids=["worse", "better", "ties", "drift", "a little better", "nan"],
)
def test_early_stopping_lets_the_training_loss_decide_between_equals(losses, expected):
    assert stopped_at(losses) == expected


def test_objects_of_eight_kinds_are_kept_the_last_ones():
    pool = IdlePool()
    for kind in [0, 1, 2, 3, 4, 5, 6, 7, 0, 8]:
        pool.release(kind, f"of kind {kind}")
    assert pool.acquire(1) is None
    assert [pool.acquire(kind) for kind in (0, 0, 0)] == [*["of kind 0"] * 2, None]
    assert [pool.acquire(kind) for kind in range(2, 9)] == [
        f"of kind {kind}" for kind in range(2, 9)
    ]

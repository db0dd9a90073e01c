"""Losses on arrays: values and derivatives of Keras's, and of the formulas."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose
from scipy.stats import norm

from skmcdropout._networks.class_outputs import ClassOutputs
from skmcdropout._networks.losses import (
    LARGEST_LOG_VARIANCE,
    LEAST_LOG_VARIANCE,
    CommonVarianceLoss,
    GaussianLoss,
)
from skmcdropout._networks.target_outputs import TargetOutputs
from skmcdropout._training.array_losses import LOSSES

RNG = np.random.RandomState(0)
N_ROWS = 9
TARGETS = RNG.normal(size=(N_ROWS, 2)).astype(np.float32)
CASES = {
    "classes": (ClassOutputs.of_perceptron(4), np.arange(N_ROWS) % 4),
    "means": (TargetOutputs.standard(2, None), TARGETS),
    "means and log-variances": (TargetOutputs.standard(2, "log_variance"), TARGETS),
}


def by_keras(outputs, y, units, factors):
    """Sum of the losses and derivatives of their weighted mean."""
    loss = outputs.default_loss()
    x = tf.constant(units)
    with tf.GradientTape() as tape:
        tape.watch(x)
        activate = keras.activations.get(outputs.keras_activation)
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
    values = outputs.values(tf.constant(units)).numpy()[:, 2:]
    bound = {-1: LEAST_LOG_VARIANCE, 1: LARGEST_LOG_VARIANCE}[sign]
    assert_allclose(values, np.exp(bound), rtol=1e-5)

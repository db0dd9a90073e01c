"""What the outputs of a trained regression network are, where nobody says so."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from numpy.testing import assert_allclose

from skmcdropout import MCDropoutRegressor

X = np.random.RandomState(0).normal(size=(30, 4)).astype(np.float32)


def trained(n_units, loss=None, activation=None):
    network = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(n_units, activation=activation),
        ]
    )
    if loss is not None:
        network.compile("adam", loss)
    return network


def halves(p):
    n_targets = p.shape[1] // 2
    return p[:, :n_targets], p[:, n_targets:]


def of_log_variances(y, p):
    means, logs = halves(p)
    y = ops.reshape(y, (-1, p.shape[1] // 2))
    return ops.mean(0.5 * (logs + ops.square(y - means) * ops.exp(-logs)), axis=-1)


def of_standard_deviations(y, p):
    means, stds = halves(p)
    y = ops.reshape(y, (-1, p.shape[1] // 2))
    terms = ops.log(stds) + 0.5 * ops.square((y - means) / stds) + 0.9189385
    return ops.sum(terms, axis=-1)


def of_softplus(y, p):
    means, raw = halves(p)
    stds = ops.softplus(raw)
    return (ops.log(stds) + 0.5 * ops.square((y - means) / stds))[:, 0]


def powers(y, p):
    return ops.mean(ops.abs(y - p) ** 1.5, axis=-1)


@pytest.mark.parametrize(
    ("n_units", "loss"),
    [
        (1, None),
        (2, None),
        (3, "mse"),
        (2, "mae"),
        (2, keras.losses.Huber(delta=3.0)),
        (4, "mape"),
        (2, powers),
        (2, lambda y, p: ops.mean(ops.maximum(0.9 * (y - p), -0.1 * (y - p)), -1)),
    ],
)
def test_each_output_is_a_target(n_units, loss):
    network = trained(n_units, loss)
    reg = MCDropoutRegressor.from_keras(network, n_samples=0, random_state=0)
    assert reg.noise == "constant"
    expected = network(X)[:, 0] if n_units == 1 else network(X)
    assert_allclose(reg.predict(X), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("n_units", "loss", "said"),
    [
        (2, of_log_variances, {}),
        (4, of_log_variances, {}),
        (2, None, {"noise": "varying"}),
        (2, None, {"spread": "log_variance"}),
        (4, powers, {"spread": "log_variance"}),
    ],
)
def test_half_of_them_are_log_variances_where_that_is_said(n_units, loss, said):
    network = trained(n_units, loss)
    reg = MCDropoutRegressor.from_keras(network, n_samples=0, **said)
    assert reg.noise == "varying"
    means, logs = np.split(np.asarray(network(X)), 2, axis=1)
    mean, std = reg.predict(X, return_std=True)
    assert_allclose(mean.reshape(means.shape), means, rtol=1e-5, atol=1e-5)
    assert_allclose(std.reshape(means.shape), np.exp(logs / 2), rtol=1e-4)


def test_standard_deviations_are_known_by_their_likelihood():
    network = trained(2, of_standard_deviations, "softplus")
    reg = MCDropoutRegressor.from_keras(network, n_samples=0)
    _, std = reg.predict(X, return_std=True)
    assert_allclose(std, network(X)[:, 1], rtol=1e-4)


def test_log_variances_of_large_units_are_as_large_as_said():
    network = trained(2)
    network.layers[-1].kernel.assign(np.zeros((8, 2)))
    network.layers[-1].bias.assign([1e6, 20.0])
    reg = MCDropoutRegressor.from_keras(network, spread="log_variance")
    mean, std = reg.predict(X[:1], return_std=True)
    assert_allclose([mean[0], std[0]], [1e6, np.exp(10)], rtol=1e-5)


@pytest.mark.parametrize(
    ("network", "said", "message"),
    [
        (trained(2, of_softplus), {}, "noise must be said.*loss 'of_softplus'"),
        (trained(2, "mse"), {"noise": "varying"}, "likelihood.*say noise='constant'"),
        (trained(3), {"noise": "varying"}, "2 outputs.*say noise='constant'"),
        (trained(3), {"spread": "std"}, "2 outputs.*say noise='constant'"),
        (trained(2), {"noise": "constant", "spread": "std"}, "spread must be None"),
        (trained(2), {"spread": "deviation"}, "spread must be one of"),
        (trained(2), {"dropout_rate": 0.5}, "dropout_rate must be left alone"),
    ],
)
def test_what_is_not_known_or_is_another_thing_is_refused(network, said, message):
    with pytest.raises(ValueError, match=message):
        MCDropoutRegressor.from_keras(network, **said)

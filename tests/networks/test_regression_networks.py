"""Users' networks as regressors: functions of `model`, and trained ones."""

import pickle

import keras
import numpy as np
import pytest
from lanes import fast
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import make_friedman1

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor

layers = keras.layers
X, Y = make_friedman1(150, noise=1.0, random_state=0)
X = X.astype(np.float32)
TWO = np.column_stack([Y, 100 - 3 * Y])


def branched(meta, dropout_rate=0.2, activation="linear", compile_kwargs=None):
    """Not a chain: drawn from by the general engine."""
    x = keras.Input((meta["n_features_in_"],))
    h = layers.Dense(20, activation="relu")(x)
    h = h + layers.Dropout(dropout_rate)(h)
    return keras.Model(
        x, layers.Dense(meta["n_outputs_expected_"], activation=activation)(h)
    )


def sequential(meta, dropout_rate=0.2):
    return keras.Sequential(
        [
            layers.Dense(20, activation="relu"),
            layers.Dropout(dropout_rate),
            layers.Dense(meta["n_outputs_expected_"]),
        ]
    )


def trained(n_units, activation=None):
    network = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(20, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(n_units, activation=activation),
        ]
    )
    network.layers[-1].bias.assign(np.linspace(1, 3, n_units))
    return network


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "noise"),
    [(branched, "constant"), (branched, "varying"), (sequential, "varying")],
)
def test_a_function_builds_it(model, noise):
    reg = MCDropoutRegressor(
        model=model, noise=noise, dropout_rate=0.1, epochs=30, learning_rate=0.01,
        random_state=0,
    ).fit(X, TWO)  # fmt: skip
    assert reg.score(X, TWO) > 0.4
    mean, std = reg.predict(X, return_std=True)
    assert mean.shape == std.shape == (150, 2)
    loaded = pickle.loads(pickle.dumps(reg))
    assert_allclose(loaded.predict(X, return_std=True), (mean, std), rtol=1e-6)
    # the network itself is trained on standard units
    outputs = np.asarray(reg.model_(X))
    rest = reg.set_params(n_samples=0).predict(X)
    in_units = reg.target_mean_ + reg.target_scale_ * outputs[:, :2]
    assert_allclose(rest, in_units, rtol=1e-4)
    low, high = np.moveaxis(reg.predict_interval(X, 0.99), -1, 0)
    assert ((low < TWO) & (high > TWO)).mean() > 0.9


@pytest.mark.slow
def test_draws_are_those_of_keras():
    reg = MCDropoutRegressor(
        model=branched, noise="varying", n_samples=2000, epochs=5, random_state=0
    ).fit(X, Y)
    repeated = np.repeat(X[:4], 20_000, axis=0)
    outputs = np.asarray(reg.model_(repeated, training=True)).reshape(4, 20_000, 2)
    scale = reg.target_scale_[0]
    means = reg.target_mean_[0] + scale * outputs[..., 0]
    assert_allclose(reg.predict(X[:4]), means.mean(axis=1), atol=0.03 * scale)
    epistemic = reg.predict_uncertainty(X[:4], "epistemic_std")
    assert_allclose(epistemic, means.std(axis=1), rtol=0.06)
    aleatoric = reg.predict_uncertainty(X[:4], "aleatoric_std")
    expected = np.exp(outputs[..., 1]).mean(axis=1)
    factors = np.square(aleatoric / scale) / expected  # one for all rows
    assert_allclose(factors, factors.mean(), rtol=0.06)


@pytest.mark.slow
def test_a_loss_of_the_users_is_trained_by():
    def compiled(meta):
        network = sequential(meta)
        network.compile(optimizer=keras.optimizers.Adam(0.01), loss="huber")
        return network

    reg = MCDropoutRegressor(model=compiled, noise="constant", epochs=60)
    assert reg.fit(X, Y).score(X, Y) > 0.4


@pytest.mark.parametrize("noise", fast("varying", among=["constant", "varying"]))
def test_training_goes_on(noise):
    reg = MCDropoutRegressor(model=sequential, noise=noise, epochs=2, random_state=0)
    reg.fit(X, Y).set_params(warm_start=True).fit(X, Y)
    reg.partial_fit(X, Y)
    assert reg.n_iter_ == 5


@pytest.mark.slow
def test_another_call_of_the_function_keeps_the_units():
    reg = MCDropoutRegressor(
        model=sequential, noise="constant", dropout_rate=0.1, epochs=10, random_state=0
    ).fit(X, TWO)
    before = reg.set_params(n_samples=0).predict(X)
    reg.set_params(dropout_rate=0.5, warm_start=True, epochs=1, learning_rate=1e-9)
    reg.fit(X, TWO)
    assert_allclose(reg.set_params(n_samples=0).predict(X), before, rtol=1e-3)


def test_a_trained_network_is_in_the_units_it_was_trained_in():
    network = trained(2)
    reg = MCDropoutRegressor.from_keras(
        network, noise="constant", noise_std=[0.5, 2.0], n_samples=0
    )
    outputs = np.asarray(network(X))
    mean, std = reg.predict(X, return_std=True)
    assert_allclose(mean, outputs, rtol=1e-5, atol=1e-5)  # some are next to 0
    assert_allclose(std, np.broadcast_to([0.5, 2.0], (150, 2)))
    assert_array_equal(reg.noise_std_, [0.5, 2.0])
    assert (reg.set_params(n_samples=50).predict_uncertainty(X) > std).all()
    one = MCDropoutRegressor.from_keras(trained(1), noise="constant", noise_std=3)
    assert one.predict(X).shape == (150,)
    assert one.noise_std_ == 3.0


@pytest.mark.parametrize("spread", ["log_variance", "std"])
def test_a_trained_network_may_say_what_the_noise_is(spread):
    network = trained(4)
    network.layers[-1].kernel.assign(0.1 * np.abs(network.layers[-1].kernel))
    reg = MCDropoutRegressor.from_keras(
        network, noise="varying", spread=spread, n_samples=0
    )
    outputs = np.asarray(network(X))
    mean, std = reg.predict(X, return_std=True)
    assert_allclose(mean, outputs[:, :2], rtol=1e-5, atol=1e-5)
    given = outputs[:, 2:]
    assert_allclose(std, given if spread == "std" else np.exp(given / 2), rtol=1e-4)


def test_without_a_noise_there_is_no_density_but_all_else():
    reg = MCDropoutRegressor.from_keras(trained(1), noise="constant", random_state=0)
    draws = reg.sample_predictions(X)
    expected = np.quantile(draws, [0.25, 0.75], axis=0, method="inverted_cdf").T
    assert_allclose(reg.predict_interval(X, 0.5), expected, rtol=1e-6)
    assert_allclose(reg.predict_uncertainty(X), draws.std(axis=0), rtol=1e-4)
    with pytest.raises(ValueError, match="noise_std must be above 0"):
        reg.predict_log_density(X, Y)


@pytest.mark.slow
def test_a_trained_network_is_fitted_again():
    reg = MCDropoutRegressor.from_keras(
        trained(1), noise="constant", epochs=60, learning_rate=0.02, random_state=0
    )
    assert clone(reg).fit(X, Y).score(X, Y) > 0.4
    before = reg.score(X, Y)
    reg.set_params(learning_rate=0.05)
    for _ in range(20):
        reg.partial_fit(X, Y)
    assert reg.score(X, Y) > max(before, 0.3)


def classifier_loss(meta):
    network = sequential(meta)
    network.compile(loss="binary_crossentropy", optimizer="adam")
    return network


def loss_of_means(meta):
    network = sequential(meta)
    network.compile(loss="mse", optimizer="adam")
    return network


def too_narrow(meta):
    return sequential({**meta, "n_outputs_expected_": 3})


def positive(meta):
    return branched(meta, activation="softplus")


REFUSED = {
    "outputs of another number": ({"model": too_narrow}, r"2 outputs \(mean and log_"),
    "outputs above zero": ({"model": positive}, "activation 'linear'"),
    "a loss of classes": ({"model": classifier_loss}, "loss like a likelihood"),
    "a loss of means alone": ({"model": loss_of_means}, "loss like a likelihood"),
    "alpha beside a model": ({"model": sequential, "alpha": 3.0}, "no meaning beside"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_networks_of_other_outputs_are_refused(case):
    parameters, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        MCDropoutRegressor(noise="varying", epochs=1, **parameters).fit(X, Y)


REFUSED_TRAINED = {
    "an odd number": (3, {"noise": "varying"}, "2 outputs .* for each target"),
    "a noise below zero": (1, {"noise": "constant", "noise_std": -1}, "noise_std must"),
    "noises of other targets": (
        2,
        {"noise": "constant", "noise_std": [1, 2, 3]},
        "one for each of 2 target",
    ),
    "another spread": (2, {"noise": "varying", "spread": "iqr"}, "spread must be"),
}


@pytest.mark.parametrize("case", REFUSED_TRAINED)
def test_trained_networks_of_other_outputs_are_refused(case):
    n_units, parameters, words = REFUSED_TRAINED[case]
    with pytest.raises(ValueError, match=words):
        MCDropoutRegressor.from_keras(trained(n_units), **parameters)


def test_a_negative_standard_deviation_is_refused():
    network = trained(2)
    network.layers[-1].bias.assign([0.0, -50.0])
    reg = MCDropoutRegressor.from_keras(network, noise="varying", spread="std")
    with pytest.raises(ValueError, match="outputs for the noise must be positive"):
        reg.predict(X)


def test_a_trained_classifier_is_refused():
    network = trained(2, activation="softmax")
    network.compile(loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="compiled with a loss like"):
        MCDropoutRegressor.from_keras(network, noise="constant")
    regression = trained(2)
    regression.compile(loss="mse")
    with pytest.raises(ValueError, match="as for regression"):
        MCDropoutClassifier.from_keras(regression)

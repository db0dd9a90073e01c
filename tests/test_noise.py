"""The noise's variance: found by likelihood on rows that were not trained on."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.datasets import make_regression

from skmcdropout import MCDropoutRegressor
from skmcdropout._fitting import fit as fitting
from skmcdropout._fitting import held_out
from skmcdropout._fitting.noise import PRIOR_STD, best_noise_factors

RNG = np.random.RandomState(0)


def draws_and_targets(n_rows, truth, spread=0.3, n_targets=1):
    centre = RNG.normal(size=(1, n_rows, n_targets))
    means = centre + spread * RNG.normal(size=(20, n_rows, n_targets))
    variances = np.exp(RNG.normal(size=means.shape) / 2)
    rows = np.arange(n_rows)
    chosen = RNG.randint(20, size=n_rows)
    std = np.sqrt(truth * variances[chosen, rows])
    return means, variances, means[chosen, rows] + std * RNG.normal(size=std.shape)


def posterior(means, variances, y, weights, factor):
    """Minus its logarithm, written out."""
    density = norm(means[..., 0], np.sqrt(factor * variances[..., 0])).logpdf(y[:, 0])
    shares = weights * weights.sum() / np.square(weights).sum()
    prior = norm(0, PRIOR_STD).logpdf(np.log(factor))
    return -prior - shares @ (logsumexp(density, axis=0) - np.log(20))


@pytest.mark.parametrize("truth", [0.001, 1.0, 30.0])
def test_it_is_that_of_the_targets(truth):
    means, variances, y = draws_and_targets(5000, truth, n_targets=2)
    found = best_noise_factors(means, variances, y, np.ones(5000))
    assert_allclose(found, [truth] * 2, rtol=0.1)


@pytest.mark.parametrize("n_rows", [2, 50])
def test_no_other_is_more_probable(n_rows):
    means, variances, y = draws_and_targets(n_rows, 0.5)
    weights = RNG.uniform(0.5, 2, size=n_rows)
    (found,) = best_noise_factors(means, variances, y, weights)
    lowest = posterior(means, variances, y, weights, found)
    for other in found * np.exp(np.linspace(-3, 3, 200)):
        assert posterior(means, variances, y, weights, other) > lowest - 1e-3


def test_without_rows_of_weight_it_is_what_it_was():
    means, variances, y = draws_and_targets(5, 1.0)
    nothing = np.zeros(5)
    assert best_noise_factors(means, variances, y, nothing) == (1.0,)
    kept = best_noise_factors(means, variances, y, nothing, [0.25])
    assert_allclose(kept, [0.25])


@pytest.mark.parametrize("noise", ["constant", "varying"])
def test_it_is_the_noise_of_the_data_and_not_that_of_the_residuals(noise):
    X, y = make_regression(400, 5, noise=0.0, random_state=0)
    y = y / y.std() + 0.5 * np.random.RandomState(0).normal(size=400)
    reg = MCDropoutRegressor(
        (100,), noise=noise, dropout_rate=0.05, alpha=0.01, epochs=600, random_state=0
    ).fit(X, y)
    residuals = y - reg.predict(X)
    found = reg.predict_uncertainty(X, "aleatoric_std").mean()
    assert residuals.std() < 0.44  # it has learned some of the noise
    assert 0.46 < found < 0.65


def test_noise_that_varies_is_found_where_it_is():
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(1500, 1))
    std = np.where(X[:, 0] > 0, 1.0, 0.1)
    y = np.sin(3 * X[:, 0]) + std * rng.normal(size=1500)
    reg = MCDropoutRegressor(noise="varying", alpha=2.0, random_state=0).fit(X, y)
    low, high = reg.predict_uncertainty([[-0.5], [0.5]], "aleatoric_std")
    assert_allclose([low, high], [0.1, 1.0], rtol=0.3)


@pytest.mark.parametrize(
    ("n_rows", "parameters", "n_networks"),
    [(60, {}, 4), (200, {}, 4), (600, {}, 2), (2500, {}, 1),
     (60, {"early_stopping": True}, 1), (1, {}, 1)],
)  # fmt: skip
def test_networks_are_trained_for_it_where_rows_are_few(
    n_rows, parameters, n_networks, monkeypatch
):
    trained, train = [], fitting.train

    def noted(spec, state, data, *args):
        trained.append(data.rows)
        return train(spec, state, data, *args)

    monkeypatch.setattr(fitting, "train", noted)
    monkeypatch.setattr(held_out, "train", noted)
    X, y = make_regression(n_rows, 5, random_state=0)
    y = np.atleast_1d(y)
    MCDropoutRegressor(epochs=1, **parameters).fit(X, y)
    assert len(trained) == n_networks
    if n_rows < 2000 and not parameters:
        assert_array_equal(np.sort(trained[0]), np.arange(n_rows))
    if n_rows > 2000:
        assert len(trained[0]) == 0.9 * n_rows

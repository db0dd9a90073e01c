"""The noise's variance: found by likelihood on rows that were not trained on."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.datasets import make_regression
from trained_rows import fit_and_find_trained_rows

from skmcdropout import MCDropoutRegressor

NOISES = ["constant", "varying"]


def mlp(**parameters):
    given = {"epochs": 1, "random_state": 0, **parameters}
    return MCDropoutRegressor((8,), **given)


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES)
def test_it_is_the_noise_of_the_data_and_not_that_of_the_residuals(noise):
    X, y = make_regression(300, 5, noise=0.0, random_state=0)
    y = y / y.std() + 0.5 * np.random.RandomState(0).normal(size=300)
    reg = MCDropoutRegressor(
        (100,), noise=noise, dropout_rate=0.05, alpha=0.01, epochs=200, batch_size=64,
        learning_rate=0.01, random_state=0,
    ).fit(X, y)  # fmt: skip
    residuals = y - reg.predict(X)
    found = reg.predict_uncertainty(X, "aleatoric_std").mean()
    assert residuals.std() < 0.44  # it has learned some of the noise
    assert 0.46 < found < 0.65


@pytest.mark.slow
def test_noise_that_varies_is_found_where_it_is():
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(1000, 1))
    std = np.where(X[:, 0] > 0, 1.0, 0.1)
    y = X[:, 0] + std * rng.normal(size=1000)
    reg = MCDropoutRegressor(
        (60,), noise="varying", dropout_rate=0.02, epochs=60, alpha=1.0,
        learning_rate=0.01, random_state=0,
    ).fit(X, y)  # fmt: skip
    away = np.linspace(0.3, 0.9, 30)[:, None]
    found = [reg.predict_uncertainty(at, "aleatoric_std") for at in (-away, away)]
    assert_allclose(np.median(found, axis=1), [0.1, 1.0], rtol=0.3)


@pytest.mark.parametrize(
    ("n_rows", "parameters", "n_networks"),
    [(60, {}, 4), (200, {}, 4), (600, {}, 2), (1999, {}, 2), (2000, {}, 1),
     (60, {"early_stopping": True}, 1), (1, {}, 1)],
)  # fmt: skip
def test_networks_are_trained_for_it_where_rows_are_few(
    n_rows, parameters, n_networks, trainings
):
    X, y = make_regression(n_rows, 5, random_state=0)
    mlp(**parameters).fit(X, np.atleast_1d(y))
    assert len(trainings) == n_networks


@pytest.mark.parametrize(
    ("n_rows", "n_trained"), [(300, 300), (2000, 1800), (24_000, 22_000)]
)
def test_a_tenth_of_many_rows_is_held_out_for_it(n_rows, n_trained):
    X, y = make_regression(n_rows, 5, random_state=0)
    reg = mlp(batch_size=n_rows // 10)
    _, is_trained = fit_and_find_trained_rows(reg, X, y)
    assert is_trained.sum() == n_trained


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"early_stopping": True, "validation_fraction": 0.3},
    ],
    ids=["many rows", "early stopping"],
)
def test_no_other_is_more_probable_for_rows_that_were_not_trained_on(noise, parameters):
    n_rows = 600 if parameters else 2000
    X, y = make_regression(n_rows, 5, noise=30, random_state=0)
    reg = mlp(noise=noise, epochs=8, dropout_rate=0.02, **parameters)
    reg.set_params(learning_rate=0.01)
    table, is_trained = fit_and_find_trained_rows(reg, X, y)

    def most_probable_factor(rows):
        """Of the noise's variance there is; the prior of so many rows is weak."""
        means, stds = reg.sample_predictions(table[rows], return_std=True)

        def surprise(log):
            density = norm(means, stds * np.exp(log / 2)).logpdf(y[rows])
            return -logsumexp(density, axis=0).sum()

        found = minimize_scalar(surprise, bounds=(-5, 5), method="bounded")
        return np.exp(found.x)

    print(most_probable_factor(~is_trained), most_probable_factor(is_trained))
    assert_allclose(most_probable_factor(~is_trained), 1, rtol=0.1)
    assert most_probable_factor(is_trained) < 0.8  # which were learned

"""Targets at the end of what a transformation takes, and other hard ones."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingRegressor
from sklearn.preprocessing import QuantileTransformer

from skmcdropout import (
    MCDropoutRegressor,
    predict_interval,
    predict_log_density,
    predict_quantiles,
)
from skmcdropout.metrics import make_distribution_scorer

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 3))
Y = np.exp(X[:, 0] + 0.3 * RNG.normal(size=60))
COUNTS = RNG.poisson(np.exp(X[:, 0] - 1)).astype(float)
GAPS = np.where(RNG.uniform(size=60) < 0.4, 0, Y)
LEVELS = np.arange(1, 20) / 20


def regressor(n_samples):
    return MCDropoutRegressor(
        (8,), epochs=100, learning_rate=0.01, n_samples=n_samples, random_state=0
    )


def transformed(y, n_samples=0, **how):
    """A network without dropout: one normal distribution a row."""
    network = regressor(n_samples)
    return TransformedTargetRegressor(network, check_inverse=False, **how).fit(X, y)


@pytest.fixture(scope="module")
def in_logarithms():
    return transformed(Y, func=np.log, inverse_func=np.exp)


WITH_ENDS = {
    "roots": (COUNTS, {"func": np.sqrt, "inverse_func": np.square}),
    "clipped": (
        COUNTS,
        {"func": np.log1p, "inverse_func": lambda z: np.maximum(np.expm1(z), 0)},
    ),
    "ranks": (GAPS, {"transformer": QuantileTransformer(n_quantiles=20)}),
    "plain": (COUNTS, {}),
}


@pytest.mark.parametrize("name", WITH_ENDS)
def test_calibration_counts_targets_at_an_end_as_the_quantiles_do(name):
    y, how = WITH_ENDS[name]
    fitted = transformed(y, **how)
    quantiles = predict_quantiles(fitted, X, LEVELS)
    is_at_or_below = y[:, None] <= quantiles + 1e-9  # ranks are interpolated
    expected = abs(is_at_or_below.mean(axis=0) - LEVELS).mean()
    found = -make_distribution_scorer("neg_quantile_calibration_error")(fitted, X, y)
    # A row may be counted otherwise where a target is a quantile but for rounding.
    assert_allclose(found, expected, atol=1.5 / 60 / len(LEVELS))


def beyond_one(z):
    return np.where(z < 1, 1 / np.where(z < 1, 1 - z, 1), np.nan)


class OfEach(TransformerMixin, BaseEstimator):
    """Logarithms of the first target, and for the second a range that ends at 1.

    It does not know how many columns it was fitted with.
    """

    def fit(self, y, _=None):
        return self

    def transform(self, y):
        return np.stack([np.log(y[:, 0]), 1 - 1 / y[:, 1]], axis=1)

    def inverse_transform(self, z):
        return np.stack([np.exp(z[:, 0]), beyond_one(z[:, 1])], axis=1)


def test_the_end_of_one_target_leaves_the_other_alone():
    both = np.stack([Y, 1 + 3 * np.abs(RNG.standard_cauchy(60))], axis=1)
    fitted = transformed(both, transformer=OfEach())
    mean, std = fitted.regressor_.predict(X, return_std=True)
    levels = np.array([0.01, 0.5, 0.99])
    z = mean[..., None] + std[..., None] * stats.norm.ppf(levels)
    is_inside = z[:, 1] < 0.999
    assert 0 < is_inside.mean() < 1
    found = predict_quantiles(fitted, X, levels)
    assert_allclose(found[:, 0], np.exp(z[:, 0]), rtol=1e-9)
    assert_allclose(found[:, 1][is_inside], 1 / (1 - z[:, 1][is_inside]), rtol=1e-6)
    law = stats.norm(mean, std)
    inner = np.stack([np.log(both[:, 0]), 1 - 1 / both[:, 1]], axis=1)
    slopes = -np.log(both[:, 0]) - 2 * np.log(both[:, 1])
    expected = law.logpdf(inner).sum(axis=1) + slopes
    assert_allclose(predict_log_density(fitted, X, both), expected, atol=1e-6)


def test_where_a_range_ends_others_of_a_union_go_on():
    ranks = QuantileTransformer(n_quantiles=20)
    network = regressor(0)
    member = TransformedTargetRegressor(network, transformer=ranks)
    bagged = BaggingRegressor(member, 2, random_state=0).fit(X, Y)
    levels = np.array([0.1, 0.5, 0.8, 0.9, 0.99])
    quantiles = predict_quantiles(bagged, X[:20], levels)
    samples = []
    for fitted in bagged.estimators_:
        mean, std = fitted.regressor_.predict(X[:20], return_std=True)
        z = mean + std * np.random.RandomState(0).normal(size=(40_000, 20))
        inside = np.clip(z, 0, 1).reshape(-1, 1)
        samples.append(fitted.transformer_.inverse_transform(inside).reshape(z.shape))
    samples = np.concatenate(samples)
    rounding = 1e-5 * np.abs(quantiles)
    slack = 5 * 0.5 / np.sqrt(len(samples))
    for i, level in enumerate(levels):
        below = (samples < (quantiles - rounding)[:, i]).mean(axis=0)
        at_most = (samples <= (quantiles + rounding)[:, i]).mean(axis=0)
        assert (below - slack <= level).all()
        assert (at_most + slack >= level).all()


@pytest.mark.parametrize("function", [np.sqrt, lambda y: np.sqrt(y)])
def test_the_density_of_a_square_is_infinite_at_0(function):
    fitted = transformed(COUNTS, func=function, inverse_func=np.square)
    at_0 = COUNTS == 0
    found = predict_log_density(fitted, X, COUNTS)
    assert (found[at_0] == np.inf).all()
    assert np.isfinite(found[~at_0]).all()


def test_what_no_value_becomes_has_no_density():
    squares = transformed(Y, func=np.square, inverse_func=np.sqrt)
    assert (predict_log_density(squares, X[:2], [-1.0, -2.0]) == -np.inf).all()


@pytest.mark.parametrize("n_samples", [0, 7])
@pytest.mark.parametrize("scale", [1, 3])
def test_crps_of_heavy_tails(scale, n_samples):
    y = Y**scale
    fitted = transformed(y, n_samples, func=np.log, inverse_func=np.exp)
    if n_samples:
        means, stds = fitted.regressor_.sample_predictions(X, return_std=True)
    else:
        means, stds = (x[None] for x in fitted.regressor_.predict(X, return_std=True))
    expected = mixture_crps(y, means, stds).mean()
    found = -make_distribution_scorer("neg_crps")(fitted, X, y)
    # An error of about the square of the distance of points: 0.0055 standard deviations
    # of one draw, and 0.04 of each of 7, between which those of the others lie.
    assert_allclose(found, expected, rtol=2e-3 if n_samples else 1e-4)


def mixture_crps(y, means, stds):
    """``E|X - y| - E|X - X'| / 2`` of lognormal draws, from their partial means."""
    z = (np.log(y) - means) / stds
    means_of_y = np.exp(means + stds**2 / 2)
    to_y = y * (2 * stats.norm.cdf(z) - 1)
    to_y = to_y + means_of_y * (1 - 2 * stats.norm.cdf(z - stds))
    between = 0
    for m, s, mean in zip(means, stds, means_of_y, strict=True):
        both = np.hypot(s, stds)
        between = between + mean * (2 * stats.norm.cdf((m - means + s**2) / both) - 1)
        weighted = stats.norm.cdf((means - m + stds**2) / both)
        between = between + means_of_y * (2 * weighted - 1)
    return to_y.mean(axis=0) - between.sum(axis=0) / len(means) ** 2 / 2


def test_scores_of_each_output():
    both = np.stack([Y, 100 * Y[::-1]], axis=1)
    fitted = transformed(both, func=np.log, inverse_func=np.exp)
    mean, std = fitted.regressor_.predict(X, return_std=True)
    scorer = make_distribution_scorer("neg_crps", multioutput="raw_values")
    expected = [mixture_crps(both[:, k], mean[None, :, k], std[None, :, k]).mean()
                for k in range(2)]  # fmt: skip
    assert_allclose(-scorer(fitted, X, both), expected, rtol=1e-4)


def test_crps_is_in_bounded_memory(in_logarithms):
    rows, targets = np.tile(X, (100, 1)), np.tile(Y, 100)
    score = make_distribution_scorer("neg_crps")
    tracemalloc.start()
    score(in_logarithms, rows, targets)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 2,000 points of 6,000 rows are 96 MB, of which a dozen arrays would be made
    assert peak < 200e6


@pytest.mark.parametrize("score", ["mean_log_density", "neg_crps"])
def test_targets_that_are_none_are_refused(score, in_logarithms):
    scorer = make_distribution_scorer(score)
    with pytest.raises(ValueError, match="contains NaN"):
        scorer(in_logarithms, X, np.where(np.arange(60) == 3, np.nan, Y))
    for rows, targets in ((X[:50], Y), (X, Y[:50])):
        with pytest.raises(ValueError, match="y must have a target for each row of X"):
            scorer(in_logarithms, rows, targets)
    with pytest.raises(ValueError, match=r"y must have 1 target\(s\) for each row"):
        scorer(in_logarithms, X, np.stack([Y, Y], axis=1))


def test_targets_may_be_a_column(in_logarithms):
    column = predict_log_density(in_logarithms, X, Y[:, None])
    assert_allclose(column, predict_log_density(in_logarithms, X, Y), rtol=1e-12)


@pytest.mark.parametrize("n_components", [1, 2])
def test_transformers_that_mix_targets_are_refused(n_components):
    both = np.stack([Y, 100 * Y[::-1]], axis=1)
    fitted = transformed(both, transformer=PCA(n_components))
    with pytest.raises(ValueError, match="must change each target by itself"):
        predict_interval(fitted, X)

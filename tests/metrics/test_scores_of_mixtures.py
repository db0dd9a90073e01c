"""Densities and CRPS of mixtures of Gaussians: closed forms, integrals and limits."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixtures import mixtures
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import norm

from skmcdropout import metrics

N_DRAWS, N_ROWS, N_OUTPUTS = 7, 5, 3

rng = np.random.RandomState(0)
MEANS = rng.normal(size=(N_DRAWS, N_ROWS))
STDS = rng.gamma(1, size=MEANS.shape)
Y = 2 * rng.normal(size=N_ROWS)
MEANS_3D = rng.normal(size=(N_DRAWS, N_ROWS, N_OUTPUTS))
STDS_3D = rng.gamma(1, size=MEANS_3D.shape)
Y_2D = rng.normal(size=(N_ROWS, N_OUTPUTS))


def row_by_row(score, y, means, stds, **options):
    """What the metric says of each row by itself."""
    stds = np.broadcast_to(stds, means.shape)
    rows = [[i] for i in range(len(y))]
    return np.array([score(y[i], means[:, i], stds[:, i], **options) for i in rows])


def log_density(y, means, stds):
    return row_by_row(metrics.mean_log_density, y, means, stds)


def crps(y, means, stds):
    found = row_by_row(metrics.crps, y, means, stds, multioutput="raw_values")
    return found.reshape(y.shape)


# Densities


def test_the_log_density_of_one_draw_is_that_of_a_gaussian():
    expected = norm.logpdf(Y, MEANS[0], STDS[0])
    assert_allclose(log_density(Y, MEANS[:1], STDS[:1]), expected, rtol=1e-13)


def test_the_density_is_the_mean_over_draws():
    log_densities = norm.logpdf(Y, MEANS, STDS)
    expected = logsumexp(log_densities, axis=0) - np.log(N_DRAWS)
    assert_allclose(log_density(Y, MEANS, STDS), expected, rtol=1e-13)
    found = metrics.mean_log_density(Y, MEANS, STDS)
    assert_allclose(found, expected.mean(), rtol=1e-13)


def test_the_density_of_a_row_is_that_of_its_outputs_given_a_draw():
    """The mean of products, not the product of means."""
    densities = norm.pdf(Y_2D, MEANS_3D, STDS_3D)
    expected = np.log(densities.prod(axis=-1).mean(axis=0))
    assert_allclose(log_density(Y_2D, MEANS_3D, STDS_3D), expected, rtol=1e-12)


def test_far_from_all_draws_the_log_density_is_still_a_number():
    """The density itself is zero in double precision."""
    found = log_density(np.array([1000.0]), np.array([[0.0], [1.0]]), 1.0)
    expected = -(999**2) / 2 - np.log(2 * np.pi) / 2 - np.log(2)
    assert_allclose(found, [expected], rtol=1e-14)


@pytest.mark.slow
@given(mixtures(noise=st.floats(0.25, 50, width=16)))
def test_the_log_density_is_of_any_draws_jointly(mixture):
    y, means, stds = mixture
    of_draws = norm.logpdf(y, means, stds).reshape(*means.shape[:2], -1).sum(axis=2)
    expected = logsumexp(of_draws, axis=0) - np.log(len(means))
    assert_allclose(log_density(*mixture), expected, rtol=1e-12)


# CRPS


def integrated_crps(y, means, stds):
    """By its definition, the integral of the squared distance of two cdfs."""

    def distance(x):
        return (norm.cdf(x, means, stds).mean() - (y <= x)) ** 2

    ends = min([y, *(means - 9 * stds)]), max([y, *(means + 9 * stds)])
    inner = sorted({y, *means, *(means - stds), *(means + stds)})
    cuts = [ends[0], *(x for x in inner if ends[0] < x < ends[1]), ends[1]]
    return math.fsum(
        quad(distance, a, b, epsabs=1e-12, epsrel=1e-10)[0]
        for a, b in itertools.pairwise(cuts)
    )


def test_crps_is_an_integral_of_squared_distances():
    means, stds = MEANS[:4], STDS[:4]
    expected = [integrated_crps(Y[i], means[:, i], stds[:, i]) for i in range(N_ROWS)]
    assert_allclose(crps(Y, means, stds), expected, rtol=1e-9)


def test_crps_of_one_draw_is_that_of_a_gaussian():
    z = (Y - MEANS[0]) / STDS[0]
    expected = STDS[0] * (
        z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi)
    )
    assert_allclose(crps(Y, MEANS[:1], STDS[:1]), expected, rtol=1e-12)


def test_crps_without_noise_is_half_the_difference_of_energy():
    to_y = np.abs(MEANS - Y).mean(axis=0)
    between = np.abs(MEANS[:, None] - MEANS).mean(axis=(0, 1))
    assert_allclose(crps(Y, MEANS, 0.0), to_y - between / 2, rtol=1e-13)
    assert_allclose(crps(Y, MEANS, 1e-200), crps(Y, MEANS, 0.0), rtol=1e-13)
    assert_array_equal(crps(Y, Y[None], 0.0), 0)


def test_crps_of_draws_with_and_without_noise_is_a_limit():
    stds = np.where(np.arange(N_DRAWS)[:, None] < 3, 0.0, STDS)
    nearly = np.where(stds == 0, 1e-14, stds)
    assert_allclose(crps(Y, MEANS, stds), crps(Y, MEANS, nearly), rtol=1e-11)


def test_crps_far_away_is_the_distance():
    far = np.full(N_ROWS, 1e12)
    assert_allclose(crps(far, MEANS, STDS), 1e12, rtol=1e-11)


def test_outputs_are_mixtures_of_their_own():
    found = crps(Y_2D, MEANS_3D, STDS_3D)
    for k in range(N_OUTPUTS):
        alone = Y_2D[:, k], MEANS_3D[..., k], STDS_3D[..., k]
        assert_allclose(found[:, k], crps(*alone), rtol=1e-13)


@pytest.mark.parametrize("score", [metrics.mean_log_density, metrics.crps])
def test_standard_deviations_are_one_or_of_outputs_or_of_draws(score):
    for stds in (0.7, np.array([0.5, 1.0, 2.0])):
        full = np.broadcast_to(stds, MEANS_3D.shape).copy()
        assert score(Y_2D, MEANS_3D, stds) == score(Y_2D, MEANS_3D, full)


def test_scores_of_large_values_keep_the_digits_of_the_spread():
    y, means = np.round(Y, 3), np.round(MEANS, 3)
    for score in (crps, log_density):
        found = score(y + 1e9, means + 1e9, STDS)
        assert_allclose(found, score(y, means, STDS), rtol=2e-6)


@pytest.mark.slow
@given(mixtures())
def test_the_crps_of_a_mixture_is_at_most_the_mean_of_its_components(mixture):
    y, means, stds = mixture
    score = crps(y, means, stds)
    alone = [crps(y, means[[t]], stds[[t]]) for t in range(len(means))]
    assert (score >= 0).all()
    assert (score <= np.mean(alone, axis=0) + 1e-9).all()


@pytest.mark.slow
@given(mixtures())
def test_draws_count_whatever_their_order_and_number(mixture):
    y, means, stds = mixture
    twice = y, np.concatenate([means[::-1], means]), np.concatenate([stds[::-1], stds])
    assert_allclose(crps(*twice), crps(*mixture), rtol=1e-9, atol=1e-12)

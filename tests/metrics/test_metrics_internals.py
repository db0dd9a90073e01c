"""What metrics compute with and users cannot call: quantiles and cdfs of mixtures.

Against bisection and SciPy. Densities and scores of the same mixtures are public: see
``test_scores_of_mixtures.py``.
"""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from mixtures import mixtures as any_mixtures
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtri
from scipy.stats import norm

from skmcdropout import uncertainty
from skmcdropout._utils import gaussian_mixture
from skmcdropout._utils.gaussian_mixture import cdf, crps, log_density, quantiles
from skmcdropout.uncertainty import MEASURES, from_summary

N_DRAWS, N_ROWS, N_OUTPUTS = 7, 5, 3
LEVELS = np.array([1e-9, 0.05, 0.31, 0.5, 0.84, 0.95, 1 - 1e-9])

rng = np.random.RandomState(0)
MEANS = rng.normal(size=(N_DRAWS, N_ROWS))
STDS = rng.gamma(1, size=MEANS.shape)
Y = 2 * rng.normal(size=N_ROWS)
MEANS_3D = rng.normal(size=(N_DRAWS, N_ROWS, N_OUTPUTS))
STDS_3D = rng.gamma(1, size=MEANS_3D.shape)
Y_2D = rng.normal(size=(N_ROWS, N_OUTPUTS))


def bisected(level, means, stds):
    """The least value whose cdf reaches the level, for one mixture."""

    def reaches(x):
        components = list(zip(means, stds, strict=True))
        if level <= 0.5:
            return math.fsum(below(x, *c) for c in components) >= level * len(means)
        above = math.fsum(below(-x, -m, s) if s else m > x for m, s in components)
        return above <= (1 - level) * len(means)

    span = 40 * max(stds) + 1e-300
    low, high = min(means) - span, max(means) + span
    for _ in range(200):
        middle = low + (high - low) / 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def below(x, mean, std):
    if std == 0:
        return float(mean <= x)
    return math.erfc((mean - x) / std / math.sqrt(2)) / 2


def test_one_draw_is_a_gaussian():
    mean, std = MEANS[:1], STDS[:1]
    one = norm(mean[0], std[0])
    assert_allclose(cdf(Y, mean, std), one.cdf(Y), rtol=1e-13)
    expected = one.ppf(LEVELS[:, None]).T
    assert_allclose(quantiles(LEVELS, mean, std), expected, rtol=1e-12)


def test_the_cdf_is_the_mean_over_draws():
    expected = norm.cdf(Y, MEANS, STDS).mean(axis=0)
    assert_allclose(cdf(Y, MEANS, STDS), expected, rtol=1e-13)


def test_standard_deviations_are_broadcast():
    """As quantiles of outputs want it, they differ by row, by output or not at all."""
    of_outputs = np.array([0.5, 1.0, 2.0])
    for stds in (0.7, of_outputs, np.ones((N_ROWS, 1))):
        full = np.broadcast_to(stds, MEANS_3D.shape).copy()
        for function in (log_density, cdf, crps):
            found = function(Y_2D, MEANS_3D, stds)
            assert_array_equal(found, function(Y_2D, MEANS_3D, full))
        found = quantiles(LEVELS, MEANS_3D, stds)
        assert_array_equal(found, quantiles(LEVELS, MEANS_3D, full))


def test_outputs_are_mixtures_of_their_own():
    of_quantiles = quantiles(LEVELS, MEANS_3D, STDS_3D)
    assert of_quantiles.shape == (N_ROWS, N_OUTPUTS, len(LEVELS))
    for k in range(N_OUTPUTS):
        alone = Y_2D[:, k], MEANS_3D[..., k], STDS_3D[..., k]
        assert_allclose(cdf(Y_2D, MEANS_3D, STDS_3D)[:, k], cdf(*alone), rtol=1e-13)
        expected = quantiles(LEVELS, *alone[1:])
        assert_allclose(of_quantiles[:, k], expected, rtol=1e-12)


def test_blocks_of_rows_make_no_difference(monkeypatch):
    whole = [
        log_density(Y, MEANS, STDS),
        cdf(Y, MEANS, STDS),
        crps(Y, MEANS, STDS),
        quantiles(LEVELS, MEANS, STDS),
    ]
    for size in (1, 2 * N_DRAWS):  # one row at a time; two, and one that is left
        monkeypatch.setattr(gaussian_mixture, "BLOCK", size)
        assert_allclose(log_density(Y, MEANS, STDS), whole[0], rtol=1e-14)
        assert_allclose(cdf(Y, MEANS, STDS), whole[1], rtol=1e-14)
        assert_allclose(crps(Y, MEANS, STDS), whole[2], rtol=1e-13)
        assert_allclose(quantiles(LEVELS, MEANS, STDS), whole[3], rtol=1e-12)


def test_points_are_limits_of_gaussians():
    means = np.array([[0.0, 0.0], [2.0, 2.0]])
    y = np.array([2.0, 1.0])
    assert_array_equal(cdf(y, means, 0.0), [1.0, 0.5])
    assert_array_equal(cdf(np.nextafter(y, -np.inf), means, 0.0), [0.5, 0.5])
    assert_array_equal(log_density(y, means, 0.0), [np.inf, -np.inf])


def test_a_row_of_which_one_output_is_no_point_of_a_draw_has_no_density():
    means = np.zeros((2, 1, 2))
    assert_array_equal(log_density(np.array([[0.0, 1.0]]), means, 0.0), [-np.inf])
    assert_array_equal(log_density(np.array([[0.0, 0.0]]), means, 0.0), [np.inf])


# Quantiles


def mixtures():
    """By name: means and standard deviations of some rows, draws first."""
    draws = np.random.RandomState(1)
    means = draws.normal(size=(10, 6))
    modes = np.repeat([[-1.0], [1.0]], 5, axis=0) + 0.01 * means
    return {
        "as wide as the noise": (means, draws.gamma(1, size=means.shape)),
        "of one kind": (means, np.full(means.shape, 0.3)),
        "two modes": (modes, np.full(means.shape, 1e-3)),
        "tiny noise": (means, np.full(means.shape, 1e-10)),
        "noise of all sizes": (means, 10 ** draws.uniform(-7, 2, size=means.shape)),
        "some without noise": (means, np.where(means > 0, 0.5, 0.0)),
        "without noise": (means, np.zeros(means.shape)),
        "equal draws": (np.repeat(means[:1], 10, axis=0), np.full(means.shape, 0.2)),
        "small": (1e-200 * means, np.full(means.shape, 1e-200)),
        "large": (1e100 * means, np.full(means.shape, 1e99)),
        "one narrow draw": (means, np.where(means == means.max(axis=0), 1e-12, 1.0)),
    }


@pytest.mark.parametrize("name", mixtures())
@pytest.mark.parametrize("level", [1e-6, 0.05, 0.123, 0.5003, 0.77, 0.951, 1 - 1e-6])
def test_quantiles_are_those_of_bisection(name, level):
    means, stds = mixtures()[name]
    found = quantiles(np.array([level]), means, stds)[:, 0]
    expected = [bisected(level, m, s) for m, s in zip(means.T, stds.T, strict=True)]
    spread = np.ptp(means, axis=0) + stds.max(axis=0)
    assert_allclose(found / spread, expected / spread, rtol=0, atol=1e-10)


@pytest.mark.parametrize("n_draws", [2, 3, 10, 100, 300])
def test_quantiles_without_noise_are_order_statistics(n_draws):
    """At a level that the cdf reaches by a step, whatever the level was rounded to."""
    means = np.random.RandomState(2).normal(size=(n_draws, 1))
    order = np.sort(means[:, 0])
    k = np.arange(1, n_draws)
    rest = 1 - (n_draws - k) / n_draws
    tail = (1 - (1 - 2 * k / n_draws)) / 2
    for levels in (k / n_draws, rest, tail):
        assert_array_equal(quantiles(levels, means, 0.0)[0], order[k - 1])
    between = (np.arange(n_draws) + 0.5) / n_draws
    assert_array_equal(quantiles(between, means, 0.0)[0], order)


def test_between_two_far_modes_the_median_is_the_middle():
    """Where the cdf is flat: it is one half to rounding on most of the gap."""
    means = np.array([[0.0, 5.0], [1.0, 6.0]])
    found = quantiles(np.array([0.5]), means, 1e-6)[:, 0]
    assert_array_equal(cdf(found, means, 1e-6), 0.5)
    assert_allclose(found, [0.5, 5.5], rtol=1e-9)


def test_quantiles_of_large_values_keep_the_digits_of_the_spread():
    shifted = 1e9 + MEANS
    exact = shifted - 1e9  # what is left of the means
    found = quantiles(LEVELS, shifted, STDS) - 1e9
    assert_allclose(found, quantiles(LEVELS, exact, STDS), rtol=0, atol=2.4e-7)
    assert_array_equal(quantiles(LEVELS, shifted[:1], 0.0), shifted[:1].T + 0 * LEVELS)


def test_quantiles_of_far_tails_are_those_of_the_widest_draw():
    level, means, stds = 1e-200, np.array([[0.0], [0.0]]), np.array([[1.0], [3.0]])
    found = quantiles(np.array([level]), means, stds)[0]
    assert_allclose(found, 3 * ndtri(2 * level), rtol=1e-12)


def test_a_level_beside_one_has_the_mirrored_quantile():
    level = 2.0**-40
    upper = quantiles(np.array([1 - level]), MEANS, STDS)
    assert_allclose(upper, -quantiles(np.array([level]), -MEANS, STDS), rtol=1e-12)


# Of any mixtures


@pytest.mark.slow
@given(any_mixtures(), st.sampled_from([1e-9, 0.01, 0.25, 0.5, 0.8, 0.999]))
def test_a_quantile_is_where_the_cdf_reaches_its_level(mixture, level):
    _, means, stds = mixture
    found = quantiles(np.array([level]), means, stds)[..., 0]
    a_little = 1e-9 * (1 + np.ptp(means, axis=0) + stds.max(axis=0))
    at_most = cdf(found - a_little, means, stds)
    at_least = cdf(found + a_little, means, stds)
    assert (at_most <= level * (1 + 1e-12)).all()
    assert (at_least >= level * (1 - 1e-12)).all()


@pytest.mark.slow
@given(any_mixtures())
def test_quantiles_do_not_cross_and_follow_unit_and_origin(mixture):
    _, means, stds = mixture
    levels = np.array([0.05, 0.1, 0.5, 0.73, 0.95])
    found = quantiles(levels, means, stds)
    spread = (1 + np.ptp(means, axis=0) + stds.max(axis=0))[..., None]
    assert (np.diff(found) >= -1e-9 * spread).all()
    moved = quantiles(levels, 4 * means - 64, 4 * stds)
    assert (abs(moved - (4 * found - 64)) <= 1e-8 * spread).all()


@pytest.mark.slow
@given(any_mixtures(noise=st.floats(0.25, 50, width=16)))
def test_the_density_is_the_slope_of_the_cdf(mixture):
    y, means, stds = mixture
    assume(y.ndim == 1)
    step = 1e-4
    above = cdf(y + step, means, stds)
    slope = (above - cdf(y - step, means, stds)) / (2 * step)
    density = np.exp(log_density(y, means, stds))
    assert_allclose(density, slope, rtol=1e-4, atol=1e-9)


@pytest.mark.slow
@given(any_mixtures())
def test_draws_count_in_the_cdf_whatever_their_order_and_number(mixture):
    y, means, stds = mixture
    twice = y, np.concatenate([means[::-1], means]), np.concatenate([stds[::-1], stds])
    assert_allclose(cdf(*twice), cdf(*mixture), rtol=1e-9, atol=1e-12)


# Measures of draws of which only a summary was kept


def test_a_summary_gives_each_measure_by_its_formula():
    mean = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    total, expected = np.array([1.0, 0.4]), np.array([0.7, 0.41])
    given_as = mean, total, expected, np.array([0.6, 1.0]), np.array([0.05, 0.01])
    found = from_summary(*given_as)
    assert_array_equal(found["predictive_entropy"], total)
    assert_array_equal(found["expected_entropy"], expected)
    assert_allclose(found["mutual_information"], [0.3, 0])  # rounding is cut at zero
    assert_allclose(found["variation_ratio"], [0.4, 0])
    assert_array_equal(found["predictive_std"], [0.05, 0.01])
    assert_allclose(found["least_confidence"], [0.5, 0.3])


def test_a_summary_gives_the_same_measures():
    rng = np.random.RandomState(0)
    draws = rng.dirichlet(np.ones(3), size=(7, 5))
    votes = np.eye(3)[draws.argmax(axis=-1)].mean(axis=0)
    summary = from_summary(
        draws.mean(axis=0),
        uncertainty.predictive_entropy(draws),
        uncertainty.expected_entropy(draws),
        votes.max(axis=-1),
        uncertainty.predictive_std(draws),
    )
    assert set(summary) == set(MEASURES)
    for name, values in summary.items():
        assert_allclose(values, MEASURES[name](draws), atol=1e-12)

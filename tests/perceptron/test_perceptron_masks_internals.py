"""Masks and noise of any size against the laws they are promised to keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtr
from scipy.stats import binom

from skmcdropout._perceptron import masks as masks_module
from skmcdropout._perceptron.masks import dropout_masks, kept_units, normal_noise

SEEDS = st.integers(0, 2**31 - 2)
RATES = st.one_of(st.sampled_from([0.0, 0.5, 0.25, 0.999]), st.floats(0, 0.99))
SAMPLING = st.sampled_from(["stratified", "independent"])


class Grid:
    """In place of a generator: uniforms that are all multiples of 1 / n, each once."""

    def __init__(self, n):
        self.n = n

    def random_sample(self, shape):
        assert np.prod(shape) == self.n
        return (np.arange(self.n) / self.n).reshape(shape)


@pytest.mark.parametrize("eighths", range(8))
def test_a_unit_is_dropped_by_exactly_its_rate_of_the_uniforms(eighths):
    kept = kept_units(Grid(8), 8, 1, eighths / 8, "independent")
    assert (~kept).sum() == eighths


def test_the_least_uniform_gives_finite_noise():
    noise = normal_noise(Grid(4), 4, 1, "independent").ravel()
    assert np.isfinite(noise).all()
    assert noise[0] < -30
    assert_allclose(ndtr(noise[1:]), [0.25, 0.5, 0.75], rtol=1e-6)


@given(SEEDS, st.integers(1, 40), st.integers(1, 9), RATES)
def test_stratified_masks_drop_a_unit_in_its_share_of_draws_to_one(
    seed, n_draws, width, rate
):
    kept = kept_units(np.random.RandomState(seed), n_draws, width, rate, "stratified")
    dropped = (~kept).sum(axis=0)
    assert kept.shape == (n_draws, width)
    assert (dropped >= np.floor(rate * n_draws - 1e-9)).all()
    assert (dropped <= np.ceil(rate * n_draws + 1e-9)).all()


@given(SEEDS, st.integers(1, 40), st.integers(1, 9))
def test_stratified_noise_has_one_value_in_each_stratum(seed, n_draws, width):
    noise = normal_noise(np.random.RandomState(seed), n_draws, width, "stratified")
    assert noise.dtype == np.float32
    place = np.sort(ndtr(noise.astype(np.float64)), axis=0) * n_draws
    middle = np.arange(n_draws)[:, None] + 0.5
    assert (abs(place - middle) <= 0.5 + 1e-4 * n_draws).all()


@settings(max_examples=15)
@given(SEEDS, st.sampled_from([0.0, 0.1, 0.5, 0.9]), SAMPLING)
def test_in_each_draw_a_unit_is_dropped_with_its_rate(seed, rate, sampling):
    """Of 4,000 units, within five standard deviations of the binomial law."""
    rng = np.random.RandomState(seed)
    dropped = (~kept_units(rng, 7, 4000, rate, sampling)).mean(axis=1)
    assert (abs(dropped - rate) <= 5 * np.sqrt(rate * (1 - rate) / 4000)).all()


@settings(max_examples=15)
@given(SEEDS, SAMPLING)
def test_two_units_are_dropped_together_with_the_product_of_their_rates(seed, sampling):
    first, second = dropout_masks(seed, 6, [4000, 4000], [0.3, 0.6], sampling)
    together = ((first == 0) & (second == 0)).mean(axis=1)
    assert (abs(together - 0.18) <= 5 * np.sqrt(0.18 * 0.82 / 4000)).all()
    neighbours = ((first[:, 1:] == 0) & (first[:, :-1] == 0)).mean(axis=1)
    assert (abs(neighbours - 0.09) <= 8 * np.sqrt(0.09 * 0.91 / 4000)).all()


@settings(max_examples=15)
@given(SEEDS)
def test_two_draws_of_stratified_masks_go_together_as_strata_allow(seed):
    """Of two draws of five at rate 0.4, two of five are dropped: 1 in 10 pairs."""
    (mask,) = dropout_masks(seed, 5, [6000], [0.4], "stratified")
    both = ((mask[0] == 0) & (mask[3] == 0)).mean()
    assert abs(both - 0.1) <= 5 * np.sqrt(0.1 * 0.9 / 6000)


@given(
    SEEDS, st.integers(1, 9), st.lists(st.integers(1, 7), max_size=4), SAMPLING, RATES
)
def test_masks_are_zero_or_one_over_what_is_kept(seed, n_draws, widths, sampling, rate):
    rates = [rate] * len(widths)
    masks = dropout_masks(seed, n_draws, widths, rates, sampling)
    assert [mask.shape for mask in masks] == [(n_draws, width) for width in widths]
    for mask in masks:
        assert mask.dtype == np.float32
        values = np.unique(mask)
        assert_allclose(values[values > 0], 1 / (1 - rate), rtol=1e-4)


@settings(max_examples=20)
@given(SEEDS, st.integers(1, 30), st.integers(2, 9), st.integers(1, 60), RATES)
def test_blocks_of_units_keep_the_law(seed, n_draws, width, block, rate):
    with pytest.MonkeyPatch.context() as patch:
        whole = kept_units(
            np.random.RandomState(seed), n_draws, width, rate, "independent"
        )
        patch.setattr(masks_module, "BLOCK", block)
        parts = kept_units(
            np.random.RandomState(seed), n_draws, width, rate, "independent"
        )
        assert_array_equal(parts, whole)
        kept = kept_units(
            np.random.RandomState(seed), n_draws, width, rate, "stratified"
        )
    assert (abs((~kept).sum(axis=0) - rate * n_draws) < 1 + 1e-9).all()


@pytest.mark.parametrize(
    ("block", "sizes"),
    [(12, [3, 3, 1]), (8, [2, 2, 2, 1]), (3, [1] * 7), (28, [7]), (99, [7])],
)
def test_uniforms_are_made_for_as_many_units_as_a_block_holds(
    monkeypatch, block, sizes
):
    monkeypatch.setattr(masks_module, "BLOCK", block)
    made = list(masks_module._uniforms(np.random.RandomState(0), 4, 7, "independent"))
    assert [len(uniforms) for _, uniforms in made] == sizes
    units = [np.arange(7)[units] for units, _ in made]
    assert_array_equal(np.concatenate(units), np.arange(7))


def test_no_more_than_four_million_uniforms_are_made_at_a_time():
    assert masks_module.BLOCK == 4_194_304


def masks(sampling, n_draws=50, width=4000, rate=0.3):
    (mask,) = dropout_masks(0, n_draws, [width], [rate], sampling)
    return mask


@pytest.mark.parametrize("sampling", ["stratified", "independent"])
def test_masks_keep_the_mean(sampling):
    mask = masks(sampling)
    assert mask.shape == (50, 4000)
    assert_allclose(np.unique(mask), [0, 1 / 0.7], rtol=1e-6)
    assert_allclose(mask.mean(), 1, atol=0.01)


@pytest.mark.parametrize("sampling", ["stratified", "independent"])
def test_units_dropped_by_one_draw_are_binomial(sampling):
    """Within a draw the units are independent, so their number is binomial."""
    n_units, n_draws = 20, 4000
    mask = masks(sampling, n_draws=n_draws, width=n_units)
    counts = np.bincount((mask == 0).sum(axis=1), minlength=n_units + 1)
    expected = binom.pmf(np.arange(n_units + 1), n_units, 0.3) * n_draws
    likely = expected > 5
    chi2 = ((counts - expected)[likely] ** 2 / expected[likely]).sum()
    assert chi2 < 2.5 * likely.sum()


def test_stratified_masks_drop_each_unit_as_often_as_they_should():
    dropped = (masks("stratified") == 0).sum(axis=0)  # of 50 draws, 15 expected
    assert dropped.min() >= 14
    assert dropped.max() <= 16
    spread = (masks("independent") == 0).sum(axis=0)
    assert spread.std() > 5 * dropped.std()


def test_positions_and_units_are_masked_independently():
    first, second = dropout_masks(3, 100, [300, 300], [0.5, 0.5], "stratified")
    kept = np.hstack([first, second]) > 0
    correlation = np.corrcoef(kept, rowvar=False)[np.triu_indices(600, 1)]
    assert abs(correlation.mean()) < 0.005
    assert_allclose(correlation.std(), 1 / np.sqrt(100), rtol=0.1)

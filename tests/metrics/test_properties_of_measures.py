"""Measures of any draws against their definitions."""

import math
import statistics
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mixtures import mixtures
from numpy.testing import assert_allclose, assert_array_equal

from skmcdropout import uncertainty
from skmcdropout.uncertainty import MEASURES, REGRESSION_MEASURES


@st.composite
def draws_of_probabilities(draw):
    """Draws of a few rows and classes; exact zeros, ones and tiny values are likely."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(2, 5)))
    weight = st.one_of(
        st.sampled_from([0.0, 1.0, 1e-300, 5e-324]), st.floats(0, 1, width=32)
    )
    weights = draw(hnp.arrays(np.float64, shape, elements=weight))
    weights[..., 0] += weights.sum(axis=-1) < 1e-3
    return weights / weights.sum(axis=-1, keepdims=True)


def entropy(p):
    return -math.fsum(x * math.log(x) for x in p if x > 0)


def means(draws, row):
    n_draws, _, n_classes = draws.shape
    return [math.fsum(draws[:, row, c]) / n_draws for c in range(n_classes)]


@pytest.mark.slow
@given(draws_of_probabilities())
def test_entropies_are_sums_of_p_log_p(draws):
    total = uncertainty.predictive_entropy(draws)
    expected = uncertainty.expected_entropy(draws)
    for row in range(draws.shape[1]):
        assert_allclose(total[row], entropy(means(draws, row)), atol=1e-12)
        of_draws = [entropy(p) for p in draws[:, row]]
        assert_allclose(expected[row], statistics.fmean(of_draws), atol=1e-12)


@pytest.mark.slow
@given(draws_of_probabilities())
def test_information_is_never_negative_and_what_the_total_has_more(draws):
    information = uncertainty.mutual_information(draws)
    total = uncertainty.predictive_entropy(draws)
    assert (information >= 0).all()
    assert (information <= np.log(min(len(draws), draws.shape[-1])) + 1e-12).all()
    rest = uncertainty.expected_entropy(draws)
    assert_allclose(information + rest, total, atol=1e-12)


@pytest.mark.slow
@given(draws_of_probabilities())
def test_the_variation_ratio_counts_the_votes_against_the_mode(draws):
    n_draws, _, n_classes = draws.shape
    ratio = uncertainty.variation_ratio(draws)
    for row in range(draws.shape[1]):
        votes = Counter(list(p).index(max(p)) for p in draws[:, row])
        assert_allclose(ratio[row], 1 - max(votes.values()) / n_draws, atol=1e-15)
    assert (ratio >= 0).all()
    assert (ratio <= 1 - 1 / n_classes + 1e-15).all()


@pytest.mark.slow
@given(draws_of_probabilities())
def test_std_and_doubt_are_of_the_class_of_the_largest_mean(draws):
    std = uncertainty.predictive_std(draws)
    doubt = uncertainty.least_confidence(draws)
    for row in range(draws.shape[1]):
        mean = draws[:, row].mean(axis=0)
        largest = list(mean).index(max(mean))
        of_class = draws[:, row, largest].tolist()
        assert_allclose(std[row], statistics.pstdev(of_class), atol=1e-12)
        assert_allclose(doubt[row], 1 - statistics.fmean(of_class), atol=1e-12)
    assert (std <= 0.5 + 1e-12).all()


@pytest.mark.slow
@given(draws_of_probabilities(), st.sampled_from(sorted(MEASURES)))
def test_layout_and_type_of_the_draws_do_not_matter(draws, name):
    draws = draws.astype(np.float32)
    expected = MEASURES[name](draws)
    wide = np.zeros((*draws.shape[:2], 2 * draws.shape[2]), np.float32)
    wide[..., ::2] = draws
    read_only = draws.copy()
    read_only.flags.writeable = False
    for same in (
        np.asfortranarray(draws),
        wide[..., ::2],
        draws[::-1].copy()[::-1],
        read_only,
        draws.astype(np.float64),
        draws.astype(object),
        draws.tolist(),
    ):
        assert_array_equal(MEASURES[name](same), expected)


@pytest.mark.parametrize("name", MEASURES)
def test_draws_are_probabilities_to_a_thousandth(name):
    near = np.array([[[0.5, 0.5 + 0.998e-3]], [[0.5, 0.5 - 0.998e-3]]])
    assert MEASURES[name](near).shape == (1,)
    one_row_off = np.array([[[0.5, 0.5], [0.5, 0.5 + 1.002e-3]]])
    below_zero = np.array([[[1 + 1e-9, -1e-9]]])
    for far in (one_row_off, one_row_off - 1.002e-3, below_zero, near * np.nan):
        with pytest.raises(ValueError, match="must hold probabilities"):
            MEASURES[name](far)


@pytest.mark.slow
@given(mixtures())
def test_total_variance_is_aleatoric_plus_epistemic(mixture):
    _, means, stds = mixture
    total, aleatoric, epistemic = (
        REGRESSION_MEASURES[name](means, stds)
        for name in ("total_std", "aleatoric_std", "epistemic_std")
    )
    assert_allclose(total**2, aleatoric**2 + epistemic**2, rtol=1e-12)
    for i in np.ndindex(total.shape):
        draws = slice(None), *i
        assert_allclose(epistemic[i], statistics.pstdev(means[draws]), atol=1e-12)
        mean_square = statistics.fmean(stds[draws] ** 2)
        assert_allclose(aleatoric[i], math.sqrt(mean_square), rtol=1e-12)

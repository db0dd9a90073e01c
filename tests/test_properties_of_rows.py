"""Masks and training rows of any size against the laws they are promised to keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtr

from skmcdropout._drawing import masks as masks_module
from skmcdropout._drawing.masks import dropout_masks, kept_units, normal_noise
from skmcdropout._training.rows import (
    MAX_REPETITION,
    canonical_order,
    hold_out,
    training_rows,
)

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


# Rows

VALUES = st.sampled_from([0.0, -0.0, 0.5, 1.5, -2.0, 1e-40, 3e38])


@st.composite
def weighted_tables(draw, max_rows=12):
    """Rows, many of them equal, their codes and positive weights of several kinds."""
    n = draw(st.integers(2, max_rows))
    width = draw(st.integers(1, 3))
    X = draw(st.lists(st.lists(VALUES, min_size=width, max_size=width), min_size=n,
                      max_size=n))  # fmt: skip
    y = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    weight = draw(
        st.sampled_from(
            [st.integers(1, 5), st.integers(1, 60), st.sampled_from([0.25, 1.0, 7.5])]
        )
    )
    weights = draw(st.lists(weight, min_size=n, max_size=n))
    return np.array(X, np.float32), np.array(y), np.array(weights, float)


@given(weighted_tables(), st.randoms(use_true_random=False))
def test_the_order_of_training_depends_on_the_contents_alone(table, random):
    X, y, w = table
    order = random.sample(range(len(X)), len(X))
    first, second = (
        canonical_order(*table),
        canonical_order(X[order], y[order], w[order]),
    )
    assert_array_equal(np.sort(first), np.arange(len(X)))
    for column in (X, y, w):
        assert_array_equal(column[first], column[order][second])


@given(
    weighted_tables(),
    st.sampled_from([None, "balanced", {"a": 2.0, "c": 0.5}, {"b": 0.0}]),
)
def test_each_row_counts_by_its_weight_times_that_of_its_class(table, class_weight):
    X, y, w = table
    classes, y = np.unique(y, return_inverse=True)
    names = np.array(["a", "b", "c"])[classes]
    if isinstance(class_weight, dict):
        class_weight = {k: v for k, v in class_weight.items() if k in names}
        of_class = np.array([class_weight.get(name, 1.0) for name in names])
    elif class_weight == "balanced":
        of_class = np.array(
            [w.sum() / len(names) / w[y == c].sum() for c in range(len(names))]
        )
    else:
        of_class = np.ones(len(names))
    expected = w * of_class[y]
    if not expected.any():
        with pytest.raises(ValueError, match="must give some class in y a positive"):
            training_rows(X, y, w, class_weight, names)
        return
    rows, loss_weights = training_rows(X, y, w, class_weight, names)
    counts = np.bincount(rows, minlength=len(X))
    counted = counts * loss_weights.astype(float)
    assert_allclose(counted / counted.sum(), expected / expected.sum(), atol=1e-6)
    assert_allclose(loss_weights[rows].mean(), 1, rtol=1e-5)
    is_repeated = (w == w.round()).all() and w.sum() <= MAX_REPETITION * len(X)
    assert_array_equal(counts[expected > 0], (w if is_repeated else w**0)[expected > 0])


THREE = np.zeros((3, 1), np.float32), np.array([0, 1, 2])
NAMES = np.array(["a", "b", "c"])


def test_rows_are_repeated_up_to_ten_times_their_number():
    rows, _ = training_rows(*THREE, np.array([1.0, 1.0, 28.0]), None, NAMES)
    assert len(rows) == 30
    rows, weights = training_rows(*THREE, np.array([1.0, 1.0, 29.0]), None, NAMES)
    assert len(rows) == 3
    assert_allclose(weights, np.array([3, 3, 87]) / 31, rtol=1e-6)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize(
    "weights",
    [[1e-150, 1e150, 1e150], [2e307, 3e307, 5e307], [2e-308, 1e-308, 0.5]],
)
def test_weights_far_apart_or_near_the_largest_number_stay_finite(
    weights, class_weight
):
    X, y = np.zeros((4, 1), np.float32), np.array([0, 0, 1, 2])
    weights = np.array([weights[0], *weights])  # the first class has two rows
    rows, found = training_rows(X, y, weights, class_weight, NAMES)
    assert np.isfinite(found).all()
    assert_allclose(found[rows].mean(), 1, rtol=1e-6)


def test_class_weights_must_leave_something_to_train_on():
    with pytest.raises(ValueError, match=r"must give some class in y a positive"):
        training_rows(*THREE, None, {"a": 0, "b": 0.0, "c": 0}, NAMES)
    rows, _ = training_rows(*THREE, None, {"a": 0, "b": 0.0}, NAMES)
    assert_array_equal(rows, [2])


@pytest.mark.parametrize("bad", [-1e-9, -0.5, np.inf, np.nan, "1", None])
def test_each_class_weight_must_be_a_finite_number_that_is_not_negative(bad):
    with pytest.raises(ValueError, match="must give finite weights of at least 0"):
        training_rows(*THREE, None, {"a": 1.0, "b": bad, "c": 2}, NAMES)


@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), st.floats(0.01, 0.5), SEEDS)
def test_validation_takes_its_share_and_leaves_rows_of_every_class(
    counts, fraction, seed
):
    y = np.repeat(np.arange(len(counts)), counts)
    rows = np.random.RandomState(seed).permutation(len(y))
    shared = [n for n in counts if n > 1]
    train, held = hold_out(rows, y, fraction, seed)
    assert_array_equal(np.sort([*train, *held]), np.arange(len(y)))
    assert_array_equal(np.unique(y[train]), np.arange(len(counts)))
    assert len(held) == max(round(fraction * sum(shared)), len(shared))


def test_a_large_validation_set_leaves_a_row_for_each_class():
    train, held = hold_out(np.arange(6), np.repeat([0, 1], 3), 0.99, seed=0)
    assert (len(train), len(held)) == (2, 4)

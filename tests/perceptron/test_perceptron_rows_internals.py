"""Which rows are trained on: order, weights and validation rows of any tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sparse_table import S, X, Y

from skmcdropout._fit import rows as rows_module
from skmcdropout._fit.rows import (
    MAX_REPETITION,
    canonical_order,
    hold_out,
    training_rows,
)
from skmcdropout._utils.sparse_tables import canonical, summed

SEEDS = st.integers(0, 2**31 - 2)
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


CLASSES = np.array(["a", "b", "c"])


@pytest.fixture
def table():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(50, 4)).astype(np.float32)
    return X, rng.randint(3, size=50), rng.randint(1, 4, size=50).astype(float)


def test_canonical_order_does_not_depend_on_the_order_given(table):
    X, y, w = table
    order = np.random.RandomState(1).permutation(50)
    first, second = (
        canonical_order(X, y, w),
        canonical_order(X[order], y[order], w[order]),
    )
    assert_array_equal(X[first], X[order][second])
    assert not np.array_equal(first, np.arange(50))


def test_canonical_order_sees_labels_weights_and_signed_zeros():
    X = np.zeros((4, 2), np.float32)
    X[1] = -0.0
    y, w = np.array([1, 1, 0, 1]), np.array([0.5, 0.25, 1.0, 0.75])
    order = canonical_order(X, y, w)
    assert_allclose(w[order][y[order] == 1], [0.25, 0.5, 0.75])


def signs(text):
    return np.array([1.0 if c == "+" else -1.0 for c in text], np.float32)


def test_rows_of_plus_and_minus_one_have_hashes_of_their_own():
    X = np.stack(np.meshgrid(*[[-1, 1]] * 14), axis=-1).reshape(-1, 14)
    X = np.ascontiguousarray(X, dtype=np.float32)
    assert len(np.unique(rows_module._hashes(X))) == 2**14
    pair = np.array(
        [
            signs("+----+++--+---+-+--+++++-----+"),
            signs("--++--++-+-++-++++-+-+-++-++++"),
        ]
    )
    first, second = rows_module._hashes(pair)
    assert first != second


@pytest.mark.parametrize("n_hashes", [1, 3])
def test_different_rows_of_one_hash_are_sorted_by_value(table, monkeypatch, n_hashes):
    def few(X):
        return (np.abs(X[:, 0]) * 100).astype(np.uint64) % np.uint64(n_hashes)

    monkeypatch.setattr(rows_module, "_hashes", few)
    monkeypatch.setattr(rows_module, "BLOCK_FLOATS", 40)
    X, y, w = table
    X = np.concatenate([X, X[:7]])  # some rows are the same
    y, w = np.r_[y, y[:7]], np.r_[w, w[:7] + 1]
    order = np.random.RandomState(1).permutation(57)
    first = canonical_order(X, y, w)
    second = order[canonical_order(X[order], y[order], w[order])]
    for values in (X, y, w):
        assert_array_equal(values[first], values[second])
    assert_array_equal(np.sort(first), np.arange(57))


def test_blocks_of_rows_are_hashed_alike():
    X = np.tile(np.random.RandomState(0).normal(size=(1, 3)), (9000, 1))
    X = X.astype(np.float32)
    order = canonical_order(X, np.zeros(9000, int), np.ones(9000))
    assert_array_equal(order, np.arange(9000))  # all equal, and the sort is stable


def test_integral_weights_are_repeated_rows(table):
    X, y, w = table
    rows, factors = training_rows(X, y, w, None, CLASSES)
    assert_array_equal(np.bincount(rows), w)
    assert_allclose(factors, 1)
    repeated = np.repeat(np.arange(50), w.astype(int))
    other, _ = training_rows(X[repeated], y[repeated], None, None, CLASSES)
    assert_array_equal(X[rows], X[repeated][other])


def test_other_weights_multiply_the_loss_with_mean_one(table):
    X, y, w = table
    rows, factors = training_rows(X, y, w / 2, None, CLASSES)
    assert_array_equal(np.sort(rows), np.arange(50))
    assert_allclose(factors, w / w.mean(), rtol=1e-6)


def test_large_integral_weights_multiply_the_loss(table):
    X, y, w = table
    rows, factors = training_rows(X, y, w * MAX_REPETITION, None, CLASSES)
    assert len(rows) == 50
    assert_allclose(factors, w / w.mean(), rtol=1e-6)


def test_balanced_weights_give_each_class_the_same_mass(table):
    X, y, w = table
    for weights in (None, w, w / 3):
        rows, factors = training_rows(X, y, weights, "balanced", CLASSES)
        mass = np.bincount(y[rows], weights=factors[rows])
        assert_allclose(mass, len(rows) / 3, rtol=1e-5)


def test_class_weights_by_label(table):
    X, y, _ = table
    rows, factors = training_rows(X, y, None, {"a": 3, "c": 2}, CLASSES)
    assert_allclose(factors / factors[y == 1][0], np.array([3, 1, 2])[y], rtol=1e-6)
    assert_allclose(factors[rows].mean(), 1, rtol=1e-6)


def test_hold_out_is_stratified_seeded_and_complete():
    y = np.repeat([0, 1, 2], [60, 30, 10])
    rows = np.random.RandomState(0).permutation(100)
    train, held = hold_out(rows, y, 0.2, seed=0)
    assert_array_equal(np.sort(np.concatenate([train, held])), np.arange(100))
    assert_array_equal(np.bincount(y[held]), [12, 6, 2])
    assert_array_equal(hold_out(rows, y, 0.2, seed=0)[1], held)
    assert not np.array_equal(hold_out(rows, y, 0.2, seed=1)[1], held)


def test_weights_of_any_size_are_relative(table):
    X, y, w = table
    small = training_rows(X, y, w / 7, None, CLASSES).loss_weights
    huge = training_rows(X, y, w * 1e306 / 7, None, CLASSES).loss_weights
    assert_allclose(huge, small, rtol=1e-6)


def test_a_class_that_weighs_nothing_is_left_out(table):
    X, y, _ = table
    rows, factors = training_rows(X, y, None, {"a": 0}, CLASSES)
    assert set(y[rows]) == {1, 2}
    assert_allclose(factors[rows], 1)


def test_a_class_of_one_row_is_trained_on():
    y = np.array([0, 0, 0, 1, 1, 1, 2])
    train, held = hold_out(np.arange(7), y, 0.1, seed=0)
    assert 6 in train
    assert_array_equal(np.sort(y[held]), [0, 1])


def test_nothing_is_held_out_where_no_class_has_two_rows():
    train, held = hold_out(np.arange(2), np.array([0, 1]), 0.1, seed=0)
    assert_array_equal(train, [0, 1])
    assert len(held) == 0


def test_weights_whose_sum_is_infinite_are_relative_like_all_others():
    table = np.zeros((3, 1), np.float32), np.array([0, 1, 2])
    weights = np.array([0.3e308, 0.6e308, 0.9e308])
    _, found = training_rows(*table, weights, None, np.array(["a", "b", "c"]))
    assert_allclose(found, [0.5, 1, 1.5], rtol=1e-6)


def test_large_validation_sets_leave_rows_of_every_class_to_train_on():
    y = np.repeat([0, 1, 2], [2, 2, 6])
    train, _ = hold_out(np.arange(10), y, 0.99, seed=0)
    assert set(y[train]) == {0, 1, 2}


def test_sparse_rows_have_the_order_of_dense_ones():
    weights = np.random.RandomState(3).randint(1, 3, size=180).astype(float)
    table, labels = np.concatenate([X, X]), np.r_[Y, Y]
    sparse_table = canonical(sparse.csr_array(table))
    assert_array_equal(
        canonical_order(sparse_table, labels, weights),
        canonical_order(table, labels, weights),
    )


def test_sparse_rows_of_one_hash_are_sorted_by_value(monkeypatch):
    monkeypatch.setattr(
        rows_module, "_hashes", lambda X: np.zeros(X.shape[0], np.uint64)
    )
    monkeypatch.setattr(rows_module, "BLOCK_FLOATS", 40)
    table, labels = np.concatenate([X[:40], X[:9]]), np.r_[Y[:40], Y[:9]]
    weights = np.ones(49)
    assert_array_equal(
        canonical_order(canonical(sparse.csr_array(table)), labels, weights),
        canonical_order(table, labels, weights),
    )


def test_a_table_in_canonical_form_is_not_copied():
    table = canonical(S)
    assert np.shares_memory(canonical(table).data, table.data)
    assert_array_equal(table.toarray(), X)


def test_summed_parts_are_summed_in_their_own_type():
    parts = np.array([1.0, 2.0**-30])
    table = sparse.csr_array((parts, [0, 0], [0, 2]), shape=(1, 3))
    assert summed(table).data[0] == 1 + 2.0**-30

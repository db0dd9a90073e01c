"""Which rows are trained on: weights, canonical order, validation split."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmcdropout import MCDropoutClassifier
from skmcdropout._training import rows as rows_module
from skmcdropout._training.rows import (
    MAX_REPETITION,
    canonical_order,
    hold_out,
    training_rows,
)

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


def test_nothing_to_hold_out_is_an_error():
    classifier = MCDropoutClassifier(early_stopping=True, epochs=1)
    with pytest.raises(ValueError, match=r"n_samples=2 in 2 classes"):
        classifier.fit([[0.0], [1.0]], [0, 1])


def test_weights_whose_sum_is_infinite_are_relative_like_all_others():
    table = np.zeros((3, 1), np.float32), np.array([0, 1, 2])
    weights = np.array([0.3e308, 0.6e308, 0.9e308])
    _, found = training_rows(*table, weights, None, np.array(["a", "b", "c"]))
    assert_allclose(found, [0.5, 1, 1.5], rtol=1e-6)


def test_large_validation_sets_leave_rows_of_every_class_to_train_on():
    y = np.repeat([0, 1, 2], [2, 2, 6])
    train, _ = hold_out(np.arange(10), y, 0.99, seed=0)
    assert set(y[train]) == {0, 1, 2}

"""Which rows are trained on: their order, weights, and those held out, seen in fits."""

import keras
import numpy as np
import pytest
from first_weights import Begins
from numpy.testing import assert_allclose, assert_array_equal
from trained_rows import fit_and_find_trained_rows

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor

RNG = np.random.RandomState(0)
X = RNG.normal(size=(50, 4)).astype(np.float32)
X[40:] = X[:10]  # rows that differ in their labels or weights alone
Y = RNG.randint(3, size=50)
Y[40:45] = Y[:5]
COUNTS = RNG.randint(1, 4, size=50)
GIVEN = {"epochs": 2, "batch_size": 16, "random_state": 0}


def weights_of(kind=MCDropoutClassifier, rows=slice(None), weights=None, **changes):
    """The trained weights of a fit to some of the rows."""
    given = {**GIVEN, **changes}
    if kind is MCDropoutClassifier:
        given["temperature"] = 1.0
    weights = None if weights is None else np.asarray(weights)[rows]
    fitted = kind((5,), **given).fit(X[rows], Y[rows], sample_weight=weights)
    return np.concatenate([w.ravel() for w in fitted.model_.get_weights()])


@pytest.mark.parametrize("kind", [MCDropoutClassifier, MCDropoutRegressor])
@pytest.mark.parametrize(
    "weights", [None, COUNTS, COUNTS / 7], ids=["none", "integers", "others"]
)
def test_the_order_of_the_rows_plays_no_part(kind, weights):
    order = np.random.RandomState(1).permutation(50)
    first, second = (weights_of(kind, rows, weights) for rows in (slice(None), order))
    assert_array_equal(first, second)


def test_integral_weights_are_repeated_rows():
    repeated = np.repeat(np.arange(50), COUNTS)
    assert_array_equal(weights_of(weights=COUNTS), weights_of(rows=repeated))


def test_rows_without_weight_are_absent():
    weights = COUNTS / 7
    weights[::5] = 0
    present = np.flatnonzero(weights)
    assert_array_equal(
        weights_of(weights=weights), weights_of(MCDropoutClassifier, present, weights)
    )


@pytest.mark.parametrize("factor", [3.0, 1e306, 1e-306])
def test_weights_of_any_size_are_relative(factor):
    expected = weights_of(weights=COUNTS / 7)
    assert_allclose(weights_of(weights=COUNTS * factor / 7), expected, atol=1e-5)
    assert abs(weights_of() - expected).max() > 1e-2


def n_steps(weights):
    """Steps of an epoch on ten rows, one row each."""
    steps = []
    counts = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )
    MCDropoutClassifier(
        (2,), callbacks=counts, epochs=1, batch_size=1, temperature=1.0
    ).fit(X[:10], np.arange(10) % 2, sample_weight=weights)
    return len(steps)


@pytest.mark.slow
def test_rows_are_repeated_up_to_ten_times_their_number():
    assert n_steps([*[1.0] * 9, 91.0]) == 100
    assert n_steps([*[1.0] * 9, 92.0]) == 10


def test_balanced_weights_give_each_class_the_same_mass():
    for weights in (np.ones(50), COUNTS / 7):
        mass = np.bincount(Y, weights)
        expected = weights_of(weights=weights / mass[Y] / 7)
        found = weights_of(weights=weights, class_weight="balanced")
        assert_allclose(found, expected, atol=1e-5)


def test_class_weights_multiply_those_of_rows():
    factors = np.array([3.0, 1.0, 0.7])[Y]
    found = weights_of(weights=COUNTS / 7, class_weight={0: 3, 2: 0.7})
    expected = weights_of(weights=COUNTS / 7 * factors)
    assert_allclose(found, expected, atol=1e-5)


def test_a_class_that_weighs_nothing_is_left_out():
    def trained(rows, **changes):
        classifier = MCDropoutClassifier((5,), **GIVEN, temperature=1.0, **changes)
        classifier.partial_fit(X[rows], Y[rows], classes=[0, 1, 2])
        return classifier.model_.get_weights()

    without = trained(Y > 0)
    for ours, theirs in zip(trained(Y >= 0, class_weight={0: 0}), without, strict=True):
        assert_array_equal(ours, theirs)


def test_class_weights_must_leave_something_to_train_on():
    with pytest.raises(ValueError, match=r"must give some class in y a positive"):
        weights_of(class_weight={0: 0, 1: 0.0, 2: 0})


@pytest.mark.parametrize("bad", [-1e-9, -0.5, np.inf, np.nan, "1", None])
def test_each_class_weight_must_be_a_finite_number_that_is_not_negative(bad):
    with pytest.raises(ValueError, match="must give finite weights of at least 0"):
        weights_of(class_weight={0: 1.0, 1: bad, 2: 2})


# Rows that early stopping holds out


def held_out(y, fraction, seed=0):
    rng = np.random.RandomState(0)
    classifier = MCDropoutClassifier(
        (20,), early_stopping=True, validation_fraction=fraction, epochs=2,
        random_state=seed, temperature=1.0,
    )  # fmt: skip
    _, is_trained = fit_and_find_trained_rows(
        classifier, rng.normal(size=(len(y), 3)), y
    )
    return ~is_trained


def test_rows_are_held_out_in_the_shares_of_classes_by_a_seed():
    y = np.repeat([0, 1, 2], [60, 30, 10])
    held = held_out(y, 0.2)
    assert_array_equal(np.bincount(y[held]), [12, 6, 2])
    assert_array_equal(held_out(y, 0.2), held)
    assert not np.array_equal(held_out(y, 0.2, seed=1), held)


def test_a_class_of_one_row_is_trained_on():
    y = np.array([0, 0, 0, 1, 1, 1, 2])
    assert_array_equal(np.sort(y[held_out(y, 0.1)]), [0, 1])


def test_large_validation_sets_leave_rows_of_every_class_to_train_on():
    y = np.repeat([0, 1, 2], [2, 2, 6])
    assert set(y[~held_out(y, 0.99)]) == {0, 1, 2}


def test_nothing_to_hold_out_is_an_error():
    classifier = MCDropoutClassifier(early_stopping=True, epochs=1)
    with pytest.raises(ValueError, match=r"n_samples=2 in 2 classes"):
        classifier.fit([[0.0], [1.0]], [0, 1])


def test_epochs_go_through_the_rows_in_other_orders():
    """With one row a step, the first step of an epoch is of another row each time."""
    begins = Begins()
    changed = []

    def note(batch, logs=None):
        if batch == 0:
            changed.append(begins.model.get_weights()[0])

    step = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    MCDropoutClassifier(
        (20,), "tanh", epochs=8, batch_size=1, callbacks=[begins, step], alpha=0.0,
        batch_normalization=False, temperature=1.0, random_state=0,
        optimizer=keras.optimizers.Adam(beta_1=0.0, beta_2=0.0),
    ).fit(np.eye(12), np.arange(12) % 2)  # fmt: skip
    pairs = zip(begins.weights[:-1], changed, strict=True)
    first = [np.flatnonzero((old[0] != new).any(axis=1)).item() for old, new in pairs]
    assert len(set(first)) > 3

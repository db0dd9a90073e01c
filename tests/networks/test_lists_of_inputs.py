"""Several inputs as a dict, a list or a table, wherever rows go."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import StratifiedKFold, cross_val_score

from skmcdropout import (
    MCDropoutClassifier,
    RejectingClassifier,
    cross_val_uncertainty,
)

RNG = np.random.RandomState(0)
A, B = RNG.normal(size=(2, 60, 4, 4, 1)).astype(np.float32)
Y = (A.mean((1, 2, 3)) > B.mean((1, 2, 3))).astype(int)
TABLE = np.hstack([A.reshape(60, 16), B.reshape(60, 16)])


def network():
    a = keras.Input((4, 4, 1), name="grey")
    b = keras.Input((4, 4, 1), name="blue")  # before the other in the alphabet
    h = layers.Concatenate()([layers.Flatten()(a), 2 * layers.Flatten()(b)])
    h = layers.Dropout(0.3)(layers.Dense(8, activation="relu")(h))
    return keras.Model([a, b], layers.Dense(2, activation="softmax")(h))


def one_input():
    a = keras.Input((4, 4, 1))
    h = layers.Dropout(0.3)(layers.Flatten()(a))
    return keras.Model(a, layers.Dense(2, activation="softmax")(h))


def classifier(build=network):
    return MCDropoutClassifier(
        model=lambda meta: build(), epochs=1, n_samples=5, random_state=0
    )


FORMS = {
    "dict": lambda rows: {"grey": A[rows], "blue": B[rows]},
    "list": lambda rows: [A[rows], B[rows]],
    "tuple": lambda rows: (A[rows], B[rows]),
}
ALL = slice(None)


def test_all_forms_are_the_same():
    expected = classifier().fit(TABLE, Y).predict_proba(TABLE)
    for form in FORMS.values():
        fitted = classifier().fit(form(ALL), Y)
        assert_allclose(fitted.predict_proba(form(ALL)), expected, atol=1e-6)
        assert_allclose(fitted.predict_proba(TABLE), expected, atol=1e-6)
        fitted.partial_fit(form(slice(0, 20)), Y[:20])


def test_a_trained_network_takes_a_list_as_keras_does():
    trained = network()
    clf = MCDropoutClassifier.from_keras(trained, n_samples=0)
    assert_allclose(clf.predict_proba([A, B]), trained([A, B]), atol=1e-6)
    assert_allclose(
        clf.predict_proba([A[:2], B[:2]]), trained([A[:2], B[:2]]), atol=1e-6
    )


def test_one_input_in_a_list():
    fitted = classifier(one_input).fit([A], Y)
    alone = classifier(one_input).fit(A, Y)
    assert_array_equal(fitted.predict_proba([A]), alone.predict_proba(A))


@pytest.mark.parametrize("name", FORMS)
def test_out_of_fold_uncertainties(name):
    cv = StratifiedKFold(3)
    found = cross_val_uncertainty(
        classifier(), FORMS[name](ALL), Y, cv=cv, return_prediction=True
    )
    expected = np.zeros((60, 2))
    for train, held in cv.split(TABLE, Y):
        fitted = classifier().fit(TABLE[train], Y[train])
        expected[held] = fitted.predict_proba(TABLE[held])
    assert_allclose(found[1], expected, atol=1e-6)


@pytest.mark.parametrize("name", FORMS)
def test_rejecting(name):
    rows = FORMS[name](ALL)
    found = RejectingClassifier(classifier(), coverage=0.8, cv=2).fit(rows, Y)
    expected = RejectingClassifier(classifier(), coverage=0.8, cv=2).fit(TABLE, Y)
    assert_allclose(found.threshold_, expected.threshold_, rtol=1e-5)
    accepted = found.accept(rows)
    assert_array_equal(accepted, found.accept(TABLE))
    weights = np.arange(60) % 3
    found.fit(rows, Y, weights)
    expected.fit(TABLE, Y, weights)
    assert_allclose(found.threshold_, expected.threshold_, rtol=1e-5)


COLUMN = RNG.normal(size=60).astype(np.float32)


def flat():
    """Named against the alphabet, and of a column."""
    features, age = keras.Input((16,), name="features"), keras.Input((1,), name="age")
    h = layers.Dropout(0.3)(layers.Concatenate()([features, 3 * age]))
    return keras.Model([features, age], layers.Dense(2, activation="softmax")(h))


def two_columns():
    a, b = keras.Input((1,), name="b"), keras.Input((1,), name="a")
    h = layers.Dropout(0.3)(layers.Concatenate()([a, 3 * b]))
    return keras.Model([a, b], layers.Dense(2, activation="softmax")(h))


MEMBERS = {
    "columns": lambda a, b: [a, b],
    "frames": lambda a, b: [pd.DataFrame(a, index=range(5, 65)), pd.Series(b)],
    "tensors": lambda a, b: [keras.ops.array(a), keras.ops.array(b)[:, None]],
}


@pytest.mark.parametrize("name", MEMBERS)
def test_what_a_list_may_hold(name):
    X = MEMBERS[name](TABLE[:, :16], COLUMN)
    trained = flat()
    clf = MCDropoutClassifier.from_keras(trained, n_samples=0)
    expected = trained([TABLE[:, :16], COLUMN[:, None]])
    assert_allclose(clf.predict_proba(X), expected, atol=1e-6)
    fitted = classifier(flat).fit(X, Y).set_params(n_samples=0)
    expected = fitted.model_([TABLE[:, :16], COLUMN[:, None]])
    assert_allclose(fitted.predict_proba(X), expected, atol=1e-6)
    assert cross_val_uncertainty(fitted, X, Y, cv=2, measure="predictive_entropy").shape
    rejecting = RejectingClassifier(classifier(flat), coverage=0.8, cv=2).fit(X, Y)
    assert rejecting.accept(X).shape == (60,)


def test_columns_alone():
    fitted = classifier(two_columns).fit([COLUMN, TABLE[:, 0]], Y)
    both = np.stack([COLUMN, TABLE[:, 0]], axis=1)
    expected = fitted.predict_proba(both)
    assert_array_equal(fitted.predict_proba([COLUMN, TABLE[:, 0]]), expected)
    # rows of two values, as many as there are inputs: that is a table
    assert_array_equal(fitted.predict_proba([*both[:2]]), expected[:2])


def test_as_few_rows_as_inputs():
    """Arrays of different shapes are no rows; those of one shape are."""
    assert classifier(flat).fit([TABLE[:2, :16], COLUMN[:2]], [0, 1]).n_iter_ == 1
    with pytest.raises(ValueError, match="X must be a dict with an array for each"):
        classifier().fit([A[:2], B[:2]], [0, 1])
    fitted = classifier().fit([A, B], Y)
    two = fitted.predict_proba([A[:2], B[:2]])
    assert_array_equal(two, fitted.predict_proba(TABLE[:2]))


def test_lists_of_rows_stay_rows():
    fitted = classifier(one_input).fit([*A], Y)
    alone = classifier(one_input).fit(A, Y)
    assert_array_equal(fitted.predict_proba([*A]), alone.predict_proba(A))
    assert_array_equal(fitted.predict_proba([A[0]]), alone.predict_proba(A[:1]))


def test_rows_of_any_size_stay_rows():
    """One image could be four batches of columns to a network of images of any size."""

    def pooled():
        a = keras.Input((None, None, 1))
        h = layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(a))
        return keras.Model(a, layers.Dense(2, activation="softmax")(h))

    fitted = classifier(pooled).fit(A, Y)
    assert_array_equal(fitted.predict_proba([A[0]]), fitted.predict_proba(A[:1]))
    assert_array_equal(fitted.predict_proba([A]), fitted.predict_proba(A))


def test_a_model_function_is_told_the_shapes_in_order():
    seen = []

    def build(meta):
        seen.append(meta["X_shape_"])
        return flat()

    MCDropoutClassifier(model=build, epochs=1).fit([TABLE[:, :16], COLUMN], Y)
    assert seen[0] == [(60, 16), (60,)]


@pytest.mark.parametrize("n", [1, 3])
def test_wrong_numbers_of_inputs_are_named(n):
    message = rf"X, a list.*\['grey', 'blue'\]. Got {n}"
    fitted = classifier().fit([A, B], Y)
    with pytest.raises(ValueError, match=message):
        fitted.predict([A, B, B][:n])
    if n > 1:  # an array alone in a list is that array
        with pytest.raises(ValueError, match=message):
            fitted.fit([A, B, B], Y)
    assert fitted.predict([A, B]).shape == (60,)


def test_several_arrays_for_one_input_are_refused():
    message = "one array for a network with one input. Got a list of 2 arrays"
    with pytest.raises(ValueError, match=message):
        classifier(one_input).fit([A, B], Y)
    fitted = classifier(one_input).fit(A, Y)
    with pytest.raises(ValueError, match=message):
        fitted.predict([A, B])


@pytest.mark.parametrize("form", [{"grey": A[:50], "blue": B}, [A[:50], B]])
@pytest.mark.parametrize(
    "use",
    [
        classifier().fit,
        lambda X, y: cross_val_uncertainty(classifier(), X, y),
        RejectingClassifier(classifier()).fit,
    ],
)
def test_inputs_of_different_lengths_are_refused(form, use):
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[50, 60"):
        use(form, Y)


def test_what_scikit_learn_splits_is_the_table():
    scores = cross_val_score(classifier(), TABLE, Y, cv=2, error_score="raise")
    assert scores.shape == (2,)
    for form in FORMS.values():
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            cross_val_score(classifier(), form(ALL), Y, cv=2)

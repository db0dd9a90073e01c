"""The warning of features that nothing will be learned from."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_wine,
    make_friedman1,
)
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor

UNSCALED = "X has features so unscaled that hardly anything will be learned"

#: The mean row is that many spreads from 0, or further, where it warns.
TOO_FAR = 200.0


def fit(table, kind=MCDropoutClassifier, batch_normalization=False):
    """A fit that hardly trains; every warning but the one that is expected fails."""
    given = {"temperature": 1.0} if kind is MCDropoutClassifier else {}
    estimator = kind(
        (5,), epochs=1, batch_size=4096, learning_rate=1e-9, random_state=0,
        batch_normalization=batch_normalization, **given,
    )  # fmt: skip
    estimator.fit(table, np.arange(table.shape[0]) % 2)


def standardised(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


X, Y = standardised(load_wine)
ONE_FAR = X + np.eye(1, 13) * 1e4
TABLES = {
    "far": X + 2 * TOO_FAR,
    "a year": np.column_stack([X, 2000 + 5 * X[:, 0]]),
    "one feature far": ONE_FAR,
    "at the edge of single precision": X + 1e6,
}


@pytest.mark.parametrize("name", TABLES)
def test_features_far_from_0_are_warned_of(name):
    with pytest.warns(UserWarning, match=UNSCALED):
        fit(TABLES[name])
    with pytest.warns(UserWarning, match=UNSCALED):
        fit(sparse.csr_array(TABLES[name]))
    with pytest.warns(UserWarning, match=UNSCALED):
        fit(TABLES[name], MCDropoutRegressor)
    fit(TABLES[name], batch_normalization=True)


@pytest.mark.parametrize(
    "table",
    [X * 1000, X[:, :1] * 200, load_digits().data[:200] * 255],
    ids=["standardised", "one feature", "pixels"],
)
def test_wide_features_are_warned_of_where_targets_are_real(table):
    for form in (np.asarray, sparse.csr_array):
        with pytest.warns(UserWarning, match=UNSCALED):
            fit(form(table), MCDropoutRegressor)
        fit(form(table))
        fit(form(table), MCDropoutRegressor, batch_normalization=True)


@pytest.mark.parametrize("n_features", [1, 10, 20_000])
def test_no_standardised_table_is_warned_of(n_features):
    table = np.random.RandomState(0).normal(size=(40, n_features))
    fit(table, MCDropoutRegressor)
    fit(table * 10, MCDropoutRegressor)


def words():
    rng = np.random.RandomState(0)
    counts = sparse.csr_array(rng.uniform(size=(500, 3000)) < 0.02)
    return TfidfTransformer().fit_transform(counts.astype(float))


FINE = {
    "standardised": lambda: X,
    "raw wine": lambda: load_wine().data,
    "raw cancer": lambda: load_breast_cancer().data,
    "pixels to 1": lambda: load_digits().data[:200] / 16,
    "pixels to 255": lambda: load_digits().data[:200] * 255 / 16,
    "large": lambda: X * 1e6,
    "constant": lambda: np.full((50, 3), 0.1),
    "one row": lambda: np.repeat(X[:1] + 100, 2, axis=0),
    "empty words": lambda: sparse.csr_array((30, 200)),
}


@pytest.mark.parametrize("name", FINE)
def test_features_that_are_learned_from_are_not_warned_of(name):
    fit(FINE[name]())


def test_words_are_not_warned_of():
    fit(words())


def test_partial_fit_sees_too_little_to_warn():
    estimator = MCDropoutClassifier((5,), batch_normalization=False)
    estimator.partial_fit(X[:2] + 1000, Y[:2], classes=[0, 1, 2])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:X has features so unscaled")
@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_where_it_warns_nothing_is_learned_and_normalization_helps(load):
    table, y = standardised(load)
    X, X_test, y, y_test = train_test_split(table, y, stratify=y, random_state=0)
    most_frequent = np.bincount(y_test).max() / len(y_test)
    scores = [
        MCDropoutClassifier(
            (64, 64), batch_normalization=normalize, temperature=1.0, random_state=0
        )
        .fit(X + 2 * TOO_FAR, y)
        .score(X_test + 2 * TOO_FAR, y_test)
        for normalize in (False, True)
    ]
    assert scores[0] < most_frequent + 0.05
    assert scores[1] > 0.9


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:X has features so unscaled")
def test_where_it_warns_of_wide_features_targets_are_not_learned():
    X, y = make_friedman1(1000, noise=1, random_state=0)
    X = StandardScaler().fit_transform(X)
    scores = [
        MCDropoutRegressor(
            (64, 64), batch_normalization=normalize, epochs=40, random_state=0
        )
        .fit(X[:700] * factor, y[:700])
        .score(X[700:] * factor, y[700:])
        for factor, normalize in ((50, False), (1, False), (50, True))
    ]
    assert scores[0] < 0.1
    assert min(scores[1:]) > 0.7

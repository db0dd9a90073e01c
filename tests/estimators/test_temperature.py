"""The temperature of the logits: found by likelihood, kept, undone to train."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss
from trained_rows import fit_and_find_trained_rows

from skmcdropout import MCDropoutClassifier


def mlp(**parameters):
    given = {"epochs": 5, "n_samples": 20, "random_state": 0, **parameters}
    return MCDropoutClassifier((8,), **given)


def log_odds(p):
    return np.log(p[:, 1:]) - np.log(p[:, :1])


def test_logits_are_divided_by_it(blobs):
    plain = mlp(temperature=1.0, n_samples=0).fit(*blobs)
    cooled = mlp(temperature=4.0, n_samples=0).fit(*blobs)
    assert (plain.temperature_, cooled.temperature_) == (1.0, 4.0)
    expected = log_odds(plain.predict_proba(blobs[0])) / 4
    assert_allclose(log_odds(cooled.predict_proba(blobs[0])), expected, atol=1e-5)
    p = cooled.model_(blobs[0])
    assert_allclose(cooled.predict_proba(blobs[0]), p, atol=1e-6)


def test_training_goes_on_without_it(blobs):
    X, y = blobs
    constant = {"learning_rate_schedule": "constant", "warm_start": True}
    plain = mlp(temperature=1.0, **constant).fit(X, y).fit(X, y)
    cooled = mlp(temperature=4.0, **constant).fit(X, y).fit(X, y)
    assert_allclose(cooled.history_["loss"], plain.history_["loss"], rtol=1e-5)
    cooled.set_params(temperature=1.0).partial_fit(X, y)
    plain.partial_fit(X, y)
    assert_allclose(cooled.predict_proba(X), plain.predict_proba(X), atol=1e-5)


def test_going_on_keeps_the_one_that_was_found(blobs):
    clf = mlp(warm_start=True).fit(*blobs)
    found = clf.temperature_
    assert found != 1
    assert clf.fit(*blobs).temperature_ == found
    assert clf.partial_fit(*blobs).temperature_ == found
    assert mlp().partial_fit(*blobs, classes=[0, 1, 2]).temperature_ == 1


@pytest.mark.parametrize(
    ("n_rows", "parameters", "n_networks"),
    [(60, {}, 4), (200, {}, 4), (400, {}, 3), (600, {}, 2), (1999, {}, 2),
     (2000, {}, 1), (60, {"early_stopping": True}, 1), (60, {"temperature": 2.0}, 1)],
)  # fmt: skip
def test_networks_are_trained_for_it_where_rows_are_few(
    n_rows, parameters, n_networks, trainings
):
    X, y = make_classification(n_rows, random_state=0)
    mlp(epochs=1, **parameters).fit(X, y)
    assert len(trainings) == n_networks


@pytest.mark.parametrize(
    ("n_rows", "parameters", "n_trained"),
    [(300, {}, 300), (2000, {}, 1800), (2000, {"temperature": 1.0}, 2000)],
)  # fmt: skip
def test_a_tenth_of_many_rows_is_held_out_for_it(n_rows, parameters, n_trained):
    X, y = make_classification(n_rows, 5, random_state=0)
    clf = mlp(epochs=1, **parameters)
    _, is_trained = fit_and_find_trained_rows(clf, X, y)
    assert is_trained.sum() == n_trained


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"early_stopping": True, "validation_fraction": 0.3},
    ],
    ids=["many rows", "early stopping"],
)
def test_it_is_the_most_probable_for_rows_that_were_not_trained_on(parameters):
    n_rows = 600 if parameters else 2000
    X, y = make_classification(
        n_rows, 5, n_informative=4, n_redundant=0, flip_y=0.2, random_state=0
    )
    clf = mlp(epochs=8, dropout_rate=0.1, n_samples=200, **parameters)
    table, is_trained = fit_and_find_trained_rows(clf, X, y)

    def most_probable(rows):
        """With a standard normal prior of its logarithm."""
        logits = clf.temperature_ * np.log(clf.sample_proba(table[rows]).astype(float))

        def surprise(log):
            p = softmax(logits / np.exp(log), axis=2).mean(axis=0)
            return log**2 / 2 - np.log(p[np.arange(rows.sum()), y[rows]]).sum()

        found = minimize_scalar(surprise, bounds=(-3, 3), method="bounded")
        return np.exp(found.x)

    assert_allclose(clf.temperature_, most_probable(~is_trained), rtol=0.05)
    assert most_probable(is_trained) < 0.8 * clf.temperature_  # which were learned


def test_integer_weights_are_repeated_rows_to_it(blobs):
    X, y = blobs
    counts = 1 + np.arange(60) % 3
    weighed = mlp().fit(X, y, sample_weight=counts)
    repeated = mlp().fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert weighed.temperature_ == repeated.temperature_ != 1
    assert_array_equal(weighed.predict_proba(X), repeated.predict_proba(X))


@pytest.mark.slow
def test_noisy_labels_are_predicted_less_surely():
    X, y = make_classification(
        1000, 20, n_informative=4, flip_y=0.3, class_sep=0.7, random_state=0
    )
    losses = [
        log_loss(y[300:], c.fit(X[:300], y[:300]).predict_proba(X[300:]))
        for c in (
            MCDropoutClassifier(temperature=1.0, random_state=0),
            MCDropoutClassifier(random_state=0),
        )
    ]
    assert losses[1] < 0.95 * losses[0]


def test_rows_that_can_not_be_held_out_leave_it(blobs):
    assert mlp().fit([[0.0], [1.0]], [0, 1]).temperature_ == 1


@pytest.mark.slow
def test_an_activation_that_arrays_do_not_know_has_one_too(blobs):
    clf = mlp(activation="gelu").fit(*blobs)
    assert clf.temperature_ != 1


def test_memory_tells_temperatures_apart(blobs, tmp_path):
    kept = {"memory": str(tmp_path)}
    found = [mlp(temperature=t, **kept).fit(*blobs) for t in ("auto", 2.0, "auto")]
    assert found[0].temperature_ == found[2].temperature_ != 2
    assert found[1].temperature_ == 2
    assert_array_equal(*(f.predict_proba(blobs[0]) for f in found[::2]))
    plain = mlp().fit(*blobs)
    assert_array_equal(plain.predict_proba(blobs[0]), found[0].predict_proba(blobs[0]))


def test_it_is_no_parameter_beside_a_model(blobs):
    def build(meta, dropout_rate):
        return keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dropout(dropout_rate),
                keras.layers.Dense(3, activation="softmax"),
            ]
        )

    clf = MCDropoutClassifier(model=build, epochs=1)
    assert clf.fit(*blobs).temperature_ == 1
    with pytest.raises(ValueError, match=r"temperature has no meaning beside model"):
        clf.set_params(temperature=2.0).fit(*blobs)

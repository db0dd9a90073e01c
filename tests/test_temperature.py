"""The temperature of the logits: found by likelihood, kept, undone to train."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss

from skmcdropout import MCDropoutClassifier
from skmcdropout._fitting import fit as fitting
from skmcdropout._fitting import held_out
from skmcdropout._fitting import temperature as finding
from skmcdropout._fitting.temperature import best_temperature

RNG = np.random.RandomState(0)


def draws_and_labels(n_rows, truth):
    logits = 3 * RNG.normal(size=(1, n_rows, 3)) + 0.5 * RNG.normal(
        size=(20, n_rows, 3)
    )
    p = softmax(logits / truth, axis=2).mean(axis=0)
    y = (p.cumsum(axis=1) < RNG.uniform(size=(n_rows, 1))).sum(axis=1)
    return logits.astype(np.float32), np.minimum(y, 2)


def posterior(logits, y, weights, temperature):
    """Minus its logarithm, written out."""
    p = softmax(logits.astype(float) / temperature, axis=2).mean(axis=0)
    of_label = p[np.arange(len(y)), y]
    share = weights * weights.sum() / np.square(weights).sum()
    return np.log(temperature) ** 2 / 2 - (share * np.log(of_label)).sum()


@pytest.mark.parametrize("truth", [0.4, 1.0, 3.0])
def test_it_is_that_of_the_labels(truth):
    logits, y = draws_and_labels(20_000, truth)
    assert_allclose(best_temperature(logits, y, np.ones(len(y))), truth, rtol=0.05)


@pytest.mark.parametrize("n_rows", [5, 100])
def test_no_other_is_more_probable(n_rows):
    logits, y = draws_and_labels(n_rows, 2.0)
    weights = RNG.uniform(0.5, 2, size=n_rows)
    found = best_temperature(logits, y, weights)
    lowest = posterior(logits, y, weights, found)
    for other in np.exp(np.linspace(-3, 3, 200)):
        assert posterior(logits, y, weights, other) > lowest - 1e-3


def test_weights_are_relative_and_zeros_are_no_rows():
    logits, y = draws_and_labels(40, 2.0)
    some = np.arange(40) % 3 > 0
    expected = best_temperature(logits[:, some], y[some], np.ones(some.sum()))
    assert_allclose(best_temperature(logits, y, 7.0 * some), expected, rtol=1e-6)
    assert best_temperature(logits, y, np.zeros(40)) == 1


def test_a_few_heavy_rows_are_little_evidence():
    logits, y = draws_and_labels(200, 1.0)
    wrong = (y + 1) % 3  # hot, if these are believed
    weights = np.where(np.arange(200) < 2, 1e6, 1.0)
    alone = best_temperature(logits[:, :2], wrong[:2], np.ones(2))
    assert_allclose(best_temperature(logits, wrong, weights), alone, rtol=1e-3)


def test_nobody_is_without_error_for_ever():
    """Labels that are all right make it lower, but not as low as can be."""
    logits = np.zeros((1, 100, 2), np.float32)
    logits[:, :, 0] = 3
    found = best_temperature(logits, np.zeros(100, int), np.ones(100))
    assert np.exp(-finding.LARGEST_LOG) * 1.5 < found < 1


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
    p = cooled.model_.predict(blobs[0], verbose=0)
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
    [(60, {}, 4), (200, {}, 4), (400, {}, 3), (600, {}, 2), (2500, {}, 1),
     (60, {"early_stopping": True}, 1), (60, {"temperature": 2.0}, 1)],
)  # fmt: skip
def test_networks_are_trained_for_it_where_rows_are_few(
    n_rows, parameters, n_networks, monkeypatch
):
    trained, train = [], fitting.train

    def noted(spec, state, data, *args):
        trained.append(data.rows)
        return train(spec, state, data, *args)

    monkeypatch.setattr(fitting, "train", noted)
    monkeypatch.setattr(held_out, "train", noted)
    X, y = make_classification(n_rows, random_state=0)
    mlp(epochs=1, **parameters).fit(X, y)
    assert len(trained) == n_networks
    if n_rows < 2000 and not parameters:
        assert_array_equal(np.sort(trained[0]), np.arange(n_rows))
    if n_rows > 2000:
        assert len(trained[0]) == 0.9 * n_rows


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

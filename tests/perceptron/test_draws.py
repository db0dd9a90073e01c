"""Draws of fitted networks: which networks they are of, and what is made of them."""

import itertools

import inside
import keras
import numpy as np
import pytest
from lanes import fast
from numpy.testing import assert_allclose, assert_array_equal

from skmcdropout import MCDropoutClassifier, uncertainty

RATES = 0.3, 0.5, 0.4
SAMPLING = "stratified", "independent"


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


def few_units(sampling, **parameters):
    """A classifier, quickly fitted to 60 rows of two features, and five rows."""
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1, 2], 20)
    X = (rng.normal(size=(60, 2)) + y[:, None]).astype(np.float32)
    given = {"epochs": 2, "temperature": 1.0, "batch_normalization": False}
    classifier = MCDropoutClassifier(
        activation="tanh", sampling=sampling, random_state=0, **given, **parameters
    )
    return classifier.fit(X, y), X[::12]


def networks_without_units(classifier, X, rates):
    """Which units are kept (2 ** n_units, n_units), and what each network gives for X.

    `rates` holds one of each layer, None for none.
    """
    weights = classifier.model_.get_weights()
    layers = list(zip(weights[::2], weights[1::2], strict=True))
    widths = [len(k) for (k, _), r in zip(layers, rates, strict=True) if r]
    given = [rate for rate in rates if rate]
    kept = np.array(list(itertools.product([False, True], repeat=sum(widths))))
    masks = np.split(kept, np.cumsum(widths)[:-1], axis=1)
    masks = iter([m / (1 - rate) for m, rate in zip(masks, given, strict=True)])
    h = X[None].astype(float)
    for i, ((kernel, bias), rate) in enumerate(zip(layers, rates, strict=True)):
        h = h if rate is None else h * next(masks)[:, None]
        h = h @ kernel + bias
        h = np.tanh(h) if i < len(layers) - 1 else softmax(h)
    return kept, h


def nearest(draws, outputs):
    """Index of the network that each draw is of."""
    distances = [abs(outputs - draw).max(axis=(1, 2)) for draw in draws]
    assert np.min(distances, axis=1).max() < 1e-6
    return np.argmin(distances, axis=1)


@pytest.mark.parametrize("sampling", SAMPLING)
def test_each_draw_is_of_a_network_without_units_as_often_as_rates_say(sampling):
    n_draws = 3000
    classifier, X = few_units(
        sampling, hidden_layer_sizes=(3, 2), dropout_position="all",
        dropout_rate=list(RATES), n_samples=n_draws,
    )  # fmt: skip
    kept, outputs = networks_without_units(classifier, X, RATES)
    rates = np.repeat(RATES, [2, 3, 2])
    share = np.where(kept, 1 - rates, rates).prod(axis=1)
    # Networks that lack a layer are the same, whatever else they lack.
    _, first, kind = np.unique(
        outputs.round(5).reshape(len(outputs), -1), axis=0, return_index=True,
        return_inverse=True,
    )  # fmt: skip
    expected = np.bincount(kind.ravel(), share) * n_draws
    drawn = nearest(classifier.sample_proba(X), outputs)
    counts = np.bincount(kind.ravel()[drawn], minlength=len(first))
    assert len(first) > 60
    likely = expected > 5
    chi2 = ((counts - expected)[likely] ** 2 / expected[likely]).sum()
    assert chi2 < likely.sum() + 4 * np.sqrt(2 * likely.sum())
    assert counts[~likely].sum() < 2 * expected[~likely].sum() + 10


def masks_of_draws(sampling, n_draws, rate, seed=0):
    """Which of eight hidden units each draw keeps, (n_draws, 8)."""
    classifier, X = few_units(
        sampling, hidden_layer_sizes=(8,), dropout_rate=rate, n_samples=n_draws
    )
    weights = classifier.model_.get_weights()
    classifier.set_params(random_state=seed).fit(X, [0, 1, 2, 0, 1])
    classifier.model_.set_weights(weights)
    kept, outputs = networks_without_units(classifier, X, [None, rate])
    return kept[nearest(classifier.sample_proba(X), outputs)]


@pytest.mark.parametrize(("n_draws", "rate"), [(50, 0.3), (7, 0.5), (20, 0.12)])
def test_stratified_draws_drop_each_unit_in_its_share_of_draws(n_draws, rate):
    dropped = (~masks_of_draws("stratified", n_draws, rate)).sum(axis=0)
    assert dropped.min() >= np.floor(rate * n_draws)
    assert dropped.max() <= np.ceil(rate * n_draws)


def test_independent_draws_drop_each_unit_by_itself():
    dropped = ~masks_of_draws("independent", 400, 0.3)
    counts, deviation = dropped.sum(axis=0), np.sqrt(400 * 0.3 * 0.7)
    assert (abs(counts - 120) < 4.5 * deviation).all()
    assert counts.std() > deviation / 3


@pytest.mark.parametrize("sampling", fast("stratified", among=SAMPLING))
def test_other_seeds_draw_other_masks(sampling):
    first = masks_of_draws(sampling, 20, 0.5)
    assert_array_equal(masks_of_draws(sampling, 20, 0.5), first)
    assert (masks_of_draws(sampling, 20, 0.5, seed=1) != first).mean() > 0.3


@pytest.mark.slow
def test_the_mean_of_stratified_draws_varies_less():
    def error(sampling):
        classifier, X = few_units(sampling, hidden_layer_sizes=(8,), dropout_rate=0.3)
        exact = classifier.set_params(n_samples=20_000).predict_proba(X)
        means = [
            classifier.set_params(n_samples=n).predict_proba(X) for n in range(90, 110)
        ]
        return np.square(np.array(means) - exact).mean()

    assert error("stratified") < error("independent") / 3


@pytest.fixture(scope="module")
def two_layers(digits):
    X, y = digits
    classifier = MCDropoutClassifier(
        (30, 20), dropout_position="all", dropout_rate=[0.1, 0.5, 0.3], epochs=2,
        n_samples=20, random_state=0, batch_normalization=False, temperature=1.0,
    )  # fmt: skip
    return classifier.fit(X[:500], y[:500]), X[:100].astype(np.float32)


@pytest.mark.slow
def test_weights_too_large_to_be_thinned_at_once_give_the_same_for_few_rows_and_many(
    digits,
):
    """Few rows have masks beside the weights, many have weights thinned in blocks."""
    X, y = digits
    classifier = MCDropoutClassifier(
        (300, 100), dropout_position="all", epochs=1, n_samples=500, random_state=0,
        temperature=1.0,
    ).fit(X[:200], y[:200])  # fmt: skip
    few = classifier.sample_proba(X[:100])
    assert_allclose(classifier.sample_proba(X[:150])[:, :100], few, atol=2e-6)
    assert len(np.unique(few[:, 0, 0])) > 490


def test_chunks_do_not_matter(two_layers):
    """With 200 draws of 30 units, some 700 rows make a chunk."""
    classifier, X = two_layers
    few = classifier.set_params(n_samples=200).sample_proba(X)
    proba = classifier.predict_proba(X)
    many = np.tile(X, (15, 1))
    try:
        drawn = classifier.sample_proba(many)
        assert_allclose(drawn, np.tile(few, (1, 15, 1)), atol=1e-6)
        assert_allclose(
            classifier.predict_proba(many), np.tile(proba, (15, 1)), atol=1e-6
        )
    finally:
        classifier.set_params(n_samples=20)


def test_rows_may_come_in_any_order_or_alone(two_layers):
    classifier, X = two_layers
    proba = classifier.predict_proba(X)
    last_digit = {"rtol": 0, "atol": 2**-23}
    for n_rows in (2, 7, 16, 17, 31, 50, 100):
        order = np.random.RandomState(0).permutation(n_rows)
        shuffled = classifier.predict_proba(X[order])
        assert_allclose(shuffled, proba[order], **last_digit)
    alone = np.vstack([classifier.predict_proba(X[[i]]) for i in range(10)])
    assert_allclose(alone, proba[:10], **last_digit)


def test_proba_is_the_mean_of_the_draws(two_layers):
    classifier, X = two_layers
    draws = classifier.sample_proba(X)
    assert draws.shape == (20, 100, 10)
    assert_allclose(classifier.predict_proba(X), draws.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("name", uncertainty.MEASURES)
def test_streamed_measures_are_those_of_the_draws(two_layers, name):
    classifier, X = two_layers
    expected = uncertainty.MEASURES[name](classifier.sample_proba(X))
    assert_allclose(classifier.predict_uncertainty(X, name), expected, atol=2e-6)


def test_several_measures_are_columns(two_layers):
    classifier, X = two_layers
    names = ["mutual_information", "expected_entropy", "predictive_entropy"]
    columns = classifier.predict_uncertainty(X, names)
    assert columns.shape == (100, 3)
    for column, name in zip(columns.T, names, strict=True):
        assert_array_equal(column, classifier.predict_uncertainty(X, name))
    assert_allclose(columns[:, 0] + columns[:, 1], columns[:, 2], atol=1e-6)
    assert classifier.predict_uncertainty(X, ("predictive_std",)).shape == (100, 1)


@pytest.mark.parametrize("rate", [0, 0.0, [0]])
def test_rate_zero_gives_identical_draws_and_no_mutual_information(blobs, rate):
    X, y = blobs
    inside.forget_compiled()
    classifier = MCDropoutClassifier(
        (10,), dropout_rate=rate, n_samples=5, epochs=2, random_state=0, temperature=1.0
    ).fit(X, y)
    draws = classifier.sample_proba(X)
    assert draws.shape == (5, 60, 3)
    assert_array_equal(draws, np.repeat(draws[:1], 5, axis=0))
    assert_array_equal(classifier.predict_proba(X), draws[0])
    measures = ["mutual_information", "variation_ratio", "predictive_std"]
    assert_array_equal(classifier.predict_uncertainty(X, measures), 0)


def test_n_samples_takes_effect_at_the_next_prediction(two_layers):
    classifier, X = two_layers
    few = classifier.set_params(n_samples=3).predict_proba(X)
    assert_allclose(few, classifier.sample_proba(X).mean(axis=0), atol=1e-6)
    assert len(classifier.sample_proba(X)) == 3
    assert len(classifier.set_params(n_samples=0).sample_proba(X)) == 1
    classifier.set_params(n_samples=20)


def test_predictions_follow_the_weights_of_the_model(two_layers):
    classifier, X = two_layers
    before = classifier.predict_proba(X)
    weights = classifier.model_.get_weights()
    classifier.model_.set_weights([w * 0 for w in weights])
    assert_allclose(classifier.predict_proba(X), 0.1, atol=1e-6)
    classifier.model_.set_weights(weights)
    assert_array_equal(classifier.predict_proba(X), before)


@pytest.mark.parametrize("widths", [(7,), (7, 5)])
def test_batch_normalization_is_folded_whatever_the_weights(blobs, widths):
    """Biases too, which training hardly moves in its first epochs."""
    classifier = MCDropoutClassifier(
        widths, "tanh", epochs=1, n_samples=0, temperature=1.0
    ).fit(*blobs)
    rng = np.random.RandomState(0)
    network = classifier.model_
    weights = [
        rng.uniform(0.5, 2, w.shape)
        if v.name == "moving_variance"
        else rng.normal(size=w.shape)
        for v, w in zip(network.weights, network.get_weights(), strict=True)
    ]
    network.set_weights(weights)
    X = rng.normal(size=(9, 4)).astype(np.float32)
    assert_allclose(
        classifier.predict_proba(X), keras.ops.convert_to_numpy(network(X)), atol=2e-6
    )

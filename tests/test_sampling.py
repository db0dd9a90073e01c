"""Masks, thinned weights and draws over chunks of rows."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import binom

from skmcdropout import MCDropoutClassifier, uncertainty
from skmcdropout._drawing import chain_engine, chunks, thinned
from skmcdropout._drawing.masks import dropout_masks
from skmcdropout._drawing.results import compiled_results
from skmcdropout._drawing.sampler import Sampler
from skmcdropout._drawing.wide import WideDraws
from skmcdropout._networks.class_outputs import ClassOutputs
from skmcdropout._networks.perceptron import Perceptron, build_network
from skmcdropout._training import trainer_pool
from skmcdropout.uncertainty import MEASURES, from_summary


def masks(sampling, n_draws=50, width=4000, rate=0.3):
    (mask,) = dropout_masks(0, n_draws, [width], [rate], sampling)
    return mask


@pytest.mark.parametrize("sampling", ["stratified", "independent"])
def test_masks_keep_the_mean(sampling):
    mask = masks(sampling)
    assert mask.shape == (50, 4000)
    assert_allclose(np.unique(mask), [0, 1 / 0.7], rtol=1e-6)
    assert_allclose(mask.mean(), 1, atol=0.01)


@pytest.mark.parametrize("sampling", ["stratified", "independent"])
def test_units_dropped_by_one_draw_are_binomial(sampling):
    """Within a draw the units are independent, so their number is binomial."""
    n_units, n_draws = 20, 4000
    mask = masks(sampling, n_draws=n_draws, width=n_units)
    counts = np.bincount((mask == 0).sum(axis=1), minlength=n_units + 1)
    expected = binom.pmf(np.arange(n_units + 1), n_units, 0.3) * n_draws
    likely = expected > 5
    chi2 = ((counts - expected)[likely] ** 2 / expected[likely]).sum()
    assert chi2 < 2.5 * likely.sum()


def test_stratified_masks_drop_each_unit_as_often_as_they_should():
    dropped = (masks("stratified") == 0).sum(axis=0)  # of 50 draws, 15 expected
    assert dropped.min() >= 14
    assert dropped.max() <= 16
    spread = (masks("independent") == 0).sum(axis=0)
    assert spread.std() > 5 * dropped.std()


def test_positions_and_units_are_masked_independently():
    first, second = dropout_masks(3, 100, [300, 300], [0.5, 0.5], "stratified")
    kept = np.hstack([first, second]) > 0
    correlation = np.corrcoef(kept, rowvar=False)[np.triu_indices(600, 1)]
    assert abs(correlation.mean()) < 0.005
    assert_allclose(correlation.std(), 1 / np.sqrt(100), rtol=0.1)


@pytest.fixture(scope="module")
def two_layers(digits):
    X, y = digits
    classifier = MCDropoutClassifier(
        (30, 20), dropout_position="all", dropout_rate=[0.1, 0.5, 0.3], epochs=2,
        n_samples=20, random_state=0, batch_normalization=False,
    )  # fmt: skip
    return classifier.fit(X[:500], y[:500]), X[:100].astype(np.float32)


def relu(z):
    return np.maximum(z, 0)


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


def test_draws_are_the_masked_network_written_out(two_layers):
    classifier, X = two_layers
    W1, b1, W2, b2, W3, b3 = classifier.model_.get_weights()
    all_masks = dropout_masks(
        classifier._seeds[-1], 20, [64, 30, 20], [0.1, 0.5, 0.3], "stratified"
    )
    draws = classifier.sample_proba(X)
    for m1, m2, m3, draw in zip(*all_masks, draws, strict=True):
        hidden = relu(relu(X * m1 @ W1 + b1) * m2 @ W2 + b2)
        assert_allclose(draw, softmax(hidden * m3 @ W3 + b3), atol=1e-6)


def test_masks_beside_the_weights_give_what_thinned_weights_give(
    two_layers, monkeypatch
):
    classifier, X = two_layers
    folded = classifier.set_params(n_samples=19).sample_proba(X)
    monkeypatch.setattr(chain_engine, "THINNED_FLOATS", 0)
    classifier.set_params(n_samples=20).sample_proba(X)  # forget the thinned weights
    assert_allclose(
        classifier.set_params(n_samples=19).sample_proba(X), folded, atol=1e-6
    )
    classifier.set_params(n_samples=20)


@pytest.mark.slow
@pytest.mark.parametrize("position", ["all", "hidden", 1])
def test_weights_thinned_in_the_graph_are_those_thinned_before(
    digits, monkeypatch, position
):
    X, y = digits
    classifier = MCDropoutClassifier(
        (30, 20), dropout_position=position, epochs=1, n_samples=19, random_state=0
    ).fit(X[:200], y[:200])
    X = X[:200]
    expected = classifier.sample_proba(X), classifier.predict_proba(X)
    monkeypatch.setattr(chain_engine, "THINNED_FLOATS", 3000)
    monkeypatch.setattr(chain_engine, "BLOCK_ROWS", 48)
    assert len(X) >= chain_engine.MANY_ROWS
    ran = []
    wide = WideDraws.values
    monkeypatch.setattr(
        WideDraws,
        "values",
        lambda self, h, tell: ran.append(self._n_group) or wide(self, h, tell),
    )
    assert_allclose(classifier.sample_proba(X), expected[0], atol=1e-6)
    assert_allclose(classifier.predict_proba(X), expected[1], atol=1e-6)
    assert len(ran) == 10
    assert max(ran) < 19


def test_chunks_do_not_matter(two_layers, monkeypatch):
    classifier, X = two_layers
    whole = classifier.sample_proba(X), classifier.predict_proba(X)
    monkeypatch.setattr(chunks, "CHUNK_FLOATS", 1)
    assert_allclose(classifier.sample_proba(X), whole[0], atol=1e-6)
    assert_allclose(classifier.predict_proba(X), whole[1], atol=1e-6)


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
    trainer_pool._idle._idle.clear()
    classifier = MCDropoutClassifier(
        (10,), dropout_rate=rate, n_samples=5, epochs=2, random_state=0
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


def test_networks_of_all_widths_and_numbers_of_draws_share_one_compilation(blobs):
    X, y = blobs
    thinned.compiled_pass.cache_clear()
    for width, n_samples in [(5, 10), (6, 20), (7, 30)]:
        classifier = MCDropoutClassifier((width,), n_samples=n_samples, epochs=1)
        classifier.fit(X, y)
        for n_rows in range(1, 60, 7):
            classifier.predict_proba(X[:n_rows])
    assert thinned.compiled_pass.cache_info().misses == 1


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 3, 100])
@pytest.mark.parametrize("n_draws", [1, 127, 128, 129, 20_000])
def test_means_keep_their_precision_for_any_number_of_draws(n_draws, n_classes):
    rng = np.random.RandomState(0)
    p = rng.dirichlet(np.ones(n_classes), size=(n_draws, 3)).astype(np.float32)
    p[:, 0] = np.float32(1) / n_classes  # as uncertain as can be
    by_class = tf.constant(p.transpose(0, 2, 1))
    summary = compiled_results("summary", n_classes)(by_class)
    mean, total, expected, share, std = (s.numpy().astype(float) for s in summary)
    assert_allclose(mean, p.mean(axis=0, dtype=float), atol=3e-7)
    assert_allclose(mean.sum(axis=1), 1, atol=1e-6)
    assert total.max() <= np.log(n_classes) + 1e-6
    measures = {name: function(p) for name, function in MEASURES.items()}
    assert_allclose(total, measures["predictive_entropy"], rtol=2e-6)
    assert_allclose(expected, measures["expected_entropy"], rtol=2e-6)
    information = from_summary(*(s.numpy() for s in summary))["mutual_information"]
    assert np.min(information) >= 0
    assert_allclose(total - expected, information, atol=2e-6)
    assert_allclose(1 - share, measures["variation_ratio"], atol=1e-6)
    assert_allclose(std, measures["predictive_std"], atol=1e-6)


@pytest.mark.parametrize("widths", [(7,), (7, 5)])
def test_batch_normalization_is_folded_whatever_the_weights(widths):
    """Biases too, which training hardly moves in its first epochs."""
    rng = np.random.RandomState(0)
    arch = Perceptron(
        4,
        widths,
        ClassOutputs.of_perceptron(3),
        "tanh",
        (None,) * (len(widths) + 1),
        True,
        0,
        None,
    )
    network = build_network(arch, [0] * 6)
    weights = [
        rng.uniform(0.5, 2, w.shape)
        if v.name == "moving_variance"
        else rng.normal(size=w.shape)
        for v, w in zip(network.weights, network.get_weights(), strict=True)
    ]
    weights = [w.astype(np.float32) for w in weights]
    network.set_weights(weights)
    X = rng.normal(size=(9, 4)).astype(np.float32)
    (proba,) = Sampler(arch, weights, 0).draw(X, 0, "independent", "mean")
    assert_allclose(proba, network(X), atol=2e-6)

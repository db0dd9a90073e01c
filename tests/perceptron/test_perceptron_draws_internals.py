"""The ways in which draws are computed, against masked rows in double precision."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inside import ways_of_chains
from numpy.testing import assert_allclose

from skmcdropout import MCDropoutClassifier
from skmcdropout._perceptron import draws as draws_module
from skmcdropout._perceptron import tiles
from skmcdropout._perceptron.chain import Affine, Chain
from skmcdropout._perceptron.draws import ChainDraws, sampled_draws
from skmcdropout._perceptron.masks import dropout_masks
from skmcdropout._perceptron.values import reduced
from skmcdropout.uncertainty import MEASURES, from_summary

SEEDS = st.integers(0, 2**31 - 2)
SAMPLING = st.sampled_from(["stratified", "independent"])


@st.composite
def chains(draw):
    """A chain of a few Dense layers with rates, weights and rows from a seed."""
    rng = np.random.RandomState(draw(SEEDS))
    activation = draw(st.sampled_from(["relu", "tanh"]))
    widths = draw(st.lists(st.integers(1, 7), min_size=3, max_size=4))
    layers = []
    rates = st.sampled_from([0.0, 0.0, 0.3, 0.6, 0.95])
    for n_in, n_out in zip(widths, [*widths[1:], 3], strict=True):
        layers.append(
            Affine(
                rng.normal(size=(n_in, n_out)).astype(np.float32),
                rng.normal(size=n_out).astype(np.float32),
                activation,
                draw(rates),
            )
        )
    layers[-1] = layers[-1]._replace(activation="softmax")
    scale, shift = rng.normal(size=(2, widths[0])).astype(np.float32)
    n_rows = draw(st.sampled_from([1, 2, 15, 16, 17, 40]))
    X = rng.normal(size=(n_rows, widths[0])).astype(np.float32)
    return Chain(scale, shift, layers), X


ACTIVATIONS = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True),
}


def masked_products(chain, X, masks):
    """Each draw by products with masked rows, in double precision."""
    draws = []
    n_draws = len(masks[0]) if masks else 1
    for t in range(n_draws):
        given_masks = iter(masks)
        h = X.astype(np.float64) * chain.scale + chain.shift
        for layer in chain.layers:
            if layer.rate and masks:
                h = h * next(given_masks)[t]
            h = ACTIVATIONS[layer.activation](
                h @ layer.kernel.astype(float) + layer.bias
            )
        draws.append(h)
    return np.array(draws)


@pytest.mark.slow
@settings(max_examples=25)
@given(
    chains(),
    SEEDS,
    st.integers(0, 6),
    SAMPLING,
    st.sampled_from(["kept", "in groups", "in tiles", "beside", "anew", "alone"]),
)
def test_a_thinned_chain_gives_the_products_of_masked_rows(
    drawn, seed, n_samples, sampling, place
):
    chain, X = drawn
    dropped = [layer for layer in chain.layers if layer.rate and n_samples]
    masks = dropout_masks(
        seed,
        n_samples,
        [len(layer.kernel) for layer in dropped],
        [layer.rate for layer in dropped],
        sampling,
    )
    if place == "alone":
        X = X[:1]
    expected = masked_products(chain, X, masks)
    with pytest.MonkeyPatch.context() as patch:
        if place in ("beside", "anew"):
            patch.setattr(draws_module, "KEPT_FLOATS", 0)
            patch.setattr(draws_module, "CACHED_FLOATS", 0)
        if place == "anew":
            patch.setattr(draws_module, "MANY_ROWS", 0)
            patch.setattr(draws_module, "BLOCK_ROWS", 16)
        elif place == "in groups":
            patch.setattr(draws_module, "GROUP_FLOATS", 2)
        elif place == "in tiles":
            patch.setattr(tiles, "TILE_FLOATS", 1)
        draws = sampled_draws(chain, seed, n_samples, sampling)
        (found,) = draws.draw(X, "draws")
        mean, *measures = draws.draw(X, "summary")
    assert_allclose(found, expected, atol=2e-5)
    assert_allclose(mean, expected.mean(axis=0), atol=2e-5)
    summary = from_summary(mean, *measures)
    for name in ("predictive_entropy", "expected_entropy"):
        assert_allclose(summary[name], MEASURES[name](expected), atol=2e-4)


@pytest.mark.parametrize("n_rows", [1, 40])
def test_all_draws_may_drop_a_whole_layer(n_rows):
    rng = np.random.RandomState(0)
    widths = [5, 2, 4, 3]
    layers = [
        Affine(
            rng.normal(size=shape).astype(np.float32),
            rng.normal(size=shape[1]).astype(np.float32),
            "tanh",
            0.5,
        )
        for shape in itertools.pairwise(widths)
    ]
    layers[-1] = layers[-1]._replace(activation="softmax")
    scale, shift = rng.normal(size=(2, 5)).astype(np.float32)
    chain, X = Chain(scale, shift, layers), rng.normal(size=(n_rows, 5))
    masks = [np.full((3, width), 2.0, np.float32) for width in widths[:-1]]
    masks[1][...] = 0
    X = X.astype(np.float32)
    (found,) = ChainDraws(chain, masks).draw(X, "draws")
    assert_allclose(found, masked_products(chain, X, masks), atol=1e-6)


def test_masks_beside_the_weights_give_what_thinned_weights_give(digits, monkeypatch):
    X, y = digits
    classifier = MCDropoutClassifier(
        (30, 20), dropout_position="all", dropout_rate=[0.1, 0.5, 0.3], epochs=1,
        n_samples=19, random_state=0, batch_normalization=False, temperature=1.0,
    ).fit(X[:200], y[:200])  # fmt: skip
    folded = classifier.sample_proba(X[:100])
    monkeypatch.setattr(draws_module, "KEPT_FLOATS", 0)
    monkeypatch.setattr(draws_module, "CACHED_FLOATS", 0)
    classifier.set_params(n_samples=20).sample_proba(X[:100])  # forgets them
    beside = classifier.set_params(n_samples=19).sample_proba(X[:100])
    assert_allclose(beside, folded, atol=1e-6)


@pytest.mark.parametrize("position", ["all", "hidden", 1])
def test_weights_thinned_anew_are_those_that_are_kept(digits, monkeypatch, position):
    X, y = digits
    classifier = MCDropoutClassifier(
        (30, 20),
        dropout_position=position,
        epochs=1,
        n_samples=19,
        random_state=0,
        temperature=1.0,
    ).fit(X[:200], y[:200])
    X = X[:200]
    expected = classifier.sample_proba(X), classifier.predict_proba(X)
    monkeypatch.setattr(draws_module, "KEPT_FLOATS", 3000)
    monkeypatch.setattr(draws_module, "BLOCK_ROWS", 48)
    ways = ways_of_chains(monkeypatch)
    classifier.set_params(n_samples=20).sample_proba(X)  # forgets them
    classifier.set_params(n_samples=19)
    assert_allclose(classifier.sample_proba(X), expected[0], atol=1e-6)
    assert_allclose(classifier.predict_proba(X), expected[1], atol=1e-6)
    assert {*ways} == {"thinned anew"}


@pytest.mark.parametrize(
    ("n_draws", "n_classes"),
    [(1, 3), (15, 3), (16, 3), (17, 2), (128, 100), (129, 3), (20_000, 3)],
)
def test_means_keep_their_precision_for_any_number_of_draws(n_draws, n_classes):
    rng = np.random.RandomState(0)
    p = rng.dirichlet(np.ones(n_classes), size=(n_draws, 3)).astype(np.float32)
    p[:, 0] = np.float32(1) / n_classes  # as uncertain as can be
    summary = reduced(np.ascontiguousarray(p.transpose(0, 2, 1)), "summary")
    mean, total, expected, share, std = (s.astype(float) for s in summary)
    assert_allclose(mean, p.mean(axis=0, dtype=float), atol=3e-7)
    assert_allclose(mean.sum(axis=1), 1, atol=1e-6)
    assert total.max() <= np.log(n_classes) + 1e-6
    measures = {name: function(p) for name, function in MEASURES.items()}
    assert_allclose(total, measures["predictive_entropy"], rtol=2e-6)
    assert_allclose(expected, measures["expected_entropy"], rtol=2e-6)
    information = from_summary(*summary)["mutual_information"]
    assert np.min(information) >= 0
    assert_allclose(total - expected, information, atol=2e-6)
    assert_allclose(1 - share, measures["variation_ratio"], atol=1e-6)
    assert_allclose(std, measures["predictive_std"], atol=1e-6)

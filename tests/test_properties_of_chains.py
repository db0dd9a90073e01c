"""Thinned chains of any shape against products of masked rows in double precision."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skmcdropout._drawing import chain_engine, chunks, thinned
from skmcdropout._drawing.chain_engine import ChainDraws, ChainEngine, Tail
from skmcdropout._drawing.masks import dropout_masks
from skmcdropout._drawing.wide import WideDraws
from skmcdropout._networks.folded_chain import Affine, Chain
from skmcdropout.uncertainty import MEASURES, from_summary

SEEDS = st.integers(0, 2**31 - 2)
SAMPLING = st.sampled_from(["stratified", "independent"])


@st.composite
def chains(draw):
    """A chain of a few Dense layers with rates, weights and rows from a seed."""
    rng = np.random.RandomState(draw(SEEDS))
    widths = draw(st.lists(st.integers(1, 7), min_size=3, max_size=4))
    layers = []
    rates = st.sampled_from([0.0, 0.0, 0.3, 0.6, 0.95])
    for n_in, n_out in zip(widths, [*widths[1:], 3], strict=True):
        layers.append(
            Affine(
                rng.normal(size=(n_in, n_out)).astype(np.float32),
                rng.normal(size=n_out).astype(np.float32),
                draw(st.sampled_from(["relu", "tanh"])),
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
    st.sampled_from(["in", "in groups", "beside", "alone"]),
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
        if place == "beside":
            patch.setattr(chain_engine, "THINNED_FLOATS", 0)
        elif place == "in groups":
            patch.setattr(thinned, "ROW_FLOATS", 2)
        engine = ChainEngine(lambda: Tail(chain))
        draws = engine.sample(seed, n_samples, sampling)
        (found,) = engine.draw(draws, X, "draws")
        mean, *measures = engine.draw(draws, X, "summary")
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
    engine = ChainEngine(lambda: Tail(chain))
    X = X.astype(np.float32)
    (found,) = engine.draw(ChainDraws(chain, masks), X, "draws")
    assert_allclose(found, masked_products(chain, X, masks), atol=1e-6)


@settings(max_examples=15)
@given(chains(), SEEDS, st.integers(1, 6), st.integers(1, 400))
def test_wide_draws_give_the_products_of_masked_rows_in_any_groups(
    drawn, seed, n_samples, thinned_floats
):
    chain, X = drawn
    engine = ChainEngine(lambda: Tail(chain))
    draws = engine.sample(seed, n_samples, "stratified")
    masks = [mask for mask in draws.masks if mask is not None]
    shares = []
    wide = WideDraws(draws, thinned_floats, n_rows=1)
    found = wide.values(keras.ops.convert_to_tensor(X), shares.append)
    by_row = np.moveaxis(found.numpy(), 1, 2)
    assert_allclose(by_row, masked_products(chain, X, masks), atol=2e-5)
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.slow
@settings(max_examples=10)
@given(chains(), st.integers(1, 2000))
def test_the_size_of_chunks_does_not_matter(drawn, chunk_floats):
    chain, X = drawn
    engine = ChainEngine(lambda: Tail(chain))
    draws = engine.sample(0, 5, "stratified")
    for wanted in ("draws", "mean", "summary"):
        whole = engine.draw(draws, X, wanted)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chunks, "CHUNK_FLOATS", chunk_floats)
            parts = engine.draw(draws, X, wanted)
        for part, result in zip(parts, whole, strict=True):
            assert_allclose(part, result, atol=1e-6)

"""Small tables of every kind: one claim for many examples."""

import functools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inside import draw_in_pieces, keep_no_thinned_weights, noise_drawn
from numpy.testing import assert_allclose, assert_array_equal

from skmcdropout import MCDropoutClassifier, uncertainty

SEEDS = st.integers(0, 2**31 - 2)


def quick(**params):
    given = {"epochs": 1, "n_samples": 6, "temperature": 1.0, "random_state": 0}
    return MCDropoutClassifier(**{"hidden_layer_sizes": (5,), **given, **params})


def table_of(rng, n_rows, width, n_classes):
    """A table of normal values and its labels; every class is there."""
    y = np.r_[np.arange(n_classes), rng.randint(n_classes, size=n_rows - n_classes)]
    X = rng.normal(size=(n_rows, width)) + y[:, None]
    return X.astype(np.float32), y


@st.composite
def tables(draw):
    """A table of 10 to 40 rows of at least two classes."""
    n, width = draw(st.integers(10, 40)), draw(st.integers(1, 6))
    rng = np.random.RandomState(draw(SEEDS))
    return table_of(rng, n, width, draw(st.integers(2, 4)))


@pytest.fixture
def table():
    return table_of(np.random.RandomState(0), 30, 4, 4)


# What training sees


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"early_stopping": True},
        {"class_weight": "balanced"},
        {"temperature": "auto"},
    ],
    ids=str,
)
@settings(max_examples=4)
@given(tables(), SEEDS)
def test_whole_weights_are_repeated_rows_and_zeros_none(params, table, seed):
    X, y = table
    weights = np.random.RandomState(seed).randint(4, size=len(y))
    weights[:8] = 2  # every class is there
    rows = np.repeat(np.arange(len(y)), weights)
    weighted = quick(**params).fit(X, y, sample_weight=weights)
    repeated = quick(**params).fit(X[rows], y[rows])
    assert_array_equal(weighted.predict_proba(X), repeated.predict_proba(X))
    assert weighted.history_ == repeated.history_


@pytest.mark.parametrize(
    "temperature", [1.0, pytest.param("auto", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("is_weighted", [False, True])
@settings(max_examples=3)
@given(tables(), SEEDS)
def test_the_order_of_rows_does_not_matter_to_training(
    is_weighted, temperature, table, seed
):
    X, y = table
    rng = np.random.RandomState(seed)
    weights = rng.uniform(0.1, 3, size=len(y)) if is_weighted else np.ones(len(y))
    order = rng.permutation(len(y))
    params = {"temperature": temperature}
    fitted = quick(**params).fit(X, y, weights)
    shuffled = quick(**params).fit(X[order], y[order], weights[order])
    assert_array_equal(fitted.predict_proba(X), shuffled.predict_proba(X))


@pytest.mark.parametrize(
    "temperature", [1.0, pytest.param("auto", marks=pytest.mark.slow)]
)
@settings(max_examples=4)
@given(tables(), SEEDS, st.sampled_from([1e-30, 1e-7, 0.3, 1e30]))
def test_weights_count_only_relative_to_each_other(temperature, table, seed, factor):
    X, y = table
    weights = np.random.RandomState(seed).uniform(0.1, 3, size=len(y))
    params = {"temperature": temperature}
    fitted = quick(**params).fit(X, y, weights)
    scaled = quick(**params).fit(X, y, weights * factor)
    assert_allclose(scaled.predict_proba(X), fitted.predict_proba(X), atol=1e-5)


LABELS = {
    "integers": np.array([3, 10, 11, 400]),
    "negative": np.array([-400, -7, 0, 2]),
    "small": np.array([-128, -1, 0, 127], np.int8),
    "unsigned": np.array([0, 3, 200, 2**64 - 1], np.uint64),
    "large": np.array([-(2**62), 2**60, 2**60 + 1, 2**62]),
    "whole floats": np.array([-1.0, 0.0, 1.0, 1e9]),
    "strings": np.array(["", "A", "a", "\u00e9t\u00e9 \U0001f408"]),
    "objects": np.array(["a", "ab", "b", "c"], object),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("n_classes", [2, 4])
def test_labels_come_back_and_count_only_by_their_order(kind, n_classes):
    X, y = table_of(np.random.RandomState(0), 20, 3, n_classes)
    names = LABELS[kind][:n_classes]
    named, coded = quick().fit(X, names[y]), quick().fit(X, y)
    assert named.classes_.dtype == names.dtype
    assert_array_equal(named.classes_, names)
    assert_array_equal(named.predict_proba(X), coded.predict_proba(X))
    assert_array_equal(named.predict(X), names[coded.predict_proba(X).argmax(axis=1)])
    assert named.predict(X).dtype == names.dtype
    assert_array_equal(quick().fit(X, list(names[y])).classes_, names)


def test_two_classes_may_be_booleans_one_way_or_the_other():
    X, y = np.random.RandomState(0).normal(size=(20, 3)), np.arange(20) % 2
    coded = quick().fit(X, y)
    for labels in (y.astype(bool), [bool(label) for label in y]):
        fitted = quick().fit(X, labels)
        assert fitted.predict(X).dtype == bool
        assert_array_equal(fitted.predict_proba(X), coded.predict_proba(X))


# What a table may be

FLOATS, INTEGERS = ["f2", "f4", "f8", "g", ">f8"], ["i1", "i2", "i4", "i8", ">i4"]
TYPES = [*FLOATS, *INTEGERS, "u1", "u2", "u4", "u8", "?", "O"]


@pytest.mark.parametrize("dtype", TYPES)
def test_numbers_of_any_type_are_trained_on_and_predicted_alike(table, dtype):
    X, y = table
    X = np.clip(np.round(X), 0, 1 if dtype == "?" else 100).astype(dtype)
    plain = X.astype(np.float32)
    fitted, expected = quick().fit(X, y), quick().fit(plain, y)
    assert_array_equal(fitted.predict_proba(X), expected.predict_proba(plain))
    assert fitted.predict_proba(X).dtype == np.float64


def layouts(X):
    wide = np.zeros((2 * X.shape[0], 3 * X.shape[1]), X.dtype)
    wide[::2, 1::3] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    unaligned = np.frombuffer(b"x" + X.tobytes(), np.uint8)[1:].view(X.dtype)
    return {
        "Fortran": np.asfortranarray(X),
        "strided": wide[::2, 1::3],
        "reversed": X[::-1, ::-1].copy()[::-1, ::-1],
        "read-only": read_only,
        "unaligned": unaligned.reshape(X.shape),
        "list": X.tolist(),
        "frame": pd.DataFrame(X),
        "matrix": memoryview(np.ascontiguousarray(X)),
        "broadcast": X,
    }


@pytest.mark.parametrize("name", layouts(np.ones((1, 1))))
def test_the_layout_of_a_table_does_not_matter(table, name):
    X, y = table
    if name == "broadcast":  # rows that share their memory
        same = np.broadcast_to(X[:1], X.shape)
        X = same.copy()
    else:
        same = layouts(X)[name]
    fitted, expected = quick().fit(same, y), quick().fit(X, y)
    assert_array_equal(fitted.predict_proba(same), expected.predict_proba(X))


@pytest.mark.parametrize("temperature", [1.0, "auto"])
def test_what_is_given_is_not_changed(table, temperature):
    X, y = table
    weights = np.random.RandomState(0).uniform(0, 2, size=len(y)) + (y < 2)
    before = X.copy(), y.copy(), weights.copy()
    quicker = quick(class_weight={0: 2.0}, temperature=temperature)
    fitted = quicker.fit(X, y, weights).partial_fit(X, y)
    fitted.predict_uncertainty(X)
    for now, then in zip((X, y, weights), before, strict=True):
        assert_array_equal(now, then)


# What is drawn


def a_shape(rng, position, n_samples):
    """Parameters of a perceptron: its layers, positions and rates of dropout."""
    sizes = rng.randint(1, 7, size=rng.randint(1, 3)).tolist()
    position = min(position, len(sizes)) if isinstance(position, int) else position
    n = {"all": len(sizes) + 1, "hidden": len(sizes)}.get(position, position)
    rates = rng.choice([0.0, 0.1, 0.5, 0.9], size=n).tolist()
    return {
        "hidden_layer_sizes": sizes,
        "dropout_position": position,
        "dropout_rate": rates if rng.randint(2) else rates[0],
        "batch_normalization": bool(rng.randint(2)),
        "n_samples": n_samples,
        "sampling": ["stratified", "independent"][rng.randint(2)],
    }


def shapes():
    rng = np.random.RandomState(0)
    positions = ["all", "hidden", 1, 2] * 3
    draws = [7, 5, 0, 6, 4, 1, 7, 3, 2, 7, 5, 0]
    return [a_shape(rng, *given) for given in zip(positions, draws, strict=True)]


SHAPES = shapes()


def fitted_on_table(i):
    """What a network of shape i learned of a table, and that."""
    rng = np.random.RandomState(i)
    X, y = table_of(rng, rng.randint(10, 40), rng.randint(1, 7), rng.randint(2, 5))
    return quick(**SHAPES[i]).fit(X, y), X, y


@functools.cache
def case(i):
    """The same, fitted once for all tests that only predict."""
    return fitted_on_table(i)


of_every_shape = pytest.mark.parametrize("i", range(len(SHAPES)))


def test_the_shapes_are_of_every_kind():
    for name in ("batch_normalization", "sampling"):
        assert len({shape[name] for shape in SHAPES}) == 2
    assert {len(shape["hidden_layer_sizes"]) for shape in SHAPES} == {1, 2}
    assert {type(shape["dropout_rate"]) for shape in SHAPES} == {float, list}


@pytest.fixture
def drawn_by_hand(monkeypatch):
    """Draws by masked products in double precision, from the weights of `model_`."""
    noise = noise_drawn(monkeypatch)

    def draw(classifier, X):
        noise.clear()
        drawn = classifier.sample_proba(X)
        return drawn, masked_products(classifier, X, list(noise))

    return draw


def masked_products(classifier, X, kept):
    """With the units kept by each dropout that has a rate, input side first."""
    weights = iter(w.astype(np.float64) for w in classifier.model_.get_weights())
    kept = iter(kept)
    n_hidden = len(classifier.hidden_layer_sizes)
    position = classifier.dropout_position
    n = {"all": n_hidden + 1, "hidden": n_hidden}.get(position, position)
    rates = np.zeros(n_hidden + 1)
    rates[n_hidden + 1 - n :] = classifier.dropout_rate
    is_masked = (rates > 0) & (classifier.n_samples > 0)

    def normalized(h):
        gamma, beta, mean, variance = (next(weights) for _ in range(4))
        return gamma * (h - mean) / np.sqrt(variance + 1e-3) + beta

    h = X.astype(np.float64)[None]
    h = normalized(h) if classifier.batch_normalization else h
    for i, use in enumerate(is_masked):
        h = h * next(kept)[:, None] / (1 - rates[i]) if use else h
        h = h @ next(weights) + next(weights)
        if i < n_hidden:
            h = normalized(h) if classifier.batch_normalization else h
            h = np.maximum(h, 0)
    p = np.exp(h - h.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    assert next(kept, None) is None
    return np.broadcast_to(p, (max(classifier.n_samples, 1), *p.shape[1:]))


@of_every_shape
def test_draws_are_the_masked_network_in_double_precision(i, drawn_by_hand):
    fitted, X, _ = fitted_on_table(i)
    assert_allclose(*drawn_by_hand(fitted, X), atol=2e-5)


@of_every_shape
def test_what_is_predicted_follows_from_the_draws(i):
    fitted, X, _ = case(i)
    draws = fitted.sample_proba(X).astype(np.float64)
    assert draws.min() >= 0
    assert_allclose(draws.sum(axis=-1), 1, atol=1e-6)
    proba = fitted.predict_proba(X)
    assert_allclose(proba, draws.mean(axis=0), atol=1e-6)
    assert_array_equal(fitted.predict(X), fitted.classes_[proba.argmax(axis=1)])
    assert_allclose(fitted.predict_log_proba(X), np.log(proba), rtol=1e-6)


@of_every_shape
def test_measures_are_those_of_the_draws_within_their_bounds(i):
    fitted, X, _ = case(i)
    names = sorted(uncertainty.MEASURES)
    measures = fitted.predict_uncertainty(X, names)
    k = len(fitted.classes_)
    most = {
        "variation_ratio": 1 - 1 / k,
        "least_confidence": 1 - 1 / k,
        "predictive_std": 0.5,
    }
    draws = fitted.sample_proba(X)
    for name, column in zip(names, measures.T, strict=True):
        assert_allclose(column, uncertainty.MEASURES[name](draws), atol=3e-6)
        assert column.min() >= (0 if name == "mutual_information" else -1e-6)
        assert column.max() <= most.get(name, np.log(k)) + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("chunk_floats", [1, 100])
@of_every_shape
def test_the_size_of_chunks_and_of_kept_weights_does_not_matter(
    i, chunk_floats, monkeypatch
):
    fitted, X, _ = case(i)
    whole = fitted.sample_proba(X), fitted.predict_uncertainty(X)
    other, *_ = fitted_on_table(i)
    draw_in_pieces(monkeypatch, chunk_floats)
    if chunk_floats > 1:
        keep_no_thinned_weights(monkeypatch)
    assert_allclose(other.sample_proba(X), whole[0], atol=1e-6)
    assert_allclose(other.predict_uncertainty(X), whole[1], atol=2e-6)


@of_every_shape
def test_a_row_is_predicted_alike_alone_and_in_any_company(i):
    fitted, X, _ = case(i)
    proba = fitted.predict_proba(X)
    rows = np.random.RandomState(i).randint(len(X), size=23)
    assert_allclose(fitted.predict_proba(X[rows]), proba[rows], atol=1e-6)
    for row in rows[:3]:
        assert_allclose(fitted.predict_proba(X[[row]]), proba[[row]], atol=1e-6)


@pytest.mark.parametrize("size", [1e-45, 1e-38, 1e-20, 1e6, 1e12, 1e18])
def test_rows_of_any_finite_size_that_can_be_multiplied_have_probabilities(table, size):
    X, y = table
    fitted = quick(batch_normalization=size > 1).fit(X, y)
    proba = fitted.predict_proba(X * np.float32(size))
    assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    assert proba.min() >= 0
    assert np.isfinite(fitted.predict_uncertainty(X * np.float32(size))).all()


def test_a_table_of_one_value_trains_to_the_shares_of_the_classes():
    """All a network can learn of rows that are equal: the closed form of log-loss."""
    y = np.repeat([0, 1], [30, 10])
    fitted = quick(epochs=150, learning_rate=0.05, alpha=0.0, dropout_rate=0.0)
    proba = fitted.fit(np.ones((40, 2)), y).predict_proba(np.ones((3, 2)))
    assert_allclose(proba, [[0.75, 0.25]] * 3, atol=0.02)


@pytest.mark.parametrize("n_rows", [2, 3])
def test_a_row_of_each_class_is_enough_to_fit(n_rows, drawn_by_hand):
    X, y = np.eye(3)[:n_rows], np.arange(n_rows)
    fitted = quick(temperature="auto").fit(X, y)
    assert_allclose(*drawn_by_hand(fitted, X), atol=2e-5)

"""Draws of every kind of Keras network against Keras itself, run the slow way."""

import copy
import itertools
import pickle
from typing import NamedTuple

import inside
import keras
import numpy as np
import pytest
from keras_networks import N_ROWS, NETWORKS, repeated, some, with_weights
from lanes import fast
from more_keras_networks import MORE_NETWORKS, NEEDS_KERAS
from numpy.testing import assert_allclose, assert_array_equal
from rounding import atol_of_proba, sizes_of_sums
from sklearn.utils.fixes import parse_version
from slow_keras import (
    Compared,
    Noted,
    at_rest,
    call_in_training,
    class_probabilities,
    compared,
    passes,
)

from skmcdropout import MCDropoutClassifier

pytestmark = pytest.mark.filterwarnings(
    "ignore:Layer 'sequential.*destroy the mask:UserWarning"
)

ALL = {**NETWORKS, **MORE_NETWORKS}

#: Networks of the fast lane.
FAST = (
    "mlp",
    "residual",
    "nested",
    "several inputs by name",
    "gaussian noise",
    "alpha dropout",
)

#: Those whose draws are compared with Keras's by statistics too, one for each law.
ONE_A_LAW = (
    "mlp",
    "residual",
    "spatial dropout 1d",
    "masks shared along an axis",
    "gaussian dropout",
    "gaussian noise",
    "alpha dropout",
    "gru",
    "attention",
)

#: Those pickled, one for each thing that a network may hold: its copy is tried anew.
PICKLED = (
    "mlp",
    "textbook image net",
    "several inputs by name",
    "gaussian noise",
    "simple rnn",
    "layers that are always active",
    "conv next block",
    "wide and deep",
    "spectral normalization",
    "alpha dropout of whole steps",
    "one seed three times",
    "lambda layers",
    "bfloat16",
    "low rank adaptation",
    "a frozen backbone",
    "noise within a decorated call",
    "a variable updated in training",
    "tied weights",
    "yes and no",
)

#: Those trained further, of each kind of layer that noise stands in or next to.
TRAINED = (
    "textbook image net",
    "several inputs by name",
    "gaussian dropout",
    "simple rnn",
    "tied weights",
    "layers that are always active",
)

#: Those that end in dropout among dense layers, which is drawn as a chain of them.
IN_A_CHAIN = {
    "mlp",
    "textbook image net",
    "convolutions before dense layers",
    "nested in line",
    "dropout called in training mode",
    "logits",
    "one sigmoid",
    "low rank adaptation",
    "one output of several",
    "a variable updated in training",
    "yes and no",
}

#: What layers of Keras hold from the first call in training mode on.
HELD_SINCE_CALLED = {"_dropout_mask", "_recurrent_dropout_mask"}


class Case(NamedTuple):
    """A Keras network, its classifier, and rows; and the network as it was before."""

    name: str
    network: keras.Model
    classifier: MCDropoutClassifier
    X: np.ndarray
    held: list
    weights: list

    def atol(self, rounding):
        """What rounding explains; networks that hold halves add them up anyhow."""
        return 2e-2 if self.name == "bfloat16" else rounding


@pytest.fixture(params=fast(*FAST, among=ALL), scope="module")
def case(request):
    needed, why = NEEDS_KERAS.get(request.param, ("3", ""))
    if parse_version(keras.__version__) < parse_version(needed):
        pytest.skip(f"before Keras {needed} {why}")
    network, X = ALL[request.param]()
    with_weights(network)
    held, weights = what_layers_hold(network), network.get_weights()
    from_logits = False if hasattr(network, "out") else None  # its graph is unknown
    classifier = MCDropoutClassifier.from_keras(
        network, from_logits=from_logits, n_samples=40, random_state=0
    )
    return Case(request.param, network, classifier, X, held, weights)


def what_layers_hold(network):
    return [vars(la).keys() - HELD_SINCE_CALLED for la in network._flatten_layers()]


@pytest.fixture(scope="module")
def drawn(case) -> dict[str, Compared]:
    """Draws with each way of sampling, and what Keras gives for the same noise."""
    ways = ("independent", "stratified")
    given = case.classifier, case.network, case.X
    return {way: compared(*given, sampling=way) for way in ways}


def test_draws_are_those_of_keras_with_the_same_noise(case, drawn):
    for draws, by_keras, rounding, _, _ in drawn.values():
        assert_allclose(draws, by_keras, rtol=0, atol=case.atol(rounding))
        assert draws.std(axis=0).max() > 0.01


def test_predictions_are_means_over_draws(case, drawn):
    _, by_keras, rounding, _, _ = drawn["stratified"]
    classifier = copy.copy(case.classifier).set_params(n_samples=len(by_keras))
    proba = classifier.predict_proba(case.X)
    expected = by_keras.mean(axis=0)
    assert_allclose(proba, expected, rtol=0, atol=case.atol(rounding))


def test_units_are_kept_as_often_as_keras_keeps_them(drawn):
    """A count of draws of each unit, and of all draws of a place."""
    *_, noise, rates = drawn["independent"]
    for of_place, rate in zip(noise, rates, strict=True):
        z = of_place - (1 - rate) if rate else of_place
        std = np.sqrt(rate * (1 - rate)) if rate else 1.0
        assert abs(z.mean(axis=0)).max() < 5 * std / np.sqrt(len(z))
        assert abs(z.mean()) < 5 * std / np.sqrt(z.size)
        if not rate:
            assert abs(z.var() - 1) < 5 * np.sqrt(2 / z.size)


def test_stratified_units_are_kept_in_their_share_of_draws(drawn):
    *_, noise, rates = drawn["stratified"]
    for of_place, rate in zip(noise, rates, strict=True):
        if rate:
            kept = of_place.sum(axis=0)
            assert abs(kept - (1 - rate) * len(of_place)).max() < 1
        else:
            assert abs(of_place.mean(axis=0)).max() < 0.05


def test_layers_share_masks_where_keras_has_them_share(case, drawn, monkeypatch):
    noted = Noted(monkeypatch)
    call_in_training(case.network, repeated(case.X, 5))
    *_, noise, rates = drawn["independent"]
    pairs = itertools.combinations(zip(noted.noise, noise, rates, strict=True), 2)
    for (by_keras, ours, rate), (other_by_keras, other, other_rate) in pairs:
        if rate == other_rate and by_keras is not None and other_by_keras is not None:
            is_shared = np.array_equal(by_keras, other_by_keras)
            assert np.array_equal(ours, other) == is_shared


def test_no_draws_is_the_prediction_of_the_keras_model(case):
    proba = copy.copy(case.classifier).set_params(n_samples=0).predict_proba(case.X)
    with sizes_of_sums(case.network) as sizes:
        outputs = at_rest(case.network, case.X)
    atol = case.atol(atol_of_proba(max(sizes)))
    expected = class_probabilities(case.network, outputs)
    assert_allclose(proba, expected, rtol=0, atol=atol)


def test_predictions_do_not_depend_on_order_or_company(case, drawn):
    predict, X = case.classifier.predict_proba, case.X
    atol = case.atol(drawn["stratified"].atol)
    proba = predict(X)
    order = np.random.RandomState(0).permutation(N_ROWS)
    assert_allclose(predict(some(X, order)), proba[order], rtol=0, atol=atol)
    assert_allclose(predict(some(X, [3])), proba[[3]], rtol=0, atol=atol)
    assert_array_equal(predict(X), proba)


def test_chunks_and_groups_of_draws_change_nothing(case, drawn, monkeypatch):
    X = repeated(case.X, 3)
    expected = case.classifier.sample_proba(X)
    inside.draw_in_pieces(monkeypatch)
    draws = case.classifier.sample_proba(X)
    atol = case.atol(drawn["stratified"].atol)
    assert_allclose(draws, expected, rtol=0, atol=atol)


def test_a_pickled_copy_predicts_the_same(case):
    if case.name not in PICKLED:
        pytest.skip("one network is pickled for each thing that they hold")
    copied = pickle.loads(pickle.dumps(case.classifier))
    proba = case.classifier.predict_proba(case.X)
    assert_array_equal(copied.predict_proba(case.X), proba)


def test_the_network_of_the_user_stays_as_it_was(case):
    case.classifier.predict_proba(case.X)
    if case.name in TRAINED:
        copied = copy.deepcopy(case.classifier).set_params(batch_size=4)
        copied.partial_fit(case.X, np.arange(N_ROWS) % len(copied.classes_))
        before, now = (fit.predict_proba(case.X) for fit in (case.classifier, copied))
        assert abs(now - before).max() > 0
    assert what_layers_hold(case.network) == case.held
    for before, now in zip(case.weights, case.network.get_weights(), strict=True):
        assert_array_equal(before, now)


def test_networks_that_end_in_dense_layers_are_drawn_from_as_chains(case):
    assert inside.draws_in_a_chain(case.classifier) is (case.name in IN_A_CHAIN)


def test_draws_are_distributed_as_those_of_keras(case):
    """Mean and variance of the draws, within the error of 2 000 passes of Keras."""
    if case.name not in ONE_A_LAW:
        pytest.skip("one network is tried for each law of noise")
    n_passes = 2000
    outputs = passes(case.network, case.X, n_passes)
    by_keras = class_probabilities(case.network, outputs).astype(np.float64)
    classifier = copy.copy(case.classifier)
    classifier.set_params(n_samples=n_passes, sampling="independent")
    draws = classifier.sample_proba(case.X).astype(np.float64)
    error = np.sqrt((by_keras.var(axis=0) + draws.var(axis=0)) / n_passes)
    varies = by_keras.std(axis=0) > 0.005  # the rest is too skewed for a normal error
    z = ((draws.mean(axis=0) - by_keras.mean(axis=0)) / error)[varies]
    assert len(z) >= N_ROWS
    assert np.sqrt(np.mean(z**2)) < 1.7
    assert abs(z).max() < 5
    ratio = draws.var(axis=0).sum() / by_keras.var(axis=0).sum()
    assert_allclose(ratio, 1, atol=0.1)
    stratified = classifier.set_params(n_samples=500, sampling="stratified")
    error = by_keras.std(axis=0) * np.sqrt(1 / n_passes + 1 / 500)
    z = stratified.predict_proba(case.X) - by_keras.mean(axis=0)
    assert np.sqrt(np.mean((z / error)[varies] ** 2)) < 1.5
    assert abs((z / error)[varies]).max() < 5

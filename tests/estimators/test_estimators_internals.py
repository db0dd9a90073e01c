"""Inside of the estimators: searches for one number, checksums, forged files."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import logsumexp, softmax
from scipy.stats import norm

from skmcdropout import MCDropoutClassifier
from skmcdropout._fit import calibration
from skmcdropout._fit.calibration import best_noise_factors, best_temperature
from skmcdropout._utils.checksum import checksum

# The most probable temperature


def logits_and_labels(n_rows, truth):
    rng = np.random.RandomState(0)
    noise = rng.normal(size=(20, n_rows, 3))
    logits = 3 * rng.normal(size=(1, n_rows, 3)) + 0.5 * noise
    p = softmax(logits / truth, axis=2).mean(axis=0)
    y = (p.cumsum(axis=1) < rng.uniform(size=(n_rows, 1))).sum(axis=1)
    return logits.astype(np.float32), np.minimum(y, 2)


def posterior_of_temperature(logits, y, weights, temperature):
    """Minus its logarithm, written out."""
    p = softmax(logits.astype(float) / temperature, axis=2).mean(axis=0)
    of_label = p[np.arange(len(y)), y]
    share = weights * weights.sum() / np.square(weights).sum()
    return np.log(temperature) ** 2 / 2 - (share * np.log(of_label)).sum()


@pytest.mark.parametrize("truth", [0.4, 1.0, 3.0])
def test_the_temperature_is_that_of_the_labels(truth):
    logits, y = logits_and_labels(10_000, truth)
    assert_allclose(best_temperature(logits, y, np.ones(len(y))), truth, rtol=0.05)


@pytest.mark.parametrize("n_rows", [5, 100])
def test_no_other_temperature_is_more_probable(n_rows):
    logits, y = logits_and_labels(n_rows, 2.0)
    weights = np.random.RandomState(1).uniform(0.5, 2, size=n_rows)
    found = best_temperature(logits, y, weights)
    lowest = posterior_of_temperature(logits, y, weights, found)
    for other in np.exp(np.linspace(-3, 3, 61)):
        assert posterior_of_temperature(logits, y, weights, other) > lowest - 1e-3


def test_weights_are_relative_and_zeros_are_no_rows():
    logits, y = logits_and_labels(40, 2.0)
    some = np.arange(40) % 3 > 0
    expected = best_temperature(logits[:, some], y[some], np.ones(some.sum()))
    assert_allclose(best_temperature(logits, y, 7.0 * some), expected, rtol=1e-6)
    assert best_temperature(logits, y, np.zeros(40)) == 1


def test_a_few_heavy_rows_are_little_evidence():
    logits, y = logits_and_labels(200, 1.0)
    wrong = (y + 1) % 3  # hot, if these are believed
    weights = np.where(np.arange(200) < 2, 1e6, 1.0)
    alone = best_temperature(logits[:, :2], wrong[:2], np.ones(2))
    assert_allclose(best_temperature(logits, wrong, weights), alone, rtol=1e-3)


def test_nobody_is_without_error_for_ever():
    """Labels that are all right make it lower, but not as low as can be."""
    logits = np.zeros((1, 100, 2), np.float32)
    logits[:, :, 0] = 3
    found = best_temperature(logits, np.zeros(100, int), np.ones(100))
    assert np.exp(-calibration.LARGEST_LOG_TEMPERATURE) * 1.5 < found < 1


# The most probable factors of the noise's variance


def draws_and_targets(n_rows, truth, spread=0.3, n_targets=1):
    rng = np.random.RandomState(0)
    centre = rng.normal(size=(1, n_rows, n_targets))
    means = centre + spread * rng.normal(size=(20, n_rows, n_targets))
    variances = np.exp(rng.normal(size=means.shape) / 2)
    rows = np.arange(n_rows)
    chosen = rng.randint(20, size=n_rows)
    std = np.sqrt(truth * variances[chosen, rows])
    return means, variances, means[chosen, rows] + std * rng.normal(size=std.shape)


def posterior_of_factor(means, variances, y, weights, factor):
    """Minus its logarithm, written out."""
    density = norm(means[..., 0], np.sqrt(factor * variances[..., 0])).logpdf(y[:, 0])
    shares = weights * weights.sum() / np.square(weights).sum()
    prior = norm(0, calibration.PRIOR_STD).logpdf(np.log(factor))
    return -prior - shares @ (logsumexp(density, axis=0) - np.log(20))


@pytest.mark.parametrize("truth", [0.001, 1.0, 30.0])
def test_the_factor_is_that_of_the_targets(truth):
    means, variances, y = draws_and_targets(5000, truth, n_targets=2)
    found = best_noise_factors(means, variances, y, np.ones(5000))
    assert_allclose(found, [truth] * 2, rtol=0.1)


@pytest.mark.parametrize("n_rows", [2, 50])
def test_no_other_factor_is_more_probable(n_rows):
    means, variances, y = draws_and_targets(n_rows, 0.5)
    weights = np.random.RandomState(1).uniform(0.5, 2, size=n_rows)
    (found,) = best_noise_factors(means, variances, y, weights)
    lowest = posterior_of_factor(means, variances, y, weights, found)
    for other in found * np.exp(np.linspace(-3, 3, 61)):
        other_one = posterior_of_factor(means, variances, y, weights, other)
        assert other_one > lowest - 1e-3


def test_without_rows_of_weight_the_factor_is_what_it_was():
    means, variances, y = draws_and_targets(5, 1.0)
    nothing = np.zeros(5)
    assert best_noise_factors(means, variances, y, nothing) == (1.0,)
    kept = best_noise_factors(means, variances, y, nothing, [0.25])
    assert_allclose(kept, [0.25])


# Files


def test_the_checksum_is_of_values_not_of_how_they_are_held():
    a = np.arange(6.0).reshape(2, 3)
    one = {"a": a, "b": (1, None), "c": np.float64(0.5), "d": {"x", "y"}}
    other = {"d": {"y", "x"}, "c": np.float64(0.5), "b": (1, None)}
    assert checksum({**other, "a": np.asfortranarray(a)}) == checksum(one)
    assert checksum({**other, "a": a.T}) != checksum(one)
    assert checksum({**other, "a": a.astype(np.float32)}) != checksum(one)
    assert checksum({"b": [1, None]}) != checksum({"b": (1, None)})
    assert checksum({"b": True}) != checksum({"b": 1})


def test_a_file_imports_nothing_but_keras_and_what_it_holds(moons, moons_classifier):
    """Whatever the version of Keras; the checksum is no protection against intent."""
    adopted = MCDropoutClassifier.from_keras(moons_classifier.model_, n_samples=5)
    other = "{'module': 'logging', 'class_name': 'function', 'config': 'warning'}"
    config = adopted._spec.config.replace('"relu"', other.replace("'", '"'))
    assert config != adopted._spec.config
    forged = copy.copy(adopted)
    allowed = (("function", int), ("logging", int))
    forged._spec = replace(adopted._spec, config=config, custom_objects=allowed)
    loaded = pickle.loads(pickle.dumps(forged))
    with pytest.raises(ValueError, match=r"Keras.*Got 'warning' of 'logging'"):
        loaded.predict_proba(moons[0])

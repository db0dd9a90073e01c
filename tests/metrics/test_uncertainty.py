"""The measures: closed forms, identities, limits and axis order."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmcdropout import uncertainty
from skmcdropout.uncertainty import MEASURES, REGRESSION_MEASURES

N_DRAWS, N_ROWS, N_CLASSES = 7, 5, 3


@pytest.fixture
def draws():
    rng = np.random.RandomState(0)
    return rng.dirichlet(np.ones(N_CLASSES), size=(N_DRAWS, N_ROWS))


@pytest.mark.parametrize("name", MEASURES)
def test_one_number_a_row(draws, name):
    assert MEASURES[name](draws).shape == (N_ROWS,)


@pytest.mark.parametrize("name", MEASURES)
def test_invariant_to_the_order_of_draws_and_classes(draws, name):
    measure = MEASURES[name]
    assert_allclose(measure(draws[::-1]), measure(draws), atol=1e-12)
    assert_allclose(measure(draws[..., ::-1]), measure(draws), atol=1e-12)


@pytest.mark.parametrize("name", MEASURES)
def test_rows_do_not_see_each_other(draws, name):
    measure = MEASURES[name]
    alone = [measure(draws[:, [i]])[0] for i in range(N_ROWS)]
    assert_allclose(measure(draws), alone, atol=1e-12)


@pytest.mark.parametrize("name", MEASURES)
def test_a_certain_model_has_no_uncertainty(name):
    draws = np.zeros((N_DRAWS, N_ROWS, N_CLASSES))
    draws[..., 1] = 1
    assert_allclose(MEASURES[name](draws), 0, atol=1e-12)


UPPER_LIMITS = {
    "predictive_entropy": np.log(N_CLASSES),
    "expected_entropy": np.log(N_CLASSES),
    "mutual_information": np.log(N_CLASSES),
    "variation_ratio": 1 - 1 / N_CLASSES,
    "predictive_std": 0.5,
    "least_confidence": 1 - 1 / N_CLASSES,
}


@pytest.mark.parametrize("name", MEASURES)
def test_limits_hold(name):
    rng = np.random.RandomState(1)
    draws = rng.dirichlet(np.full(N_CLASSES, 0.05), size=(N_DRAWS, 500))
    values = MEASURES[name](draws)
    assert values.min() >= 0
    assert values.max() <= UPPER_LIMITS[name] + 1e-12


def test_draws_that_share_votes_evenly_reach_the_limits():
    draws = np.eye(N_CLASSES)[:, None, :]  # each draw sure of another class
    for name in ("predictive_entropy", "mutual_information"):
        assert_allclose(MEASURES[name](draws), np.log(N_CLASSES))
    assert_allclose(uncertainty.expected_entropy(draws), 0)
    assert_allclose(uncertainty.variation_ratio(draws), 1 - 1 / N_CLASSES)
    assert_allclose(uncertainty.least_confidence(draws), 1 - 1 / N_CLASSES)
    opposed = np.eye(2)[:, None, :]
    assert_allclose(uncertainty.predictive_std(opposed), 0.5)


def test_uniform_draws_are_all_aleatoric():
    draws = np.full((N_DRAWS, N_ROWS, N_CLASSES), 1 / N_CLASSES)
    assert_allclose(uncertainty.expected_entropy(draws), np.log(N_CLASSES))
    assert_allclose(uncertainty.mutual_information(draws), 0, atol=1e-12)


def test_total_is_aleatoric_plus_epistemic(draws):
    total = uncertainty.predictive_entropy(draws)
    parts = uncertainty.expected_entropy(draws) + uncertainty.mutual_information(draws)
    assert_allclose(total, parts, rtol=1e-12)


def test_identical_draws_have_no_mutual_information(draws):
    same = np.repeat(draws[:1], 4, axis=0)
    assert_allclose(uncertainty.mutual_information(same), 0, atol=1e-12)
    assert_allclose(uncertainty.predictive_std(same), 0, atol=1e-12)
    assert_allclose(uncertainty.variation_ratio(same), 0)


def test_mutual_information_is_the_mean_divergence_from_the_mean(draws):
    mean = draws.mean(axis=0)
    divergence = (draws * np.log(draws / mean)).sum(axis=-1).mean(axis=0)
    assert_allclose(uncertainty.mutual_information(draws), divergence, rtol=1e-10)


def test_std_is_that_of_the_predicted_class_by_hand():
    draws = [[[0.6, 0.3, 0.1]], [[0.2, 0.7, 0.1]], [[0.4, 0.2, 0.4]]]
    # the means are 0.4, 0.4 and 0.2: the tie goes to the first class
    assert_allclose(uncertainty.predictive_std(draws), np.std([0.6, 0.2, 0.4]))


def test_vote_by_hand():
    draws = [[[0.6, 0.4]], [[0.9, 0.1]], [[0.2, 0.8]], [[0.5, 0.5]]]
    assert_allclose(uncertainty.variation_ratio(draws), 1 / 4)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (0, 4, 3), (2, 2, 4, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"shape \(n_draws, n_rows, n_classes\)"):
        uncertainty.predictive_entropy(np.zeros(shape))


def test_logits_and_mixed_up_axes_are_refused(draws):
    for wrong in (np.log(draws), draws.transpose(2, 0, 1)):
        with pytest.raises(ValueError, match="must hold probabilities"):
            uncertainty.expected_entropy(wrong)


# Of numbers

N_OUTPUTS = 2
rng = np.random.RandomState(0)
MEANS = rng.normal(size=(N_DRAWS, N_ROWS, N_OUTPUTS))
STDS = rng.gamma(1, size=MEANS.shape)


def test_measures_of_numbers_by_hand():
    means, stds = [[5.0, 1.0], [11.0, 1.0]], [[1.0, 0.0], [7.0, 2.0]]
    assert_allclose(uncertainty.epistemic_std(means), [3, 0])
    assert_allclose(uncertainty.aleatoric_std(means, stds), [5, np.sqrt(2)])
    assert_allclose(uncertainty.total_std(means, stds), [np.sqrt(34), np.sqrt(2)])


@pytest.mark.parametrize("name", REGRESSION_MEASURES)
def test_one_number_a_row_and_output(name):
    measure = REGRESSION_MEASURES[name]
    found = measure(MEANS, STDS)
    assert found.shape == (N_ROWS, N_OUTPUTS)
    assert measure(MEANS[..., 0], 1.0).shape == (N_ROWS,)
    alone = [measure(MEANS[:, [i], 1], STDS[:, [i], 1])[0] for i in range(N_ROWS)]
    assert_allclose(found[:, 1], alone, rtol=1e-12)
    assert_allclose(measure(MEANS[::-1], STDS[::-1]), found, rtol=1e-12)
    assert_allclose(measure(1000 * MEANS, 1000 * STDS), 1000 * found, rtol=1e-12)


def test_the_total_variance_is_that_of_the_mixture():
    """Of points that stand one standard deviation below and above each mean."""
    points = np.concatenate([MEANS - STDS, MEANS + STDS])
    assert_allclose(uncertainty.total_std(MEANS, STDS), points.std(axis=0), rtol=1e-12)


def test_draws_that_agree_have_exactly_no_epistemic_std():
    same = np.full((N_DRAWS, N_ROWS), 0.1)
    assert_array_equal(uncertainty.epistemic_std(same, 0.3), 0)
    assert_allclose(uncertainty.total_std(same, 0.3), 0.3, rtol=1e-12)


def test_draws_without_noise_have_no_aleatoric_std():
    assert_array_equal(uncertainty.aleatoric_std(MEANS, 0.0), 0)
    epistemic = uncertainty.epistemic_std(MEANS)
    assert_array_equal(uncertainty.total_std(MEANS, 0.0), epistemic)


def test_large_means_keep_the_digits_of_their_spread():
    shifted = uncertainty.epistemic_std(1e9 + MEANS)
    assert_allclose(shifted, uncertainty.epistemic_std(MEANS), rtol=1e-6)


@pytest.mark.parametrize("name", REGRESSION_MEASURES)
def test_standard_deviations_of_outputs_are_broadcast(name):
    measure = REGRESSION_MEASURES[name]
    full = np.broadcast_to([1.0, 3.0], MEANS.shape)
    assert_array_equal(measure(MEANS, [1.0, 3.0]), measure(MEANS, full))


@pytest.mark.parametrize("name", REGRESSION_MEASURES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"means": [1.0, 2.0]},
            r"means must be .*\(n_draws, n_rows\).* Got shape \(2,\)",
        ),
        ({"means": np.ones((2, 0))}, r"means must be a non-empty.* Got shape \(2, 0\)"),
        ({"means": [[np.inf]]}, "means must be finite"),
        ({"stds": [1.0]}, r"stds must be a number or of the shape .*Got shape \(1,\)"),
        ({"stds": -0.5}, r"stds must be finite and at least 0\. Got -0.5 instead"),
        ({"stds": [[1.0], [np.inf]]}, r"stds must be finite .* Got inf instead"),
    ],
)
def test_what_is_no_mixture_is_refused(name, change, message):
    arguments = {"means": [[1.0], [2.0]], "stds": 1.0, **change}
    with pytest.raises(ValueError, match=message):
        REGRESSION_MEASURES[name](**arguments)

"""scikit-learn's own checks, with nothing excused."""

from unittest import SkipTest

import keras
import pytest
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor

#: Skips itself, but where an environment variable is set before SciPy is imported.
ARRAY_API = "check_array_api_input"

# As small as networks can be that still learn what some checks ask for.
SMALL = {"hidden_layer_sizes": (8,), "n_samples": 5, "learning_rate": 0.03}
CLASSIFIER = MCDropoutClassifier(
    **SMALL, epochs=20, temperature=1.0, dropout_position="all", sampling="independent"
)
REGRESSOR = MCDropoutRegressor(
    **{**SMALL, "n_samples": 0},
    epochs=20,
    noise="constant",
    dropout_position="all",
    batch_normalization=True,
)


def run(check, estimator):
    """Runs a check that must not be skipped, unless it is about the array API."""
    name = check.func.__name__
    try:
        check(estimator)
    except SkipTest as error:
        if name != ARRAY_API:
            pytest.fail(f"{name} must not be skipped. Got {error}")
        raise


@parametrize_with_checks([CLASSIFIER, REGRESSOR])
def test_a_small_network_passes(estimator, check):
    run(check, estimator)


@pytest.mark.slow
@parametrize_with_checks([MCDropoutClassifier()])
def test_the_default_classifier_passes(estimator, check):
    run(check, estimator)


#: Checks of what was learned, and of its rounding. To the others the 300 epochs that
#: the default makes of few rows say no more than 20 do.
OF_ALL_EPOCHS = {"check_regressors_train", "check_methods_subset_invariance"}


@pytest.mark.slow
@parametrize_with_checks([MCDropoutRegressor()])
def test_the_default_regressor_passes(estimator, check):
    name = check.func.__name__
    if check.keywords or name not in OF_ALL_EPOCHS:  # keywords: with other memory
        estimator = clone(estimator).set_params(epochs=20)
    run(check, estimator)


def network(meta, units=8, dropout_rate=0.2):
    """One without branches, or for two classes one with a branch."""
    layers, n_classes = keras.layers, meta["n_classes_"]
    dense = layers.Dense(units, activation="relu")
    dropout = layers.Dropout(dropout_rate)
    if meta["target_type_"] == "binary":
        x = keras.Input((meta["n_features_in_"],))
        h = dense(x)
        return keras.Model(
            x, layers.Dense(1, activation="sigmoid")(layers.Add()([h, dropout(h)]))
        )
    softmax = layers.Dense(n_classes, activation="softmax")
    return keras.Sequential([layers.BatchNormalization(), dense, dropout, softmax])


OTHERS = {
    "early stopping, nothing drawn": MCDropoutClassifier(
        (32, 16),
        epochs=30,
        learning_rate=0.03,
        temperature=1.0,
        batch_normalization=False,
        early_stopping=True,
        batch_size=16,
        n_samples=0,
    ),
    "a network": MCDropoutClassifier(
        model=network, n_samples=3, epochs=12, learning_rate=0.05
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_networks_of_other_parameters_pass(name):
    results = check_estimator(OTHERS[name], on_skip=None)  # a failure is raised
    not_passed = {r["check_name"] for r in results if r["status"] != "passed"}
    assert not_passed <= {ARRAY_API}
    assert len(results) > 50


@pytest.mark.parametrize("estimator", [MCDropoutClassifier(), MCDropoutRegressor()])
def test_no_tag_excuses_anything(estimator):
    tags = get_tags(estimator)
    assert not tags.non_deterministic
    for own in (tags.classifier_tags, tags.regressor_tags):
        assert own is None or not own.poor_score
    assert not tags.no_validation
    assert not tags._skip_test

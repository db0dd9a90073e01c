"""scikit-learn's own checks, with nothing excused."""

import keras
import pytest
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor

ESTIMATORS = [
    MCDropoutClassifier(dropout_position="all"),
    MCDropoutClassifier(batch_normalization=False),
    MCDropoutClassifier(n_samples=0),
    MCDropoutClassifier(sampling="independent"),
    MCDropoutClassifier((30, 20), early_stopping=True, batch_size=8),
]


REGRESSORS = [
    MCDropoutRegressor((30,), epochs=60, learning_rate=0.01),
    MCDropoutRegressor(
        (30,), epochs=60, learning_rate=0.01, noise="constant", dropout_position="all"
    ),
    MCDropoutRegressor(
        (30,), epochs=60, learning_rate=0.01, batch_normalization=True, n_samples=0
    ),
]


@parametrize_with_checks([ESTIMATORS[0], REGRESSORS[0]])
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([*ESTIMATORS[1:], *REGRESSORS[1:]])
def test_scikit_learn_check_of_other_parameters(estimator, check):
    check(estimator)


def network(meta, units=50, dropout_rate=0.2):
    layers = keras.layers
    return keras.Sequential(
        [
            layers.BatchNormalization(),
            layers.Dense(units, activation="relu"),
            layers.Dropout(dropout_rate),
            layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


def residual_network(meta):
    x = keras.Input((meta["n_features_in_"],))
    h = keras.layers.Dense(50, activation="relu")(x)
    h = h + keras.layers.Dropout(0.2)(h)
    if meta["target_type_"] == "binary":
        return keras.Model(x, keras.layers.Dense(1, activation="sigmoid")(h))
    return keras.Model(x, keras.layers.Dense(meta["n_classes_"])(h))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize(
    "estimator",
    [
        MCDropoutClassifier(),
        MCDropoutClassifier(model=network),
        MCDropoutClassifier(model=residual_network),
    ],
    ids=["default", "a network", "a residual network"],
)
def test_check_estimator_skips_nothing_but_the_array_api(estimator):
    results = check_estimator(estimator)
    skipped = {r["check_name"] for r in results if r["status"] != "passed"}
    assert skipped <= {"check_array_api_input"}
    assert len(results) > 50


@pytest.mark.parametrize("estimator", [MCDropoutClassifier(), MCDropoutRegressor()])
def test_no_tag_excuses_anything(estimator):
    tags = get_tags(estimator)
    assert not tags.non_deterministic
    for own in (tags.classifier_tags, tags.regressor_tags):
        assert own is None or not own.poor_score
    assert not tags.no_validation
    assert not tags._skip_test

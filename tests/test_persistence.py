"""Copies and files predict what the original predicts."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skmcdropout import MCDropoutClassifier


@pytest.fixture(scope="module")
def fitted(moons):
    return MCDropoutClassifier(
        (10, 6), batch_normalization=True, dropout_position="all", epochs=5,
        n_samples=10, random_state=0,
    ).fit(*moons)  # fmt: skip


def through_joblib(estimator, tmp_path):
    joblib.dump(estimator, tmp_path / "classifier.joblib")
    return joblib.load(tmp_path / "classifier.joblib")


WAYS = {
    "pickle": lambda e, _: pickle.loads(pickle.dumps(e)),
    "joblib": through_joblib,
    "deepcopy": lambda e, _: copy.deepcopy(e),
    "twice": lambda e, _: copy.deepcopy(pickle.loads(pickle.dumps(e))),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_predicts_the_same(fitted, moons, tmp_path, way):
    X, y = moons
    copied = WAYS[way](fitted, tmp_path)
    assert_array_equal(copied.predict_proba(X), fitted.predict_proba(X))
    assert_array_equal(copied.sample_proba(X), fitted.sample_proba(X))
    assert copied.history_ == fitted.history_
    assert copied.model_ is not fitted.model_
    before = fitted.predict_proba(X)
    copied.partial_fit(X, y)
    expected = WAYS[way](fitted, tmp_path).partial_fit(X, y)
    assert_array_equal(copied.predict_proba(X), expected.predict_proba(X))
    assert_array_equal(fitted.predict_proba(X), before)


def test_another_process_predicts_the_same(fitted, moons, predicted_elsewhere):
    X, _ = moons
    assert_array_equal(predicted_elsewhere(fitted, X), fitted.predict_proba(X))


def test_the_pickled_state_is_plain(fitted):
    def types(value):
        if isinstance(value, (list, tuple)):
            return set().union({type(value)}, *map(types, value))
        if isinstance(value, dict):
            return set().union({dict}, *map(types, value), *map(types, value.values()))
        return {type(value)}

    plain = {dict, list, tuple, str, int, float, bool, type(None), np.ndarray}
    found = {t for t in types(fitted.__getstate__()) if not issubclass(t, np.generic)}
    assert {t.__name__ for t in found - plain} == {"Architecture"}


def test_an_unfitted_estimator_is_copied_unfitted():
    copied = pickle.loads(pickle.dumps(MCDropoutClassifier(epochs=3)))
    assert copied.get_params()["epochs"] == 3
    assert not hasattr(copied, "model_")


def test_the_keras_model_can_be_saved(fitted, moons, tmp_path):
    import keras

    X = moons[0].astype(np.float32)
    fitted.model_.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert_array_equal(
        loaded.predict(X, verbose=0), fitted.model_.predict(X, verbose=0)
    )

"""Copies and files predict what the original predicts."""

import copy
import pickle
from dataclasses import replace

import joblib
import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor, RejectingClassifier
from skmcdropout._utils.checksum import checksum


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


def test_a_shallow_copy_shares_what_was_learned_until_one_is_trained(fitted, moons):
    X, y = moons
    before = fitted.predict_proba(X)
    copied = copy.copy(fitted)
    assert copied.model_ is fitted.model_
    assert_array_equal(copied.predict_proba(X), before)
    copied.set_params(n_samples=3).partial_fit(X, y)
    assert fitted.n_samples == 10
    assert_array_equal(fitted.predict_proba(X), before)


@pytest.mark.slow
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
    assert {t.__name__ for t in found - plain} == {"Perceptron", "Progress", "Seeds"}


def test_a_truncated_file_is_an_error(fitted):
    file = pickle.dumps(fitted)
    for size in (len(file) // 2, len(file) - 1):
        with pytest.raises((pickle.UnpicklingError, EOFError)):
            pickle.loads(file[:size])


def altered(array):
    return array.astype(array.dtype, copy=True) + np.float32(1e-3)


@pytest.mark.parametrize(
    "part", ["weights", "classes", "architecture", "seeds", "draws", "checksum"]
)
def test_an_altered_state_is_an_error(fitted, part):
    state = fitted.__getstate__()
    if part == "weights":
        first, *rest = state["_sampler"]
        state["_sampler"] = [altered(first), *rest]
    elif part == "classes":
        state["classes_"] = state["classes_"][::-1]
    elif part == "architecture":
        state["_spec"] = replace(state["_spec"], activation="tanh")
    elif part == "seeds":
        state["_seeds"] = state["_seeds"]._replace(masks=3)
    elif part == "draws":
        state["n_samples"] = 11
    else:
        del state["_checksum"]
    with pytest.raises(ValueError, match=r"must be as it was saved.*checksum differs"):
        MCDropoutClassifier().__setstate__(state)


@pytest.fixture(scope="module")
def adopted(fitted):
    return MCDropoutClassifier.from_keras(fitted.model_, n_samples=5, random_state=0)


def test_outputs_in_another_order_are_an_error(adopted):
    state = adopted.__getstate__()
    outputs = replace(state["_spec"].outputs, order=(1, 0))
    state["_spec"] = replace(state["_spec"], outputs=outputs)
    with pytest.raises(ValueError, match="checksum differs"):
        MCDropoutClassifier().__setstate__(state)


def test_a_file_imports_nothing_but_keras_and_what_it_holds(adopted, moons):
    """Whatever the version of Keras; the checksum is no protection against intent."""
    other = "{'module': 'logging', 'class_name': 'function', 'config': 'warning'}"
    config = adopted._spec.config.replace('"relu"', other.replace("'", '"'))
    forged = copy.copy(adopted)
    allowed = (("function", int), ("logging", int))
    forged._spec = replace(adopted._spec, config=config, custom_objects=allowed)
    loaded = pickle.loads(pickle.dumps(forged))
    with pytest.raises(ValueError, match=r"Keras.*Got 'warning' of 'logging'"):
        loaded.predict_proba(moons[0])


@keras.saving.register_keras_serializable("tests of persistence")
def halved(x):
    return x / 2


@keras.saving.register_keras_serializable("tests of persistence")
class Activated(keras.layers.Layer):
    """As Keras's guide to custom layers writes them, with several functions."""

    def __init__(self, activation, others, **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)
        self.others = list(others)

    def call(self, x):
        for function in [self.activation, *self.others]:
            x = function(x)
        return x

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        plain = {
            "activation": serialize(self.activation),
            "others": [serialize(function) for function in self.others],
        }
        return {**super().get_config(), **plain}

    @classmethod
    def from_config(cls, config):
        build = keras.saving.deserialize_keras_object
        config["activation"] = build(config["activation"])
        config["others"] = [build(function) for function in config["others"]]
        return cls(**config)


def test_custom_layers_as_keras_teaches_them_are_loaded(moons):
    X, _ = moons
    network = keras.Sequential(
        [
            keras.Input((2,)),
            Activated("relu", [halved, keras.activations.silu]),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2, "softmax"),
        ]
    )
    classifier = MCDropoutClassifier.from_keras(network, random_state=0)
    for copied in (pickle.loads(pickle.dumps(classifier)), copy.deepcopy(classifier)):
        assert_array_equal(copied.predict_proba(X), classifier.predict_proba(X))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["mlp", "pipeline", "network", "rejecting", "regressor"]
)
def test_skops_loads_it_trusting_our_own_classes_alone(moons, tmp_path, kind):
    skops = pytest.importorskip("skops.io", reason="skops is not installed")
    X, y = moons
    estimator = MCDropoutClassifier((8,), epochs=3, n_samples=10, random_state=0)
    if kind == "pipeline":
        estimator = make_pipeline(StandardScaler(), estimator)
    elif kind == "rejecting":
        estimator = RejectingClassifier(estimator, cv=2)
    elif kind == "regressor":
        estimator = MCDropoutRegressor((8,), epochs=3, n_samples=10, random_state=0)
    if kind == "network":
        network = clone(estimator).fit(X, y).model_
        estimator = MCDropoutClassifier.from_keras(network, random_state=0)
    else:
        estimator.fit(X, y)
    skops.dump(estimator, tmp_path / "estimator.skops")
    types = skops.get_untrusted_types(file=tmp_path / "estimator.skops")
    assert all(name.startswith("skmcdropout.") for name in types)
    loaded = skops.load(tmp_path / "estimator.skops", trusted=types)
    method = "sample_predictions" if kind == "regressor" else "predict_proba"
    assert_array_equal(getattr(loaded, method)(X), getattr(estimator, method)(X))


def test_an_unfitted_estimator_is_copied_unfitted():
    copied = pickle.loads(pickle.dumps(MCDropoutClassifier(epochs=3)))
    assert copied.get_params()["epochs"] == 3
    assert not hasattr(copied, "model_")


def test_the_keras_model_can_be_saved(fitted, moons, tmp_path):
    X = moons[0].astype(np.float32)
    fitted.model_.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert_array_equal(
        loaded.predict(X, verbose=0), fitted.model_.predict(X, verbose=0)
    )


@pytest.mark.parametrize("kind", ["classifier", "rejecting"])
def test_no_altered_bit_gives_another_model_without_a_word(kind, blobs):
    X, y = blobs
    estimator = MCDropoutClassifier((4,), epochs=1, n_samples=5, random_state=0)
    if kind == "rejecting":
        estimator = RejectingClassifier(estimator, coverage=0.9, cv=2)

    def next_step(fitted):
        if kind == "rejecting":
            return fitted.predict(X), fitted.accept(X)
        return (fitted.partial_fit(X, y).predict_proba(X),)

    data = pickle.dumps(estimator.fit(X, y))
    expected = next_step(pickle.loads(data))
    for position in np.random.RandomState(0).randint(len(data), size=100):
        altered_data = bytearray(data)
        altered_data[position] ^= 1 << 6
        try:
            result = next_step(pickle.loads(bytes(altered_data)))
        except Exception:  # whatever pickle makes of it
            continue
        for seen, wanted in zip(result, expected, strict=True):
            assert_array_equal(seen, wanted)


@pytest.mark.parametrize(
    "name", ["_progress", "n_iter_", "history_", "epochs", "optimizer", "class_weight"]
)
def test_every_attribute_counts_in_the_checksum(fitted, name):
    state = fitted.__getstate__()
    state[name] = ("another",)
    with pytest.raises(ValueError, match="checksum differs"):
        MCDropoutClassifier().__setstate__(state)


def test_the_checksum_is_of_values_not_of_how_they_are_held():
    a = np.arange(6.0).reshape(2, 3)
    one = {"a": a, "b": (1, None), "c": np.float64(0.5), "d": {"x", "y"}}
    other = {"d": {"y", "x"}, "c": np.float64(0.5), "b": (1, None)}
    assert checksum({**other, "a": np.asfortranarray(a)}) == checksum(one)
    assert checksum({**other, "a": a.T}) != checksum(one)
    assert checksum({**other, "a": a.astype(np.float32)}) != checksum(one)
    assert checksum({"b": [1, None]}) != checksum({"b": (1, None)})
    assert checksum({"b": True}) != checksum({"b": 1})


@pytest.mark.slow
def test_what_is_fitted_takes_no_memory_along(moons, tmp_path):
    unfitted = MCDropoutClassifier((4,), epochs=1, random_state=0, memory=str(tmp_path))
    assert pickle.loads(pickle.dumps(unfitted)).memory == str(tmp_path)
    assert copy.deepcopy(unfitted).memory == str(tmp_path)
    fitted = unfitted.fit(*moons)
    assert pickle.loads(pickle.dumps(fitted)).memory is None
    for copied in (copy.deepcopy(fitted), copy.copy(fitted), clone(fitted)):
        assert copied.memory == str(tmp_path)
    skops = pytest.importorskip("skops.io", reason="skops is not installed")
    for estimator in (fitted, clone(fitted)):
        data = skops.dumps(estimator)
        loaded = skops.loads(data, trusted=skops.get_untrusted_types(data=data))
        assert loaded.memory is None

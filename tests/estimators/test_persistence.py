"""Copies and files predict what the original predicts."""

import copy
import io
import os
import pickle
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass, replace

import inside
import joblib
import keras
import numpy as np
import pytest
from lanes import fast
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor, RejectingClassifier


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


def build(meta, dropout_rate):
    return keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(5, activation="relu"),
            keras.layers.Dropout(dropout_rate),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )


IN_ANOTHER_PROCESS = """
import pickle, sys
sys.path += {path!r}
results = []
for data, X in pickle.load(open("estimators.pickle", "rb")):
    estimator = pickle.loads(data)
    draw = getattr(estimator, "sample_proba", None) or estimator.sample_predictions
    results.append(draw(X))
pickle.dump(results, open("results.pickle", "wb"))
"""


@pytest.mark.slow
def test_another_process_draws_the_same(fitted, moons, tmp_path):
    """Of functions and of classes of the user's, too, that nothing has registered."""
    X, y = moons
    quick = {"epochs": 1, "random_state": 0}
    given = [
        (fitted, X),
        (MCDropoutRegressor((4,), **quick).fit(X, y), X),
        (MCDropoutClassifier(model=build, **quick).fit(X, y), X),
        (MCDropoutClassifier.from_keras(of_own_layers(), random_state=0), X),
    ]
    saved = [(pickle.dumps(estimator), table) for estimator, table in given]
    (tmp_path / "estimators.pickle").write_bytes(pickle.dumps(saved))
    path = [os.path.dirname(file) for file in (__file__, inside.__file__)]
    script = IN_ANOTHER_PROCESS.format(path=path)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    results = pickle.loads((tmp_path / "results.pickle").read_bytes())
    for (estimator, table), found in zip(given, results, strict=True):
        draw = getattr(estimator, "sample_proba", None) or estimator.sample_predictions
        assert_array_equal(found, draw(table))


class Noting(pickle.Unpickler):
    """Notes which packages a file imports from."""

    def find_class(self, module, name):
        self.packages.add(module.partition(".")[0])
        return super().find_class(module, name)


def test_a_file_imports_nothing_but_arrays_and_this_package(fitted, adopted):
    for estimator in (fitted, adopted):
        loading = Noting(io.BytesIO(pickle.dumps(estimator)))
        loading.packages = set()
        loading.load()
        assert loading.packages <= {"numpy", "skmcdropout"}


def test_a_truncated_file_is_an_error(fitted):
    file = pickle.dumps(fitted)
    for size in (len(file) // 2, len(file) - 1):
        with pytest.raises((pickle.UnpicklingError, EOFError)):
            pickle.loads(file[:size])


@pytest.fixture(scope="module")
def adopted(fitted):
    return MCDropoutClassifier.from_keras(fitted.model_, n_samples=5, random_state=0)


def alterations(value):
    """Copies of a state, each with one thing in it altered, and where that is."""
    if is_dataclass(value):
        saved = {field.name for field in fields(value)}
        for name in saved.difference(getattr(value, "NOT_SAVED", ())):
            for where, other in alterations(getattr(value, name)):
                yield f"{name}.{where}", replace(value, **{name: other})
    elif isinstance(value, dict):
        for name in value:
            for where, other in alterations(value[name]):
                yield f"{name}.{where}", {**value, name: other}
    elif isinstance(value, (list, tuple)) and value:
        make = getattr(value, "_make", type(value))  # of a named tuple
        for i in range(len(value)):
            for where, other in alterations(value[i]):
                yield f"{i}.{where}", make([*value[:i], other, *value[i + 1 :]])
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        other = value.copy()
        other.flat[0] += 1
        yield "first", other
    else:
        yield "itself", ("another",)


def refusal(state):
    """What is said of a state, nothing if it is taken."""
    try:
        MCDropoutClassifier().__setstate__(state)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", ["perceptron", "network"])
def test_an_altered_state_is_an_error(fitted, adopted, kind):
    state = (fitted if kind == "perceptron" else adopted).__getstate__()
    altered = dict(alterations(state))
    for name in state:
        altered[f"no {name}"] = {key: state[key] for key in state if key != name}
    assert len(altered) > 2 * len(state)
    expected = r"must be as it was saved.*checksum differs"
    taken = [
        w for w, other in altered.items() if not re.search(expected, refusal(other))
    ]
    assert taken == []


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


def of_own_layers():
    return keras.Sequential(
        [
            keras.Input((2,)),
            Activated("relu", [halved, keras.activations.silu]),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2, "softmax"),
        ]
    )


@pytest.mark.slow
def test_custom_layers_as_keras_teaches_them_are_loaded(moons):
    X, _ = moons
    classifier = MCDropoutClassifier.from_keras(of_own_layers(), random_state=0)
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
    assert_array_equal(loaded(X), fitted.model_(X))


@pytest.mark.parametrize("kind", fast("classifier", among=["classifier", "rejecting"]))
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

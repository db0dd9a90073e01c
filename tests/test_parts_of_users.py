"""Optimizers, initializers, callbacks and libraries that users bring with them."""

import importlib.util
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmcdropout import MCDropoutClassifier
from skmcdropout._fitting import callbacks
from skmcdropout._training import trainer_pool
from skmcdropout._training.scikeras_backend import scikeras_without_patches

X = np.random.RandomState(0).normal(size=(40, 3)) + np.arange(40)[:, None] % 2
Y = np.arange(40) % 2


def build(meta):
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


def mlp(**params):
    return MCDropoutClassifier((4,), epochs=2, n_samples=5, random_state=0, **params)


@pytest.mark.parametrize("rates", [["high"], [0.1, "low"], [[0.1], [0.2, 0.3]], "0.x"])
def test_rates_that_are_no_numbers_are_refused_by_name(rates):
    with pytest.raises(ValueError, match="dropout_rate"):
        mlp(dropout_rate=rates).fit(X, Y)


# Initializers


def weights_before_training(initializer):
    """First kernel after a fit with steps of length zero."""
    still = mlp(kernel_initializer=initializer, alpha=0.0, batch_normalization=False)
    still.set_params(optimizer=keras.optimizers.SGD(0.0)).fit(X, Y)
    return still.model_.get_weights()[0]


def test_an_initializer_may_be_given_as_a_class():
    kernel = weights_before_training(keras.initializers.HeNormal)
    assert_array_equal(kernel, weights_before_training("he_normal"))
    assert kernel.std() > 0.1


def test_an_initializer_without_a_seed_is_taken_as_it_is():
    kernel = weights_before_training(keras.initializers.Constant(0.25))
    assert_array_equal(kernel, np.full((3, 4), np.float32(0.25)))


# Optimizers


class Forgetful(keras.optimizers.SGD):
    """Can't be made again: its configuration lacks what it needs."""

    def __init__(self, needed, **kwargs):
        super().__init__(**kwargs)


@pytest.mark.parametrize(
    "params", [{}, {"model": build, "hidden_layer_sizes": (128, 128)}]
)
def test_an_optimizer_that_keras_cannot_make_again_is_refused(params):
    classifier = mlp(optimizer=Forgetful(1)).set_params(**params)
    with pytest.raises(ValueError, match=r"one that Keras can make again.*Forgetful"):
        classifier.fit(X, Y)


OPTIMIZERS = {
    "name": "sgd",
    "class": keras.optimizers.SGD,
    "instance": keras.optimizers.SGD(0.05),
}


def told_by_the_function(optimizer):
    seen = []

    def compiled(meta, compile_kwargs):
        network = build(meta)
        seen.append(compile_kwargs["optimizer"])
        network.compile(seen[-1], "sparse_categorical_crossentropy")
        return network

    classifier = MCDropoutClassifier(
        model=compiled, optimizer=optimizer, learning_rate=0.05, epochs=2,
        learning_rate_schedule="constant", random_state=0,
    )  # fmt: skip
    return seen, classifier.fit(X, Y).predict_proba(X)


@pytest.mark.slow
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_model_function_is_given_the_optimizer_to_compile_with(kind):
    seen, proba = told_by_the_function(OPTIMIZERS[kind])
    assert {type(optimizer) for optimizer in seen} == {keras.optimizers.SGD}
    assert_allclose(float(seen[0].learning_rate), 0.05, rtol=1e-6)
    assert_array_equal(proba, told_by_the_function("sgd")[1])


# Callbacks


class Keeper(keras.callbacks.Callback):
    """Keeps the weights of the first epoch in a file and brings them back at the end.

    Also notes what the model that Keras shows it says of some rows.
    """

    def __init__(self, path):
        super().__init__()
        self.path = str(path)

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            self.model.save_weights(self.path)

    def on_train_end(self, logs=None):
        self.model.load_weights(self.path)
        rows = keras.ops.convert_to_tensor(X.astype(np.float32))
        self.seen = keras.ops.convert_to_numpy(self.model(rows, training=False))


@pytest.mark.slow
@pytest.mark.parametrize(
    "params", [{}, {"model": build, "hidden_layer_sizes": (128, 128)}]
)
def test_callbacks_may_save_load_and_call_the_model_they_are_shown(tmp_path, params):
    keeper = Keeper(tmp_path / "kept.weights.h5")
    params = {"learning_rate_schedule": "constant", **params}
    if "model" not in params:
        params["temperature"] = 1.0
    fitted = mlp(callbacks=keeper).set_params(epochs=4, **params).fit(X, Y)
    once = mlp(callbacks=keras.callbacks.Callback()).set_params(epochs=1, **params)
    expected = once.fit(X, Y).set_params(n_samples=0).predict_proba(X)
    assert_allclose(keeper.seen, expected, atol=1e-6)
    found = fitted.set_params(n_samples=0).predict_proba(X)
    assert_allclose(found, expected, atol=1e-6)


# Optimizers that change between fits


def test_another_layout_of_the_optimizer_begins_with_its_own_rate():
    """Whatever rate the trainer had that an earlier fit has left."""
    sgd = keras.optimizers.SGD

    def losses():
        clf = mlp(optimizer=sgd(0.001), warm_start=True).fit(X, Y)
        return clf.set_params(optimizer=sgd(0.001, momentum=0.9)).fit(X, Y).history_

    before = losses()
    mlp(optimizer=sgd(0.9, momentum=0.9)).fit(X, Y)
    assert losses() == before
    trainer_pool._idle._idle.clear()
    mlp(optimizer=sgd(0.9, momentum=0.9)).fit(X, Y)
    assert losses() == before


@keras.saving.register_keras_serializable("tests")
class OneRate(keras.optimizers.schedules.LearningRateSchedule):
    rate = 1e-4

    def __call__(self, step):
        return keras.ops.convert_to_tensor(self.rate)

    def get_config(self):
        return {}


class MyAdam(keras.optimizers.Adam):
    pass


def test_a_schedule_whose_code_has_changed_is_used_as_it_is_now(monkeypatch):
    clf = mlp(optimizer=keras.optimizers.Adam(OneRate()))
    slow = clf.fit(X, Y).history_["loss"]
    monkeypatch.setattr(OneRate, "rate", 0.5)
    assert clf.fit(X, Y).history_["loss"] != slow


@pytest.mark.parametrize(
    "optimizer",
    [MyAdam, MyAdam(), keras.optimizers.Adam(OneRate())],
    ids=["class", "instance", "schedule"],
)
def test_optimizers_with_code_of_ones_own_are_not_kept_in_memory(optimizer, tmp_path):
    mlp(optimizer=optimizer, memory=str(tmp_path)).fit(X, Y)
    assert not list(tmp_path.rglob("output.pkl"))
    mlp(optimizer=keras.optimizers.Adam(), memory=str(tmp_path)).fit(X, Y)
    assert list(tmp_path.rglob("output.pkl"))


# What was fitted counts, whatever parameters say since


def test_predictions_ask_for_the_rows_of_the_network_that_was_fitted():
    fitted = mlp().fit(X, Y)
    expected = fitted.predict_proba(X)
    fitted.set_params(model=build)
    assert_array_equal(fitted.predict_proba(X.astype(np.float64)), expected)
    with pytest.raises(ValueError, match="X must be one array"):
        fitted.predict({"a": X})
    network = MCDropoutClassifier(model=build, epochs=1, random_state=0).fit(X, Y)
    expected = network.predict_proba(X)
    assert_array_equal(network.set_params(model=None).predict_proba(X), expected)


def two_inputs(meta):
    inputs = [keras.Input((2,), name="a"), keras.Input((1,), name="b")]
    h = keras.layers.Dropout(0.3)(keras.layers.Concatenate()(inputs))
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(h))


def test_features_of_a_fit_before_are_forgotten_by_several_inputs():
    table = pd.DataFrame(np.tile(X, 2), columns=list("uvwxyz"))
    clf = mlp().fit(table, Y)
    clf.set_params(model=two_inputs, hidden_layer_sizes=(128, 128))
    clf.fit({"a": X[:, :2], "b": X[:, 2:]}, Y)
    assert not hasattr(clf, "n_features_in_")
    assert not hasattr(clf, "feature_names_in_")
    assert clf.predict(X).shape == (40,)


def test_the_history_may_be_changed_by_its_owner():
    clf = mlp(warm_start=True).fit(X, Y)
    clf.history_["loss"].clear()
    assert clf.fit(X, Y).n_iter_ == 4


# Libraries


def test_scikeras_of_others_is_taken_as_it_is(monkeypatch):
    """Its changes to Keras's classes are left alone once somebody has imported it."""

    def theirs(self):
        return "theirs"

    assert "scikeras" in sys.modules
    monkeypatch.setattr(keras.Model, "__reduce__", None, raising=False)
    with scikeras_without_patches():
        keras.Model.__reduce__ = theirs
    assert keras.Model.__reduce__ is theirs


def test_importing_scikeras_gives_keras_its_own_methods_back(monkeypatch):
    def own(self):
        return "mine"

    monkeypatch.setattr(keras.Model, "__reduce__", own, raising=False)
    monkeypatch.setattr(keras.optimizers.Optimizer, "__deepcopy__", own, raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == "scikeras"]:
        monkeypatch.delitem(sys.modules, name)
    with scikeras_without_patches():
        importlib.import_module("scikeras.wrappers")
    assert keras.Model.__reduce__ is own
    assert keras.optimizers.Optimizer.__deepcopy__ is own
    assert "__deepcopy__" not in vars(keras.losses.Loss)


@pytest.fixture
def without_callbacks(monkeypatch):
    """The module as scikit-learn before 1.9 lets it be imported."""
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    spec = importlib.util.spec_from_file_location(
        "callbacks_of_old_scikit_learn", Path(callbacks.__file__)
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_callbacks_in_scikit_learn_a_fit_is_told_to_nobody(without_callbacks):
    assert not without_callbacks.HAS_CALLBACKS
    task = without_callbacks.FitTask(mlp(), X, Y, None, n_epochs=2)
    assert not task.needs_epochs
    assert task.epochs(lambda state: {}) is None
    task.end()
    with pytest.raises(NotImplementedError, match=r"needs scikit-learn 1\.9 or newer"):
        without_callbacks.CallbackSupportMixin().set_callbacks()

"""Optimizers, initializers and callbacks that users bring with them."""

import inside
import keras
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skmcdropout import MCDropoutClassifier

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
    given = {"epochs": 2, "n_samples": 5, "temperature": 1.0, "random_state": 0}
    return MCDropoutClassifier((4,), **given, **params)


def network(**params):
    return MCDropoutClassifier(
        model=build, epochs=2, n_samples=5, random_state=0, **params
    )


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
    assert_array_equal(
        kernel, weights_before_training(keras.initializers.HeNormal(seed=1))
    )
    assert kernel.std() > 0.1


def test_an_initializer_without_a_seed_is_taken_as_it_is():
    kernel = weights_before_training(keras.initializers.Constant(0.25))
    assert_array_equal(kernel, np.full((3, 4), np.float32(0.25)))


# Optimizers


class Forgetful(keras.optimizers.SGD):
    """Can't be made again: its configuration lacks what it needs."""

    def __init__(self, needed, **kwargs):
        super().__init__(**kwargs)


@pytest.mark.parametrize("kind", [mlp, network])
def test_an_optimizer_that_keras_cannot_make_again_is_refused(kind):
    classifier = kind(optimizer=Forgetful(1))
    with pytest.raises(ValueError, match=r"one that Keras can make again.*Forgetful"):
        classifier.fit(X, Y)


OPTIMIZERS = ["sgd", keras.optimizers.SGD, keras.optimizers.SGD(0.05)]


@pytest.mark.slow
def test_a_model_function_is_given_the_optimizer_to_compile_with():
    """However it was named, and it is trained by that."""
    seen = []

    def compiled(meta, compile_kwargs):
        network = build(meta)
        seen.append(compile_kwargs["optimizer"])
        network.compile(seen[-1], "sparse_categorical_crossentropy")
        return network

    found = [
        MCDropoutClassifier(
            model=compiled, optimizer=optimizer, learning_rate=0.05, epochs=2,
            learning_rate_schedule="constant", random_state=0,
        ).fit(X, Y).predict_proba(X)
        for optimizer in OPTIMIZERS
    ]  # fmt: skip
    assert {type(optimizer) for optimizer in seen} == {keras.optimizers.SGD}
    for optimizer in seen:
        assert_allclose(float(optimizer.learning_rate), 0.05, rtol=1e-6)
    assert_array_equal(found[1], found[0])
    assert_array_equal(found[2], found[0])


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
@pytest.mark.parametrize("kind", [mlp, network])
def test_callbacks_may_save_load_and_call_the_model_they_are_shown(tmp_path, kind):
    keeper = Keeper(tmp_path / "kept.weights.h5")
    constant = {"learning_rate_schedule": "constant"}
    fitted = kind(callbacks=keeper, **constant).set_params(epochs=4).fit(X, Y)
    once = kind(callbacks=keras.callbacks.Callback(), **constant).set_params(epochs=1)
    expected = once.fit(X, Y).set_params(n_samples=0).predict_proba(X)
    assert_allclose(keeper.seen, expected, atol=1e-6)
    found = fitted.set_params(n_samples=0).predict_proba(X)
    assert_allclose(found, expected, atol=1e-6)


# Optimizers that change between fits


@pytest.mark.slow
def test_another_layout_of_the_optimizer_begins_with_its_own_rate():
    """Whatever rate the trainer had that an earlier fit has left."""
    sgd = keras.optimizers.SGD

    def losses():
        clf = mlp(optimizer=sgd(0.001), warm_start=True).fit(X, Y)
        return clf.set_params(optimizer=sgd(0.001, momentum=0.9)).fit(X, Y).history_

    before = losses()
    mlp(optimizer=sgd(0.9, momentum=0.9)).fit(X, Y)
    assert losses() == before
    inside.forget_compiled()
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


@pytest.mark.slow
def test_a_schedule_whose_code_has_changed_is_used_as_it_is_now(monkeypatch):
    clf = mlp(optimizer=keras.optimizers.Adam(OneRate()))
    slow = clf.fit(X, Y).history_["loss"]
    monkeypatch.setattr(OneRate, "rate", 0.5)
    assert clf.fit(X, Y).history_["loss"] != slow


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer",
    [MyAdam, MyAdam(), keras.optimizers.Adam(OneRate())],
    ids=["class", "instance", "schedule"],
)
def test_optimizers_with_code_of_ones_own_are_not_kept_in_memory(optimizer, tmp_path):
    mlp(optimizer=optimizer, memory=str(tmp_path)).fit(X, Y)
    assert not list(tmp_path.rglob("output.pkl"))


def test_optimizers_of_keras_are_kept_in_memory(tmp_path):
    mlp(optimizer=keras.optimizers.Adam(), memory=str(tmp_path)).fit(X, Y)
    assert list(tmp_path.rglob("output.pkl"))


# What was fitted counts, whatever parameters say since


@pytest.mark.slow
def test_predictions_ask_for_the_rows_of_the_network_that_was_fitted():
    fitted = mlp().fit(X, Y)
    expected = fitted.predict_proba(X)
    fitted.set_params(model=build)
    assert_array_equal(fitted.predict_proba(X.astype(np.float64)), expected)
    with pytest.raises(ValueError, match="X must be one array"):
        fitted.predict({"a": X})
    other = network().fit(X, Y)
    expected = other.predict_proba(X)
    assert_array_equal(other.set_params(model=None).predict_proba(X), expected)


def two_inputs(meta):
    inputs = [keras.Input((2,), name="a"), keras.Input((1,), name="b")]
    h = keras.layers.Dropout(0.3)(keras.layers.Concatenate()(inputs))
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(h))


@pytest.mark.slow
def test_features_of_a_fit_before_are_forgotten_by_several_inputs():
    table = pd.DataFrame(np.tile(X, 2), columns=list("uvwxyz"))
    clf = mlp().fit(table, Y)
    clf.set_params(model=two_inputs, hidden_layer_sizes=(128, 128), temperature="auto")
    clf.fit({"a": X[:, :2], "b": X[:, 2:]}, Y)
    assert not hasattr(clf, "n_features_in_")
    assert not hasattr(clf, "feature_names_in_")
    assert clf.predict(X).shape == (40,)


def test_the_history_may_be_changed_by_its_owner():
    clf = mlp(warm_start=True).fit(X, Y)
    clf.history_["loss"].clear()
    assert clf.fit(X, Y).n_iter_ == 4

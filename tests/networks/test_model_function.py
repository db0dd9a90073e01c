"""`model`: a function of the user's that builds the network."""

import functools
import pickle
import random

import inside
import keras
import numpy as np
import pytest
from keras import layers
from lanes import fast
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmcdropout import MCDropoutClassifier

N_ROWS = 300


@pytest.fixture(scope="module")
def images(digits):
    X, y = digits
    return X.reshape(-1, 8, 8).astype(np.float32)[:N_ROWS], y[:N_ROWS]


def convolutions(meta, filters=4, dropout_rate=0.25, kernel_size=3):
    return keras.Sequential(
        [
            keras.Input((*meta["X_shape_"][1:], 1)),
            layers.Conv2D(filters, kernel_size, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(dropout_rate),
            layers.Flatten(),
            layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


def textbook(meta, dropout_rate=0.2):
    """Flatten first, BatchNormalization where it likes, dropout before each Dense."""
    network = keras.Sequential([layers.Flatten()])
    for units in (60, 30):
        network.add(layers.BatchNormalization())
        network.add(layers.Dropout(dropout_rate))
        network.add(layers.Dense(units, kernel_initializer="he_normal", use_bias=False))
        network.add(layers.BatchNormalization())
        network.add(layers.Activation("elu"))
    network.add(layers.Dropout(dropout_rate))
    network.add(layers.Dense(meta["n_classes_"], activation="softmax"))
    return network


def two_inputs(meta, dropout_rate=0.2):
    a, b = keras.Input((40,), name="top"), keras.Input((3, 8), name="bottom")
    h = layers.Concatenate()([layers.Dropout(dropout_rate)(a), layers.Flatten()(b)])
    h = layers.Dense(30, activation="relu")(h)
    return keras.Model([a, b], layers.Dense(meta["n_classes_"], "softmax")(h))


def small(meta, loss=None, optimizer="sgd", units=None, activation="softmax"):
    network = keras.Sequential(
        [
            keras.Input(meta["X_shape_"][1:]),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(units or meta["n_classes_"], activation=activation),
        ]
    )
    if loss is not None:
        network.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    return network


def classifier(model=convolutions, **parameters):
    defaults = {
        "epochs": 3,
        "n_samples": 20,
        "random_state": 0,
        "learning_rate_schedule": "constant",
    }
    return MCDropoutClassifier(model=model, **{**defaults, **parameters})


@pytest.mark.slow
def test_images_are_learned(images):
    X, y = images
    fitted = classifier(epochs=30, batch_size=16).fit(X[:200], y[:200])
    assert fitted.score(X[200:], y[200:]) > 0.8
    assert fitted.predict_uncertainty(X).shape == (N_ROWS,)
    assert fitted.sample_proba(X).shape == (20, N_ROWS, 10)


@pytest.mark.slow
def test_the_textbook_net_on_images(images):
    X, y = images
    fitted = classifier(textbook, epochs=15).fit(X[:200], y[:200])
    assert fitted.score(X[200:], y[200:]) > 0.75
    copied = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(copied.predict_proba(X), fitted.predict_proba(X))
    kinds = [type(layer).__name__ for layer in fitted.model_.layers]
    assert kinds[:4] == ["Flatten", "BatchNormalization", "Dropout", "Dense"]
    expected = fitted.model_(X)
    no_draws = fitted.set_params(n_samples=0)
    assert_allclose(no_draws.predict_proba(X), expected, atol=1e-5)
    copied.partial_fit(X, y)  # statistics of batches are kept, too
    fitted.set_params(n_samples=20).partial_fit(X, y)
    assert_array_equal(copied.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.slow
def test_parameters_of_the_function_are_searched_over(images):
    names = ["model__filters", "dropout_rate", "n_samples"]
    grid = [
        {name: [value] for name, value in zip(names, values, strict=True)}
        for values in [(1, 0.1, 0), (6, 0.4, 10)]
    ]
    search = GridSearchCV(
        classifier(epochs=1), grid, cv=2, error_score="raise", refit=lambda _: 1
    ).fit(*images)
    best = search.best_estimator_
    assert search.best_params_ == dict(zip(names, (6, 0.4, 10), strict=True))
    assert best.model_.layers[0].filters == 6
    assert best.model_.layers[2].rate == 0.4
    assert best.sample_proba(images[0]).shape == (10, N_ROWS, 10)
    assert (search.cv_results_["mean_test_score"] > 0).all()


def test_parameters_are_parameters():
    estimator = classifier(model__filters=5)
    assert estimator.get_params()["model__filters"] == 5
    assert clone(estimator.set_params(model__filters=7)).model__filters == 7
    assert "model__filters=7" in repr(estimator)
    assert "model__kernel_size" not in estimator.get_params()


@pytest.mark.slow
def test_in_a_pipeline_that_shapes_rows(digits):
    X, y = digits
    shape = FunctionTransformer(lambda X: X.reshape(-1, 8, 8))
    scores = cross_val_score(
        make_pipeline(shape, classifier(epochs=60)), X[:N_ROWS], y[:N_ROWS], cv=2
    )
    assert scores.mean() > 0.7


def test_what_the_function_is_told(images):
    X, y = images
    labels = np.array(["even", "odd"])[y % 2]
    told = {}

    def model(meta, compile_kwargs, **parameters):
        told.update(meta, **parameters, optimizer=compile_kwargs["optimizer"])
        return small({**meta, "X_shape_": (0, 64)})

    parameters = {"learning_rate": 0.02, "model__width": 3}
    classifier(model, **parameters).fit(X.reshape(-1, 64), labels)
    assert told.pop("classes_").tolist() == ["even", "odd"]
    assert float(told.pop("optimizer").learning_rate) == pytest.approx(0.02)
    assert told == {
        "n_classes_": 2,
        "n_features_in_": 64,
        "X_shape_": (N_ROWS, 64),
        "X_dtype_": np.float32,
        "n_outputs_": 1,
        "n_outputs_expected_": 1,
        "target_type_": "binary",
        "width": 3,
    }


@pytest.mark.slow
def test_a_rate_the_function_does_not_take_is_its_own(images):
    X, y = images
    fitted = classifier(small).fit(X.reshape(-1, 64), y)
    assert fitted.model_.layers[1].rate == 0.2


@pytest.mark.slow
def test_model_dropout_rate_goes_before_dropout_rate(images):
    fitted = classifier(model__dropout_rate=0.45, epochs=1).fit(*images)
    assert fitted.model_.layers[2].rate == 0.45


def test_fits_are_repeatable_and_leave_the_global_generators_alone(images):
    X, y = images
    state = random.getstate(), str(np.random.get_state())
    first = classifier().fit(X, y).predict_proba(X)
    random.seed(1)
    again = classifier().fit(X, y).predict_proba(X)
    other = classifier(random_state=1).fit(X, y).predict_proba(X)
    random.setstate(state[0])
    assert_array_equal(first, again)
    assert abs(first - other).max() > 0
    classifier().fit(X, y).predict_proba(X)
    assert (random.getstate(), str(np.random.get_state())) == state


def test_the_order_of_the_rows_does_not_matter(images):
    X, y = images
    order = np.random.RandomState(0).permutation(len(X))
    expected = classifier().fit(X, y).predict_proba(X)
    shuffled = classifier().fit(X[order], y[order])
    assert_allclose(shuffled.predict_proba(X), expected, atol=1e-6)


def test_integer_weights_are_repeated_rows(images):
    X, y = images
    weights = np.random.RandomState(0).randint(0, 3, size=len(X))
    rows = np.repeat(np.arange(len(X)), weights)
    weighted = classifier().fit(X, y, sample_weight=weights)
    repeated = classifier().fit(X[rows], y[rows])
    assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-6)


def brier(y_true, y_pred):
    """Of class codes, as Keras shows them."""
    of_class = keras.ops.one_hot(keras.ops.cast(y_true, "int32"), 3)
    return keras.ops.sum((of_class - y_pred) ** 2, axis=-1)


LOSSES = {
    "none": (None, None, "softmax"),
    "a name": ("sparse_categorical_crossentropy", None, "softmax"),
    "one-hot": ("categorical_crossentropy", None, "softmax"),
    "smoothed": (
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1), None, "softmax",
    ),
    "logits": (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True), None, None,
    ),
    "focal": (keras.losses.CategoricalFocalCrossentropy(), None, "softmax"),
    "binary": ("binary_crossentropy", 1, "sigmoid"),
    "binary logit": (keras.losses.BinaryCrossentropy(from_logits=True), 1, None),
    "a function": (brier, None, "softmax"),
    "renamed": (
        keras.losses.SparseCategoricalCrossentropy(name="ce"), None, "softmax",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", fast("none", among=LOSSES))
def test_training_is_that_of_keras_with_the_loss_and_optimizer_of_the_model(
    images, name
):
    """Whole batches without dropout: every step is that of `Model.fit`."""
    loss, units, activation = LOSSES[name]
    X, y = images[0].reshape(-1, 64), images[1] % (2 if units else 3)
    meta = {"X_shape_": X.shape, "n_classes_": 3}
    network = small(meta, loss, units=units, activation=activation)
    network.layers[1].rate = 0
    given = {} if loss else {"learning_rate": 1e-3}
    with pytest.warns(UserWarning, match="nothing to sample"):
        ours = MCDropoutClassifier.from_keras(network, batch_size=N_ROWS, **given)
    for _ in range(3):
        ours.partial_fit(X, y)
    if loss is None:
        network.compile("adam", "sparse_categorical_crossentropy")
    network.run_eagerly = True  # three steps are over before Keras has compiled one
    one_hot = name in ("one-hot", "smoothed", "focal")
    targets = keras.utils.to_categorical(y, 3) if one_hot else y
    history = network.fit(X, targets, batch_size=N_ROWS, epochs=3, verbose=0)
    assert_allclose(ours.history_["loss"], history.history["loss"], rtol=1e-4)
    for mine, keras_own in zip(
        ours.model_.get_weights(), network.get_weights(), strict=True
    ):
        assert_allclose(mine, keras_own, atol=1e-5)


@pytest.mark.slow
def test_batch_normalization_is_trained_as_by_keras(images):
    X, y = images
    network = textbook({"n_classes_": 10}, dropout_rate=0.0)
    network.build((None, 8, 8))
    given = {"batch_size": N_ROWS, "learning_rate": 1e-3}
    with pytest.warns(UserWarning, match="nothing to sample"):
        ours = MCDropoutClassifier.from_keras(network, **given)
    ours.partial_fit(X, y).partial_fit(X, y)
    network.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    network.fit(X, y, batch_size=N_ROWS, epochs=2, verbose=0)
    for mine, keras_own in zip(
        ours.model_.get_weights(), network.get_weights(), strict=True
    ):
        assert_allclose(mine, keras_own, atol=1e-4)


@pytest.mark.slow
def test_training_goes_on(images):
    X, y = images
    going_on = classifier(warm_start=True).fit(X, y).fit(X, y)
    at_once = classifier(epochs=6).fit(X, y)
    assert_array_equal(going_on.predict_proba(X), at_once.predict_proba(X))
    assert going_on.n_iter_ == 6
    going_on.set_params(dropout_rate=0.5).fit(X, y)
    assert going_on.model_.layers[2].rate == 0.5


@pytest.mark.slow
def test_going_on_with_another_rate_given_by_the_function(images):
    X, y = images
    model = functools.partial(convolutions, kernel_size=3)
    fitted = classifier(model, warm_start=True, epochs=1).fit(X, y)
    other = functools.partial(convolutions, kernel_size=3, dropout_rate=0.6)
    fitted.set_params(model=lambda meta: other(meta)).fit(X, y)
    assert fitted.model_.layers[2].rate == 0.6
    assert fitted.n_iter_ == 2


def test_partial_fits_are_epochs(images):
    X, y = images
    parts = classifier()
    for _ in range(3):
        parts.partial_fit(X, y, classes=np.unique(y))
    assert_array_equal(parts.predict_proba(X), classifier().fit(X, y).predict_proba(X))


@pytest.mark.slow
def test_early_stopping_and_callbacks(images):
    X, y = images
    stopped = classifier(early_stopping=True, n_iter_no_change=1, epochs=200)
    stopped.set_params(learning_rate=0.02).fit(X, y)
    assert stopped.n_iter_ < 200
    assert len(stopped.history_["val_accuracy"]) == stopped.n_iter_
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(logs["loss"])
    )
    watched = classifier(callbacks=callback).fit(X, y)
    assert watched.history_["loss"] == seen
    assert_allclose(watched.score(X, y), classifier().fit(X, y).score(X, y), atol=0.1)


@pytest.mark.slow
def test_memory_trains_each_network_once(images, tmp_path, trainings):
    X, y = images
    first = classifier(memory=str(tmp_path)).fit(X, y)
    again = classifier(memory=str(tmp_path), n_samples=5).fit(X, y)
    assert_array_equal(
        again.set_params(n_samples=20).predict_proba(X), first.predict_proba(X)
    )
    assert len(trainings) == 1
    other = classifier(memory=str(tmp_path), model__filters=2).fit(X, y)
    assert len(trainings) == 2
    assert other.model_.layers[0].filters == 2


@pytest.mark.slow
def test_several_inputs_as_a_dict_or_one_after_the_other(images):
    X, y = images
    table = X.reshape(-1, 64)
    by_name = {"bottom": table[:, 40:].reshape(-1, 3, 8), "top": table[:, :40]}
    from_dict = classifier(two_inputs).fit(by_name, y)
    from_table = classifier(two_inputs).fit(table, y)
    assert_array_equal(
        from_dict.predict_proba(by_name), from_table.predict_proba(table)
    )
    weights = np.arange(len(y)) % 2
    from_dict.fit(by_name, y, sample_weight=weights)
    from_table.fit(table, y, sample_weight=weights)
    assert_array_equal(from_dict.predict(by_name), from_table.predict(table))
    scores = cross_val_score(classifier(two_inputs, epochs=20), table, y, cv=2)
    assert scores.mean() > 0.6


def recurrent(meta, dropout_rate=0.2):
    x = keras.Input((None, meta["X_shape_"][2]))
    h = layers.SimpleRNN(16, dropout=dropout_rate)(x)
    return keras.Model(x, layers.Dense(meta["n_classes_"], activation="softmax")(h))


@pytest.mark.slow
def test_sequences(images):
    X, y = images
    fitted = classifier(recurrent, epochs=20, batch_size=16, learning_rate=0.02)
    assert fitted.fit(X, y).score(X, y) > 0.7
    assert fitted.predict_uncertainty(X, "mutual_information").min() >= 0
    assert not hasattr(fitted, "n_features_in_")
    copied = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(copied.predict_proba(X), fitted.predict_proba(X))
    copied.partial_fit(X, y)
    fitted.partial_fit(X, y)
    assert_array_equal(copied.predict_proba(X), fitted.predict_proba(X))
    assert fitted.predict_proba(X[:, :5]).shape == (N_ROWS, 10)  # of any length


@pytest.mark.slow
def test_a_pickled_copy_predicts_and_goes_on_the_same(images):
    X, y = images
    fitted = classifier().fit(X, y)
    copied = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(copied.predict_proba(X), fitted.predict_proba(X))
    assert_array_equal(
        copied.partial_fit(X, y).predict_proba(X),
        fitted.partial_fit(X, y).predict_proba(X),
    )


@pytest.mark.slow
def test_one_compiled_trainer_serves_all_folds(images, monkeypatch):
    X, y = images
    compiled = inside.compiled_trainers(monkeypatch)
    for seed in range(3):
        classifier(random_state=seed, epochs=1).fit(X, y)
    assert len(compiled) == 1

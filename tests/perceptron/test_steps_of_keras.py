"""Training against Keras's own, step by step."""

import keras
import numpy as np
import pytest
from first_weights import initial_weights
from lanes import fast
from numpy.testing import assert_allclose
from plain import PLAIN
from sklearn.base import clone

from skmcdropout import MCDropoutClassifier

OPTIMIZERS = {
    "adam": "adam",
    "adam with other factors": keras.optimizers.Adam(
        0.01, beta_1=0.5, beta_2=0.9, epsilon=0.1
    ),
    "a class": keras.optimizers.RMSprop,
    "momentum, clipped, accumulated": keras.optimizers.SGD(
        0.1,
        momentum=0.9,
        nesterov=True,
        global_clipnorm=0.3,
        gradient_accumulation_steps=2,
    ),
    "schedule, decay, clipped by variable, averaged": keras.optimizers.AdamW(
        keras.optimizers.schedules.ExponentialDecay(0.05, 2, 0.5),
        weight_decay=0.1,
        clipnorm=0.05,
        use_ema=True,
        ema_momentum=0.5,
    ),
    "layer-wise": keras.optimizers.Lamb(0.01),
}


def full_batch(**parameters):
    given = {"dropout_rate": 0.0, "epochs": 6, "random_state": 0, "alpha": 0.0}
    given |= {**PLAIN, "batch_size": 60, "learning_rate": 0.01}
    return MCDropoutClassifier((8, 6), **{**given, **parameters})


def check_steps(classifier, X, y, weights=None, optimizer=None):
    """A fit on whole tables is that of `Model.fit` from the same weights.

    Keras's has the same optimizer, if no other is given, and loss weights of mean 1.
    """
    before = initial_weights(classifier, X, y)
    ours = clone(classifier).fit(X, y, sample_weight=weights)
    network = keras.models.clone_model(ours.model_)
    network.set_weights(before)
    optimizer = classifier.optimizer if optimizer is None else optimizer
    if isinstance(optimizer, keras.Optimizer):
        optimizer = type(optimizer).from_config(optimizer.get_config())
    else:
        kind = {"adam": keras.optimizers.Adam}.get(optimizer, optimizer)
        optimizer = kind(learning_rate=classifier.learning_rate)
    network.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
    factors = None if weights is None else weights / weights.mean()
    history = network.fit(
        X.astype(np.float32), y, sample_weight=factors, batch_size=len(X),
        epochs=classifier.epochs, shuffle=False, verbose=0,
    )  # fmt: skip
    assert_allclose(ours.history_["loss"], history.history["loss"], rtol=1e-4)
    for our, their in zip(
        ours.model_.get_weights(), network.get_weights(), strict=True
    ):
        assert_allclose(our, their, atol=1e-4)
    return ours


@pytest.mark.parametrize("name", fast("adam", among=OPTIMIZERS))
def test_steps_are_those_of_keras(blobs, name):
    check_steps(full_batch(optimizer=OPTIMIZERS[name]), *blobs)


PENALTIES = {
    "on arrays": {"alpha": 30.0, "max_norm": 0.5},
    "in a graph": {
        "alpha": 30.0,
        "max_norm": 0.5,
        "batch_normalization": True,
        "optimizer": keras.optimizers.SGD(0.1, global_clipnorm=1e6),
        "activation": "gelu",
        "kernel_initializer": keras.initializers.Orthogonal(),
    },
}


@pytest.mark.parametrize("name", fast("on arrays", among=PENALTIES))
def test_penalties_constraints_and_normalization_are_those_of_keras(blobs, name):
    check_steps(full_batch(**PENALTIES[name]), *blobs)


@pytest.mark.slow
def test_weighted_loss_is_that_of_keras(blobs):
    weights = np.random.RandomState(1).uniform(0.5, 2, size=60)
    check_steps(full_batch(), *blobs, weights)


@pytest.mark.parametrize(
    ("batch_size", "weights", "parameters", "total"),
    [
        (60, None, {}, 60),
        (7, None, {}, 60),
        (60, np.repeat([1, 3], 30), {}, 120),
        (60, np.repeat([0.25, 0.5], 30), {}, 60),
        (60, np.repeat([0, 0.5], 30), {}, 30),
        (60, None, {"class_weight": {0: 5, 1: 0.5, 2: 0.5}}, 60),
        (60, None, {"early_stopping": True, "validation_fraction": 0.2}, 48),
    ],
)
def test_alpha_is_a_prior_that_counts_once_for_all_rows(
    blobs, batch_size, weights, parameters, total
):
    """alpha / 2 times the squared weights, divided by the number of rows."""
    X, y = blobs
    still = full_batch(
        optimizer=keras.optimizers.Adam(0.0), batch_size=batch_size, **parameters
    )
    plain = still.fit(X, y, weights).history_["loss"]
    penalised = still.set_params(alpha=60.0).fit(X, y, weights)
    kernels = penalised.model_.get_weights()[::2]
    squares = sum((kernel.astype(float) ** 2).sum() for kernel in kernels)
    difference = penalised.history_["loss"][0] - plain[0]
    assert_allclose(difference, 60.0 / 2 * squares / total, rtol=1e-3)


def test_partial_fit_takes_its_own_rows_for_all(blobs):
    X, y = blobs
    still = full_batch(optimizer=keras.optimizers.Adam(0.0), batch_size=9)
    losses = {}
    for alpha in (0.0, 60.0):
        fitted = (
            clone(still).set_params(alpha=alpha).partial_fit(X[:30], y[:30], [0, 1, 2])
        )
        losses[alpha] = fitted.history_["loss"][0]
    kernels = fitted.model_.get_weights()[::2]
    squares = sum((kernel.astype(float) ** 2).sum() for kernel in kernels)
    assert_allclose(losses[60.0] - losses[0.0], 60.0 / 2 * squares / 30, rtol=1e-3)


@pytest.mark.parametrize(
    "optimizer",
    ["adam", pytest.param(keras.optimizers.SGD, marks=pytest.mark.slow)],
    ids=["adam", "sgd"],
)
def test_the_cosine_schedule_is_that_of_keras(blobs, optimizer):
    kind = {"adam": keras.optimizers.Adam}.get(optimizer, optimizer)
    decay = keras.optimizers.schedules.CosineDecay(0.05, decay_steps=6)
    given = {"optimizer": optimizer, "learning_rate": 0.05}
    cosine = full_batch(**given, learning_rate_schedule="cosine")
    annealed = check_steps(cosine, *blobs, optimizer=kind(decay))
    constant = full_batch(**given).fit(*blobs)
    assert constant.history_["loss"][-1] != annealed.history_["loss"][-1]


def test_an_optimizers_own_rate_is_not_annealed(blobs):
    X, y = blobs
    by_schedule = [
        full_batch(optimizer=keras.optimizers.Adam(0.05), learning_rate_schedule=name)
        .fit(X, y)
        .history_["loss"]
        for name in ("cosine", "constant")
    ]
    assert by_schedule[0] == by_schedule[1]


class NotesRates(keras.callbacks.Callback):
    """Halves the learning rate after each epoch, and notes what it finds."""

    def on_train_begin(self, logs=None):
        self.found = []

    def on_epoch_end(self, epoch, logs=None):
        optimizer = self.model.optimizer
        self.found.append(float(optimizer.learning_rate))
        optimizer.learning_rate = optimizer.learning_rate / 2


def test_callbacks_see_and_set_the_rate_that_the_schedule_begins_with(blobs):
    callback = NotesRates()
    annealed = full_batch(
        learning_rate=0.08, learning_rate_schedule="cosine", callbacks=callback
    ).fit(*blobs)
    assert_allclose(callback.found, 0.08 / 2 ** np.arange(6), rtol=1e-6)
    plain = full_batch(learning_rate=0.08, learning_rate_schedule="cosine").fit(*blobs)
    assert annealed.history_["loss"][1] == pytest.approx(plain.history_["loss"][1])
    assert annealed.history_["loss"][-1] != pytest.approx(plain.history_["loss"][-1])


def test_batches_that_are_watched_follow_the_same_schedule(blobs):
    class Watches(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    losses = [
        full_batch(batch_size=20, learning_rate_schedule="cosine", callbacks=callback)
        .fit(*blobs)
        .history_["loss"]
        for callback in (None, Watches())
    ]
    assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_max_norm_bounds_the_weights_into_each_hidden_unit(blobs):
    classifier = full_batch(max_norm=0.5, learning_rate=0.3).fit(*blobs)
    for kernel in classifier.model_.get_weights()[:-2:2]:
        assert np.linalg.norm(kernel, axis=0).max() <= 0.5 + 1e-5


def compiled_with_what_is_given(meta, compile_kwargs):
    network = keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    network.compile(loss="sparse_categorical_crossentropy", **compile_kwargs)
    return network


def compiled_by_itself(meta):
    optimizer = keras.optimizers.Adam()
    return compiled_with_what_is_given(meta, {"optimizer": optimizer})


@pytest.mark.slow
def test_the_schedule_is_that_of_a_model_too_unless_it_has_its_own(blobs):
    def fit(model, schedule):
        return MCDropoutClassifier(
            model=model, learning_rate_schedule=schedule, epochs=3, random_state=0
        ).fit(*blobs)

    losses = [
        fit(compiled_with_what_is_given, schedule).history_["loss"]
        for schedule in ("constant", "cosine")
    ]
    assert losses[0][-1] != losses[1][-1]
    with pytest.raises(
        ValueError, match="learning_rate_schedule has no meaning beside"
    ):
        fit(compiled_by_itself, "constant")


@pytest.mark.slow
def test_training_drops_units_at_the_rate(blobs):
    """With one unit and no updates, the loss tells how often it was dropped."""
    X, y = blobs
    still = keras.optimizers.SGD(0.0)
    losses = {}
    for rate in (0.0, 0.3):
        classifier = MCDropoutClassifier(
            (1,), "linear", dropout_rate=rate, optimizer=still, epochs=400,
            alpha=0.0, random_state=0, **{**PLAIN, "batch_size": 60},
        ).fit(X, y)  # fmt: skip
        losses[rate] = np.mean(classifier.history_["loss"])
    W1, b1, W2, b2 = classifier.model_.get_weights()

    def expected(rate):
        total = 0
        for scale, share in ((0, rate), (1 / (1 - rate), 1 - rate)):
            z = (X @ W1 + b1) * scale @ W2 + b2
            p = np.exp(z - z.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            total += share * -np.log(p[np.arange(60), y]).mean()
        return total

    for rate in (0.0, 0.3):
        assert_allclose(losses[rate], expected(rate), rtol=0.03)

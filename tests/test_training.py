"""The training loop against Keras's own, and what users expect of fit."""

import io
from contextlib import redirect_stdout

import keras
import numpy as np
import pytest
import test_keras_assumptions
from lanes import fast
from numpy.testing import assert_allclose, assert_array_equal
from plain import PLAIN
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.estimator_checks import check_class_weight_classifiers

from skmcdropout import MCDropoutClassifier
from skmcdropout._fitting import fit as fitting
from skmcdropout._fitting.sizes import OF_CLASSES, OF_TARGETS, batch_size, n_epochs
from skmcdropout._networks.activations import ELEMENTWISE
from skmcdropout._networks.perceptron import build_network
from skmcdropout._training import trainer_pool, variables
from skmcdropout._training.early_stopping import EarlyStopping
from skmcdropout._utils import caches

OPTIMIZERS = {
    "adam": "adam",
    "a class": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "weight decay": keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "clipped by variable": keras.optimizers.Adam(0.01, clipnorm=0.05),
    "clipped": keras.optimizers.Adam(0.01, global_clipnorm=0.05),
    "schedule": keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.05, 2, 0.5)
    ),
    "averaged": keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5),
    "layer-wise": keras.optimizers.Lamb(0.01),
    "accumulated": keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
}


def trained_by_keras(classifier, X, y, loss_weights=None):
    """Full-batch epochs of `Model.fit` from the weights our fit began with."""
    initial = clone(classifier)
    weights = []
    before = fitting.train

    def keep(spec, state, *args):
        weights.extend(state.weights)
        return before(spec, state, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skmcdropout._fitting.fit.train", keep)
        initial.fit(X, y)
    network = build_network(initial._spec, [0] * 10)
    network.set_weights(weights)
    optimizer = classifier.optimizer
    if isinstance(optimizer, keras.Optimizer):
        optimizer = type(optimizer).from_config(optimizer.get_config())
    else:
        optimizer_class = {"adam": keras.optimizers.Adam}.get(optimizer, optimizer)
        optimizer = optimizer_class(learning_rate=classifier.learning_rate)
    network.compile(optimizer, "sparse_categorical_crossentropy")
    history = network.fit(
        X.astype(np.float32), y, sample_weight=loss_weights, batch_size=len(X),
        epochs=classifier.epochs, shuffle=False, verbose=0,
    )  # fmt: skip
    return network, history.history["loss"]


def full_batch(**parameters):
    return MCDropoutClassifier(
        (8, 6),
        **{
            "dropout_rate": 0.0,
            "batch_size": 60,
            "epochs": 6,
            "random_state": 0,
            "learning_rate": 0.01,
            "learning_rate_schedule": "constant",
            "alpha": 0.0,
            "batch_normalization": False,
            "temperature": 1.0,
            **parameters,
        },
    )


@pytest.mark.parametrize("name", fast("adam", among=OPTIMIZERS))
def test_steps_are_those_of_keras(blobs, name):
    X, y = blobs
    ours = full_batch(optimizer=OPTIMIZERS[name]).fit(X, y)
    network, losses = trained_by_keras(full_batch(optimizer=OPTIMIZERS[name]), X, y)
    assert_allclose(ours.history_["loss"], losses, rtol=1e-4)
    for our, their in zip(
        ours.model_.get_weights(), network.get_weights(), strict=True
    ):
        assert_allclose(our, their, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        {"alpha": 30.0},
        {"max_norm": 0.5},
        {"batch_normalization": True, "optimizer": keras.optimizers.SGD(0.1)},
        {"activation": "gelu", "kernel_initializer": keras.initializers.Orthogonal()},
    ],
    ids=["alpha", "max_norm", "batch normalization", "initializer"],
)
def test_penalties_constraints_and_normalization_are_those_of_keras(blobs, parameters):
    X, y = blobs
    ours = full_batch(**parameters).fit(X, y)
    network, losses = trained_by_keras(full_batch(**parameters), X, y)
    assert_allclose(ours.history_["loss"], losses, rtol=1e-4)
    for our, their in zip(
        ours.model_.get_weights(), network.get_weights(), strict=True
    ):
        assert_allclose(our, their, atol=1e-4)


def test_weighted_loss_is_that_of_keras(blobs):
    X, y = blobs
    w = np.random.RandomState(1).uniform(0.5, 2, size=60)
    ours = full_batch().fit(X, y, sample_weight=w)
    network, losses = trained_by_keras(full_batch(), X, y, w / w.mean())
    assert_allclose(ours.history_["loss"], losses, rtol=1e-4)
    assert_allclose(ours.model_.get_weights()[0], network.get_weights()[0], atol=1e-4)


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
        optimizer=keras.optimizers.SGD(0.0), batch_size=batch_size, **parameters
    )
    plain = still.fit(X, y, weights).history_["loss"]
    penalised = still.set_params(alpha=60.0).fit(X, y, weights)
    kernels = penalised.model_.get_weights()[::2]
    squares = sum((kernel.astype(float) ** 2).sum() for kernel in kernels)
    difference = penalised.history_["loss"][0] - plain[0]
    assert_allclose(difference, 60.0 / 2 * squares / total, rtol=1e-3)


def test_partial_fit_takes_its_own_rows_for_all(blobs):
    X, y = blobs
    still = full_batch(optimizer=keras.optimizers.SGD(0.0), batch_size=9)
    losses = {}
    for alpha in (0.0, 60.0):
        fitted = (
            clone(still).set_params(alpha=alpha).partial_fit(X[:30], y[:30], [0, 1, 2])
        )
        losses[alpha] = fitted.history_["loss"][0]
    kernels = fitted.model_.get_weights()[::2]
    squares = sum((kernel.astype(float) ** 2).sum() for kernel in kernels)
    assert_allclose(losses[60.0] - losses[0.0], 60.0 / 2 * squares / 30, rtol=1e-3)


@pytest.mark.parametrize("optimizer", ["adam", keras.optimizers.SGD])
def test_the_cosine_schedule_is_that_of_keras(blobs, optimizer):
    X, y = blobs
    kind = {"adam": keras.optimizers.Adam}.get(optimizer, optimizer)
    decay = keras.optimizers.schedules.CosineDecay(0.05, decay_steps=6)
    annealed = full_batch(
        optimizer=optimizer, learning_rate=0.05, learning_rate_schedule="cosine"
    )
    network, losses = trained_by_keras(full_batch(optimizer=kind(decay)), X, y)
    assert_allclose(annealed.fit(X, y).history_["loss"], losses, rtol=1e-4)
    for our, their in zip(
        annealed.model_.get_weights(), network.get_weights(), strict=True
    ):
        assert_allclose(our, their, atol=1e-4)
    constant = full_batch(optimizer=optimizer, learning_rate=0.05).fit(X, y)
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


def test_the_schedule_is_that_of_a_model_too_unless_it_has_its_own(blobs):
    def fit(model, schedule):
        return MCDropoutClassifier(
            model=model, learning_rate_schedule=schedule, epochs=6, random_state=0
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


@pytest.mark.parametrize(
    ("n_rows", "of_classes", "of_targets"),
    [(10, 64, 32), (1600, 64, 50), (2048, 64, 64), (6400, 200, 200), (10**6, 256, 256)],
)
def test_batches_follow_the_size_of_the_table(n_rows, of_classes, of_targets):
    assert batch_size("auto", n_rows, OF_CLASSES) == of_classes
    assert batch_size("auto", n_rows, OF_TARGETS) == of_targets
    assert batch_size(7, n_rows, OF_CLASSES) == 7


@pytest.mark.parametrize(
    ("n_rows", "of_classes", "of_targets"),
    [(0, 50, 300), (2500, 50, 200), (10_000, 50, 100), (40_000, 25, 50), (10**9, 1, 1)],
)
def test_epochs_follow_the_size_of_the_table(n_rows, of_classes, of_targets):
    assert n_epochs("auto", n_rows, OF_CLASSES) == of_classes
    assert n_epochs("auto", n_rows, OF_TARGETS) == of_targets
    assert n_epochs(7, n_rows, OF_TARGETS) == 7


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


def test_training_drops_units_at_the_rate(blobs):
    """With one unit and no updates, the loss tells how often it was dropped."""
    X, y = blobs
    still = keras.optimizers.SGD(0.0)
    losses = {}
    for rate in (0.0, 0.3, 0.99):
        classifier = MCDropoutClassifier(
            (1,), "linear", dropout_rate=rate, optimizer=still, epochs=400,
            alpha=0.0, random_state=0, **{**PLAIN, "batch_size": 60},
        ).fit(X, y)  # fmt: skip
        losses[rate] = np.mean(classifier.history_["loss"])
    draws = classifier.set_params(n_samples=1000).model_
    W1, b1, W2, b2 = draws.get_weights()

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


def test_history_has_an_entry_an_epoch(blobs):
    classifier = MCDropoutClassifier((5,), epochs=7, random_state=0).fit(*blobs)
    assert classifier.n_iter_ == 7
    assert list(classifier.history_) == ["loss"]
    assert len(classifier.history_["loss"]) == 7


def test_early_stopping_restores_the_best_weights(blobs):
    X, y = blobs
    classifier = MCDropoutClassifier(
        (20,), epochs=200, early_stopping=True, n_iter_no_change=3, random_state=0,
        **{**PLAIN, "learning_rate": 0.05},
    )  # fmt: skip
    rows = {}
    before = fitting.train

    def keep(spec, state, data, *args):
        rows["held"] = data.validation_rows
        return before(spec, state, data, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skmcdropout._fitting.fit.train", keep)
        classifier.fit(X, y)
    losses = classifier.history_["val_loss"]
    assert classifier.n_iter_ == len(losses) < 200
    assert np.argmin(losses) == len(losses) - 4  # n_iter_no_change epochs ago
    held = rows["held"]
    assert_array_equal(np.bincount(y[held]), [2, 2, 2])
    p = classifier.set_params(n_samples=0).predict_proba(X[held])
    loss = -np.log(p[np.arange(len(held)), y[held]]).mean()
    assert_allclose(loss, min(losses), rtol=1e-4)


def test_early_stopping_weighs_the_validation_rows(blobs):
    X, y = blobs
    w = np.random.RandomState(0).randint(0, 3, size=60)
    repeated = np.repeat(np.arange(60), w)
    stopped = MCDropoutClassifier(
        (5,), epochs=20, early_stopping=True, class_weight="balanced", random_state=0
    )
    a = clone(stopped).fit(X, y, sample_weight=w)
    b = clone(stopped).fit(X[repeated], y[repeated])
    assert a.history_ == b.history_
    assert_array_equal(a.predict_proba(X), b.predict_proba(X))


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        {"dropout_rate": 0.2, "hidden_layer_sizes": (100,), "epochs": 60},
        {"dropout_rate": 0.1, "hidden_layer_sizes": (20, 20), "epochs": 200},
    ],
    ids=["wide", "deep"],
)
def test_classes_that_weigh_next_to_nothing_do_not_stop_training_early(parameters):
    """The few validation rows that count are right from the first epoch on."""
    classifier = MCDropoutClassifier(early_stopping=True, **parameters)
    check_class_weight_classifiers("early stopping", classifier)


class FakeModel:
    """Weights that are the number of the epoch."""

    stop_training = False

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights


def stopped_at(losses, patience=2):
    """Epoch that training stops after, and the epoch whose weights are restored."""
    stopper, model = EarlyStopping(patience), FakeModel()
    stopper.set_model(model)
    for epoch, (validation, training) in enumerate(losses):
        model.set_weights(epoch)
        stopper.on_epoch_end(epoch, {"val_loss": validation, "loss": training})
        if model.stop_training:
            break
    stopper.on_train_end()
    return epoch, model.weights


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([(3, 1), (2, 2), (4, 0), (4, 0), (1, 1)], (3, 1)),
        ([(3, 3), (2, 2), (1, 1)], (2, 2)),
        ([(0, 3), (0, 2), (0, 1), (0, 1), (0, 1)], (4, 2)),
        ([(0, 3), (5e-5, 2), (9e-5, 1), (2e-4, 0), (2e-4, 0)], (4, 2)),
        ([(1, 3), (1, 4), (1 - 2e-4, 5), (1, 1), (1, 1)], (4, 2)),
        ([(np.nan, 3), (1, 2), (1, 2), (1, 2)], (3, 1)),
    ],
    ids=["worse", "better", "ties", "drift", "a little better", "nan"],
)
def test_early_stopping_lets_the_training_loss_decide_between_equals(losses, expected):
    assert stopped_at(losses) == expected


def test_warm_start_goes_on_as_if_it_had_never_stopped(blobs):
    given = {"random_state": 0, "learning_rate_schedule": "constant"}
    whole = MCDropoutClassifier((5,), epochs=6, **given, temperature=1.0).fit(*blobs)
    parts = MCDropoutClassifier(
        (5,), epochs=2, warm_start=True, **given, temperature=1.0
    )
    parts.fit(*blobs).set_params(epochs=3).fit(*blobs).set_params(epochs=1).fit(*blobs)
    assert parts.n_iter_ == 6
    assert_allclose(parts.history_["loss"], whole.history_["loss"], rtol=1e-6)
    assert_allclose(parts.predict_proba(blobs[0]), whole.predict_proba(blobs[0]))


def test_partial_fit_is_an_epoch(blobs):
    X, y = blobs
    fitted = MCDropoutClassifier((5,), epochs=3, random_state=0, **PLAIN).fit(X, y)
    partial = MCDropoutClassifier((5,), random_state=0, **PLAIN)
    for _ in range(3):
        partial.partial_fit(X, y, classes=[0, 1, 2])
    assert_allclose(partial.predict_proba(X), fitted.predict_proba(X), rtol=1e-6)


def test_partial_fit_learns_from_chunks_that_lack_classes(digits):
    X, y = digits
    classifier = MCDropoutClassifier((50,), random_state=0)
    for _ in range(10):
        for label in (y < 5, y >= 5):
            classifier.partial_fit(X[label], y[label], classes=np.arange(10))
    assert_array_equal(classifier.classes_, np.arange(10))
    assert classifier.n_iter_ == 20


def test_partial_fit_needs_and_keeps_the_classes(blobs):
    X, y = blobs
    classifier = MCDropoutClassifier((5,), random_state=0)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        classifier.partial_fit(X, y)
    classifier.partial_fit(X[:40], y[:40], classes=[0, 1])
    proba = classifier.predict_proba(X)
    with pytest.raises(ValueError, match=r"only the classes \[0 1\].*Got \[2\]"):
        classifier.partial_fit(X, y)
    with pytest.raises(ValueError, match="the same at each call"):
        classifier.partial_fit(X, y, classes=[0, 1, 2])
    assert_array_equal(classifier.predict_proba(X), proba)
    with pytest.raises(ValueError, match="at least 2 classes"):
        MCDropoutClassifier().partial_fit(X, y * 0, classes=[0])
    with pytest.raises(InvalidParameterError, match="The 'batch_size' parameter"):
        classifier.set_params(batch_size=0).partial_fit(X, y)
    classifier.set_params(batch_size=32)
    with pytest.raises(ValueError, match="class_weight must be a dict or None"):
        classifier.set_params(class_weight="balanced").partial_fit(X, y)


def test_going_on_must_keep_network_and_classes(blobs):
    X, y = blobs
    classifier = MCDropoutClassifier((5,), epochs=1, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="must keep the network of the last fit"):
        classifier.set_params(hidden_layer_sizes=(6,)).fit(X, y)
    with pytest.raises(ValueError, match="must keep the network of the last fit"):
        classifier.set_params(hidden_layer_sizes=(5,), dropout_position="all").fit(X, y)
    classifier.set_params(dropout_position="hidden")
    with pytest.raises(ValueError, match="must be given the same classes"):
        classifier.set_params(hidden_layer_sizes=(5,)).fit(X[:40], y[:40])
    assert classifier.n_iter_ == 1


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.batches, self.epochs, self.weights = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(batch)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append((epoch, logs["loss"]))
        self.weights.append(self.model.get_weights())
        if epoch == 3:
            self.model.stop_training = True


def test_callbacks_see_batches_epochs_and_weights_and_can_stop(blobs):
    X, y = blobs
    recorder = Recorder()
    classifier = MCDropoutClassifier(
        (5,), callbacks=[recorder], random_state=0, **PLAIN
    ).fit(X, y)
    assert recorder.batches == [0, 1] * 4
    assert recorder.epochs == list(enumerate(classifier.history_["loss"]))
    for seen, final in zip(
        recorder.weights[-1], classifier.model_.get_weights(), strict=True
    ):
        assert_array_equal(seen, final)
    plain = MCDropoutClassifier(
        (5,), epochs=4, callbacks=[keras.callbacks.Callback()], random_state=0, **PLAIN
    ).fit(X, y)
    assert_array_equal(classifier.predict_proba(X), plain.predict_proba(X))


def test_hooks_of_an_instance_are_called_and_can_stop_within_an_epoch(blobs):
    seen = []

    def stop(batch, logs):
        seen.append(batch)
        hook.model.stop_training = batch == 1

    hook = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    classifier = MCDropoutClassifier((5,), callbacks=hook, batch_size=10).fit(*blobs)
    assert seen == [0, 1]  # of six batches
    assert classifier.n_iter_ == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"callbacks": [keras.callbacks.Callback()]},
        {"optimizer": "sgd"},
        {"optimizer": "adamax"},
        {"optimizer": keras.optimizers.Adam(clipnorm=1.0)},
        {"dropout_rate": 0.5},
        {"learning_rate": np.float32(0.1), "alpha": 1},
    ],
    ids=["callbacks", "sgd", "adamax", "clipnorm", "rate", "numbers"],
)
@pytest.mark.parametrize("is_back", [False, True])
def test_going_on_with_other_parameters(blobs, change, is_back):
    X, y = blobs
    classifier = MCDropoutClassifier((5,), epochs=2, warm_start=True, random_state=0)
    before = {name: classifier.get_params()[name] for name in change}
    first, second = (change, before) if is_back else (before, change)
    classifier.set_params(**first).fit(X, y)
    weights = classifier.model_.get_weights()[0]
    classifier.set_params(**second).partial_fit(X, y)
    assert classifier.n_iter_ == 3
    moved = abs(classifier.model_.get_weights()[0] - weights).max()
    assert 0 < moved < 0.5


@pytest.mark.slow
def test_a_learning_rate_that_a_callback_lowered_stays_low(blobs):
    def lowered(**parameters):
        callback = keras.callbacks.ReduceLROnPlateau(
            monitor="loss", factor=1e-6, patience=1, min_delta=10, min_lr=0
        )
        return MCDropoutClassifier(
            (5,), callbacks=callback, warm_start=True, random_state=0,
            **PLAIN, **parameters,
        )  # fmt: skip

    whole = lowered(epochs=6).fit(*blobs)
    parts = lowered(epochs=3).fit(*blobs)
    weights = parts.model_.get_weights()[0]
    parts.fit(*blobs)
    assert abs(parts.model_.get_weights()[0] - weights).max() < 1e-4
    assert_allclose(
        parts.predict_proba(blobs[0]), whole.predict_proba(blobs[0]), atol=1e-4
    )


@pytest.mark.slow
def test_keras_callbacks_work(blobs, tmp_path):
    X, y = blobs
    path = tmp_path / "best.keras"
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.01 / (1 + epoch)),
        keras.callbacks.ModelCheckpoint(str(path), monitor="loss"),
        keras.callbacks.ReduceLROnPlateau(monitor="loss"),
    ]
    classifier = MCDropoutClassifier(
        (5,), epochs=3, callbacks=callbacks, temperature=1.0
    ).fit(X, y)
    saved = keras.models.load_model(path)
    assert type(saved) is keras.Sequential
    expected = classifier.set_params(n_samples=0).predict_proba(X)
    assert_allclose(saved.predict(X, verbose=0), expected, atol=1e-6)
    assert clone(classifier).fit(X, y).n_iter_ == 3
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    MCDropoutClassifier((5,), epochs=3, callbacks=log).fit(X, y)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4


def test_an_optimizer_instance_is_left_alone(blobs):
    optimizer = keras.optimizers.Adam(0.02)
    classifier = MCDropoutClassifier((5,), epochs=2, optimizer=optimizer).fit(*blobs)
    assert classifier.optimizer is optimizer
    assert int(optimizer.iterations.numpy()) == 0
    assert not optimizer.built
    copied = clone(classifier)
    assert copied.optimizer is not optimizer
    assert copied.optimizer.get_config() == optimizer.get_config()


def test_learning_rate_reaches_the_optimizer_of_a_reused_trainer(blobs):
    def weights(**parameters):
        classifier = MCDropoutClassifier(
            (5,), epochs=2, random_state=0, **{**PLAIN, **parameters}
        )
        return classifier.fit(*blobs).model_.get_weights()[0]

    slow, fast = weights(learning_rate=1e-4), weights(learning_rate=0.1)
    assert abs(fast - slow).max() > 0.05
    assert_array_equal(weights(learning_rate=1e-4), slow)
    instance = keras.optimizers.Adam(1e-4)
    assert_array_equal(weights(optimizer=instance, learning_rate=0.1), slow)


def test_verbose_prints_the_bar_of_keras(blobs):
    output = io.StringIO()
    with redirect_stdout(output):
        MCDropoutClassifier((5,), epochs=2, verbose=1).fit(*blobs)
    assert "Epoch 2/2" in output.getvalue()
    assert "2/2" in output.getvalue()
    assert "loss:" in output.getvalue()
    silent = io.StringIO()
    with redirect_stdout(silent):
        MCDropoutClassifier((5,), epochs=2).fit(*blobs)
    assert silent.getvalue() == ""


def test_a_loss_of_nan_says_so_with_the_epoch_and_what_to_try(blobs):
    X, y = blobs
    classifier = MCDropoutClassifier((5,), epochs=2, random_state=0).fit(X, y)
    proba = classifier.predict_proba(X)
    diverging = keras.optimizers.SGD(1e30)
    with pytest.raises(
        ValueError, match=r"loss became (nan|inf) in epoch \d+.*lower learning_rate"
    ):
        classifier.set_params(optimizer=diverging, epochs=50).fit(X * 100, y)
    assert_array_equal(classifier.predict_proba(X), proba)
    once = MCDropoutClassifier(
        (5,), optimizer=keras.optimizers.SGD(1e38), epochs=1, batch_normalization=False
    )
    with pytest.raises(ValueError, match="became nan in epoch 1"):
        once.set_params(batch_size=60).fit(X * 1000, y)  # the only update is the last


def test_an_interrupted_fit_leaves_the_estimator_as_it_was(blobs):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    X, y = blobs
    fresh = MCDropoutClassifier((5,), callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        fresh.fit(X, y)
    assert not [name for name in vars(fresh) if name.endswith("_")]
    fitted = MCDropoutClassifier((5,), epochs=2, random_state=0).fit(X, y)
    proba = fitted.predict_proba(X)
    with pytest.raises(KeyboardInterrupt):
        fitted.set_params(callbacks=[Interrupt()]).fit(X[:, :2], y + 5)
    assert_array_equal(fitted.predict_proba(X), proba)
    assert fitted.n_features_in_ == 4


def made_trainers(monkeypatch):
    """Empties the trainers in store and counts those made from now on."""
    made = []
    before = trainer_pool.GraphTrainer
    monkeypatch.setattr(
        trainer_pool,
        "GraphTrainer",
        lambda *args, **kw: made.append(1) or before(*args, **kw),
    )
    trainer_pool._idle._idle.clear()
    return made


def test_one_compilation_serves_all_widths_rates_and_learning_rates(blobs, monkeypatch):
    X, y = blobs
    made = made_trainers(monkeypatch)
    for n, width, rate, learning_rate in [
        (60, 5, 0.1, 1e-3),
        (50, 7, 0.3, 1e-2),
        (40, 9, 0.5, 1e-1),
    ]:
        MCDropoutClassifier(
            (width, 4),
            optimizer="rmsprop",
            dropout_rate=rate,
            learning_rate=learning_rate,
            epochs=1,
        ).fit(X[:n, : width - 3], y[:n])
    assert len(made) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [{}, {"batch_normalization": True, "early_stopping": True}, {"max_norm": 0.5}],
    ids=str,
)
def test_a_trainer_forgets_the_networks_before(blobs, monkeypatch, parameters):
    X, y = blobs
    parameters = {
        "optimizer": "rmsprop",
        "epochs": 3,
        "random_state": 0,
        "learning_rate": 0.1,
        **parameters,
    }
    made = made_trainers(monkeypatch)
    first = MCDropoutClassifier((6,), **parameters).fit(X, y).predict_proba(X)
    for width in (9, 3):
        MCDropoutClassifier((width,), **parameters).fit(X[:40, :2], y[:40])
    again = MCDropoutClassifier((6,), **parameters).fit(X, y).predict_proba(X)
    assert len(made) == 1
    assert_array_equal(again, first)


@pytest.mark.slow
def test_few_trainers_are_kept(blobs):
    for activation in sorted(ELEMENTWISE):
        MCDropoutClassifier((3,), activation, epochs=1).fit(*blobs)
    assert len(trainer_pool._idle._idle) == caches.MAX_KINDS


def test_the_optimizers_that_get_one_vector_are_those_tested_on_keras_alone():
    names = {kind.__name__ for kind in variables.ELEMENTWISE}
    assert names == set(test_keras_assumptions.ELEMENTWISE)

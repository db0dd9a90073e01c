"""What callbacks see of training, and what they can do to it."""

import io
from contextlib import redirect_stdout

import keras
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from plain import PLAIN
from sklearn.base import clone

from skmcdropout import MCDropoutClassifier


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
    classifier = MCDropoutClassifier(
        (5,), callbacks=hook, batch_size=10, temperature=1.0
    ).fit(*blobs)
    assert seen == [0, 1]  # of six batches
    assert classifier.n_iter_ == 1


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
    MCDropoutClassifier((5,), epochs=3, callbacks=log, temperature=1.0).fit(X, y)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4


def test_verbose_prints_the_bar_of_keras(blobs):
    output = io.StringIO()
    with redirect_stdout(output):
        MCDropoutClassifier((5,), epochs=2, verbose=1, temperature=1.0).fit(*blobs)
    assert "Epoch 2/2" in output.getvalue()
    assert "2/2" in output.getvalue()
    assert "loss:" in output.getvalue()
    silent = io.StringIO()
    with redirect_stdout(silent):
        MCDropoutClassifier((5,), epochs=2, temperature=1.0).fit(*blobs)
    assert silent.getvalue() == ""


def test_an_interrupted_fit_leaves_the_estimator_as_it_was(blobs):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    X, y = blobs
    fresh = MCDropoutClassifier((5,), callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        fresh.fit(X, y)
    assert not [name for name in vars(fresh) if name.endswith("_")]
    fitted = MCDropoutClassifier((5,), epochs=2, random_state=0, temperature=1.0)
    proba = fitted.fit(X, y).predict_proba(X)
    with pytest.raises(KeyboardInterrupt):
        fitted.set_params(callbacks=[Interrupt()]).fit(X[:, :2], y + 5)
    assert_array_equal(fitted.predict_proba(X), proba)
    assert fitted.n_features_in_ == 4


class Looks(keras.callbacks.Callback):
    """Sees that the network it is shown is the one that is trained."""

    def on_train_batch_end(self, batch, logs=None):
        for shown, trained in zip(
            self.model.network.get_weights(), self.model.get_weights(), strict=True
        ):
            assert_array_equal(shown, trained)


@pytest.mark.parametrize("batch_normalization", [False, True])
def test_callbacks_see_each_step_and_change_nothing(blobs, batch_normalization):
    given = {
        "hidden_layer_sizes": (6,),
        "epochs": 2,
        "temperature": 1.0,
        "batch_size": 12,
        "batch_normalization": batch_normalization,
        "random_state": 0,
    }
    plain = MCDropoutClassifier(**given).fit(*blobs)
    seen = MCDropoutClassifier(**given, callbacks=Looks()).fit(*blobs)
    assert_allclose(plain.history_["loss"], seen.history_["loss"])
    assert_array_equal(plain.predict_proba(blobs[0]), seen.predict_proba(blobs[0]))


class Zeroes(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        kernel = self.model.network.layers[0]
        kernel.set_weights([0 * w for w in kernel.get_weights()])


def test_what_callbacks_make_of_the_network_is_trained_on(blobs):
    zeroed = MCDropoutClassifier(
        (6,), callbacks=Zeroes(), epochs=2, temperature=1.0
    ).fit(*blobs)
    assert not zeroed.model_.get_weights()[0].any()

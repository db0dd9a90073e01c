"""Ctrl-C ends a fit or prediction and leaves the estimator, and the next fit, alone.

At whatever stage it comes: the estimator is as it was, it predicts what it predicted,
and the next fit gives what a new process gives. Stages are found by the functions that
are called on the way, whatever their names.
"""

import contextlib
import copy
import io
import os
import pickle
import signal

import inside
import keras
import numpy as np
import pytest
import tensorflow as tf
from interrupter import interrupt, moments, raise_interrupt, send_interrupt
from numpy.testing import assert_array_equal
from survival import KINDS, OTHER, X, Y, check_that_it_survives, learned

from skmcdropout import MCDropoutClassifier

SENDS = {"at once": raise_interrupt, "as a signal": send_interrupt}


def check_interrupted_fits(kind, n, expected, send, get_ready=None):
    """A fit interrupted at `n` moments changes nothing; `get_ready` comes before it."""
    get_ready = get_ready or (lambda classifier: None)
    classifier = KINDS[kind]().fit(X, Y)

    def fit(classifier):
        classifier.fit(*OTHER[kind])

    for _ in range(2):  # what is made once and kept is made in the first round
        attempt = KINDS[kind]()
        get_ready(attempt)
        found = moments(lambda: fit(attempt), n)
    for moment in found:

        def interrupted(classifier, moment=moment):
            get_ready(classifier)
            assert interrupt(lambda: fit(classifier), moment, send)

        check_that_it_survives(classifier, interrupted, kind, expected)


class SendsInterrupt(keras.layers.Layer):
    """Sends an interrupt when TensorFlow calls it, and notes that it goes on."""

    reached = []

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)

    def call(self, x):
        send_interrupt()
        self.reached.append(1)
        return x


def test_an_interrupt_is_held_back_while_tensorflow_calls_a_layer(monkeypatch):
    """It loses, or crashes at, exceptions that come while it compiles."""

    def build(meta, dropout_rate=0.5):
        return keras.Sequential(
            [
                keras.Input((meta["n_features_in_"],)),
                keras.layers.Dropout(dropout_rate),
                SendsInterrupt(),
                keras.layers.Dense(meta["n_classes_"], activation="softmax"),
            ]
        )

    monkeypatch.setattr(SendsInterrupt, "reached", [])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            MCDropoutClassifier(model=build, epochs=1, random_state=0).fit(X, Y)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert SendsInterrupt.reached


@pytest.mark.slow
@pytest.mark.parametrize("send", SENDS)
def test_an_interrupt_at_any_stage_of_a_fit_changes_nothing(send, expected):
    check_interrupted_fits("mlp", 15, expected, SENDS[send])


@pytest.mark.slow
@pytest.mark.parametrize("send", SENDS)
def test_an_interrupt_at_any_stage_of_training_by_tensorflow_changes_nothing(
    send, expected
):
    check_interrupted_fits("model", 11, expected, SENDS[send])


@pytest.mark.slow
def test_an_interrupt_while_networks_are_compiled_changes_nothing(expected):
    check_interrupted_fits(
        "model", 4, expected, send_interrupt, lambda _: inside.forget_compiled()
    )


LIBRARIES = tuple(map(os.path.dirname, (keras.__file__, np.__file__, tf.__file__)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_in_other_libraries_changes_nothing(kind, expected):
    """Within Keras, TensorFlow or NumPy, wherever a signal may come."""
    fitted = KINDS[kind]().fit(X, Y)
    before = learned(fitted)

    def fit(classifier):
        classifier.fit(*OTHER[kind])

    for _ in range(2):
        found = moments(lambda: fit(KINDS[kind]()), 9, within=LIBRARIES)
    n_interrupted = 0
    for moment in found:
        attempt = copy.copy(fitted)
        if interrupt(lambda: fit(attempt), moment):
            n_interrupted += 1
            assert learned(attempt) == before
            assert_array_equal(attempt.sample_proba(X), expected[kind])
        again = KINDS[kind]().fit(X, Y)
        assert_array_equal(again.sample_proba(X), expected[kind])
    assert n_interrupted > len(found) / 2


# Predictions


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["predict", "predict_uncertainty", "sample_proba"])
def test_an_interrupt_at_any_stage_of_a_prediction_changes_nothing(
    method, kind, expected
):
    """Nor is anything kept that was drawn halfway: each is a first prediction."""
    saved = pickle.dumps(KINDS[kind]().fit(X, Y))

    def predict(classifier):
        getattr(classifier, method)(X)

    for _ in range(2):
        loaded = pickle.loads(saved)
        found = moments(lambda: predict(loaded), 13)
    for moment in found:
        loaded = pickle.loads(saved)
        assert interrupt(lambda: predict(loaded), moment, raise_interrupt)
        assert_array_equal(loaded.sample_proba(X), expected[kind])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_between_chunks_of_a_prediction_changes_nothing(
    kind, expected, monkeypatch
):
    inside.draw_in_pieces(monkeypatch)
    classifier = KINDS[kind]().fit(X, Y)
    for _ in range(2):
        found = moments(lambda: classifier.predict_proba(X), 7)
    for moment in found:
        assert interrupt(lambda: classifier.predict_proba(X), moment)
        assert_array_equal(classifier.sample_proba(X), expected[kind])


# What is kept for later fits


class Interrupting(io.StringIO):
    """A stream that interrupts whoever writes to it."""

    def write(self, text):
        raise KeyboardInterrupt


def interrupt_while_it_tells_of_epochs(classifier):
    with pytest.raises(KeyboardInterrupt), contextlib.redirect_stdout(Interrupting()):
        classifier.set_params(verbose=2).fit(X, Y)
    classifier.set_params(verbose=0)


def test_a_trainer_that_was_interrupted_is_never_used_again(monkeypatch):
    """Its variables may hold anything: the next fit gets another one."""
    compiled = inside.compiled_trainers(monkeypatch)
    classifier = KINDS["mlp"]().set_params(optimizer="rmsprop", temperature=1.0)
    interrupt_while_it_tells_of_epochs(classifier)
    assert len(compiled) == 1
    for _ in range(2):
        classifier.fit(X, Y)
    assert len(compiled) == 2


def test_a_training_that_was_interrupted_leaves_no_entry_in_the_memory(tmp_path):
    plain = KINDS["mlp"]().fit(X, Y).predict_proba(X)
    cached = KINDS["mlp"]().set_params(memory=str(tmp_path))
    interrupt_while_it_tells_of_epochs(cached)
    assert not list(tmp_path.rglob("output.pkl"))
    for _ in range(2):
        assert_array_equal(cached.fit(X, Y).predict_proba(X), plain)


@pytest.mark.slow
def test_an_interrupt_at_any_stage_leaves_no_other_entry_in_the_memory(
    tmp_path, expected
):
    folders = (tmp_path / str(i) for i in range(100))

    def cached():
        return KINDS["mlp"]().set_params(memory=str(next(folders)))

    for _ in range(2):
        classifier = cached()
        found = moments(lambda: classifier.fit(X, Y), 9)
    for moment in found:
        classifier = cached()
        assert interrupt(lambda: classifier.fit(X, Y), moment)
        for _ in range(2):
            assert_array_equal(classifier.fit(X, Y).sample_proba(X), expected["mlp"])

"""Training that goes on: warm_start and partial_fit."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from plain import PLAIN
from sklearn.utils._param_validation import InvalidParameterError

from skmcdropout import MCDropoutClassifier


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
    for _ in range(2):
        for label in (y < 5, y >= 5):
            classifier.partial_fit(X[label], y[label], classes=np.arange(10))
    assert_array_equal(classifier.classes_, np.arange(10))
    assert classifier.n_iter_ == 4
    assert classifier.score(X, y) > 0.5


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
    classifier = MCDropoutClassifier((5,), epochs=1, warm_start=True, temperature=1.0)
    classifier.fit(X, y)
    with pytest.raises(ValueError, match="must keep the network of the last fit"):
        classifier.set_params(hidden_layer_sizes=(6,)).fit(X, y)
    with pytest.raises(ValueError, match="must keep the network of the last fit"):
        classifier.set_params(hidden_layer_sizes=(5,), dropout_position="all").fit(X, y)
    classifier.set_params(dropout_position="hidden")
    with pytest.raises(ValueError, match="must be given the same classes"):
        classifier.set_params(hidden_layer_sizes=(5,)).fit(X[:40], y[:40])
    assert classifier.n_iter_ == 1


#: From arrays to graphs and back, and from one optimizer's state to another's.
CHANGES = [
    {"optimizer": "sgd"},
    {"optimizer": "adamax"},
    {"optimizer": "adam"},
    {"callbacks": [keras.callbacks.Callback()]},
    {"optimizer": keras.optimizers.Adam(clipnorm=1.0)},
    {"callbacks": None},
    {"optimizer": "adam"},
    {"dropout_rate": 0.5},
    {"learning_rate": np.float32(0.1), "alpha": 1},
    {"learning_rate": 1e-3, "dropout_rate": 0.2},
]


@pytest.mark.slow
def test_going_on_with_other_parameters(blobs):
    X, y = blobs
    classifier = MCDropoutClassifier(
        (5,), epochs=2, warm_start=True, random_state=0, temperature=1.0
    ).fit(X, y)
    for i, change in enumerate(CHANGES):
        before = classifier.model_.get_weights()[0]
        classifier.set_params(**change).partial_fit(X, y)
        assert classifier.n_iter_ == 3 + i
        moved = abs(classifier.model_.get_weights()[0] - before).max()
        assert 0 < moved < 0.5

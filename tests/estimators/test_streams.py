"""Streams of batches instead of a table: the error shows the loop that takes them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor

X = np.random.RandomState(0).normal(size=(12, 3)).astype(np.float32)
Y = np.arange(12) % 2


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        return X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4]


class DataLoader:
    """As PyTorch names its own."""

    def __iter__(self):
        return ((X[i : i + 4], Y[i : i + 4]) for i in (0, 4, 8))


STREAMS = {
    "tf.data": lambda: tf.data.Dataset.from_tensor_slices((X, Y)).batch(4),
    "mapped": lambda: tf.data.Dataset.range(3).map(lambda i: i).prefetch(1),
    "PyDataset": Batches,
    "DataLoader": DataLoader,
    "generator": lambda: ((X[i : i + 4], Y[i : i + 4]) for i in (0, 4, 8)),
    "iterator": lambda: iter([(X, Y)]),
    "zip": lambda: zip([X], [Y], strict=True),
}

LOOP = r"for X, y in batches: estimator\.partial_fit\(X, y"


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("y", [None, Y])
def test_fit_shows_the_loop(name, y):
    make = STREAMS[name]
    clf, reg = MCDropoutClassifier((4,)), MCDropoutRegressor((4,))
    with pytest.raises(TypeError, match=LOOP + r", classes=classes\)"):
        clf.fit(make(), y)
    with pytest.raises(TypeError, match=LOOP + r"\)"):
        reg.fit(make(), y)
    with pytest.raises(TypeError, match=LOOP):
        clf.partial_fit(make(), y, classes=[0, 1])


@pytest.mark.parametrize("name", STREAMS)
def test_predictions_show_theirs(name):
    clf = MCDropoutClassifier((4,), epochs=1, n_samples=3, random_state=0).fit(X, Y)
    before = clf.predict_proba(X)
    for method in (clf.predict, clf.predict_proba, clf.predict_uncertainty):
        with pytest.raises(TypeError, match=r"stream of batches.*np\.concatenate"):
            method(STREAMS[name]())
    assert (clf.predict_proba(X) == before).all()


def test_the_loop_that_is_shown_runs():
    clf = MCDropoutClassifier((4,), n_samples=3, random_state=0)
    for batch, labels in DataLoader():
        clf.partial_fit(batch, labels, classes=[0, 1])
    found = np.concatenate([clf.predict(batch) for batch in (X[:6], X[6:])])
    assert found.shape == (12,)

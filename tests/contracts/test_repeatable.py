"""The same seed gives the same numbers: in any process, thread or order of rows."""

import copy
import random
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from generators import tensorflow_seed
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skmcdropout import MCDropoutClassifier

SCRIPT = """
import numpy as np
from sklearn.datasets import make_moons
from skmcdropout import MCDropoutClassifier
X, y = make_moons(100, noise=0.2, random_state=0)
clf = MCDropoutClassifier((10,), epochs=2, random_state=3, memory="memory")
np.savez("of_child.npz", X=X, y=y, proba=clf.fit(X, y).predict_proba(X))
"""


@pytest.fixture(scope="module")
def fitted_elsewhere(tmp_path_factory):
    """A folder with the data, predictions and memory of a fit in another process."""
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, check=True)
    return folder, np.load(folder / "of_child.npz")


@pytest.mark.slow
def test_same_in_every_process(fitted_elsewhere):
    _, of_child = fitted_elsewhere
    classifier = MCDropoutClassifier((10,), epochs=2, random_state=3)
    classifier.fit(of_child["X"], of_child["y"])
    assert_array_equal(classifier.predict_proba(of_child["X"]), of_child["proba"])


@pytest.mark.slow
def test_a_memory_gives_what_another_process_trained(fitted_elsewhere, trainings):
    folder, of_child = fitted_elsewhere
    memory = str(folder / "memory")
    classifier = MCDropoutClassifier((10,), epochs=2, random_state=3, memory=memory)
    classifier.fit(of_child["X"], of_child["y"])
    assert_array_equal(classifier.predict_proba(of_child["X"]), of_child["proba"])
    assert not trainings


def test_an_integer_seed_gives_the_same_fit(moons):
    a, b = (
        MCDropoutClassifier((8,), epochs=3, random_state=5).fit(*moons)
        for _ in range(2)
    )
    assert a.history_ == b.history_
    for ours, theirs in zip(
        a.model_.get_weights(), b.model_.get_weights(), strict=True
    ):
        assert_array_equal(ours, theirs)
    assert_array_equal(a.sample_proba(moons[0]), b.sample_proba(moons[0]))


def test_seeds_and_generators_matter(moons):
    X, y = moons
    one = MCDropoutClassifier((8,), epochs=1, random_state=1).fit(X, y)
    other = MCDropoutClassifier((8,), epochs=1, random_state=2).fit(X, y)
    assert abs(one.predict_proba(X) - other.predict_proba(X)).max() > 1e-3
    generator = np.random.RandomState(1)
    first = MCDropoutClassifier((8,), epochs=1, random_state=generator).fit(X, y)
    assert_array_equal(first.predict_proba(X), one.predict_proba(X))
    second = MCDropoutClassifier((8,), epochs=1, random_state=generator).fit(X, y)
    assert abs(first.predict_proba(X) - second.predict_proba(X)).max() > 1e-3
    unseeded = [MCDropoutClassifier((8,), epochs=1).fit(X, y) for _ in range(2)]
    a, b = (classifier.predict_proba(X) for classifier in unseeded)
    assert abs(a - b).max() > 1e-3
    assert_array_equal(unseeded[0].predict_proba(X), a)


def test_the_order_of_rows_does_not_matter_to_fit(moons):
    X, y = moons
    order = np.random.RandomState(0).permutation(len(X))
    quick = MCDropoutClassifier((8,), epochs=3, early_stopping=True, random_state=0)
    a, b = clone(quick).fit(X, y), clone(quick).fit(X[order], y[order])
    assert_array_equal(a.predict_proba(X), b.predict_proba(X))


def generator_states():
    """States of the global generators of Python, NumPy, TensorFlow and Keras."""
    keras_seed = keras.src.backend.common.global_state.get_global_attribute(
        "global_seed_generator"
    )
    return (
        random.getstate(),
        str(np.random.get_state()),
        tf.random.get_global_generator().state.numpy().tolist(),
        tensorflow_seed(),
        None if keras_seed is None else keras_seed.state.numpy().tolist(),
    )


@pytest.mark.parametrize("random_state", [None, 0])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"batch_normalization": True, "early_stopping": True},
        {"callbacks": [keras.callbacks.Callback()], "max_norm": 1.0},
        {"kernel_initializer": keras.initializers.VarianceScaling(seed=1)},
    ],
    ids=["plain", "batch norm", "callbacks", "initializer"],
)
def test_no_global_generator_is_read_or_set(moons, parameters, random_state):
    X, y = moons
    keras.src.backend.common.global_state.set_global_attribute(
        "global_seed_generator", keras.random.SeedGenerator(1)
    )
    before = generator_states()
    classifier = MCDropoutClassifier(
        (8, 8), epochs=2, random_state=random_state, **parameters
    )
    classifier.fit(X, y).predict_uncertainty(X)
    classifier.partial_fit(X, y)
    copy.deepcopy(classifier).predict(X)
    assert generator_states() == before


def test_global_seeds_change_nothing(moons):
    X, y = moons
    quick = MCDropoutClassifier((8,), epochs=2, random_state=0)
    expected = clone(quick).fit(X, y).predict_proba(X)
    state = random.getstate(), np.random.get_state()
    try:
        random.seed(1)
        np.random.seed(1)
        assert_array_equal(clone(quick).fit(X, y).predict_proba(X), expected)
    finally:
        random.setstate(state[0])
        np.random.set_state(state[1])


def test_predictions_are_the_same_at_every_call(moons_classifier, moons):
    X, _ = moons
    proba = moons_classifier.predict_proba(X)
    for _ in range(3):
        assert_array_equal(moons_classifier.predict_proba(X), proba)
    moons_classifier.predict_uncertainty(X[:7])
    subset = moons_classifier.predict_proba(X[40:140])
    assert_allclose(subset, proba[40:140], atol=1e-6)

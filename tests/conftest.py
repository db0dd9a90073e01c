import numpy as np
import pytest
from sklearn.datasets import load_digits, make_moons
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier


@pytest.fixture(scope="session")
def moons():
    X, y = make_moons(300, noise=0.25, random_state=0)
    return StandardScaler().fit_transform(X), y


@pytest.fixture(scope="session")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


@pytest.fixture(scope="session")
def moons_classifier(moons):
    """Fitted on `moons`; shared, so tests that set parameters take a copy."""
    return MCDropoutClassifier((20,), epochs=10, random_state=0).fit(*moons)


@pytest.fixture
def blobs():
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1, 2], 20)
    return rng.normal(size=(60, 4)) + y[:, None], y

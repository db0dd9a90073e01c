import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from sklearn.datasets import load_digits, make_moons
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier

# The same examples in every run: a failure that CI has seen, a person sees too.
settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")


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


@pytest.fixture
def predicted_elsewhere(tmp_path):
    """What a pickled copy predicts in another process, with these tests to import."""

    def predict_proba(classifier, X):
        np.save(tmp_path / "X.npy", X)
        (tmp_path / "classifier.pickle").write_bytes(pickle.dumps(classifier))
        script = (
            "import pickle, sys, numpy as np\n"
            f"sys.path.append({str(Path(__file__).parent)!r})\n"
            "classifier = pickle.load(open('classifier.pickle', 'rb'))\n"
            "np.save('proba.npy', classifier.predict_proba(np.load('X.npy')))\n"
        )
        subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
        return np.load(tmp_path / "proba.npy")

    return predict_proba


@pytest.fixture
def n_drawn(monkeypatch):
    """Calls that draw, with the shape of what each one has returned."""
    from skmcdropout._drawing.sampler import Sampler

    calls, draw_table = [], Sampler.draw_table

    def counted(self, *args, **kwargs):
        drawn = draw_table(self, *args, **kwargs)
        calls.append(drawn[0].shape)
        return drawn

    monkeypatch.setattr(Sampler, "draw_table", counted)
    return calls

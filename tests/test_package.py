"""What holds for the package as a whole."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import skmcdropout

PACKAGE = Path(skmcdropout.__file__).parent


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.slow
def test_importing_does_not_import_tensorflow():
    heavy = run(
        "import sys, skmcdropout; from sklearn.base import clone;"
        "clone(skmcdropout.MCDropoutClassifier(n_samples=3));"
        "print([m for m in ('tensorflow', 'keras', 'scikeras') if m in sys.modules])"
    )
    assert heavy == "[]\n"


def test_version_is_that_of_the_distribution():
    assert skmcdropout.__version__ == version("skmcdropout")


def test_the_types_are_published():
    assert (PACKAGE / "py.typed").exists()


@pytest.mark.slow
def test_scikeras_leaves_keras_as_it_was():
    code = (
        "import keras\n"
        "classes = keras.Model, keras.optimizers.Optimizer, keras.losses.Loss\n"
        "def methods(): return [c.__reduce__ for c in classes] + "
        "[getattr(c, '__deepcopy__', None) for c in classes]\n"
        "before = methods()\n"
        "import skmcdropout._training.train\n"
        "print(before == methods())\n"
    )
    assert run(code) == "True\n"


MEMORY_SCRIPT = """
import resource, sys
import numpy as np
from sklearn.datasets import make_classification
from skmcdropout import MCDropoutClassifier, MCDropoutRegressor
from skmcdropout.uncertainty import MEASURES

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

X, y = make_classification(1000, n_features=20, random_state=0)
estimator = {estimator}.fit(X, y)
estimator.predict(X)
X = np.random.RandomState(0).normal(size=(1_000_000, 20))
y = X[:, 0]
before = peak()
result = {prediction}
print(peak() - before - np.asarray(result).nbytes / 2**20)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "prediction"),
    [
        ("MCDropoutClassifier(epochs=1)", "estimator.predict_proba(X)"),
        (
            "MCDropoutClassifier(epochs=1)",
            "estimator.predict_uncertainty(X, list(MEASURES))",
        ),
        ("MCDropoutRegressor(epochs=1)", "estimator.predict(X, return_std=True)"),
        ("MCDropoutRegressor((16,), epochs=1)", "estimator.predict_log_density(X, y)"),
    ],
)
def test_predictions_of_a_million_rows_hold_less_than_256_megabytes(
    estimator, prediction
):
    script = MEMORY_SCRIPT.format(estimator=estimator, prediction=prediction)
    assert float(run(script)) < 256

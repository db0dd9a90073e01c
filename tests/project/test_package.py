"""What holds for the package as a whole."""

import os
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


def test_version_is_that_of_the_distribution():
    assert skmcdropout.__version__ == version("skmcdropout")


def test_the_types_are_published():
    assert (PACKAGE / "py.typed").exists()


@pytest.mark.slow
def test_importing_does_not_import_tensorflow_and_a_fit_leaves_keras_as_it_was():
    """scikeras alone would give classes of Keras other methods."""
    code = """
import sys
from sklearn.base import clone
from skmcdropout import MCDropoutClassifier

clone(MCDropoutClassifier(n_samples=3))
print([name for name in ("tensorflow", "keras", "scikeras") if name in sys.modules])

import keras

CLASSES = keras.Model, keras.optimizers.Optimizer, keras.losses.Loss

def methods():
    return [(c.__reduce__, getattr(c, "__deepcopy__", None)) for c in CLASSES]

before = methods()
other = MCDropoutClassifier((2,), epochs=1, optimizer="rmsprop")
other.fit([[0.0], [1.0]] * 4, [0, 1] * 4)
print("scikeras" in sys.modules, before == methods())
"""
    assert run(code).splitlines() == ["[]", "True True"]


MEMORY_SCRIPT = """
from pathlib import Path
import numpy as np
from skmcdropout import MCDropoutClassifier, MCDropoutRegressor
from skmcdropout.uncertainty import MEASURES

def kilobytes(field):
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0])

rng = np.random.RandomState(0)
few = rng.normal(size=(100, 10))
y = few[:, 0] > 0
classifier = MCDropoutClassifier((4,), epochs=1, temperature=1.0).fit(few, y)
regressor = MCDropoutRegressor((4,), epochs=1).fit(few, few[:, 0])
X = rng.normal(size=(500_000, 10))
for predict in (
    classifier.predict_proba,
    lambda X: classifier.predict_uncertainty(X, list(MEASURES)),
    lambda X: regressor.predict(X, return_std=True),
    lambda X: regressor.predict_log_density(X, X[:, 0]),
):
    predict(X[:5000])
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is held now
    held = kilobytes("VmRSS")
    result = predict(X)
    print((kilobytes("VmHWM") - held) / 1024 - np.asarray(result).nbytes / 2**20)
    del result
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK),
    reason="only Linux can be told to measure the largest memory anew",
)
def test_predictions_of_half_a_million_rows_hold_less_than_256_megabytes():
    """All draws of a classifier for these rows would be 400 MB or 800 MB."""
    beyond = [float(line) for line in run(MEMORY_SCRIPT).split()]
    assert len(beyond) == 4
    assert max(beyond) < 256

"""Perceptrons need no Keras: nothing of it is imported, and it need not be there."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

#: Everything that is done with perceptrons, in one process without Keras.
SCRIPT = """
import sys
for name in ("keras", "tensorflow", "scikeras"):
    sys.modules[name] = None  # importing it is an error

import contextlib, copy, io, pickle, tempfile
import matplotlib
matplotlib.use("agg")
import numpy as np
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
import skmcdropout
from skmcdropout import MCDropoutClassifier, MCDropoutRegressor, RejectingClassifier
from skmcdropout import metrics, plotting, uncertainty

X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
few = {"epochs": 2, "random_state": 0, "n_samples": 10}
classifier = MCDropoutClassifier((8,), **few).fit(X, y)
classifier.predict(X), classifier.sample_proba(X), classifier.predict_log_proba(X)
classifier.predict_uncertainty(X, list(uncertainty.MEASURES))
for changes in (
    {"activation": "gelu", "optimizer": "sgd"},
    {"optimizer": "adamw", "max_norm": 1.0, "dropout_position": "all"},
    {"early_stopping": True, "kernel_initializer": "orthogonal", "n_samples": 0},
    {"memory": tempfile.mkdtemp(), "class_weight": "balanced", "warm_start": True},
):
    changed = MCDropoutClassifier((8,), **{**few, **changes}).fit(X, y)
    changed.fit(X, y, X_val=X, y_val=y).predict(sparse.csr_array(X))
MCDropoutClassifier((8,), **few).partial_fit(X, y, classes=[0, 1, 2]).predict(X)
for noise in ("constant", "varying"):
    regressor = MCDropoutRegressor((8,), noise=noise, **few).fit(X, X[:, :2])
    regressor.predict(X, return_std=True), regressor.predict_interval(X)
    regressor.predict_log_density(X, X[:, :2]), regressor.sample_y(X, 2)
regressor = MCDropoutRegressor((8,), **few).fit(X, X[:, 0])
for estimator in (classifier, regressor):
    for again in (pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator)):
        np.testing.assert_array_equal(again.predict(X), estimator.predict(X))
try:
    import skops.io
except ImportError:
    pass
else:
    held = skops.io.dumps(classifier)
    trusted = skops.io.get_untrusted_types(data=held)
    loaded = skops.io.loads(held, trusted=trusted)
    np.testing.assert_array_equal(loaded.predict(X), classifier.predict(X))
pipe = make_pipeline(StandardScaler(), MCDropoutClassifier((8,), **few))
grid = {"mcdropoutclassifier__dropout_rate": [0.1, 0.5]}
search = GridSearchCV(pipe, grid, cv=2).fit(X, y)
skmcdropout.predict_uncertainty(search, X), skmcdropout.sample_proba(search, X)
skmcdropout.cross_val_uncertainty(pipe, X, y, cv=2)
scorer = metrics.make_uncertainty_scorer("error_detection_auroc")
cross_val_score(pipe, X, y, cv=2, scoring=scorer)
rejecting = RejectingClassifier(MCDropoutClassifier((8,), **few), coverage=0.8, cv=2)
rejecting.fit(X, y).accept(X)
plotting.RiskCoverageDisplay.from_estimator(classifier, X, y)
plotting.PredictionIntervalDisplay.from_estimator(regressor, X, X[:, 0])
plotting.UncertaintySurfaceDisplay.from_estimator(
    MCDropoutClassifier((8,), **few).fit(X[:, :2], y), X[:, :2]
)
with contextlib.redirect_stdout(io.StringIO()) as shown:
    MCDropoutClassifier((8,), verbose=1, **few).fit(X, y).predict(X)
assert "Epoch 2/2" in shown.getvalue()
for needs_keras in (
    lambda: classifier.model_,
    lambda: MCDropoutClassifier(optimizer="rmsprop").fit(X, y),
    lambda: MCDropoutClassifier(model=lambda meta: None).fit(X, y),
    lambda: MCDropoutClassifier.from_keras(None),
):
    try:
        needs_keras()
    except ImportError as error:
        print(error)
classifier.predict(X)  # what was refused has broken nothing
"""

#: What a process holds that has fitted and predicted, in MB.
MEMORY = """
import sys
from pathlib import Path
import numpy as np
from skmcdropout import MCDropoutClassifier
X = np.random.RandomState(0).normal(size=(1000, 20))
MCDropoutClassifier(random_state=0).fit(X, X[:, 0] > 0).predict_proba(X)
assert not {"keras", "tensorflow", "scikeras"} & set(sys.modules)
status = Path("/proc/self/status").read_text()
print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
"""


@pytest.fixture(scope="module")
def done():
    """What the process wrote."""
    for name in ("matplotlib",):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_all_of_perceptrons_works_where_there_is_no_keras(done):
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_what_needs_keras_says_what_is_missing(done):
    said = done.stdout.splitlines()
    assert len(said) == 4
    assert all("need keras, tensorflow, scikeras, which" in line for line in said)


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems count memory otherwise"
)
def test_a_process_that_fits_and_predicts_holds_less_than_300_megabytes():
    """scikit-learn alone takes 180."""
    command = [sys.executable, "-c", MEMORY]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert float(done.stdout) < 300

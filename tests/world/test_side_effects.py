"""What fits and predictions leave as they found it, and what they never touch."""

import logging
import os
import pickle
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections import Counter

import joblib
import keras
import numpy as np
import pytest
import sklearn
import tensorflow as tf
from generators import tensorflow_seed
from lanes import fast
from numpy.testing import assert_array_equal

from skmcdropout import MCDropoutClassifier, RejectingClassifier

X = np.random.RandomState(0).normal(size=(30, 3))
Y = np.arange(30) % 3


def build(meta, dropout_rate):
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dropout(dropout_rate),
            keras.layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


def mlp():
    return MCDropoutClassifier((4,), epochs=2, n_samples=5, random_state=0)


def use(classifier):
    """Everything there is to do with a classifier, but for files."""
    classifier.fit(X, Y)
    classifier.partial_fit(X, Y)
    classifier.predict(X)
    classifier.predict_uncertainty(X)
    classifier.sample_proba(X)
    pickle.loads(pickle.dumps(classifier)).predict_log_proba(X)


def fail(classifier, table):
    with pytest.raises(ValueError, match=r"NaN|loss became"):
        classifier.fit(table, Y)


USES = {
    "mlp": lambda: use(mlp()),
    "early stopping": lambda: use(mlp().set_params(early_stopping=True)),
    "callbacks": lambda: use(mlp().set_params(callbacks=keras.callbacks.Callback())),
    "model": lambda: use(MCDropoutClassifier(model=build, epochs=2, random_state=0)),
    "from_keras": lambda: MCDropoutClassifier.from_keras(
        mlp().fit(X, Y).model_, n_samples=5
    ).predict(X),
    "rejecting": lambda: RejectingClassifier(mlp(), cv=2).fit(X, Y).accept(X),
    "an error": lambda: fail(mlp(), X * np.nan),
    "a failed fit": lambda: fail(
        mlp().set_params(optimizer=keras.optimizers.SGD(1e38)), X
    ),
}


def settings():
    """What is set for the whole process, by name."""
    root = logging.getLogger()
    return {
        "python's generator": random.getstate(),
        "numpy's generator": str(np.random.get_state()),
        "tensorflow's generator": tf.random.get_global_generator()
        .state.numpy()
        .tolist(),
        "tensorflow's seed": tensorflow_seed(),
        "numpy's errors": np.geterr(),
        "numpy's printing": np.get_printoptions(),
        "warnings": list(warnings.filters),
        "how warnings are shown": warnings.showwarning,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "scikit-learn's configuration": sklearn.get_config(),
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "image_data_format": keras.config.image_data_format(),
        "dtype policy": keras.config.dtype_policy().name,
        "custom objects": dict(keras.saving.get_custom_objects()),
        "tracebacks": keras.config.is_traceback_filtering_enabled(),
        "log of keras": keras.config.is_interactive_logging_enabled(),
        "eager functions": tf.config.functions_run_eagerly(),
        "eager mode": tf.executing_eagerly(),
        "soft placement": tf.config.get_soft_device_placement(),
        "threads of tensorflow": (
            tf.config.threading.get_inter_op_parallelism_threads(),
            tf.config.threading.get_intra_op_parallelism_threads(),
        ),
        "log handlers": list(root.handlers),
        "log levels": (root.level, tf.get_logger().level, logging.root.disabled),
        "signals": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
    }


@pytest.fixture(scope="module")
def first_fit():
    """A fit, before any that may open no socket.

    The first one in a process looks at a callback of scikit-learn 1.9, which listens
    at a socket of this machine for processes to come.
    """
    mlp().fit(X, Y)


@pytest.fixture
def no_network(first_fit, monkeypatch):
    """Every way to another machine raises."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"a connection was asked for: {args}")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)


def test_the_fixture_that_forbids_connections_does(no_network):
    with pytest.raises(AssertionError, match="a connection was asked for"):
        socket.create_connection(("localhost", 9))
    with socket.socket() as s, pytest.raises(AssertionError, match="asked for"):
        s.connect(("localhost", 9))


@pytest.mark.parametrize("name", fast("mlp", "an error", among=USES))
def test_a_use_leaves_no_file_opens_no_connection_and_changes_no_setting(
    name, tmp_path, monkeypatch, no_network
):
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    USES[name]()  # whatever is imported on first use
    before, threads = settings(), threading.enumerate()
    USES[name]()
    after = settings()
    assert {n for n in before if before[n] != after[n]} == set()
    assert set(threading.enumerate()) <= set(threads)
    assert sorted(tmp_path.rglob("*")) == [temporary, work]


def test_no_connection_is_opened_for_files(no_network, tmp_path):
    classifier = mlp().set_params(memory=str(tmp_path / "cache")).fit(X, Y)
    classifier.model_.save(tmp_path / "network.keras")
    joblib.dump(classifier, tmp_path / "classifier.joblib")
    loaded = joblib.load(tmp_path / "classifier.joblib")
    assert_array_equal(loaded.predict(X), classifier.predict(X))


@pytest.mark.parametrize("seed", ["python", "numpy", "keras"])
def test_seeds_of_the_process_change_no_number(seed):
    expected = mlp().fit(X, Y).sample_proba(X)
    states = random.getstate(), np.random.get_state()
    try:
        {"python": random.seed, "numpy": np.random.seed, "keras": tf.random.set_seed}[
            seed
        ](7)
        assert_array_equal(mlp().fit(X, Y).sample_proba(X), expected)
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        tf.random.set_seed(None)


@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_the_policy_of_keras_changes_no_number(policy):
    expected = mlp().fit(X, Y).sample_proba(X)
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(policy)
        assert_array_equal(mlp().fit(X, Y).sample_proba(X), expected)
    finally:
        keras.config.set_dtype_policy(before)


def test_warnings_as_errors_and_strict_numpy_are_no_trouble():
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        use(mlp())


#: A line that TensorFlow writes, with its severity, in both of its formats.
TENSORFLOW_LINE = re.compile(
    r"(?:[-\d]+ [\d:.]+: )?([IWEF])(?:\d{4} [\d:.]+ +\d+)? \S+]"
)

FIT_AND_PREDICT = """
import numpy as np
from skmcdropout import MCDropoutClassifier

X, y = np.eye(8), np.arange(8) % 2
MCDropoutClassifier((4,), epochs=1, optimizer="rmsprop").fit(X, y).predict(X)
"""


def process(code, level=None):
    """What a process did whose environment sets this level for TensorFlow or none."""
    name = "TF_CPP_MIN_LOG_LEVEL"
    environ = {n: value for n, value in os.environ.items() if n != name}
    if level is not None:
        environ[name] = level
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environ,
    )


def lines_on_stderr(code, level=None):
    """By severity."""
    done = process(code, level)
    found = [TENSORFLOW_LINE.match(line) for line in done.stderr.splitlines()]
    return Counter(line[1] if line else "other" for line in found)


@pytest.mark.slow
def test_tensorflow_writes_less_by_default_and_every_warning_and_error():
    default = lines_on_stderr(FIT_AND_PREDICT)
    everything = lines_on_stderr(FIT_AND_PREDICT, level="0")
    assert everything["I"] > default["I"]
    for severity in "WEF":
        assert default[severity] == everything[severity]


BEFORE_TENSORFLOW = """
import os, sys

def level():
    for name in [n for n in sys.modules if n.partition(".")[0] == "skmcdropout"]:
        del sys.modules[name]
    import skmcdropout
    return os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)

by_default = level()
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
set_by_the_user = level()
if hasattr(os, "fork") and os.fork() == 0:
    from skmcdropout import MCDropoutClassifier
    try:
        MCDropoutClassifier().fit([[float("nan")]], [0])
    except ValueError as error:
        print("forked:", str(error).partition(".")[0])
    sys.exit()
elif hasattr(os, "fork"):
    os.wait()
print("imported:", "tensorflow" in sys.modules)
sys.modules["tensorflow"] = None  # as if it were imported already
print("levels:", by_default, set_by_the_user, level())
"""


@pytest.fixture(scope="module")
def before_tensorflow():
    """What a process says that imports the package and not TensorFlow, by line."""
    done = process(BEFORE_TENSORFLOW)
    assert not done.stderr
    return dict(line.split(": ") for line in done.stdout.splitlines())


@pytest.mark.slow
def test_the_package_is_imported_without_tensorflow(before_tensorflow):
    assert before_tensorflow["imported"] == "False"


@pytest.mark.slow
def test_what_tensorflow_writes_is_the_users_to_set(before_tensorflow):
    assert before_tensorflow["levels"] == "1 0 None"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_before_tensorflow_is_imported_is_as_any_process(before_tensorflow):
    assert before_tensorflow["forked"] == "Input X contains NaN"

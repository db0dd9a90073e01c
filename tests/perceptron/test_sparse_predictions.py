"""Predictions for sparse rows: what they are for the same dense rows."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from lanes import fast
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sparse_table import S, X, Y, quick

from skmcdropout import MCDropoutRegressor
from skmcdropout.uncertainty import MEASURES


@pytest.fixture(scope="module")
def fitted():
    return quick(epochs=1).fit(S, Y)


WAYS = {
    "thinned": {},
    "nothing drawn": {"n_samples": 0},
    "no dropout": {"dropout_rate": 0.0},
    "tanh": {"activation": "tanh"},
    "gelu": {"activation": "gelu"},
    "plain": {"batch_normalization": False},
    "inputs dropped": {"dropout_position": "all"},
    "inputs dropped, nothing drawn": {"dropout_position": "all", "n_samples": 0},
    "wide": {"hidden_layer_sizes": (900, 500), "n_samples": 60},
    "wide, inputs dropped": {
        "hidden_layer_sizes": (1500, 500),
        "dropout_position": "all",
        "n_samples": 30,
    },
}


@pytest.mark.parametrize("name", fast("thinned", "inputs dropped", among=WAYS))
def test_predictions_are_those_of_the_dense_rows(name):
    fitted = quick(epochs=1, **WAYS[name]).fit(X, Y)
    for n_rows in (1, 7, 150):
        table = np.tile(X, (2, 1))[:n_rows]
        rows = sparse.csr_array(table)
        for method in (fitted.predict_proba, fitted.sample_proba):
            assert_allclose(method(rows), method(table), atol=1e-5)
        assert_allclose(
            fitted.predict_uncertainty(rows, list(MEASURES)),
            fitted.predict_uncertainty(table, list(MEASURES)),
            atol=2e-5,
        )


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_sparse_row_does_not_depend_on_its_company(activation):
    fitted = quick(activation=activation, epochs=1).fit(S, Y)
    together = fitted.predict_proba(S)
    order = np.random.RandomState(5).permutation(90)
    assert_allclose(fitted.predict_proba(S[order]), together[order], rtol=3e-7)
    parts = [fitted.predict_proba(S[i : i + 7]) for i in range(0, 90, 7)]
    assert_allclose(np.concatenate(parts), together, rtol=3e-7)


def test_changed_weights_of_the_network_count_for_sparse_rows():
    fitted = quick(epochs=1).fit(S, Y)
    fitted.predict_proba(S)
    weights = fitted.model_.get_weights()
    fitted.model_.set_weights([weight + 0.1 for weight in weights])
    assert_allclose(fitted.predict_proba(S), fitted.predict_proba(X), atol=2e-6)


def test_regressors_describe_sparse_rows_as_dense_ones():
    fitted = quick(MCDropoutRegressor, epochs=2).fit(X, Y)
    assert_allclose(fitted.predict_interval(S), fitted.predict_interval(X), rtol=1e-4)
    density = fitted.predict_log_density(S, Y)
    assert_allclose(density, fitted.predict_log_density(X, Y), rtol=1e-4)
    samples = fitted.sample_y(X, 3)
    atol = 1e-6 * abs(samples).max()
    assert_allclose(fitted.sample_y(S, 3), samples, atol=atol)


def test_a_pickled_estimator_predicts_sparse_rows(fitted):
    loaded = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(loaded.predict_proba(S), fitted.predict_proba(S))


def test_values_that_overflow_are_refused():
    fitted = quick(epochs=1, batch_normalization=False).fit(S, Y)
    fitted.model_.set_weights([1e4 * w for w in fitted.model_.get_weights()])
    table = sparse.csr_array(X * np.float32(1e36))
    with pytest.raises(ValueError, match="X must hold values that the network can"):
        fitted.predict_proba(table)


MEMORY_SCRIPT = """
import resource
import numpy as np
from scipy import sparse
from skmcdropout import MCDropoutClassifier

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

rng = np.random.RandomState(0)
n_rows, n_columns = 5_000, 20_000
columns = rng.randint(n_columns, size=n_rows * 50)
starts = np.arange(0, len(columns) + 1, 50)
shape = n_rows, n_columns
X = sparse.csr_array((np.ones(len(columns)), columns, starts), shape=shape)
y = rng.randint(5, size=n_rows)
given = dict(epochs=1, n_samples=5, batch_size=100, random_state=0)
estimators = [
    MCDropoutClassifier((16,), **given, **changes)
    for changes in (
        {},
        {"batch_normalization": False, "temperature": 1.0},
        {"dropout_position": "all", "temperature": 1.0},
    )
]
for estimator in estimators:
    estimator.fit(X[:200, :50], y[:200]).predict_proba(X[:200, :50])
before = peak()
for estimator, table in zip(estimators, (X, X, X[:, :10_000])):
    estimator.fit(table, y).predict_proba(table)
    print(peak() - before)
"""


@pytest.mark.slow
def test_sparse_tables_are_never_dense_as_a_whole():
    """Of 400 megabytes, and 200 where inputs are dropped, room for batches is less."""
    printed = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    normalized, plain, inputs_dropped = map(float, printed.split())
    assert normalized < 100
    assert plain < 100
    assert inputs_dropped < 150

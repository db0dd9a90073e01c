"""Sparse tables: what they give is what the same dense tables give."""

import pickle
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from lanes import fast
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.utils import estimator_checks, get_tags

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor
from skmcdropout._training import rows as rows_module
from skmcdropout._training.rows import canonical_order
from skmcdropout._utils.sparse_tables import canonical, summed
from skmcdropout.uncertainty import MEASURES

RNG = np.random.RandomState(0)
Y = np.arange(90) % 3
X = np.where(RNG.uniform(size=(90, 12)) < 0.3, RNG.normal(size=(90, 12)), 0)
X[:, 0] = RNG.normal(size=90) + 50  # a column without zeros
X[:, 1] = 0  # and one of them alone
X[np.arange(90), 2 + Y] += 1
X = X.astype(np.float32)
S = sparse.csr_array(X)


def quick(kind=MCDropoutClassifier, **changes):
    given = {"epochs": 4, "batch_size": 30, "random_state": 0, "n_samples": 20}
    return kind((16,), **{**given, **changes})


def outputs(estimator, table):
    if isinstance(estimator, MCDropoutClassifier):
        return estimator.predict_proba(table)
    return np.column_stack(estimator.predict(table, return_std=True))


FITS = {
    "default": {},
    "plain": {"batch_normalization": False},
    "inputs dropped": {"dropout_position": "all"},
    "inputs dropped, plain": {"dropout_position": "all", "batch_normalization": False},
    "last layers dropped": {"hidden_layer_sizes": (8, 8, 8), "dropout_position": 1},
    "early stopping": {"early_stopping": True},
    "max norm": {"max_norm": 0.7, "alpha": 50.0},
    "tanh": {"activation": "tanh"},
    "class weight": {"class_weight": {0: 3.0, 1: 0.5}},
    "regressor": {"kind": MCDropoutRegressor},
    "regressor, normalized": {"kind": MCDropoutRegressor, "batch_normalization": True},
    "constant noise": {"kind": MCDropoutRegressor, "noise": "constant"},
}


# Training


@pytest.mark.parametrize("name", fast("default", "regressor", among=FITS))
def test_a_fit_is_that_of_the_dense_table(name):
    changes = FITS[name]
    if "hidden_layer_sizes" in changes:
        changes = dict(changes)
        sizes = changes.pop("hidden_layer_sizes")
        dense, other = (
            quick(**changes).set_params(hidden_layer_sizes=sizes) for _ in range(2)
        )
    else:
        dense, other = quick(**changes), quick(**changes)
    dense.fit(X, Y)
    other.fit(S, Y)
    assert_allclose(outputs(other, S), outputs(dense, X), atol=2e-4)
    assert_allclose(dense.history_["loss"], other.history_["loss"], rtol=1e-4)


@pytest.mark.parametrize("batch_normalization", [False, True])
@pytest.mark.parametrize("values", [0, 1])
def test_batches_without_any_value_are_trained_on(values, batch_normalization):
    table = np.zeros((90, 12), np.float32)
    table[3, 4] = values
    given = {"batch_normalization": batch_normalization, "batch_size": 5, "epochs": 2}
    dense, other = quick(**given).fit(table, Y), quick(**given)
    other.fit(sparse.csr_array(table), Y)
    assert_allclose(other.predict_proba(table), dense.predict_proba(table), atol=2e-4)


@pytest.mark.parametrize("batch_normalization", [False, True])
def test_the_order_of_sparse_rows_plays_no_part(batch_normalization):
    order = np.random.RandomState(1).permutation(90)
    one = quick(batch_normalization=batch_normalization).fit(S, Y)
    other = quick(batch_normalization=batch_normalization).fit(S[order], Y[order])
    assert_array_equal(one.predict_proba(S), other.predict_proba(S))


def test_weights_of_sparse_rows_are_repeated_and_absent_rows():
    counts = np.arange(90) % 4
    rows = np.repeat(np.arange(90), counts)
    weighed = quick().fit(S, Y, sample_weight=counts)
    repeated = quick().fit(S[rows], Y[rows])
    assert_array_equal(weighed.predict_proba(S), repeated.predict_proba(S))


def test_other_weights_count_as_for_dense_rows():
    weights = np.random.RandomState(2).uniform(size=90)
    dense, other = quick().fit(X, Y, weights), quick().fit(S, Y, weights)
    assert_allclose(other.predict_proba(X), dense.predict_proba(X), atol=2e-4)


@pytest.mark.parametrize("how", ["partial_fit", "warm_start"])
def test_training_goes_on_from_dense_to_sparse_and_back(how):
    def trained(tables):
        estimator = quick(epochs=2, warm_start=how == "warm_start")
        for table in tables:
            if how == "warm_start":
                estimator.fit(table, Y)
            else:
                estimator.partial_fit(table, Y, classes=np.unique(Y))
        return estimator.predict_proba(X)

    expected = trained([X, X, X])
    for tables in ([X, S, X], [S, X, S], [S, S, S]):
        assert_allclose(trained(tables), expected, atol=2e-4)


def test_the_noise_of_partial_fit_is_found_on_sparse_rows():
    dense, other = quick(MCDropoutRegressor), quick(MCDropoutRegressor)
    for _ in range(3):
        dense.partial_fit(X, Y)
        other.partial_fit(S, Y)
    assert_allclose(outputs(other, S), outputs(dense, X), rtol=1e-3)


def test_callbacks_change_nothing():
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: None)
    seen, plain = quick(callbacks=callback).fit(S, Y), quick().fit(S, Y)
    assert_array_equal(seen.predict_proba(S), plain.predict_proba(S))


def test_trained_networks_of_sparse_tables_are_found_in_memory(tmp_path, monkeypatch):
    first = quick(memory=str(tmp_path)).fit(S, Y)

    def fails(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr("skmcdropout._fitting.fit.train", fails)
    for table in (S, S.tocsc(), S.tocoo()):
        again = quick(memory=str(tmp_path)).fit(table, Y)
        assert_array_equal(again.predict_proba(S), first.predict_proba(S))
    with pytest.raises(AssertionError, match="trained again"):
        quick(memory=str(tmp_path)).fit(S * 2, Y)


# Which rows are the same


def test_sparse_rows_have_the_order_of_dense_ones():
    weights = np.random.RandomState(3).randint(1, 3, size=180).astype(float)
    table, labels = np.concatenate([X, X]), np.r_[Y, Y]
    sparse_table = canonical(sparse.csr_array(table))
    assert_array_equal(
        canonical_order(sparse_table, labels, weights),
        canonical_order(table, labels, weights),
    )


def test_sparse_rows_of_one_hash_are_sorted_by_value(monkeypatch):
    monkeypatch.setattr(
        rows_module, "_hashes", lambda X: np.zeros(X.shape[0], np.uint64)
    )
    monkeypatch.setattr(rows_module, "BLOCK_FLOATS", 40)
    table, labels = np.concatenate([X[:40], X[:9]]), np.r_[Y[:40], Y[:9]]
    weights = np.ones(49)
    assert_array_equal(
        canonical_order(canonical(sparse.csr_array(table)), labels, weights),
        canonical_order(table, labels, weights),
    )


def in_parts(X):
    """The table with entries out of order, in two parts, and with zeros stored."""
    rows, columns = np.indices(X.shape).reshape(2, -1)
    halves = X.astype(float).ravel() / 2
    shuffled = np.random.RandomState(4).permutation(2 * len(rows))
    parts = [np.r_[a, a][shuffled] for a in (halves, rows, columns)]
    order = np.argsort(parts[1], kind="stable")
    data, rows, columns = (a[order] for a in parts)
    indptr = np.r_[0, np.cumsum(np.bincount(rows))]
    data[data == 0] = -0.0
    return sparse.csr_array((data, columns, indptr), shape=X.shape)


def test_entries_in_parts_and_stored_zeros_change_nothing():
    table = in_parts(X)
    before = table.data.copy(), table.indices.copy(), table.indptr.copy()
    one, other = quick().fit(S, Y), quick().fit(table, Y)
    assert_array_equal(one.predict_proba(S), other.predict_proba(table))
    for then, now in zip(
        before, (table.data, table.indices, table.indptr), strict=True
    ):
        assert_array_equal(then, now)


def test_a_table_in_canonical_form_is_not_copied():
    table = canonical(S)
    assert np.shares_memory(canonical(table).data, table.data)
    assert_array_equal(table.toarray(), X)


FORMS = ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"]


@pytest.mark.parametrize("form", fast("csc", "dok", among=FORMS))
def test_every_form_is_the_same_table(form):
    fitted = quick(epochs=1).fit(S, Y)
    expected = fitted.predict_proba(S)
    for kind in (sparse.coo_array, sparse.coo_matrix):
        table = kind(X).asformat(form)
        assert_array_equal(fitted.predict_proba(table), expected)
        assert_array_equal(quick(epochs=1).fit(table, Y).predict_proba(S), expected)


def test_sparse_frames_keep_their_names():
    columns = {f"w{i}": column for i, column in enumerate(S.toarray().T)}
    frame = pd.DataFrame(columns).astype(pd.SparseDtype("float32", 0.0))
    fitted = quick(epochs=1).fit(frame, Y)
    assert list(fitted.feature_names_in_) == list(frame.columns)
    expected = quick(epochs=1).fit(S, Y).predict_proba(S)
    # scikit-learn 1.6 makes such a frame of the newest pandas dense.
    assert_allclose(fitted.predict_proba(frame), expected, atol=2e-4)


# What is refused


def changed(value):
    table = S.astype(np.float64)
    table.data[5] = value
    return table


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_are_refused(value):
    with pytest.raises(ValueError, match="Input X contains"):
        quick().fit(changed(value), Y)
    with pytest.raises(ValueError, match="Input X contains"):
        quick(epochs=1).fit(S, Y).predict(changed(value))


def test_parts_whose_sum_overflows_are_refused():
    halves = np.full(2, 3e38, np.float32)
    table = sparse.csr_array((halves, [0, 0], [0, 2, *[2] * 89]), shape=(90, 12))
    with pytest.raises(ValueError, match="Input X contains infinity"):
        quick().fit(table, Y)


def test_a_sparse_row_alone_is_refused():
    if not hasattr(sparse.coo_array(X[0]), "ndim") or sparse.coo_array(X[0]).ndim == 2:
        pytest.skip("this SciPy has no sparse arrays of one axis")
    with pytest.raises(ValueError, match="X, a sparse array, must have two axes"):
        quick().fit(sparse.coo_array(X[0]), Y)


GRAPHS = {
    "sgd": {"optimizer": "sgd"},
    "clipped": {"optimizer": keras.optimizers.Adam(clipnorm=1.0)},
    "elu": {"activation": "elu"},
    "elu, regressor": {"activation": "elu", "kind": MCDropoutRegressor},
}


@pytest.mark.parametrize("name", fast("elu", among=GRAPHS))
def test_sparse_rows_are_refused_where_graphs_train(name):
    estimator = quick(**GRAPHS[name])
    assert not get_tags(estimator).input_tags.sparse
    with pytest.raises(ValueError, match=r"X must be dense unless .* Got a sparse X"):
        estimator.fit(S, Y)
    dense = estimator.fit(X, Y)
    assert_allclose(outputs(dense, S), outputs(dense, X), atol=1e-5)


@pytest.mark.parametrize(
    "optimizer", ["adam", "Adam", keras.optimizers.Adam, keras.optimizers.Adam(0.1)]
)
def test_sparse_rows_are_taken_with_adam(optimizer):
    estimator = quick(epochs=1, optimizer=optimizer)
    assert get_tags(estimator).input_tags.sparse
    assert estimator.fit(S, Y).n_iter_ == 1


def network(meta):
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.mark.slow
def test_networks_of_the_users_take_dense_rows():
    estimator = quick(model=network).set_params(hidden_layer_sizes=(128, 128))
    assert not get_tags(estimator).input_tags.sparse
    with pytest.raises(TypeError, match="Sparse data was passed"):
        estimator.fit(S, Y)
    estimator.fit(X, Y)
    with pytest.raises(TypeError, match="Sparse data was passed"):
        estimator.predict(S)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["tag", "array", "matrix"])
def test_scikit_learn_finds_that_sparse_rows_are_refused_properly(what):
    check = getattr(estimator_checks, f"check_estimator_sparse_{what}", None)
    if check is None:
        pytest.skip("this scikit-learn does not check it")
    check("MCDropoutClassifier", quick(optimizer="sgd"))


# Predictions


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
    fitted = quick(epochs=1).set_params(**WAYS[name]).fit(X, Y)
    for n_rows in (1, 7, 90, 400):
        table = np.tile(X, (5, 1))[:n_rows]
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
    assert_allclose(fitted.sample_y(S, 3), fitted.sample_y(X, 3), atol=1e-4)


def test_a_pickled_estimator_predicts_sparse_rows():
    fitted = quick(epochs=1).fit(S, Y)
    loaded = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(loaded.predict_proba(S), fitted.predict_proba(S))


def test_values_that_overflow_are_refused():
    fitted = quick(epochs=1, batch_normalization=False).fit(S, Y)
    fitted.model_.set_weights([1e4 * w for w in fitted.model_.get_weights()])
    table = sparse.csr_array(X * np.float32(1e36))
    with pytest.raises(ValueError, match="X must hold values that the network can"):
        fitted.predict_proba(table)


def test_summed_parts_are_summed_in_their_own_type():
    parts = np.array([1.0, 2.0**-30])
    table = sparse.csr_array((parts, [0, 0], [0, 2]), shape=(1, 3))
    assert summed(table).data[0] == 1 + 2.0**-30


MEMORY_SCRIPT = """
import resource
import numpy as np
from scipy import sparse
from skmcdropout import MCDropoutClassifier

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

rng = np.random.RandomState(0)
n_rows, n_columns = 20_000, 20_000
columns = rng.randint(n_columns, size=n_rows * 50)
starts = np.arange(0, len(columns) + 1, 50)
shape = n_rows, n_columns
X = sparse.csr_array((np.ones(len(columns)), columns, starts), shape=shape)
y = rng.randint(5, size=n_rows)
estimator = MCDropoutClassifier({parameters}epochs=1, n_samples=20, random_state=0)
estimator.fit(X[:200, :50], y[:200]).predict_proba(X[:200, :50])
before = peak()
estimator.fit(X, y).predict_proba(X)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("parameters", ["", "batch_normalization=False, "])
def test_a_dense_table_of_1600_megabytes_is_fitted_in_less_than_400(parameters):
    script = MEMORY_SCRIPT.format(parameters=parameters)
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert float(printed) < 400


@pytest.mark.slow
def test_a_sparse_table_whose_inputs_are_dropped_is_never_dense_as_a_whole():
    drops = "hidden_layer_sizes=(16,), dropout_position='all', batch_size=128, "
    script = MEMORY_SCRIPT.format(parameters=drops)
    script = script.replace("20_000, 20_000", "20_000, 10_000")
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    assert float(printed) < 400  # of 800

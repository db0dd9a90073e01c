"""Training on sparse tables: what it gives is what the same dense tables give."""

import keras
import numpy as np
import pandas as pd
import pytest
from lanes import fast
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.utils import estimator_checks, get_tags
from sparse_table import S, X, Y, outputs, quick

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor

FITS = {
    "default": {"temperature": "auto"},
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
    dense, other = quick(**FITS[name]), quick(**FITS[name])
    dense.fit(X, Y)
    other.fit(S, Y)
    expected = outputs(dense, X)
    size = np.maximum(1, abs(expected).max(axis=0))  # of which the rounding is
    assert_allclose(outputs(other, S) / size, expected / size, atol=2e-4)
    assert_allclose(dense.history_["loss"], other.history_["loss"], rtol=1e-4)


@pytest.mark.parametrize("batch_normalization", [False, True])
@pytest.mark.parametrize("values", [0, 1])
def test_batches_without_any_value_are_trained_on(values, batch_normalization):
    table = np.zeros((90, 12), np.float32)
    table[3, 4] = values
    given = {"batch_normalization": batch_normalization, "batch_size": 5, "epochs": 2}
    dense, other = quick(**given).fit(table, Y), quick(**given)
    other.fit(sparse.csr_array(table), Y)
    # Where all rows are equal, Adam makes whole steps of what is rounded.
    assert_allclose(other.predict_proba(table), dense.predict_proba(table), atol=1e-2)


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


def test_trained_networks_of_sparse_tables_are_found_in_memory(tmp_path, trainings):
    first = quick(memory=str(tmp_path)).fit(S, Y)
    for table in (S, S.tocsc(), S.tocoo()):
        again = quick(memory=str(tmp_path)).fit(table, Y)
        assert_array_equal(again.predict_proba(S), first.predict_proba(S))
    assert len(trainings) == 1
    quick(memory=str(tmp_path)).fit(S * 2, Y)
    assert len(trainings) == 2


# Which rows are the same


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


@pytest.fixture(scope="module")
def fitted():
    return quick(epochs=1).fit(S, Y)


FORMS = ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"]


@pytest.mark.parametrize("form", fast("csc", "dok", among=FORMS))
def test_every_form_is_the_same_table(form, fitted):
    expected = fitted.predict_proba(S)
    for kind in (sparse.coo_array, sparse.coo_matrix):
        table = kind(X).asformat(form)
        assert_array_equal(fitted.predict_proba(table), expected)
        assert_array_equal(quick(epochs=1).fit(table, Y).predict_proba(S), expected)


def test_sparse_frames_keep_their_names(fitted):
    columns = {f"w{i}": column for i, column in enumerate(S.toarray().T)}
    frame = pd.DataFrame(columns).astype(pd.SparseDtype("float32", 0.0))
    framed = quick(epochs=1).fit(frame, Y)
    assert list(framed.feature_names_in_) == list(frame.columns)
    # scikit-learn 1.6 makes such a frame of the newest pandas dense.
    expected = fitted.predict_proba(S)
    assert_allclose(framed.predict_proba(frame), expected, atol=2e-4)


# What is refused


def changed(value):
    table = S.astype(np.float64)
    table.data[5] = value
    return table


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_are_refused(value, fitted):
    with pytest.raises(ValueError, match="Input X contains"):
        quick().fit(changed(value), Y)
    with pytest.raises(ValueError, match="Input X contains"):
        fitted.predict(changed(value))


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
    "rmsprop": {"optimizer": "rmsprop"},
    "clipped": {"optimizer": keras.optimizers.Adam(clipnorm=1.0)},
    "rmsprop, regressor": {"optimizer": "rmsprop", "kind": MCDropoutRegressor},
}


@pytest.mark.parametrize("name", GRAPHS)
def test_sparse_rows_are_refused_where_graphs_train(name):
    estimator = quick(**GRAPHS[name])
    assert not get_tags(estimator).input_tags.sparse
    with pytest.raises(ValueError, match=r"X must be dense unless .* Got a sparse X"):
        estimator.fit(S, Y)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rmsprop", "rmsprop, regressor"])
def test_what_graphs_trained_predicts_sparse_rows(name):
    dense = quick(epochs=1, **GRAPHS[name]).fit(X, Y)
    assert_allclose(outputs(dense, S), outputs(dense, X), atol=1e-5)


@pytest.mark.parametrize(
    "optimizer",
    ["Adam", keras.optimizers.Adam, keras.optimizers.Adam(0.1), "adamw", "sgd"],
)
def test_sparse_rows_are_taken_where_arrays_are_trained(optimizer):
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
    estimator = MCDropoutClassifier(
        model=network, epochs=2, n_samples=20, random_state=0
    )
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

"""Errors that name what was wrong, and an estimator that still works after them."""

import keras
import numpy as np
import pytest
import sklearn
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from skmcdropout import (
    MCDropoutClassifier,
    MCDropoutRegressor,
    RejectingClassifier,
)

X = np.random.RandomState(0).normal(size=(30, 4))
Y = np.repeat([0, 1, 2], 10)
ESTIMATORS = [MCDropoutClassifier, MCDropoutRegressor]


def with_value(value):
    table = X.copy()
    table[3, 2] = value
    return table


BAD_FITS = {
    "nan": ((with_value(np.nan), Y), "Input X contains NaN"),
    "infinite": ((with_value(np.inf), Y), "Input X contains infinity"),
    "too large": ((with_value(1e300), Y), "infinity or a value too large"),
    "sparse nan": ((sparse.csr_array(with_value(np.nan)), Y), "Input X contains NaN"),
    "empty": ((X[:0], Y[:0]), r"Found array with 0 sample\(s\)"),
    "no features": ((X[:, :0], Y), r"Found array with 0 feature\(s\)"),
    "1-d": ((X[:, 0], Y), "Expected 2D array, got 1D array"),
    "3-d": ((X[None], Y[:1]), "Found array with dim 3"),
    "strings": ((np.full(X.shape, "a"), Y), "could not convert string to float"),
    "lengths": ((X, Y[:20]), "inconsistent numbers of samples"),
    "one class": ((X, Y * 0), r"at least 2 classes.*contains only one class"),
    "floats": ((X, X[:, 0]), "Unknown label type: continuous"),
    "two outputs": ((X, np.column_stack([Y, Y])), "y should be a 1d array"),
    "y with nan": ((X, np.where(Y == 0, np.nan, Y)), "Input y contains NaN"),
    "no y": ((X, None), "requires y to be passed"),
    "negative weight": ((X, Y, -np.ones(30)), "Negative values.*sample_weight"),
    "no weight": ((X, Y, np.zeros(30)), "at least one (positive|non-zero)"),
    "nan weight": ((X, Y, np.full(30, np.nan)), "sample_weight.*NaN"),
    "weights of others": ((X, Y, np.ones(29)), r"sample_weight.shape == \(29,\)"),
    "one class weighs": ((X, Y, (Y == 1) * 1.0), "contains only one class"),
}


@pytest.fixture(scope="module")
def fitted():
    return MCDropoutClassifier((5,), epochs=2, n_samples=7, random_state=0).fit(X, Y)


@pytest.mark.parametrize("name", BAD_FITS)
def test_bad_data_for_fit(fitted, name):
    arguments, message = BAD_FITS[name]
    fresh, proba = clone(fitted), fitted.predict_proba(X)
    for estimator in (fresh, fitted):
        with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
            estimator.fit(*arguments)
    assert not [name for name in vars(fresh) if name.endswith("_")]
    assert_array_equal(fitted.predict_proba(X), proba)


BAD_ROWS = {
    "nan": (with_value(np.nan), "Input X contains NaN"),
    "infinite": (with_value(-np.inf), "Input X contains infinity"),
    "sparse nan": (sparse.csr_array(with_value(np.nan)), "Input X contains NaN"),
    "empty": (X[:0], r"Found array with 0 sample\(s\)"),
    "1-d": (X[0], "Reshape your data"),
    "features": (X[:, :3], "X has 3 features, but MCDropoutClassifier is expecting 4"),
}
METHODS = [
    "predict",
    "predict_proba",
    "predict_log_proba",
    "predict_uncertainty",
    "sample_proba",
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_to_predict(fitted, method, name):
    rows, message = BAD_ROWS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(fitted, method)(rows)
    assert fitted.predict_proba(X).shape == (30, 3)


def branched(meta):
    x = keras.Input((4,))
    h = keras.layers.Dense(8)(x)
    return keras.Model(x, keras.layers.Dense(3)(h + keras.layers.Dropout(0.3)(h)))


ENGINES = {
    "perceptron": {"hidden_layer_sizes": (5,)},
    "wide perceptron": {"hidden_layer_sizes": (1500, 500), "n_samples": 30},
    "no draws": {"hidden_layer_sizes": (5,), "n_samples": 0},
    "network": {"model": branched},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_no_probability_is_nan(name):
    """Whether sums overflow depends on the order they are added up in."""
    engine = MCDropoutClassifier(epochs=1, random_state=0, **ENGINES[name]).fit(X, Y)
    rows = np.tile(X, (5, 1))
    rows[140] = 3e38, -3e38, 3e38, -3e38
    for table in (rows, rows[140:141]):
        for method in METHODS[1:]:
            try:
                result = getattr(engine, method)(table)
            except ValueError:  # what it says: see the next test
                continue
            assert not np.isnan(result).any()


def test_rows_that_overflow_are_refused(fitted):
    rows = np.tile(X, (2, 1))
    rows[40] = np.nan  # what an overflow comes to
    is_expected = pytest.raises(ValueError, match=r"X must hold values.*index 40")
    for method in METHODS:
        with sklearn.config_context(assume_finite=True), is_expected:
            getattr(fitted, method)(rows)


@pytest.mark.parametrize("method", METHODS)
def test_rows_beyond_single_precision_are_refused_without_a_warning(fitted, method):
    with pytest.raises(ValueError, match=r"Input X contains.*too large for dtype"):
        getattr(fitted, method)(with_value(1e39))


def inverses(meta):
    x = keras.Input((4,))
    h = keras.ops.sign(1 / x)
    h = keras.layers.Dropout(0.3)(keras.layers.Dense(4)(h))
    return keras.Model(x, keras.layers.Dense(3, activation="softmax")(h))


@pytest.mark.slow
def test_both_zeros_are_the_same_row():
    """To a network, too, that can tell them apart."""
    plus, minus = with_value(0.0), with_value(-0.0)
    quick = MCDropoutClassifier(model=inverses, epochs=1, random_state=0)
    fitted = quick.fit(plus, Y)
    expected = fitted.predict_proba(plus)
    assert_array_equal(fitted.predict_proba(minus), expected)
    assert_array_equal(clone(quick).fit(minus, Y).predict_proba(plus), expected)
    assert np.signbit(minus[3, 2])  # the caller's array stays as it was


@pytest.mark.parametrize("method", METHODS)
def test_predict_before_fit(method):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        getattr(MCDropoutClassifier(), method)(X)


BAD_PARAMETERS = [
    ("hidden_layer_sizes", 0),
    ("hidden_layer_sizes", "wide"),
    ("activation", "softmax"),
    ("model", "mlp"),
    ("dropout_rate", 1.0),
    ("dropout_rate", -0.1),
    ("dropout_rate", "high"),
    ("dropout_position", "output"),
    ("dropout_position", 0),
    ("n_samples", -1),
    ("n_samples", 2.5),
    ("sampling", "sobol"),
    ("batch_normalization", "yes"),
    ("kernel_initializer", "zeros"),
    ("alpha", -1),
    ("max_norm", 0),
    ("optimizer", 3),
    ("learning_rate", 0),
    ("learning_rate_schedule", "linear"),
    ("batch_size", 0),
    ("epochs", 0),
    ("temperature", 0.0),
    ("noise", "loud"),
    ("early_stopping", "maybe"),
    ("validation_fraction", 1.0),
    ("n_iter_no_change", 0),
    ("class_weight", "heavy"),
    ("callbacks", "csv"),
    ("warm_start", None),
    ("memory", 3),
    ("random_state", "seed"),
    ("verbose", 3),
]


def test_every_parameter_is_in_the_table():
    names = {name for name, _ in BAD_PARAMETERS}
    parameters = [set(kind().get_params()) for kind in ESTIMATORS]
    assert names == set.union(*parameters)


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize(("name", "value"), BAD_PARAMETERS)
def test_bad_parameters_name_parameter_rule_and_value(kind, name, value):
    estimator = kind()
    if name not in estimator.get_params():
        return
    message = f"(?s)The '{name}' parameter of {kind.__name__} must be .*{value!r}"
    with pytest.raises(InvalidParameterError, match=message):
        estimator.set_params(**{name: value}).fit(X, Y)


@pytest.mark.parametrize(
    "name",
    [
        "hidden_layer_sizes",
        "dropout_rate",
        "dropout_position",
        "n_samples",
        "alpha",
        "max_norm",
        "learning_rate",
        "batch_size",
        "epochs",
        "validation_fraction",
        "n_iter_no_change",
        "random_state",
    ],
)
@pytest.mark.parametrize("value", [True, np.True_])
def test_booleans_are_no_numbers(name, value):
    message = f"The '{name}' parameter of MCDropoutClassifier must be .*{value!r}"
    with pytest.raises(InvalidParameterError, match=message):
        MCDropoutClassifier(**{name: value}).fit(X, Y)


BAD_REJECTIONS = [
    ("estimator", 3),
    ("measure", "entropy"),
    ("coverage", 0.0),
    ("coverage", 1.5),
    ("max_risk", 0.0),
    ("max_risk", 1.0),
    ("confidence", 1.0),
    ("confidence", None),
    ("per_class", "yes"),
    ("cv", "fitted"),
    ("n_jobs", 1.5),
]


def test_every_parameter_of_a_rejection_is_in_the_table():
    parameters = RejectingClassifier(MCDropoutClassifier()).get_params(deep=False)
    names = {name for name, _ in BAD_REJECTIONS}
    assert names == {*parameters} - {"reject_label"}  # which may be anything


@pytest.mark.parametrize(("name", "value"), BAD_REJECTIONS)
def test_bad_parameters_of_a_rejection(name, value):
    classifier = RejectingClassifier(MCDropoutClassifier()).set_params(**{name: value})
    message = f"(?s)The '{name}' parameter of RejectingClassifier must be .*{value!r}"
    with pytest.raises(InvalidParameterError, match=message):
        classifier.fit(X, Y)


@pytest.mark.parametrize("name", ["coverage", "max_risk", "confidence", "n_jobs"])
def test_booleans_are_no_numbers_for_rejection(name):
    classifier = RejectingClassifier(MCDropoutClassifier(), **{name: True})
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter"):
        classifier.fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_layer_sizes": ()}, r"one positive int per hidden layer. Got \(\)"),
        ({"hidden_layer_sizes": (5, -1)}, r"positive int.*Got \(5, -1\)"),
        ({"hidden_layer_sizes": (5, 2.5)}, r"positive int.*Got \(5, 2.5\)"),
        ({"dropout_rate": [0.1]}, r"2 for dropout_pos.*Got 1: \[0.1\]"),
        ({"dropout_rate": [1.0]}, r"in the range \[0, 1\).*Got \[1.0\]"),
        ({"dropout_position": 3}, "at most the number of hidden layers, 2. Got 3"),
        ({"optimizer": "adamant"}, "optimizer must be .* Got 'adamant'"),
        ({"dropout_rate": [None]}, r"in the range \[0, 1\).*Got \[None\]"),
        ({"dropout_rate": [[0.1]]}, r"in the range \[0, 1\).*Got \[\[0.1\]\]"),
        ({"hidden_layer_sizes": [[5, 6]]}, r"positive int.*Got \[\[5, 6\]\]"),
        ({"hidden_layer_sizes": (True,)}, r"positive int.*Got \(True,\)"),
        ({"class_weight": {7: 2.0}}, r"classes, \[0, 1, 2\], are not in class_weight"),
        ({"class_weight": {0: -1.0}}, r"class_weight.*at least 0. Got \{0: -1.0\}"),
        ({"class_weight": {0: "a"}}, r"class_weight.*at least 0. Got \{0: 'a'\}"),
        ({"class_weight": {0: 0, 1: 0, 2: 0}}, "class_weight must give some class"),
    ],
    ids=str,
)  # fmt: skip
def test_parameters_that_do_not_fit_together(parameters, message):
    with pytest.raises(ValueError, match=message):
        MCDropoutClassifier(epochs=1, **parameters).fit(X, Y)


def test_draws_are_validated_at_prediction(fitted):
    copied = clone(fitted).fit(X, Y)
    for name, value in [("n_samples", -3), ("sampling", "all")]:
        good = copied.get_params()[name]
        with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter"):
            copied.set_params(**{name: value}).predict(X)
        copied.set_params(**{name: good}).predict(X)


def test_a_measure_that_does_not_exist(fitted):
    with pytest.raises(
        ValueError, match=r"Got 'entropy'.*Did you mean 'expected_entropy'"
    ):
        fitted.predict_uncertainty(X, "entropy")
    with pytest.raises(ValueError, match="Did you mean 'mutual_information'"):
        fitted.predict_uncertainty(X, ["predictive_std", "mutual_info"])
    with pytest.raises(ValueError, match="Did you mean 'mutual_information'"):
        fitted.predict_uncertainty(X, "BALD")
    with pytest.raises(ValueError, match="Got 3 instead"):
        fitted.predict_uncertainty(X, [3])
    with pytest.raises(ValueError, match="at least one measure"):
        fitted.predict_uncertainty(X, [])


def test_a_callback_that_is_none():
    with pytest.raises(
        ValueError, match=r"callbacks must be an instance of keras.*Got 'csv'"
    ):
        MCDropoutClassifier(epochs=1, callbacks=["csv"]).fit(X, Y)


def small(**params):
    return MCDropoutClassifier((5,), epochs=1, random_state=0, **params)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_the_number_of_draws_may_be_a_small_integer_of_numpy(dtype):
    expected = small(n_samples=5).fit(X, Y).sample_proba(X)
    fitted = small(n_samples=dtype(5)).fit(X, Y)
    assert_array_equal(fitted.sample_proba(X), expected)


def test_a_dict_of_rows_is_refused_by_a_perceptron_in_words():
    with pytest.raises(ValueError, match=r"X must be one array.*dict"):
        small().fit({"a": X}, Y)


def test_a_rate_that_is_one_in_single_precision_is_refused_by_name():
    with pytest.raises(ValueError, match="dropout_rate"):
        small(dropout_rate=1 - 1e-9).fit(X, Y)

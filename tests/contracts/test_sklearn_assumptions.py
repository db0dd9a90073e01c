"""What we rely on in scikit-learn that is not public, tested on scikit-learn alone."""

import copy
from numbers import Integral

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.metrics._scorer import _BaseScorer
from sklearn.model_selection import cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import PowerTransformer
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.fixes import parse_version
from sklearn.utils.validation import _check_method_params, _check_sample_weight

VERSION = parse_version(sklearn.__version__)
HAS_CALLBACKS = parse_version("1.9") <= VERSION


class Constant(ClassifierMixin, BaseEstimator):
    _parameter_constraints = {
        "kind": [StrOptions({"a", "b"}), HasMethods(["get_config"])],
        "number": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(self, kind="a", number=1):
        self.kind = kind
        self.number = number

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.repeat(self.classes_[0], len(X))


@pytest.mark.parametrize(("name", "bad"), [("kind", "c"), ("number", -1)])
def test_parameters_are_validated_before_a_fit_in_words_that_name_them(name, bad):
    message = f"The '{name}' parameter of Constant must be .* Got {bad!r} instead"
    with pytest.raises(InvalidParameterError, match=message):
        Constant(**{name: bad}).fit([[0]], [0])
    Constant().fit([[0]], [0])
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of Somebody"):
        validate_parameter_constraints(
            {name: Constant._parameter_constraints[name]}, {name: bad}, "Somebody"
        )


@pytest.mark.parametrize("method", ["box-cox", "yeo-johnson"])
def test_powers_are_divided_by_the_scale_of_a_scaler(method):
    y = np.random.RandomState(0).lognormal(size=(50, 2))
    standard = PowerTransformer(method=method).fit(y)
    plain = PowerTransformer(method=method, standardize=False).fit(y)
    divided = np.diff(plain.transform(y), axis=0) / standard._scaler.scale_
    assert_allclose(np.diff(standard.transform(y), axis=0), divided, atol=1e-9)


def test_weights_are_checked_in_double_precision():
    X = np.zeros((2, 1))
    assert_array_equal(_check_sample_weight(None, X), [1, 1])
    found = _check_sample_weight([0, 2], X, dtype=np.float64, ensure_non_negative=True)
    assert found.dtype == np.float64
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        _check_sample_weight([0, -1], X, ensure_non_negative=True)


def test_rows_of_anything_are_found_by_their_numbers():
    rows = np.array([2, 0])
    assert _safe_indexing(["a", "b", "c"], rows) == ["c", "a"]
    assert _safe_indexing(pd.DataFrame({"x": [1, 2, 3]}), rows)["x"].tolist() == [3, 1]


def test_parameters_as_long_as_the_table_are_split_with_it():
    X, given = np.zeros((3, 1)), {"weights": [1, 2, 3], "name": "a", "pair": (1, 2)}
    found = _check_method_params(X, given, np.array([2, 0]))
    assert found == {"weights": [3, 1], "name": "a", "pair": (1, 2)}


def test_a_scorer_is_told_estimator_rows_and_labels():
    class Told(_BaseScorer):
        def _score(self, method_caller, estimator, X, y_true, **metadata):
            told.append((type(estimator), np.shape(X), np.shape(y_true), metadata))
            return self._sign * self._score_func(**self._kwargs)

    told = []
    scorer = Told(lambda value: value, -1, {"value": 3.0})
    X, y = np.zeros((6, 2)), np.arange(6) % 2
    scores = cross_validate(Constant(), X, y, cv=3, scoring=scorer)["test_score"]
    assert_array_equal(scores, [-3, -3, -3])
    assert told == [(Constant, (2, 2), (2,), {})] * 3


class Says(ClassifierMixin, BaseEstimator):
    """Its rows are what it predicts."""

    def __init__(self, classes_):
        self.classes_ = classes_

    def predict_proba(self, X):
        return X


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_calibrators_are_applied_to_what_the_classifier_predicts(method, n_classes):
    if method == "temperature" and parse_version("1.8") > VERSION:
        pytest.skip("scikit-learn calibrates temperatures from 1.8 on")
    X, y = make_classification(
        90, 6, n_informative=4, n_classes=n_classes, random_state=0
    )
    y = np.array(["c", "a", "b"])[y]
    calibrated = CalibratedClassifierCV(GaussianNB(), method=method, cv=3).fit(X, y)
    for member in calibrated.calibrated_classifiers_:
        told = copy.copy(member)
        told.estimator = Says(member.estimator.classes_)
        predicted = member.estimator.predict_proba(X)
        assert_array_equal(told.predict_proba(predicted), member.predict_proba(X))
        assert isinstance(member.estimator, GaussianNB)


@pytest.mark.skipif(not HAS_CALLBACKS, reason="scikit-learn has callbacks from 1.9 on")
def test_callbacks_are_found_and_told_through_a_context():
    from sklearn.callback import CallbackSupportMixin, ProgressBar

    class Supports(CallbackSupportMixin, BaseEstimator):
        pass

    estimator = Supports()
    assert getattr(estimator, "_skl_callbacks", []) == []
    assert hasattr(estimator._init_callback_context(max_subtasks=2), "subcontext")
    pytest.importorskip("rich", reason="the bar is drawn by rich")
    bar = ProgressBar()
    assert estimator.set_callbacks(bar)._skl_callbacks == [bar]

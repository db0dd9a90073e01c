"""`RejectingClassifier`: thresholds for a coverage or a risk."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from plain import PLAIN
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor, RejectingClassifier
from skmcdropout.metrics import risk_at_coverage

NETWORK = MCDropoutClassifier(
    (20,), epochs=10, n_samples=20, random_state=0, dropout_rate=0.2, **PLAIN
)


SMALL = MCDropoutClassifier(
    (8,), epochs=20, n_samples=5, learning_rate=0.03, temperature=1.0, random_state=0
)
PROMISES = {
    "coverage": RejectingClassifier(SMALL, cv=2, coverage=0.5),
    # One that few rows can keep: nearly all of them may be wrong.
    "risk": RejectingClassifier(SMALL, cv=2, max_risk=0.95, confidence=0.5),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The least populated class in y has only")
@pytest.mark.parametrize("promise", PROMISES)
def test_scikit_learn_checks_pass_with_nothing_excused(promise):
    results = check_estimator(PROMISES[promise], on_skip=None)  # failures are raised
    not_passed = {r["check_name"] for r in results if r["status"] != "passed"}
    assert not_passed <= {"check_array_api_input"}
    assert len(results) > 50


@pytest.fixture(scope="module")
def fitted(moons):
    return RejectingClassifier(NETWORK, coverage=0.8).fit(*moons)


def test_the_threshold_is_chosen_on_rows_that_were_held_out(fitted, moons):
    X, y = moons
    predicted, uncertainty = np.empty_like(y), np.empty(len(y))
    for train, held in StratifiedKFold(5).split(X, y):
        fold = clone(NETWORK).fit(X[train], y[train])
        predicted[held] = fold.predict(X[held])
        uncertainty[held] = fold.predict_uncertainty(X[held])
    accepted = uncertainty <= fitted.threshold_ + 1e-9
    assert_allclose(accepted.mean(), 0.8, atol=2 / len(y))
    assert_allclose(fitted.coverage_, accepted.mean())
    assert_allclose(fitted.risk_, (predicted != y)[accepted].mean())
    assert_allclose(
        fitted.risk_, risk_at_coverage(y, predicted, uncertainty, fitted.coverage_)
    )


def test_the_classifier_is_fitted_on_all_rows(fitted, moons):
    X, y = moons
    whole = clone(NETWORK).fit(X, y)
    assert_array_equal(fitted.predict(X), whole.predict(X))
    assert_array_equal(fitted.predict_proba(X), whole.predict_proba(X))
    assert_array_equal(fitted.predict_uncertainty(X), whole.predict_uncertainty(X))
    accepted = fitted.accept(X)
    assert_array_equal(accepted, whole.predict_uncertainty(X) <= fitted.threshold_)
    assert 0.6 < accepted.mean() < 0.95


def test_accepted_rows_are_right_more_often(fitted, moons):
    X, y = moons
    accepted = fitted.accept(X)
    right = fitted.predict(X) == y
    assert right[accepted].mean() > right[~accepted].mean() + 0.1


def test_rejected_rows_get_the_label_for_them(moons):
    X, y = moons[0], np.array(["a", "b"])[moons[1]]
    rejecting = RejectingClassifier(NETWORK, reject_label="unsure", cv=2).fit(X, y)
    predicted, accepted = rejecting.predict(X), rejecting.accept(X)
    assert 0 < accepted.mean() < 1
    assert_array_equal(predicted[accepted], rejecting.estimator_.predict(X)[accepted])
    assert set(predicted[~accepted]) == {"unsure"}


def test_a_fitted_classifier_is_only_given_a_threshold(moons):
    X, y = moons
    network = clone(NETWORK).fit(X[:200], y[:200])
    rejecting = RejectingClassifier(network, cv="prefit", coverage=0.7)
    rejecting.fit(X[200:], y[200:])
    assert rejecting.estimator_ is network
    assert_allclose(rejecting.accept(X[200:]).mean(), 0.7, atol=0.011)


def test_pipelines_searches_and_measures(moons):
    X, y = moons
    pipeline = make_pipeline(StandardScaler(), NETWORK)
    search = GridSearchCV(pipeline, {"mcdropoutclassifier__dropout_rate": [0.1]}, cv=2)
    rejecting = RejectingClassifier(
        search, measure="mutual_information", cv=KFold(3)
    ).fit(X, y)
    scaler, network = rejecting.estimator_.best_estimator_
    assert_array_equal(
        rejecting.predict_uncertainty(X),
        network.predict_uncertainty(scaler.transform(X), "mutual_information"),
    )
    outer = GridSearchCV(
        RejectingClassifier(NETWORK, cv=2), {"coverage": [0.5, 0.9]}, cv=2
    )
    assert set(outer.fit(X, y).best_params_) == {"coverage"}


def test_weights_are_split_with_the_rows(moons):
    X, y = moons
    weights = np.where(np.arange(len(y)) % 2, 1, 0)
    weighted = RejectingClassifier(NETWORK, cv=2).fit(X, y, sample_weight=weights)
    expected = clone(NETWORK).fit(X, y, sample_weight=weights)
    assert_array_equal(weighted.predict_proba(X), expected.predict_proba(X))


BAD = {
    "both": ({"coverage": 0.5, "max_risk": 0.1}, "must not be given together"),
    "repeated rows": (
        {"max_risk": 0.1, "cv": ShuffleSplit(2, test_size=0.6, random_state=0)},
        r"cv must hold out each row once.*Got ShuffleSplit.*a row 2 times",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_parameters(moons, name):
    parameters, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        RejectingClassifier(NETWORK, **parameters).fit(*moons)


def test_any_classifier_with_probabilities_is_rejected_by_their_entropy(moons):
    X, y = moons
    rejecting = RejectingClassifier(LogisticRegression(), coverage=0.5).fit(X, y)
    p = rejecting.estimator_.predict_proba(X)
    entropy = -(p * np.log(p)).sum(axis=1)
    assert_array_equal(rejecting.accept(X), entropy <= rejecting.threshold_)
    with pytest.raises(ValueError, match="mutual_information"):
        RejectingClassifier(LogisticRegression(), measure="mutual_information").fit(
            X, y
        )


def test_an_estimator_without_probabilities_is_refused(moons):
    with pytest.raises(TypeError, match="predict_proba"):
        RejectingClassifier(LinearSVC()).fit(*moons)


def test_a_regressor_is_refused(blobs):
    rejecting = RejectingClassifier(MCDropoutRegressor(epochs=1), coverage=0.9)
    with pytest.raises(ValueError, match=r"must be a classifier\. Got MCDropoutReg"):
        rejecting.fit(*blobs)


def test_sparse_rows_are_rejected_as_dense_ones_are(moons):
    X, y = moons
    rejecting = RejectingClassifier(
        MCDropoutClassifier((8,), epochs=3, random_state=0), coverage=0.7, cv=2
    )
    dense, sparse = (clone(rejecting).fit(rows, y) for rows in (X, csr_array(X)))
    assert_allclose(sparse.threshold_, dense.threshold_, atol=1e-3)
    assert (sparse.accept(csr_array(X)) == dense.accept(X)).mean() > 0.98
    assert get_tags(rejecting).input_tags.sparse
    rejecting.set_params(estimator=MCDropoutClassifier(optimizer="rmsprop"))
    assert not get_tags(rejecting).input_tags.sparse

"""`cross_val_uncertainty` is a loop over folds that anybody could write."""

import pickle

import joblib
import numpy as np
import pytest
from joblib.parallel import ThreadingBackend
from nested import CODES, X_REG, Y_REG, Y_TWO, X, Y, network, piped, regressor
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_predict,
)

from skmcdropout import cross_val_uncertainty, predict_uncertainty

SHUFFLED = KFold(3, shuffle=True, random_state=0)
GROUPS = np.arange(90) % 7
WEIGHTS = np.random.RandomState(0).randint(3, size=90)


def by_hand(estimator, measure, splits, X=X, y=Y, weights=None):
    """Uncertainties of each row, by the fold that did not train on it."""
    found = [None] * len(y)
    for train, test in splits:
        given = {} if weights is None else {"sample_weight": weights[train]}
        fold = clone(estimator).fit(X[train], y[train], **given)
        for row, value in zip(
            test, predict_uncertainty(fold, X[test], measure), strict=True
        ):
            found[row] = value
    return np.array(found)


@pytest.mark.parametrize("measure", ["mutual_information", None, ["predictive_std"]])
def test_uncertainties_are_in_the_order_of_the_rows(measure):
    found = cross_val_uncertainty(piped(network()), X, Y, measure=measure, cv=SHUFFLED)
    expected = by_hand(piped(network()), measure, SHUFFLED.split(X))
    assert found.shape == expected.shape
    assert_array_equal(found, expected)


def test_folds_of_a_classifier_are_stratified():
    order = np.argsort(CODES, kind="stable")  # without strata folds lack a class
    found = cross_val_uncertainty(network(), X[order], Y[order])
    splits = StratifiedKFold(5).split(X[order], Y[order])
    assert_array_equal(found, by_hand(network(), None, splits, X[order], Y[order]))


def test_probabilities_are_those_of_cross_val_predict():
    _, proba = cross_val_uncertainty(
        network(), X, Y, cv=SHUFFLED, return_prediction=True
    )
    expected = cross_val_predict(network(), X, Y, cv=SHUFFLED, method="predict_proba")
    assert_allclose(proba, expected, atol=1e-6)


def test_a_class_that_a_fold_was_not_trained_on_has_no_probability():
    splits = [(c != CODES, c == CODES) for c in range(3)]
    splits = [[np.flatnonzero(rows) for rows in split] for split in splits]
    _, proba = cross_val_uncertainty(network(), X, Y, cv=splits, return_prediction=True)
    given = proba[np.arange(90), np.searchsorted(np.unique(Y), Y)]
    assert_array_equal(given, 0)
    assert_allclose(proba.sum(axis=1), 1, atol=1e-6)


def test_groups_stay_together():
    cv = GroupKFold(3)
    found = cross_val_uncertainty(network(), X, Y, cv=cv, groups=GROUPS)
    splits = cv.split(X, Y, GROUPS)
    assert_array_equal(found, by_hand(network(), None, splits))


def test_parameters_of_fit_are_split_with_the_rows():
    given = {"sample_weight": WEIGHTS}
    found = cross_val_uncertainty(network(), X, Y, cv=SHUFFLED, params=given)
    expected = by_hand(network(), None, SHUFFLED.split(X), weights=WEIGHTS)
    assert_array_equal(found, expected)
    assert (found != by_hand(network(), None, SHUFFLED.split(X))).any()


def test_metadata_go_where_they_are_asked_for():
    cv = GroupKFold(3)
    expected = by_hand(network(), None, cv.split(X, Y, GROUPS), weights=WEIGHTS)
    with config_context(enable_metadata_routing=True):
        found = cross_val_uncertainty(
            piped_as_it_is(network().set_fit_request(sample_weight=True)),
            X,
            Y,
            cv=cv,
            params={"sample_weight": WEIGHTS, "groups": GROUPS},
        )
        assert_array_equal(found, expected)
        with pytest.raises(TypeError, match=r"got unexpected argument\(s\).*nobody"):
            cross_val_uncertainty(network(), X, Y, params={"nobody": WEIGHTS})


def piped_as_it_is(last):
    """A router, that changes nothing."""
    from sklearn.pipeline import make_pipeline

    return make_pipeline("passthrough", last)


@pytest.mark.slow
@pytest.mark.parametrize("y", [Y_REG, Y_TWO])
def test_regressors_predict_values(y):
    measures = ["total_std", "epistemic_std"]
    found, values = cross_val_uncertainty(
        regressor(), X_REG, y, cv=SHUFFLED, measure=measures, return_prediction=True
    )
    expected = by_hand(regressor(), measures, SHUFFLED.split(X_REG), X_REG, y)
    assert_array_equal(found, expected)
    predicted = cross_val_predict(regressor(), X_REG, y, cv=SHUFFLED)
    assert values.shape == y.shape
    assert_allclose(values, predicted, rtol=1e-6)


def test_any_estimator_with_an_uncertainty_will_do():
    for estimator in (
        BaggingClassifier(network(), 2, random_state=0),
        LogisticRegression(),
    ):
        found = cross_val_uncertainty(estimator, X, Y, cv=SHUFFLED)
        assert_array_equal(found, by_hand(estimator, None, SHUFFLED.split(X)))


def test_the_estimator_is_left_as_it_was():
    estimator = network()
    cross_val_uncertainty(estimator, X, Y, cv=2)
    assert not hasattr(estimator, "classes_")


def test_each_fold_is_drawn_once(draw_calls):
    cross_val_uncertainty(network(), X, Y, cv=3, return_prediction=True)
    assert len(draw_calls) == 3


def test_rows_in_several_test_folds_are_refused():
    with pytest.raises(ValueError, match="only works for partitions"):
        cross_val_uncertainty(network(), X, Y, cv=ShuffleSplit(2, random_state=0))


class Posted(ThreadingBackend):
    """Threads, whose work comes and goes as that of other processes, in pickles."""

    n_sent = 0

    def post(self, work):
        Posted.n_sent += 1
        sent = pickle.dumps(work)
        return lambda: pickle.loads(pickle.dumps(pickle.loads(sent)()))

    def submit(self, func, callback=None):
        return super().submit(self.post(func), callback)

    def apply_async(self, func, callback=None):  # its name before joblib 1.5
        return super().apply_async(self.post(func), callback)


def test_folds_may_go_to_other_processes():
    expected = cross_val_uncertainty(
        network(), X, Y, cv=SHUFFLED, return_prediction=True
    )
    with joblib.parallel_config(Posted()):
        found = cross_val_uncertainty(
            network(), X, Y, cv=SHUFFLED, n_jobs=2, return_prediction=True
        )
    assert_allclose(found[0], expected[0], atol=1e-6)
    assert_allclose(found[1], expected[1], atol=1e-6)
    assert Posted.n_sent > 1

"""Several labels a row: measures are of all of them together, or are refused."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import entropy
from sklearn.datasets import make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import (
    MCDropoutClassifier,
    RejectingClassifier,
    cross_val_uncertainty,
    predict_uncertainty,
)
from skmcdropout.plotting import RiskCoverageDisplay, UncertaintyHistogramDisplay

X, Y = make_multilabel_classification(60, 5, n_classes=3, random_state=0)
X = StandardScaler().fit_transform(X)
NETWORK = MCDropoutClassifier((5,), epochs=2, n_samples=5, random_state=0)

TAKEN = {
    "one versus rest": OneVsRestClassifier(LogisticRegression()),
    "a network each": OneVsRestClassifier(NETWORK),
    "sigmoids": MLPClassifier((5,), max_iter=20, random_state=0),
    "a chain": ClassifierChain(LogisticRegression()),
    "a pipeline": make_pipeline(
        StandardScaler(), OneVsRestClassifier(LogisticRegression())
    ),
}

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


@pytest.fixture(params=TAKEN)
def fitted(request):
    return TAKEN[request.param].fit(X, Y)


def test_measures_are_those_of_the_joint_law_of_independent_labels(fitted):
    p = fitted.predict_proba(X)
    of_each = np.stack([p, 1 - p])
    joint = np.einsum("an,bn,cn->abcn", *of_each.transpose(2, 0, 1)).reshape(8, -1)
    found = predict_uncertainty(fitted, X)
    assert_allclose(found, entropy(joint), rtol=1e-6, atol=1e-9)
    found = predict_uncertainty(fitted, X, "least_confidence")
    assert_allclose(found, 1 - joint.max(axis=0), rtol=1e-6, atol=1e-9)
    one = predict_uncertainty(fitted, X[:1], "least_confidence")
    assert_allclose(one, found[:1], atol=1e-6)


def test_labels_that_exclude_each_other_are_two():
    """Their probabilities sum to 1, as those of classes do."""
    both = np.stack([Y[:, 0], 1 - Y[:, 0]], axis=1)
    fitted = OneVsRestClassifier(LogisticRegression()).fit(X, both)
    p = fitted.predict_proba(X)
    assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    found = predict_uncertainty(fitted, X)
    assert_allclose(found, entropy([p, 1 - p]).sum(axis=1), rtol=1e-6)
    assert_allclose(predict_uncertainty(fitted, X[:2]), found[:2], rtol=1e-6)


def test_what_needs_draws_or_one_label_is_refused(fitted):
    with pytest.raises(ValueError, match="has no Monte-Carlo draws"):
        predict_uncertainty(fitted, X, "mutual_information")
    for display in (RiskCoverageDisplay, UncertaintyHistogramDisplay):
        with pytest.raises(ValueError, match="y should be a 1d array"):
            display.from_estimator(fitted, X, Y)
    with pytest.raises(ValueError, match="y should be a 1d array"):
        RejectingClassifier(fitted, coverage=0.8).fit(X, Y)


class Untrainable(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        raise AssertionError


@pytest.mark.parametrize("promise", [{"coverage": 0.8}, {"max_risk": 0.1}])
def test_rejecting_refuses_several_labels_before_it_trains(promise):
    rejecting = RejectingClassifier(OneVsRestClassifier(Untrainable()), **promise)
    with pytest.raises(ValueError, match=r"1d array, got an array of shape \(60, 3\)"):
        rejecting.fit(X, Y)


def test_out_of_fold():
    ovr = TAKEN["one versus rest"]
    uncertainty, proba = cross_val_uncertainty(ovr, X, Y, cv=3, return_prediction=True)
    expected = cross_val_predict(ovr, X, Y, cv=3, method="predict_proba")
    assert_allclose(proba, expected)
    assert_allclose(uncertainty, entropy([expected, 1 - expected]).sum(axis=1))


@pytest.mark.parametrize(
    "estimator",
    [
        MultiOutputClassifier(LogisticRegression()),
        RandomForestClassifier(3, random_state=0),
        KNeighborsClassifier(),
    ],
)
def test_lists_of_probabilities_are_refused(estimator):
    with pytest.raises(TypeError, match="a classifier of one label a row"):
        predict_uncertainty(estimator.fit(X, Y), X)


class Scores(LogisticRegression):
    """What it calls probabilities are none."""

    def predict_proba(self, X):
        return 2 * super().predict_proba(X)


def test_rows_that_are_no_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"sum to 1. Got sums from 2 to 2"):
        predict_uncertainty(Scores().fit(X, Y[:, 0]), X)

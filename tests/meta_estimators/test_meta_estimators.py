"""Networks are found in any classifier, and what they say together is its own."""

import inside
import numpy as np
import pandas as pd
import pytest
import sklearn
from lanes import fast
from nested import (
    CLASSIFIERS,
    CODES,
    FAST_CLASSIFIERS,
    X,
    Y,
    fitted,
    members,
    network,
    piped,
)
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    BaggingClassifier,
    VotingClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    StandardScaler,
)
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils.fixes import parse_version

from skmcdropout import (
    metrics,
    predict_uncertainty,
    sample_proba,
    uncertainty,
)
from skmcdropout.metrics import make_uncertainty_scorer

MEASURES = list(uncertainty.MEASURES)


def assert_scored_as_predicted(estimator, y, measure="predictive_entropy"):
    """Scorers judge the labels that it predicts by the measure that it has."""
    labels = estimator.predict(X)
    of_all_rows = make_uncertainty_scorer("accuracy_at_coverage", measure, coverage=1.0)
    assert of_all_rows(estimator, X, labels) == 1
    unsure = predict_uncertainty(estimator, X, measure)
    expected = -metrics.aurc(y, labels, unsure)
    assert make_uncertainty_scorer("neg_aurc", measure)(estimator, X, y) == expected


@pytest.mark.parametrize("name", FAST_CLASSIFIERS)
def test_the_mean_over_draws_is_the_probability_that_is_predicted(name):
    estimator = fitted(CLASSIFIERS, name)
    draws = sample_proba(estimator, X)
    proba = estimator.predict_proba(X)
    assert draws.shape[1:] == proba.shape == (90, 3)
    assert_allclose(draws.mean(axis=0), proba, rtol=0, atol=1e-6)
    assert_allclose(draws.sum(axis=2), 1, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", FAST_CLASSIFIERS)
def test_measures_are_those_of_the_union_of_draws(name):
    estimator = fitted(CLASSIFIERS, name)
    draws = sample_proba(estimator, X)
    found = predict_uncertainty(estimator, X, MEASURES)
    expected = [uncertainty.MEASURES[measure](draws) for measure in MEASURES]
    # The square root of a variance has half of the digits.
    atol = np.where(np.array(MEASURES) == "predictive_std", 1e-4, 1e-5)
    assert (abs(found - np.column_stack(expected)) <= atol).all()
    one = predict_uncertainty(estimator, X)
    assert_allclose(one, found[:, MEASURES.index("predictive_entropy")])


@pytest.mark.parametrize("name", FAST_CLASSIFIERS)
def test_labels_are_those_that_the_estimator_predicts(name):
    assert_scored_as_predicted(fitted(CLASSIFIERS, name), Y, "variation_ratio")


def test_draws_of_a_network_alone_are_its_own():
    estimator = fitted(CLASSIFIERS, "pipeline")
    rows, last = estimator[0].transform(X), estimator[-1]
    assert_array_equal(sample_proba(estimator, X), last.sample_proba(rows))
    assert_array_equal(
        predict_uncertainty(estimator, X, MEASURES),
        last.predict_uncertainty(rows, MEASURES),
    )


def test_an_ensemble_has_the_draws_of_all_members():
    estimator = fitted(CLASSIFIERS, "weighted")  # by 3 : 1 : 0
    one, other, _ = (member.sample_proba(X) for member in estimator.estimators_)
    draws = sample_proba(estimator, X)
    assert_array_equal(draws, [*one.repeat(3, axis=0), *other])


@pytest.mark.slow
def test_a_network_and_another_kind_have_each_its_share():
    estimator = fitted(CLASSIFIERS, "with another kind")
    of_network, of_other = (m.predict_proba(X) for m in estimator.estimators_)
    draws = sample_proba(estimator, X)
    assert_allclose(draws[:10].mean(axis=0), of_network, atol=1e-6)
    assert_array_equal(draws[10:], [of_other] * 10)


def test_classes_that_a_bootstrap_sample_lacks_have_no_probability():
    rare = np.where(np.arange(90) < 2, "rare", np.where(CODES == 0, "a", "b"))
    bag = BaggingClassifier(network(), 6, max_samples=20, random_state=0).fit(X, rare)
    lacking = [len(member.classes_) < 3 for member in bag.estimators_]
    assert 0 < sum(lacking) < 6
    draws = sample_proba(bag, X)
    assert_allclose(draws.mean(axis=0), bag.predict_proba(X), rtol=0, atol=1e-6)
    for i, is_lacking in enumerate(lacking):
        assert (draws[10 * i : 10 * (i + 1), :, 2] == 0).all() == is_lacking
    for measure in MEASURES:
        assert_allclose(
            predict_uncertainty(bag, X, measure),
            uncertainty.MEASURES[measure](draws),
            atol=1e-5,
        )


def test_weights_that_would_repeat_draws_too_often_are_refused_but_measured():
    voting = fitted(CLASSIFIERS, "weighted")
    voting = VotingClassifier(
        [(f"m{i}", FrozenEstimator(m)) for i, m in enumerate(voting.estimators_[:2])],
        voting="soft",
        weights=[0.37, 0.63],
    ).fit(X, Y)
    with pytest.raises(ValueError, match=r"small integers .*Got shares of \[0.37, 0.6"):
        sample_proba(voting, X)
    one, other = (m.estimator.sample_proba(X) for m in voting.estimators_)
    draws = np.concatenate([one.repeat(37, axis=0), other.repeat(63, axis=0)])
    for measure in MEASURES:
        assert_allclose(
            predict_uncertainty(voting, X, measure),
            uncertainty.MEASURES[measure](draws),
            atol=1e-5,
        )


@pytest.mark.parametrize("weights", [[1, np.sqrt(2)], [1, 1e-5]])
def test_weights_without_a_small_proportion_are_refused_for_draws(weights):
    voting = VotingClassifier(members(network), voting="soft", weights=weights)
    with pytest.raises(ValueError, match="must be in proportion of small integers"):
        sample_proba(voting.fit(X, Y), X)


def test_members_get_the_columns_of_a_frame_that_they_were_fitted_on():
    names = [f"x{i}" for i in range(6)]
    frame = pd.DataFrame(X, columns=names)
    bag = BaggingClassifier(network(), 2, max_features=3, random_state=0).fit(frame, Y)
    expected = [
        member.sample_proba(X[:, columns])
        for member, columns in zip(
            bag.estimators_, bag.estimators_features_, strict=True
        )
    ]
    assert_array_equal(sample_proba(bag, frame), np.concatenate(expected))
    with pytest.raises(ValueError, match="feature names should match"):
        sample_proba(bag, frame[names[::-1]])


def calibration_methods():
    yield "sigmoid"
    yield pytest.param("isotonic", marks=pytest.mark.slow)
    reason = "scikit-learn calibrates temperatures from 1.8 on"
    has_it = parse_version(sklearn.__version__) >= parse_version("1.8")
    skip = pytest.mark.skipif(not has_it, reason=reason)
    yield pytest.param("temperature", marks=[skip, pytest.mark.slow])


def calibrated_by_hand(calibrated, proba):
    """One set of probabilities (n_rows, 3), by the formulas of the methods."""
    if calibrated.method == "temperature":
        logits = calibrated.calibrators[0].beta_ * np.log(proba + 1e-12)
        found = np.exp(logits - logits.max(axis=1, keepdims=True))
    elif calibrated.method == "sigmoid":
        found = np.column_stack(
            [
                expit(-(calibrator.a_ * column + calibrator.b_))
                for calibrator, column in zip(
                    calibrated.calibrators, proba.T, strict=True
                )
            ]
        )
    else:
        found = np.column_stack(
            [
                np.interp(column, calibrator.X_thresholds_, calibrator.y_thresholds_)
                for calibrator, column in zip(
                    calibrated.calibrators, proba.T, strict=True
                )
            ]
        )
    total = found.sum(axis=1, keepdims=True)
    uniform = np.full_like(found, 1 / 3)
    return np.divide(found, total, out=uniform, where=total > 0)


@pytest.mark.parametrize("method", calibration_methods())
def test_each_draw_is_calibrated(method):
    unsure = piped(network(dropout_rate=0.5))
    estimator = CalibratedClassifierCV(unsure, method=method, cv=2)
    estimator.fit(X, Y)
    expected = []
    for calibrated in estimator.calibrated_classifiers_:
        scaler, *_, last = (step for _, step in calibrated.estimator.steps)
        for draw in last.sample_proba(scaler.transform(X)).astype(float):
            expected.append(calibrated_by_hand(calibrated, draw))
    draws = sample_proba(estimator, X)
    assert_allclose(draws, expected, atol=1e-5)
    assert abs(draws - draws[0]).max() > 5e-5  # more than the tolerance
    for measure in MEASURES:
        assert_allclose(
            predict_uncertainty(estimator, X, measure),
            uncertainty.MEASURES[measure](draws),
            atol=1e-4,
        )
    assert_scored_as_predicted(estimator, Y)


@pytest.mark.parametrize("labels", [Y, np.where(Y == "tea", "tea", "other")])
def test_one_draw_calibrated_is_the_calibrated_probability(labels):
    calibrated = CalibratedClassifierCV(network(n_samples=0), cv=2).fit(X, labels)
    voting = VotingClassifier(
        [("a", CalibratedClassifierCV(network(n_samples=0), cv=2)), ("b", network())],
        voting="soft",
    ).fit(X, labels)
    for estimator in (calibrated, voting):
        draws = sample_proba(estimator, X)
        assert_allclose(draws.mean(axis=0), estimator.predict_proba(X), atol=1e-6)


def test_what_is_calibrated_twice_is_so_from_inside_out():
    inner = CalibratedClassifierCV(
        network(n_samples=0), method="isotonic", cv=2, ensemble=False
    )
    estimator = CalibratedClassifierCV(inner, cv=2, ensemble=False).fit(X, Y)
    (draw,) = sample_proba(estimator, X)
    assert_allclose(draw, estimator.predict_proba(X), atol=1e-6)
    for measure in MEASURES:
        expected = uncertainty.MEASURES[measure]([draw])
        assert_allclose(predict_uncertainty(estimator, X, measure), expected, atol=1e-6)


@pytest.mark.slow
def test_labels_of_a_calibrated_ensemble_are_its_own():
    ensemble = BaggingClassifier(network(), 2, bootstrap=False, random_state=0)
    estimator = CalibratedClassifierCV(ensemble, method="isotonic", cv=2).fit(X, Y)
    draws = sample_proba(estimator, X)
    assert draws.shape == (40, 90, 3)
    # The labels of the mean over calibrated draws are not all the same, which is why.
    of_draws = estimator.classes_[draws.mean(axis=0).argmax(axis=1)]
    assert (of_draws != estimator.predict(X)).any()
    assert_scored_as_predicted(estimator, Y)


THRESHOLDS = {
    "fixed": FixedThresholdClassifier(network(), threshold=0.9),
    "tuned": TunedThresholdClassifierCV(network(), scoring="recall", cv=2),
}


@pytest.mark.parametrize("name", fast("fixed", among=THRESHOLDS))
def test_labels_by_a_threshold_are_those_of_the_threshold(name):
    y = (CODES == 2).astype(int)
    estimator = clone(THRESHOLDS[name]).fit(X, y)
    assert_scored_as_predicted(estimator, y, "mutual_information")
    assert (estimator.predict(X) != estimator.predict_proba(X).argmax(axis=1)).any()
    unsure = predict_uncertainty(estimator, X, "mutual_information")
    inner = estimator.estimator_
    assert_array_equal(unsure, inner.predict_uncertainty(X, "mutual_information"))


@pytest.mark.slow
def test_the_network_of_self_training_is_the_one_fitted_last():
    some = np.where(np.arange(90) % 3, CODES, -1)  # a third has no label
    estimator = SelfTrainingClassifier(piped(network()), threshold=0.5).fit(X, some)
    draws = sample_proba(estimator, X)
    assert_allclose(draws.mean(axis=0), estimator.predict_proba(X), atol=1e-6)
    assert_scored_as_predicted(estimator, CODES)


def test_other_classifiers_have_the_measures_that_need_no_draws():
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    draws = estimator.predict_proba(X)[None]
    names = ["least_confidence", "predictive_entropy"]
    found = predict_uncertainty(estimator, X, names)
    expected = [uncertainty.MEASURES[name](draws) for name in names]
    assert_allclose(found, np.column_stack(expected))
    for measure in names:
        assert_scored_as_predicted(estimator, Y, measure)


@pytest.mark.slow
def test_a_search_over_an_ensemble_chooses_by_its_uncertainty():
    scorer = make_uncertainty_scorer("neg_aurc", "mutual_information")
    search = GridSearchCV(
        BaggingClassifier(network(), 2, bootstrap=False, random_state=0),
        {"estimator__epochs": [1, 20]},
        scoring=scorer,
        cv=2,
        error_score="raise",
    ).fit(X, Y)
    ensemble = search.best_estimator_
    unsure = predict_uncertainty(ensemble, X, "mutual_information")
    expected = -metrics.aurc(Y, ensemble.predict(X), unsure)
    assert scorer(search, X, Y) == expected
    draws = sample_proba(ensemble, X)
    assert_allclose(unsure, uncertainty.mutual_information(draws), atol=1e-5)


@pytest.mark.parametrize(("name", "n"), [("pipeline", 1), ("weighted", 2)])
def test_labels_and_measures_are_of_one_draw(name, n, draw_calls):
    estimator = fitted(CLASSIFIERS, name)
    draw_calls.clear()
    make_uncertainty_scorer("neg_aurc", "mutual_information")(estimator, X, Y)
    assert len(draw_calls) == n


def test_few_draws_are_in_memory_at_once(draw_calls, monkeypatch):
    estimator = fitted(CLASSIFIERS, "nested")
    at_once = predict_uncertainty(estimator, X, MEASURES)
    assert max(np.prod(shape) for shape in draw_calls) == 10 * 90 * 3
    draw_calls.clear()
    inside.reduce_in_blocks(monkeypatch, 10 * 3 * 20)
    in_blocks = predict_uncertainty(estimator, X, MEASURES)
    assert_allclose(in_blocks, at_once, atol=1e-5)
    assert max(np.prod(shape) for shape in draw_calls) == 10 * 20 * 3

"""Scores of uncertainties and probabilities: closed forms, identities and limits."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_iris
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier, metrics
from skmcdropout.metrics import (
    accuracy_at_coverage,
    aurc,
    classwise_calibration_error,
    error_detection_auroc,
    excess_aurc,
    make_uncertainty_scorer,
    ood_detection_auroc,
    risk_at_coverage,
    risk_coverage_curve,
    top_label_calibration_error,
)

N = 200
rng = np.random.RandomState(0)
WRONG = rng.rand(N) < 0.3
TRUE = rng.randint(3, size=N)
PREDICTED = np.where(WRONG, (TRUE + 1) % 3, TRUE)
UNCERTAINTY = rng.rand(N)
TIED = rng.randint(8, size=N).astype(float)


def test_the_curve_ends_at_the_error_rate_of_all_rows():
    coverage, risk, thresholds = risk_coverage_curve(TRUE, PREDICTED, UNCERTAINTY)
    assert coverage[-1] == 1
    assert risk[-1] == WRONG.mean()
    assert (np.diff(coverage) > 0).all()
    assert (np.diff(thresholds) > 0).all()


def test_each_point_of_the_curve_is_the_risk_below_its_threshold():
    for coverage, risk, t in zip(
        *risk_coverage_curve(TRUE, PREDICTED, TIED), strict=True
    ):
        assert_allclose(coverage, (t >= TIED).mean())
        assert_allclose(risk, WRONG[t >= TIED].mean())


def test_the_area_is_the_mean_risk_over_the_rows():
    risks = [WRONG[np.argsort(UNCERTAINTY)][:i].mean() for i in range(1, N + 1)]
    assert_allclose(aurc(TRUE, PREDICTED, UNCERTAINTY), np.mean(risks))


def test_ties_count_as_the_mean_over_all_their_orders():
    """The i-th row of a tie stands for any of them: for the error rate of all."""
    n_errors, risks = 0.0, []
    for value in np.unique(TIED):
        tie = WRONG[value == TIED]
        for _ in tie:
            n_errors += tie.mean()
            risks.append(n_errors / (len(risks) + 1))
    assert_allclose(aurc(TRUE, PREDICTED, TIED), np.mean(risks), rtol=1e-12)
    for coverage in (0.25, 0.5, 0.755):
        risk = risk_at_coverage(TRUE, PREDICTED, TIED, coverage)
        assert_allclose(risk, risks[round(coverage * N) - 1], rtol=1e-12)


def test_an_uncertainty_that_says_nothing_gives_the_error_rate():
    constant = np.zeros(N)
    assert_allclose(aurc(TRUE, PREDICTED, constant), WRONG.mean())
    for coverage in (0.1, 0.5, 1.0):
        risk = risk_at_coverage(TRUE, PREDICTED, constant, coverage)
        assert_allclose(risk, WRONG.mean())
    assert error_detection_auroc(TRUE, PREDICTED, constant) == 0.5


def test_a_perfect_order_has_no_excess():
    assert excess_aurc(TRUE, PREDICTED, WRONG + 0.1 * UNCERTAINTY) == 0
    assert excess_aurc(TRUE, PREDICTED, UNCERTAINTY) > 0
    assert error_detection_auroc(TRUE, PREDICTED, WRONG) == 1
    right = 1 - WRONG.mean()
    assert risk_at_coverage(TRUE, PREDICTED, WRONG, right) == 0
    # The least area there is: errors enter when all right ones are in (closed form).
    k = int(N * right)
    best = sum((i - k) / i for i in range(k + 1, N + 1)) / N
    assert_allclose(aurc(TRUE, PREDICTED, WRONG), best)


def test_a_model_without_errors_has_no_risk():
    assert aurc(TRUE, TRUE, UNCERTAINTY) == 0
    assert excess_aurc(TRUE, TRUE, UNCERTAINTY) == 0


def test_only_the_order_counts():
    for score in (aurc, excess_aurc, error_detection_auroc, accuracy_at_coverage):
        expected = score(TRUE, PREDICTED, UNCERTAINTY)
        assert_allclose(score(TRUE, PREDICTED, np.exp(5 * UNCERTAINTY)), expected)
        order = np.random.RandomState(0).permutation(N)
        shuffled = score(TRUE[order], PREDICTED[order], UNCERTAINTY[order])
        assert_allclose(shuffled, expected)


@pytest.mark.parametrize("coverage", [0.005, 0.3, 0.501, 0.9, 1.0])
def test_risk_and_accuracy_at_a_coverage(coverage):
    kept = np.argsort(UNCERTAINTY)[: int(np.ceil(coverage * N))]
    risk = risk_at_coverage(TRUE, PREDICTED, UNCERTAINTY, coverage)
    assert_allclose(risk, WRONG[kept].mean())
    accuracy = accuracy_at_coverage(TRUE, PREDICTED, UNCERTAINTY, coverage)
    assert_allclose(accuracy, 1 - risk)


def test_auroc_is_the_probability_of_a_pair():
    pairs = UNCERTAINTY[WRONG][:, None] > UNCERTAINTY[~WRONG]
    assert_allclose(error_detection_auroc(TRUE, PREDICTED, UNCERTAINTY), pairs.mean())
    pairs = UNCERTAINTY[:50][:, None] < UNCERTAINTY[50:]
    assert_allclose(
        ood_detection_auroc(UNCERTAINTY[:50], UNCERTAINTY[50:]), pairs.mean()
    )
    assert ood_detection_auroc([1, 2], [3, 4, 5]) == 1


def probabilities(n_rows, n_classes=3, seed=0):
    draws = np.random.RandomState(seed)
    p = draws.dirichlet(np.ones(n_classes), size=n_rows)
    y = (draws.rand(n_rows, 1) > p.cumsum(axis=1)).sum(axis=1)
    return y, p


ERRORS = [top_label_calibration_error, classwise_calibration_error]


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("score", ERRORS)
def test_labels_drawn_from_the_probabilities_are_calibrated(score, strategy):
    y, p = probabilities(200_000)
    assert score(y, p, n_bins=10, strategy=strategy) < 0.01
    too_sure = p**3 / (p**3).sum(axis=1, keepdims=True)
    assert score(y, too_sure, n_bins=10, strategy=strategy) > 0.1


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_the_binary_error_is_that_of_scikit_learns_curve(strategy):
    y, p = probabilities(5000, n_classes=2, seed=1)
    frequency, mean = calibration_curve(y, p[:, 1], n_bins=15, strategy=strategy)
    if strategy == "uniform":
        counts = np.histogram(p[:, 1], bins=15, range=(0, 1))[0]
    else:
        counts = np.histogram(p[:, 1], np.quantile(p[:, 1], np.linspace(0, 1, 16)))[0]
    expected = (counts / len(y) * abs(frequency - mean)).sum()
    got = classwise_calibration_error(y, p, strategy=strategy)
    assert_allclose(got, expected, rtol=1e-2 if strategy == "quantile" else 1e-6)


def test_one_bin_compares_accuracy_and_mean_confidence():
    y, p = probabilities(300)
    accuracy = (p.argmax(axis=1) == y).mean()
    error = top_label_calibration_error(y, p, n_bins=1)
    assert_allclose(error, abs(accuracy - p.max(axis=1).mean()))


def test_certain_and_right_is_perfect_certain_and_wrong_is_the_worst():
    p = np.eye(3)[TRUE]
    for score in ERRORS:
        assert score(TRUE, p) == 0
    assert top_label_calibration_error((TRUE + 1) % 3, p) == 1


def test_labels_of_any_type_and_ones_that_are_not_there():
    y, p = probabilities(50)
    names = np.array(["a", "b", "c"])
    for score in ERRORS:
        assert score(names[y], p) == score(y, p)
        few = y != 2
        assert score(names[y[few]], p[few], labels=names) == score(
            y[few], p[few], labels=[0, 1, 2]
        )


BAD = {
    "lengths": (lambda: aurc(TRUE, PREDICTED[:5], UNCERTAINTY), "inconsistent numbers"),
    "nan": (lambda: aurc(TRUE, PREDICTED, UNCERTAINTY * np.nan), "contains NaN"),
    "2-d": (lambda: aurc(TRUE, PREDICTED, np.ones((N, 2))), "1d array"),
    "coverage": (
        lambda: risk_at_coverage(TRUE, PREDICTED, UNCERTAINTY, 0),
        r"coverage must be .*\(0, 1\]. Got 0",
    ),
    "columns": (
        lambda: top_label_calibration_error([0, 1], np.ones((2, 3)) / 3),
        "a column for each of the labels.*Got 3",
    ),
    "order": (
        lambda: top_label_calibration_error([0], [[1, 0]], labels=[1, 0]),
        "labels must be sorted",
    ),
    "unknown": (
        lambda: top_label_calibration_error([5], [[1, 0]], labels=[0, 1]),
        r"y_true must hold only labels. Got \[5\]",
    ),
    "logits": (
        lambda: top_label_calibration_error([0, 1], [[3, -1], [0, 1]]),
        r"probabilities in \[0, 1\]. Got values from -1 to 3",
    ),
    "strategy": (
        lambda: top_label_calibration_error([0, 1], np.eye(2), strategy="even"),
        "strategy must be 'uniform' or 'quantile'. Got 'even'",
    ),
    "score": (lambda: make_uncertainty_scorer("aurc"), "score must be one of.*'aurc'"),
    "measure": (
        lambda: make_uncertainty_scorer(measure="entropy"),
        "predictive_entropy",
    ),
    "estimator": (
        lambda: make_uncertainty_scorer()(StandardScaler().fit([[1]]), [[1]], [1]),
        r"must be a classifier with predict_proba.*Got StandardScaler",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, message = BAD[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def network():
    parameters = {"epochs": 5, "n_samples": 20, "temperature": 1.0, "random_state": 0}
    return MCDropoutClassifier((20,), **parameters)


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def test_a_search_chooses_by_the_quality_of_the_uncertainty(iris):
    search = GridSearchCV(
        make_pipeline(StandardScaler(), network()),
        {"mcdropoutclassifier__dropout_rate": [0.1, 0.5]},
        scoring=make_uncertainty_scorer("neg_aurc", "mutual_information"),
        cv=3,
        error_score="raise",
    ).fit(*iris)
    assert (search.cv_results_["mean_test_score"] <= 0).all()
    scaler, fitted = search.best_estimator_
    X, y = iris
    rows = scaler.transform(X)
    expected = -aurc(
        y, fitted.predict(rows), fitted.predict_uncertainty(rows, "mutual_information")
    )
    assert search.score(X, y) == expected
    assert search.scorer_(search, X, y) == expected


def test_scorers_go_where_scorers_go(iris):
    X, y = iris
    classifier = network()
    scoring = {
        name: make_uncertainty_scorer(name)
        for name in ("neg_excess_aurc", "accuracy_at_coverage", "neg_risk_at_coverage")
    }
    scores = cross_validate(classifier, X, y, scoring=scoring, cv=3)
    assert_allclose(
        scores["test_accuracy_at_coverage"], 1 + scores["test_neg_risk_at_coverage"]
    )
    scorer = pickle.loads(pickle.dumps(make_uncertainty_scorer()))
    assert repr(scorer) == "make_uncertainty_scorer('neg_aurc')"
    importance = permutation_importance(
        classifier.fit(X, y), X, y, scoring=scorer, n_repeats=2, random_state=0
    )
    assert_array_equal(importance.importances.shape, (4, 2))


def test_a_pipeline_of_a_classifier_alone_is_scored_as_the_classifier(iris):
    X, y = iris
    alone = make_pipeline(network()).fit(X, y)
    scorer = make_uncertainty_scorer("neg_aurc", "mutual_information")
    unsure = alone[-1].predict_uncertainty(X, "mutual_information")
    assert scorer(alone, X, y) == -aurc(y, alone.predict(X), unsure)


def test_a_scorer_asks_for_no_metadata_where_they_are_routed(iris):
    X, y = iris
    classifier = network()
    scorer = make_uncertainty_scorer()
    plain = cross_validate(classifier, X, y, scoring=scorer, cv=2)
    with config_context(enable_metadata_routing=True):
        routed = cross_validate(classifier, X, y, scoring=scorer, cv=2, params={})
    assert_array_equal(routed["test_score"], plain["test_score"])


def test_a_scorer_takes_no_metadata(moons_classifier, moons):
    X, y = moons
    scorer = make_uncertainty_scorer()
    with pytest.raises(TypeError, match=r"must get no metadata. Got .'sample_weight'."):
        scorer(moons_classifier, X, y, sample_weight=np.ones(len(y)))
    with pytest.raises(TypeError, match=r"must get no metadata"):
        scorer.set_score_request(sample_weight=True)


@pytest.mark.parametrize("coverage", [1e-9, 1e-7, 5e-324])
def test_the_least_coverage_is_one_row(coverage):
    """Not all rows: 0 of them, rounded, and one less is the last."""
    risk = metrics.risk_at_coverage([0, 1], [0, 0], [1, 2], coverage=coverage)
    assert risk == 0


@pytest.mark.parametrize("score", [metrics.aurc, metrics.excess_aurc])
def test_labels_of_another_type_than_the_predictions_are_refused(score):
    """As by scikit-learn's metrics: every prediction would count as wrong."""
    with pytest.raises(ValueError, match=r"y_true|y_pred|labels"):
        score(["0", "1"], [0, 1], [1, 2])


@pytest.mark.parametrize("n_bins", [0, -1, 2.5])
def test_bins_that_cannot_be_counted_are_refused_by_name(n_bins):
    with pytest.raises((ValueError, TypeError), match="n_bins must be"):
        metrics.top_label_calibration_error([0, 1], np.eye(2), n_bins=n_bins)

"""Scorers give regressors the numbers of the metrics, wherever scikit-learn scores."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_friedman1
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutRegressor, metrics
from skmcdropout.metrics import make_distribution_scorer, make_uncertainty_scorer

X, Y = make_friedman1(120, noise=1.0, random_state=0)
TWO = np.column_stack([Y, 50 * np.cos(Y)])
WEIGHTS = np.random.RandomState(0).randint(3, size=len(Y))

DISTRIBUTION_SCORES = [
    "mean_log_density",
    "neg_crps",
    "neg_interval_score",
    "neg_quantile_calibration_error",
]


def network(**parameters):
    given = {"epochs": 20, "n_samples": 20, "random_state": 0, **parameters}
    return MCDropoutRegressor((20,), **given)


@pytest.fixture(scope="module")
def regressor():
    return network().fit(X, Y)


@pytest.fixture(scope="module")
def regressor_of_two():
    return network().fit(X, TWO)


def expected(score, regressor, y, **kwargs):
    """By the metrics themselves; higher is better."""
    draws = regressor.sample_predictions(X, return_std=True)
    if score == "mean_log_density":
        return metrics.mean_log_density(y, *draws, **kwargs)
    if score == "neg_interval_score":
        ends = np.moveaxis(regressor.predict_interval(X, kwargs["coverage"]), -1, 0)
        return -metrics.interval_score(y, *ends, **kwargs)
    return -getattr(metrics, score.removeprefix("neg_"))(y, *draws, **kwargs)


def kwargs_of(score):
    return {"coverage": 0.7} if score == "neg_interval_score" else {}


@pytest.mark.parametrize("score", DISTRIBUTION_SCORES)
def test_a_distribution_scorer_is_its_metric(score, regressor, regressor_of_two):
    kwargs = kwargs_of(score)
    scorer = make_distribution_scorer(score, **kwargs)
    for fitted, y in ((regressor, Y), (regressor_of_two, TWO)):
        value = scorer(fitted, X, y)
        assert_allclose(value, expected(score, fitted, y, **kwargs), rtol=1e-6)
        assert isinstance(value, float)


def test_intervals_are_of_90_percent_if_nothing_is_said(regressor):
    value = make_distribution_scorer("neg_interval_score")(regressor, X, Y)
    assert value == expected("neg_interval_score", regressor, Y, coverage=0.9)
    asked = make_distribution_scorer("neg_interval_score", coverage=0.5)
    assert asked(regressor, X, Y) != value


@pytest.mark.parametrize("score", DISTRIBUTION_SCORES[:3])
def test_distribution_scorers_weigh_rows(score, regressor):
    scorer = make_distribution_scorer(score)
    repeated = np.repeat(np.arange(len(Y)), WEIGHTS)
    assert_allclose(
        scorer(regressor, X, Y, sample_weight=WEIGHTS),
        scorer(regressor, X[repeated], Y[repeated]),
        rtol=1e-5,
    )


def test_weights_are_routed_to_a_scorer_that_asks_for_them(regressor):
    splits = [(np.arange(len(Y)), np.arange(len(Y)))]
    with config_context(enable_metadata_routing=True):
        scorer = make_distribution_scorer("neg_crps")
        scorer = scorer.set_score_request(sample_weight=True)
        scores = cross_validate(
            network().set_fit_request(sample_weight=False),
            X,
            Y,
            scoring=scorer,
            cv=splits,
            params={"sample_weight": WEIGHTS},
        )["test_score"]
    (score,) = scores
    assert_allclose(
        score, expected("neg_crps", regressor, Y, sample_weight=WEIGHTS), rtol=1e-6
    )


def test_a_search_chooses_by_the_predicted_distributions():
    scoring = {name: make_distribution_scorer(name) for name in DISTRIBUTION_SCORES}
    scoring["risk"] = make_uncertainty_scorer("neg_risk_at_coverage", coverage=0.5)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), network()),
        {"mcdropoutregressor__epochs": [1, 20]},
        scoring=scoring,
        refit="mean_log_density",
        cv=2,
        error_score="raise",
    ).fit(X, Y)
    assert search.best_params_ == {"mcdropoutregressor__epochs": 20}
    scaler, fitted = search.best_estimator_
    rows = scaler.transform(X)
    by_hand = fitted.predict_log_density(rows, Y).mean()
    scorer = make_distribution_scorer()
    for estimator in (search, search.best_estimator_):
        assert_allclose(scorer(estimator, X, Y), by_hand)
    assert (search.cv_results_["mean_test_risk"] < 0).all()


@pytest.mark.parametrize("measure", ["total_std", "epistemic_std", "aleatoric_std"])
def test_the_risk_of_a_regressor_is_the_squared_error(measure, regressor):
    unsure = regressor.predict_uncertainty(X, measure)
    given = Y, regressor.predict(X), unsure
    for score, kwargs in (
        ("aurc", {}),
        ("excess_aurc", {}),
        ("risk_at_coverage", {"coverage": 0.7}),
    ):
        scorer = make_uncertainty_scorer(f"neg_{score}", measure, **kwargs)
        value = -getattr(metrics, score)(*given, loss="squared_error", **kwargs)
        assert scorer(regressor, X, Y) == value


def test_the_total_uncertainty_is_scored_if_no_measure_is_named(regressor):
    named = make_uncertainty_scorer(measure="total_std")
    other = make_uncertainty_scorer(measure="epistemic_std")
    value = make_uncertainty_scorer()(regressor, X, Y)
    assert value == named(regressor, X, Y)
    assert value != other(regressor, X, Y)


def test_of_several_outputs_variances_are_averaged(regressor_of_two):
    means, stds = regressor_of_two.sample_predictions(X, return_std=True)
    variances = means.var(axis=0) + (stds**2).mean(axis=0)
    value = -metrics.aurc(
        TWO,
        regressor_of_two.predict(X),
        variances.mean(axis=1),
        loss="squared_error",
    )
    scorer = make_uncertainty_scorer()
    assert_allclose(scorer(regressor_of_two, X, TWO), value, rtol=1e-5)


@pytest.mark.parametrize("score", ["accuracy_at_coverage", "error_detection_auroc"])
def test_scores_of_labels_are_refused_for_values(score, regressor):
    scorer = make_uncertainty_scorer(score)
    message = rf"score must be one of .*neg_aurc.* for a regressor.*Got '{score}'"
    with pytest.raises(ValueError, match=message):
        scorer(regressor, X, Y)


def test_a_measure_of_labels_is_refused_for_values(regressor):
    scorer = make_uncertainty_scorer(measure="mutual_information")
    with pytest.raises(ValueError, match=r"measure must be one of .*'total_std'"):
        scorer(regressor, X, Y)


def test_scorers_can_be_copied_and_say_what_they_are(regressor):
    made = {
        "make_distribution_scorer('neg_interval_score', coverage=0.8)": (
            make_distribution_scorer("neg_interval_score", coverage=0.8)
        ),
        "make_distribution_scorer('mean_log_density')": make_distribution_scorer(),
        "make_uncertainty_scorer('neg_aurc', 'total_std')": make_uncertainty_scorer(
            measure="total_std"
        ),
    }
    for name, scorer in made.items():
        value = scorer(regressor, X, Y)
        for copy in (pickle.loads(pickle.dumps(scorer)), clone(scorer, safe=False)):
            assert repr(copy) == repr(scorer) == name
            assert copy(regressor, X, Y) == value


def test_a_distribution_scorer_goes_where_scorers_go(regressor):
    importances = permutation_importance(
        regressor,
        X,
        Y,
        scoring=make_distribution_scorer(),
        n_repeats=2,
        random_state=0,
    ).importances_mean
    assert_array_equal(np.argsort(importances)[-1], 3)  # 10 x, the steepest


def unnamed(**metadata):
    def call(regressor):
        return make_distribution_scorer("neg_quantile_calibration_error")(
            regressor, X, Y, **metadata
        )

    return call


BAD = {
    "score": (
        lambda _: make_distribution_scorer("crps"),
        r"score must be one of .*'neg_crps'.*Got 'crps' instead",
    ),
    "parameter": (
        lambda _: make_distribution_scorer("neg_crps", coverage=0.8),
        r"must be parameters of crps, of \['multioutput'\]. Got 'coverage' instead",
    ),
    "parameter of a risk": (
        lambda _: make_uncertainty_scorer("neg_aurc", covrage=0.8),
        r"must be parameters of aurc, of \['loss'\]. Got 'covrage' instead",
    ),
    "coverage": (
        lambda regressor: make_distribution_scorer("neg_interval_score", coverage=9)(
            regressor, X, Y
        ),
        r"coverage must .* range \(0, 1\). Got",
    ),
    "weights of shares": (unnamed(sample_weight=WEIGHTS), r"must get no metadata"),
    "estimator": (
        lambda _: make_distribution_scorer()(StandardScaler(), X, Y),
        r"must be an MCDropoutRegressor, or hold one.*Got StandardScaler",
    ),
    "measure": (
        lambda _: make_uncertainty_scorer(measure="epistemic"),
        r"Did you mean 'mutual_information' or 'epistemic_std'\?",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name, regressor):
    call, message = BAD[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call(regressor)


def test_classifiers_have_no_distribution_to_score(moons_classifier, moons):
    for score in DISTRIBUTION_SCORES:
        with pytest.raises(
            TypeError, match=r"must be an MCDropoutRegressor.*MCDropoutClass"
        ):
            make_distribution_scorer(score)(moons_classifier, *moons)

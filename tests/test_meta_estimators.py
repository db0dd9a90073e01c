"""Networks are found in any estimator, and what they say together is its own."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from lanes import fast
from numpy.testing import assert_allclose, assert_array_equal
from plain import PLAIN
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_classification, make_friedman1
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import RFE, SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC
from sklearn.utils.fixes import parse_version

from skmcdropout import (
    MCDropoutClassifier,
    MCDropoutRegressor,
    RejectingClassifier,
    metrics,
    predict_uncertainty,
    sample_predictions,
    sample_proba,
    uncertainty,
)
from skmcdropout._drawing.sampler import Sampler
from skmcdropout.metrics import make_distribution_scorer, make_uncertainty_scorer
from skmcdropout.metrics._scorers import judged

X, CODES = make_classification(
    90, 6, n_informative=4, n_classes=3, class_sep=0.6, random_state=0
)
# Neither numbers from 0 nor in the order of the rows.
Y = np.array(["wine", "beer", "tea"])[CODES]
X_REG, Y_REG = make_friedman1(90, noise=1.0, random_state=0)
Y_TWO = np.column_stack([Y_REG, 50 * np.cos(Y_REG)])

SMALL = {"epochs": 4, "n_samples": 10, "dropout_rate": 0.4, **PLAIN}
SMALL_REGRESSOR = {name: x for name, x in SMALL.items() if name != "temperature"}


def network(seed=0, **parameters):
    given = {"random_state": seed, **SMALL, **parameters}
    return MCDropoutClassifier((8,), **given)


def regressor(seed=0, **parameters):
    given = {"random_state": seed, **SMALL_REGRESSOR, **parameters}
    return MCDropoutRegressor((8,), **given)


def members(make, *, n=2, **parameters):
    return [(f"m{i}", make(i, **parameters)) for i in range(n)]


def piped(last):
    return Pipeline(
        [("scale", StandardScaler()), ("a", "passthrough"), ("b", None), ("last", last)]
    )


def searched(estimator, **grid):
    return GridSearchCV(estimator, grid, cv=2)


CLASSIFIERS = {
    "network": network,
    "pipeline": lambda: piped(network()),
    "nothing dropped": lambda: piped(network(n_samples=0)),
    "search": lambda: searched(piped(network()), last__alpha=[1, 2]),
    "random search": lambda: RandomizedSearchCV(
        network(), {"alpha": [1, 2]}, n_iter=1, cv=2
    ),
    "frozen": lambda: FrozenEstimator(piped(network()).fit(X, Y)),
    "rejecting": lambda: RejectingClassifier(piped(network()), coverage=0.8, cv=2),
    "features eliminated": lambda: RFE(
        searched(network(), alpha=[1.0]),
        n_features_to_select=4,
        step=2,
        importance_getter=lambda _: np.arange(6)[-6:],
    ),
    "last of a stack": lambda: StackingClassifier(
        [("linear", LogisticRegression())], network(), passthrough=True, cv=2
    ),
    "voting": lambda: VotingClassifier(members(network), voting="soft"),
    "weighted": lambda: VotingClassifier(
        [*members(network, n=3), ("gone", "drop")],
        voting="soft",
        weights=[0.6, 0.2, 0, 7],
    ),
    "of unequal draws": lambda: VotingClassifier(
        [("many", network(n_samples=12)), ("few", network(1, n_samples=8))],
        voting="soft",
    ),
    "with another kind": lambda: VotingClassifier(
        [("network", network()), ("linear", LogisticRegression())], voting="soft"
    ),
    "of frozen ones": lambda: VotingClassifier(
        [("a", FrozenEstimator(network().fit(X, Y))), ("b", network(1))],
        voting="soft",
    ),
    "deep ensemble": lambda: BaggingClassifier(
        network(), 3, bootstrap=False, random_state=0
    ),
    "of some features": lambda: BaggingClassifier(
        piped(network()),
        3,
        max_features=4,
        bootstrap_features=True,
        max_samples=0.8,
        random_state=0,
    ),
    "nested": lambda: VotingClassifier(
        [
            ("bag", BaggingClassifier(piped(network()), 2, random_state=0)),
            ("search", searched(piped(network(2)), last__n_samples=[10])),
            (
                "vote",
                make_pipeline(
                    SelectKBest(k=3),
                    VotingClassifier(members(network), voting="soft", weights=[1, 3]),
                ),
            ),
        ],
        voting="soft",
    ),
}
FAST = fast("pipeline", "weighted", "of some features", "nested", among=CLASSIFIERS)

MEASURES = list(uncertainty.MEASURES)


@pytest.fixture(scope="module")
def fitted():
    """Estimators by name, each fitted once."""
    cache = {}

    def get(kinds, name, *data):
        make = kinds[name]
        if make not in cache:
            cache[make] = make().fit(*data)
        return cache[make]

    return get


@pytest.mark.parametrize("name", FAST)
def test_the_mean_over_draws_is_the_probability_that_is_predicted(name, fitted):
    estimator = fitted(CLASSIFIERS, name, X, Y)
    draws = sample_proba(estimator, X)
    proba = estimator.predict_proba(X)
    assert draws.shape[1:] == proba.shape == (90, 3)
    assert_allclose(draws.mean(axis=0), proba, rtol=0, atol=1e-6)
    assert_allclose(draws.sum(axis=2), 1, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", FAST)
def test_measures_are_those_of_the_union_of_draws(name, fitted):
    estimator = fitted(CLASSIFIERS, name, X, Y)
    draws = sample_proba(estimator, X)
    found = predict_uncertainty(estimator, X, MEASURES)
    expected = [uncertainty.MEASURES[measure](draws) for measure in MEASURES]
    # The square root of a variance has half of the digits.
    atol = np.where(np.array(MEASURES) == "predictive_std", 1e-4, 1e-5)
    assert (abs(found - np.column_stack(expected)) <= atol).all()
    one = predict_uncertainty(estimator, X)
    assert_allclose(one, found[:, MEASURES.index("predictive_entropy")])


@pytest.mark.parametrize("name", FAST)
def test_labels_are_those_that_the_estimator_predicts(name, fitted):
    estimator = fitted(CLASSIFIERS, name, X, Y)
    labels, unsure = judged(estimator, X, "variation_ratio")
    assert_array_equal(labels, estimator.predict(X))
    assert_array_equal(unsure, predict_uncertainty(estimator, X, "variation_ratio"))


def test_draws_of_a_network_alone_are_its_own(fitted):
    estimator = fitted(CLASSIFIERS, "pipeline", X, Y)
    rows, last = estimator[0].transform(X), estimator[-1]
    assert_array_equal(sample_proba(estimator, X), last.sample_proba(rows))
    assert_array_equal(
        predict_uncertainty(estimator, X, MEASURES),
        last.predict_uncertainty(rows, MEASURES),
    )


def test_an_ensemble_has_the_draws_of_all_members(fitted):
    estimator = fitted(CLASSIFIERS, "weighted", X, Y)  # by 3 : 1 : 0
    one, other, _ = (member.sample_proba(X) for member in estimator.estimators_)
    draws = sample_proba(estimator, X)
    assert_array_equal(draws, [*one.repeat(3, axis=0), *other])


@pytest.mark.slow
def test_a_network_and_another_kind_have_each_its_share(fitted):
    estimator = fitted(CLASSIFIERS, "with another kind", X, Y)
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


def test_weights_that_would_repeat_draws_too_often_are_refused_but_measured(fitted):
    voting = fitted(CLASSIFIERS, "weighted", X, Y)
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


def test_frames_and_lists_go_the_way_that_they_go_in_a_prediction():
    names = [f"x{i}" for i in range(6)]
    frame = pd.DataFrame(X, columns=names)
    bag = BaggingClassifier(network(), 2, max_features=3, random_state=0).fit(frame, Y)
    assert_array_equal(sample_proba(bag, frame), sample_proba(bag, frame.iloc[:, :]))
    assert_allclose(
        sample_proba(bag, frame).mean(axis=0), bag.predict_proba(frame), atol=1e-6
    )
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
    estimator = CalibratedClassifierCV(piped(network()), method=method, cv=2)
    estimator.fit(X, Y)
    expected = []
    for calibrated in estimator.calibrated_classifiers_:
        scaler, *_, last = (step for _, step in calibrated.estimator.steps)
        for draw in last.sample_proba(scaler.transform(X)).astype(float):
            expected.append(calibrated_by_hand(calibrated, draw))
    draws = sample_proba(estimator, X)
    assert_allclose(draws, expected, atol=1e-5)
    assert abs(draws - draws[0]).max() > 0.01
    for measure in MEASURES:
        assert_allclose(
            predict_uncertainty(estimator, X, measure),
            uncertainty.MEASURES[measure](draws),
            atol=1e-4,
        )
    labels, _ = judged(estimator, X)
    assert_array_equal(labels, estimator.predict(X))


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


@pytest.mark.slow
def test_labels_of_a_calibrated_ensemble_are_its_own():
    ensemble = BaggingClassifier(network(), 2, bootstrap=False, random_state=0)
    estimator = CalibratedClassifierCV(ensemble, method="isotonic", cv=2).fit(X, Y)
    draws = sample_proba(estimator, X)
    assert draws.shape == (40, 90, 3)
    # The labels of the mean over calibrated draws are not all the same, which is why.
    of_draws = estimator.classes_[draws.mean(axis=0).argmax(axis=1)]
    assert (of_draws != estimator.predict(X)).any()
    assert_array_equal(judged(estimator, X)[0], estimator.predict(X))


@pytest.mark.parametrize(
    "make",
    fast(
        "fixed",
        among={
            "fixed": lambda: FixedThresholdClassifier(network(), threshold=0.9),
            "tuned": lambda: TunedThresholdClassifierCV(
                network(), scoring="recall", cv=2
            ),
        }.keys(),
    ),
)
def test_labels_by_a_threshold_are_those_of_the_threshold(make):
    kinds = {
        "fixed": FixedThresholdClassifier(network(), threshold=0.9),
        "tuned": TunedThresholdClassifierCV(network(), scoring="recall", cv=2),
    }
    estimator = kinds[make].fit(X, (CODES == 2).astype(int))
    labels, unsure = judged(estimator, X, "mutual_information")
    assert_array_equal(labels, estimator.predict(X))
    assert (labels != estimator.predict_proba(X).argmax(axis=1)).any()
    inner = estimator.estimator_
    assert_array_equal(unsure, inner.predict_uncertainty(X, "mutual_information"))


@pytest.mark.slow
def test_the_network_of_self_training_is_the_one_fitted_last():
    some = np.where(np.arange(90) % 3, CODES, -1)  # a third has no label
    estimator = SelfTrainingClassifier(piped(network()), threshold=0.5).fit(X, some)
    draws = sample_proba(estimator, X)
    assert_allclose(draws.mean(axis=0), estimator.predict_proba(X), atol=1e-6)
    assert_array_equal(judged(estimator, X)[0], estimator.predict(X))


def test_samplers_of_imbalanced_learn_are_left_out():
    pipeline = pytest.importorskip("imblearn.pipeline", reason="it is not installed")
    from imblearn.under_sampling import RandomUnderSampler

    estimator = pipeline.make_pipeline(
        StandardScaler(), RandomUnderSampler(random_state=0), network()
    ).fit(X, Y)
    draws = sample_proba(estimator, X)
    assert_array_equal(
        draws, estimator[-1].sample_proba(StandardScaler().fit(X).transform(X))
    )
    assert_allclose(draws.mean(axis=0), estimator.predict_proba(X), atol=1e-6)


@pytest.mark.slow
def test_a_balanced_bag_of_imbalanced_learn_is_an_ensemble():
    ensemble = pytest.importorskip("imblearn.ensemble", reason="it is not installed")
    estimator = ensemble.BalancedBaggingClassifier(network(), 2, random_state=0)
    draws = sample_proba(estimator.fit(X, Y), X)
    assert len(draws) == 20
    assert_allclose(draws.mean(axis=0), estimator.predict_proba(X), atol=1e-6)


def test_other_classifiers_have_the_measures_that_need_no_draws():
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    draws = estimator.predict_proba(X)[None]
    names = ["least_confidence", "predictive_entropy"]
    found = predict_uncertainty(estimator, X, names)
    expected = [uncertainty.MEASURES[name](draws) for name in names]
    assert_allclose(found, np.column_stack(expected))
    labels, _ = judged(estimator, X)
    assert_array_equal(labels, estimator.predict(X))
    scorer = make_uncertainty_scorer("neg_aurc", "least_confidence")
    value = -metrics.aurc(Y, labels, found[:, 0])
    assert_allclose(scorer(estimator, X, Y), value)


REGRESSORS = {
    "network": regressor,
    "pipeline": lambda: piped(regressor()),
    "nothing dropped": lambda: piped(regressor(n_samples=0)),
    "search": lambda: searched(piped(regressor()), last__alpha=[1, 2]),
    "frozen": lambda: FrozenEstimator(piped(regressor()).fit(X_REG, Y_REG)),
    "last of a stack": lambda: StackingRegressor(
        [("linear", Ridge())], regressor(), passthrough=True, cv=2
    ),
    "voting": lambda: VotingRegressor(members(regressor), weights=[2, 1]),
    "of unequal draws": lambda: VotingRegressor(
        [("many", regressor(n_samples=12)), ("few", regressor(1, n_samples=8))]
    ),
    "bag": lambda: BaggingRegressor(
        piped(regressor()), 3, max_features=5, random_state=0
    ),
    "scaled targets": lambda: TransformedTargetRegressor(
        piped(regressor()), transformer=MinMaxScaler(feature_range=(2, 1e3))
    ),
    "no transformer": lambda: TransformedTargetRegressor(regressor()),
    "nested": lambda: VotingRegressor(
        [
            ("bag", BaggingRegressor(regressor(), 2, random_state=0)),
            (
                "scaled",
                make_pipeline(
                    StandardScaler(),
                    TransformedTargetRegressor(
                        searched(regressor(1, noise="varying"), alpha=[1.0]),
                        transformer=RobustScaler(),
                    ),
                ),
            ),
        ]
    ),
}
FAST_REGRESSORS = fast("pipeline", "scaled targets", "nested", among=REGRESSORS)
STDS = list(uncertainty.REGRESSION_MEASURES)


@pytest.mark.parametrize("name", FAST_REGRESSORS)
def test_the_mean_over_draws_is_the_value_that_is_predicted(name, fitted):
    estimator = fitted(REGRESSORS, name, X_REG, Y_REG)
    means = sample_predictions(estimator, X_REG)
    assert means.shape[1:] == (90,)
    predicted = estimator.predict(X_REG)
    assert_allclose(means.mean(axis=0), predicted, rtol=1e-5)
    values, unsure = judged(estimator, X_REG)
    assert_allclose(values, predicted, rtol=1e-6)
    assert_allclose(unsure, predict_uncertainty(estimator, X_REG, "total_std"))


@pytest.mark.parametrize("name", FAST_REGRESSORS)
def test_standard_deviations_are_those_of_the_union_of_draws(name, fitted):
    estimator = fitted(REGRESSORS, name, X_REG, Y_REG)
    draws = sample_predictions(estimator, X_REG, return_std=True)
    found = predict_uncertainty(estimator, X_REG, STDS)
    expected = [uncertainty.REGRESSION_MEASURES[name](*draws) for name in STDS]
    assert_allclose(found, np.column_stack(expected), rtol=1e-4, atol=1e-5)


def test_draws_of_a_regressor_alone_are_its_own(fitted):
    estimator = fitted(REGRESSORS, "pipeline", X_REG, Y_REG)
    rows, last = estimator[0].transform(X_REG), estimator[-1]
    draws = sample_predictions(estimator, X_REG, return_std=True)
    own = last.sample_predictions(rows, return_std=True)
    for found, expected in zip(draws, own, strict=True):
        assert_array_equal(found, expected)
    assert_array_equal(
        predict_uncertainty(estimator, X_REG, STDS),
        last.predict_uncertainty(rows, STDS),
    )


@pytest.mark.parametrize(
    "scaler", [StandardScaler(), MinMaxScaler((2, 7)), MaxAbsScaler(), RobustScaler()]
)
def test_noise_comes_back_to_units_of_y_as_targets_do(scaler):
    estimator = TransformedTargetRegressor(
        regressor(n_samples=3, epochs=1), transformer=scaler
    ).fit(X_REG, Y_TWO)
    inner = estimator.regressor_.sample_predictions(X_REG, return_std=True)
    means, stds = sample_predictions(estimator, X_REG, return_std=True)
    ends = [
        [estimator.transformer_.inverse_transform(draw) for draw in inner[0] + sign]
        for sign in (-inner[1], inner[1])
    ]
    assert means.shape == stds.shape == (3, 90, 2)
    assert_allclose(means, (ends[0] + np.array(ends[1])) / 2, rtol=1e-5, atol=1e-5)
    assert_allclose(stds, (ends[1] - np.array(ends[0])) / 2, rtol=1e-4)


@pytest.mark.slow
def test_several_outputs_stay_several():
    bag = BaggingRegressor(piped(regressor()), 2, random_state=0).fit(X_REG, Y_TWO)
    draws = sample_predictions(bag, X_REG, return_std=True)
    assert draws[0].shape == (20, 90, 2)
    assert_allclose(draws[0].mean(axis=0), bag.predict(X_REG), rtol=1e-5)
    found = predict_uncertainty(bag, X_REG, STDS)
    assert found.shape == (90, 2, 3)
    for i, name in enumerate(STDS):
        expected = uncertainty.REGRESSION_MEASURES[name](*draws)
        assert_allclose(found[..., i], expected, rtol=1e-4)
    scorer = make_distribution_scorer()
    expected = metrics.mean_log_density(Y_TWO, *draws)
    assert_allclose(scorer(bag, X_REG, Y_TWO), expected, rtol=1e-6)


def test_distribution_scorers_score_an_ensemble_by_its_union_of_draws(fitted):
    estimator = fitted(REGRESSORS, "nested", X_REG, Y_REG)
    draws = sample_predictions(estimator, X_REG, return_std=True)

    def score(name, **kwargs):
        return make_distribution_scorer(name, **kwargs)(estimator, X_REG, Y_REG)

    assert_allclose(
        score("mean_log_density"), metrics.mean_log_density(Y_REG, *draws), rtol=1e-6
    )
    assert_allclose(score("neg_crps"), -metrics.crps(Y_REG, *draws), rtol=1e-6)
    assert_allclose(
        score("neg_quantile_calibration_error"),
        -metrics.quantile_calibration_error(Y_REG, *draws),
        rtol=1e-6,
    )
    # Quantiles of the mixture, from very many samples of it.
    rng = np.random.default_rng(0)
    samples = rng.normal(*(np.repeat(x, 3000, axis=0) for x in draws))
    ends = np.quantile(samples, [0.15, 0.85], axis=0)
    assert_allclose(
        score("neg_interval_score", coverage=0.7),
        -metrics.interval_score(Y_REG, *ends, coverage=0.7),
        rtol=0.01,
    )


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
    draws = sample_proba(ensemble, X)
    unsure = uncertainty.mutual_information(draws)
    expected = -metrics.aurc(Y, ensemble.predict(X), unsure)
    assert_allclose(scorer(search, X, Y), expected, rtol=1e-4)


@pytest.fixture
def n_drawn(monkeypatch):
    """Calls that draw, with the shape of what each one has returned."""
    calls, draw_table = [], Sampler.draw_table

    def counted(self, *args, **kwargs):
        drawn = draw_table(self, *args, **kwargs)
        calls.append(drawn[0].shape)
        return drawn

    monkeypatch.setattr(Sampler, "draw_table", counted)
    return calls


@pytest.mark.parametrize(("name", "n"), [("pipeline", 1), ("weighted", 2)])
def test_labels_and_measures_are_of_one_draw(name, n, fitted, n_drawn):
    estimator = fitted(CLASSIFIERS, name, X, Y)
    n_drawn.clear()
    make_uncertainty_scorer("neg_aurc", "mutual_information")(estimator, X, Y)
    assert len(n_drawn) == n


@pytest.mark.parametrize(("name", "n"), [("pipeline", 1), ("nested", 3)])
def test_values_and_measures_are_of_one_draw(name, n, fitted, n_drawn):
    estimator = fitted(REGRESSORS, name, X_REG, Y_REG)
    for score in (
        make_uncertainty_scorer(),
        make_distribution_scorer(),
        make_distribution_scorer("neg_interval_score"),
        make_distribution_scorer("neg_crps"),
    ):
        n_drawn.clear()
        score(estimator, X_REG, Y_REG)
        assert len(n_drawn) == n


def test_few_draws_are_in_memory_at_once(fitted, n_drawn, monkeypatch):
    estimator = fitted(CLASSIFIERS, "nested", X, Y)
    at_once = predict_uncertainty(estimator, X, MEASURES)
    assert max(np.prod(shape) for shape in n_drawn) == 10 * 90 * 3
    n_drawn.clear()
    monkeypatch.setattr("skmcdropout._classifier.BLOCK_VALUES", 10 * 3 * 20)
    in_blocks = predict_uncertainty(estimator, X, MEASURES)
    assert_allclose(in_blocks, at_once, atol=1e-5)
    assert max(np.prod(shape) for shape in n_drawn) == 10 * 20 * 3


def test_few_draws_of_values_are_in_memory_at_once(fitted, n_drawn, monkeypatch):
    estimator = fitted(REGRESSORS, "nested", X_REG, Y_REG)
    score = make_distribution_scorer()
    at_once = score(estimator, X_REG, Y_REG)
    n_drawn.clear()
    where = "skmcdropout._meta_estimators.regressors.BLOCK_VALUES"
    monkeypatch.setattr(where, 1000)
    assert_allclose(score(estimator, X_REG, Y_REG), at_once, rtol=1e-6)
    # Of 40 draws, as half of the vote is one network's: at most 25 rows.
    assert max(shape[1] for shape in n_drawn) <= 25


def hard(kinds):
    return VotingClassifier(kinds, voting="hard").fit(X, Y)


def of_targets(**how):
    return TransformedTargetRegressor(regressor(epochs=1), **how).fit(X_REG, Y_REG)


REFUSED = {
    "other measures": (
        lambda: predict_uncertainty(
            LogisticRegression().fit(X, Y), X, "mutual_information"
        ),
        ValueError,
        r"measure must be one of \['predictive_entropy', 'least_confidence'\] for a "
        r"classifier without.*Got 'mutual_information' for LogisticRegression\(\)",
    ),
    "draws of others": (
        lambda: sample_proba(LogisticRegression().fit(X, Y), X),
        TypeError,
        r"estimator must be an MCDropoutClassifier.*Got LogisticRegression\(\)",
    ),
    "no probabilities": (
        lambda: predict_uncertainty(LinearSVC().fit(X, Y), X),
        TypeError,
        r"must be a classifier with predict_proba.*Got LinearSVC\(\)",
    ),
    "no estimator of labels": (
        lambda: predict_uncertainty(StandardScaler().fit(X), X),
        TypeError,
        r"must be a classifier with predict_proba.*Got StandardScaler\(\)",
    ),
    "no estimator": (
        lambda: predict_uncertainty("network", X),
        TypeError,
        "network is not an estimator instance",
    ),
    "several labels a row": (
        lambda: predict_uncertainty(
            MultiOutputClassifier(LogisticRegression()).fit(
                X, np.column_stack([CODES, CODES])
            ),
            X,
        ),
        TypeError,
        "must be a classifier of one label a row",
    ),
    "hard voting": (
        lambda: predict_uncertainty(hard(members(network, epochs=1)), X),
        ValueError,
        r"voting must be 'soft'.*Got 'hard'",
    ),
    "hard voting of others": (
        lambda: predict_uncertainty(hard([("a", LogisticRegression())]), X),
        TypeError,
        r"must be a classifier with predict_proba.*Got VotingClassifier",
    ),
    "negative weights": (
        lambda: predict_uncertainty(
            VotingClassifier(
                members(network, epochs=1), voting="soft", weights=[2, -1]
            ).fit(X, Y),
            X,
        ),
        ValueError,
        r"weights must be at least 0. Got \[2, -1\]",
    ),
    "not fitted": (
        lambda: predict_uncertainty(piped(network()), X),
        NotFittedError,
        "is not fitted yet",
    ),
    "a measure that does not exist": (
        lambda: predict_uncertainty(piped(network(epochs=1)).fit(X, Y), X, "entropy"),
        ValueError,
        r"measure must be one of \['expected_entropy'.*Got 'entropy'",
    ),
    "a measure of labels": (
        lambda: predict_uncertainty(of_targets(), X_REG, "predictive_entropy"),
        ValueError,
        r"measure must be one of \['aleatoric_std'.*Got 'predictive_entropy'",
    ),
    "values as classes": (
        lambda: sample_proba(of_targets(), X_REG),
        TypeError,
        "must be an MCDropoutClassifier, or hold one",
    ),
    "classes as values": (
        lambda: sample_predictions(network(epochs=1).fit(X, Y), X),
        TypeError,
        r"must be an MCDropoutRegressor, or hold one.*Got MCDropoutClassifier",
    ),
    "values of others": (
        lambda: predict_uncertainty(Ridge().fit(X_REG, Y_REG), X_REG),
        TypeError,
        r"must be an MCDropoutRegressor.*Got Ridge\(\)",
    ),
    "values of others in an ensemble": (
        lambda: predict_uncertainty(
            VotingRegressor([("a", regressor(epochs=1)), ("b", Ridge())]).fit(
                X_REG, Y_REG
            ),
            X_REG,
        ),
        TypeError,
        r"hold nothing but such ones. Got Ridge\(\) in VotingRegressor",
    ),
    "a function of targets": (
        lambda: predict_uncertainty(
            of_targets(func=np.log1p, inverse_func=np.expm1), X_REG
        ),
        ValueError,
        "transformer must be one of StandardScaler, .*Got TransformedTargetRegressor",
    ),
    "quantiles of targets": (
        lambda: sample_predictions(
            of_targets(transformer=QuantileTransformer(n_quantiles=10)), X_REG
        ),
        ValueError,
        "transformer must be one of StandardScaler",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_uncertainty_is_refused_in_words(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()

"""`RejectingClassifier`: promises, classes, scores, metadata and callbacks.

Most tests need no network: the first column of X is how uncertain a row is, and the
second the label that is predicted.
"""

import warnings

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score, get_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    RepeatedStratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.fixes import parse_version

from skmcdropout import MCDropoutClassifier, RejectingClassifier
from skmcdropout.metrics import threshold_at_risk

HAS_CALLBACKS = parse_version(sklearn.__version__) >= parse_version("1.9")
needs_callbacks = pytest.mark.skipif(
    not HAS_CALLBACKS, reason="scikit-learn has callbacks from version 1.9 on"
)


class Oracle(ClassifierMixin, BaseEstimator):
    """Predicts column 1, as uncertain as column 0 says; remembers its fits."""

    fits = []

    def __init__(self, sign=1):
        self.sign = sign

    def fit(self, X, y, sample_weight=None, note=None):
        self.classes_ = np.unique(y)
        self.fits.append((len(X), sample_weight, note))
        return self

    def predict(self, X):
        return self.classes_[np.asarray(X)[:, 1].astype(int)]

    def predict_uncertainty(self, X, measure):
        return self.sign * np.asarray(X)[:, 0]


def rows(n_rows=900, n_classes=2, seed=0, slope=0.3):
    """Rows that are wrong at a rate of `slope` times their uncertainty."""
    rng = np.random.RandomState(seed)
    y = rng.randint(n_classes, size=n_rows)
    uncertainty = rng.uniform(size=n_rows)
    is_wrong = rng.uniform(size=n_rows) < slope * uncertainty
    predicted = np.where(is_wrong, (y + 1) % n_classes, y)
    return np.column_stack([uncertainty, predicted]), y


def prefit(X, y, **params):
    return RejectingClassifier(Oracle().fit(X, y), cv="prefit", **params)


@pytest.mark.parametrize("confidence", [0.8, 0.99])
@pytest.mark.parametrize("cv", [None, "prefit"])
def test_the_threshold_is_that_of_rows_held_out(cv, confidence):
    X, y = rows()
    fitted = RejectingClassifier(
        Oracle().fit(X, y), max_risk=0.1, confidence=confidence, cv=cv
    ).fit(X, y)
    expected = threshold_at_risk(y, X[:, 1], X[:, 0], 0.1, confidence=confidence)
    assert fitted.threshold_ == expected
    accepted = X[:, 0] <= expected
    assert_array_equal(fitted.accept(X), accepted)
    assert_allclose(fitted.coverage_, accepted.mean())
    assert_allclose(fitted.risk_, (X[:, 1] != y)[accepted].mean())
    assert fitted.risk_ < 0.1


def test_of_fifty_promises_hardly_one_is_broken():
    """The risk at a threshold t is 0.1 t: more than 8 % above 0.8."""
    thresholds = []
    for seed in range(50):
        X, y = rows(seed=seed, slope=0.2)
        try:
            thresholds.append(prefit(X, y, max_risk=0.08).fit(X, y).threshold_)
        except ValueError:  # which is no promise
            thresholds.append(0)
    assert np.mean(np.array(thresholds) > 0.8) <= 0.12
    assert np.mean(thresholds) > 0.45


@pytest.mark.parametrize("wanted", [{"max_risk": 0.15}, {"coverage": 0.6}], ids=str)
def test_classes_have_their_own_thresholds(wanted):
    X, y = rows(3000, n_classes=3)
    X[X[:, 1] == 2, 0] += 0.5  # a class that is always less certain
    fitted = prefit(X, y, per_class=True, **wanted).fit(X, y)
    accepted = fitted.accept(X)
    for label in range(3):
        of_class = X[:, 1] == label
        is_wrong = (X[:, 1] != y)[of_class]
        unsure, taken = X[of_class, 0], accepted[of_class]
        if "coverage" in wanted:
            assert_allclose(taken.mean(), 0.6, atol=1 / len(taken))
        else:
            confidence = 1 - 0.05 / 3
            threshold = threshold_at_risk(
                is_wrong * 0, is_wrong * 1, unsure, 0.15, confidence=confidence
            )
            assert fitted.threshold_[label] == threshold
        assert_array_equal(taken, unsure <= fitted.threshold_[label])
        assert_allclose(fitted.coverage_[label], taken.mean())
        assert_allclose(fitted.risk_[label], is_wrong[taken].mean())


def test_of_a_class_that_nothing_is_promised_of_all_rows_are_rejected():
    X, y = rows(1000, n_classes=3)
    y[X[:, 1] == 1] = np.random.RandomState(0).randint(3, size=(X[:, 1] == 1).sum())
    classifier = prefit(X, y, max_risk=0.15, per_class=True)
    with pytest.warns(UserWarning, match=r"these classes will be rejected\. 1: max_r"):
        fitted = classifier.fit(X, y)
    assert fitted.threshold_[1] == -np.inf
    assert fitted.coverage_[1] == 0
    assert np.isnan(fitted.risk_[1])
    accepted = fitted.accept(X)
    assert not accepted[X[:, 1] == 1].any()
    assert accepted[X[:, 1] != 1].mean() > 0.2


def test_a_class_that_is_never_predicted_is_rejected_and_named():
    X, y = rows(400, n_classes=3)
    X[X[:, 1] == 2, 1] = 0
    with pytest.warns(UserWarning, match="2: no row is predicted to be of it"):
        fitted = prefit(X, y, coverage=0.5, per_class=True).fit(X, y)
    assert fitted.threshold_[2] == -np.inf


def test_where_no_class_can_be_promised_fit_fails():
    X, y = rows(300)
    with pytest.raises(ValueError, match=r"per_class must leave a class.* at least"):
        prefit(X, y, max_risk=0.001, per_class=True).fit(X, y)
    with pytest.raises(ValueError, match=r"max_risk must be a risk.*there are 300 row"):
        prefit(X, y, max_risk=0.001).fit(X, y)


@pytest.mark.parametrize("reject_label", [None, -1, "unsure", np.nan, (1, 2), [], ()])
def test_the_score_is_the_accuracy_among_accepted_rows(reject_label):
    X, y = rows()
    weights = np.random.RandomState(1).uniform(size=len(y))
    fitted = prefit(X, y, coverage=0.5, reject_label=reject_label).fit(X, y)
    accepted = X[:, 0] <= np.median(X[:, 0])
    right = (X[:, 1] == y)[accepted]
    assert_allclose(fitted.score(X, y), right.mean(), atol=1e-3)
    found = fitted.score(X, y, sample_weight=weights)
    expected = accuracy_score(
        y[accepted], X[accepted, 1], sample_weight=weights[accepted]
    )
    assert_allclose(found, expected, atol=1e-3)


def test_a_search_over_estimators_finds_the_uncertainty_that_finds_errors():
    X, y = rows(600, slope=0.6)
    search = GridSearchCV(
        RejectingClassifier(Oracle(), coverage=0.5, cv=2, reject_label="unsure"),
        {"estimator__sign": [-1, 1]},
        cv=2,
    ).fit(X, y)
    assert search.best_params_ == {"estimator__sign": 1}


@pytest.mark.parametrize("weights", [None, "zero where accepted"])
def test_no_accepted_row_has_no_accuracy(weights):
    X, y = rows()
    fitted = prefit(X, y, coverage=0.5).fit(X, y)
    if weights is None:
        X = X + np.array([10, 0])
    else:
        weights = 1.0 - fitted.accept(X)
    with pytest.warns(UndefinedMetricWarning, match="no row is accepted"):
        assert np.isnan(fitted.score(X, y, weights))


@pytest.mark.parametrize(
    ("labels", "reject_label", "kind"),
    [
        ([0, 1], -1, "i"),
        ([0, 1], 10**12, "i"),
        (["a", "b"], "unsure", "U"),
        ([0, 1], "unsure", "O"),
        ([0, 1], np.nan, "O"),
        ([False, True], -1, "O"),
        (["a", "b"], ["ask", "Anna"], "O"),
        ([0, 1], (1, 2, 3), "O"),
    ],
)
def test_rejected_rows_get_any_label(labels, reject_label, kind):
    X, y = rows()
    y = np.array(labels)[y]
    fitted = prefit(X, y, coverage=0.5, reject_label=reject_label).fit(X, y)
    predicted, accepted = fitted.predict(X, return_accepted=True)
    assert predicted.shape == y.shape
    assert predicted.dtype.kind == kind
    assert_array_equal(accepted, fitted.accept(X))
    expected = np.array(labels)[X[:, 1].astype(int)]
    assert predicted[accepted].tolist() == expected[accepted].tolist()
    assert {str(label) for label in predicted[~accepted].tolist()} == {
        str(reject_label)
    }


def test_what_is_accepted_comes_through_a_pipeline():
    X, y = rows()
    inner = RejectingClassifier(Oracle(), coverage=0.7)
    pipeline = make_pipeline(FunctionTransformer(), inner).fit(X, y)
    labels, accepted = pipeline.predict(X, return_accepted=True)
    assert_array_equal(labels, X[:, 1])
    assert_array_equal(accepted, pipeline[-1].accept(X))
    assert_allclose(accepted.mean(), 0.7, atol=0.01)


@pytest.mark.parametrize("measure", ["mutual_information", "predictive_std"])
def test_a_measure_of_draws_where_nothing_is_drawn_is_refused(moons, measure):
    network = MCDropoutClassifier((8,), epochs=1, n_samples=0, random_state=0)
    for cv in (2, "prefit"):
        fitted = network.fit(*moons)
        rejecting = RejectingClassifier(fitted, measure=measure, cv=cv)
        with pytest.raises(ValueError, match=rf"measure must differ.*Got '{measure}'"):
            rejecting.fit(*moons)
    RejectingClassifier(fitted, cv="prefit").fit(*moons)


def test_rows_without_weight_do_not_count():
    X, y = rows(1200)
    weights = np.where(np.arange(len(y)) % 3, 2.0, 0.0)
    for cv in ("prefit", 3):
        fitted = RejectingClassifier(Oracle().fit(X, y), max_risk=0.1, cv=cv)
        kept = weights > 0
        expected = clone(fitted.set_params(cv="prefit")) if cv == 3 else fitted
        expected.set_params(estimator=Oracle().fit(X, y)).fit(X[kept], y[kept])
        threshold = expected.threshold_
        assert fitted.set_params(cv=cv).fit(X, y, weights).threshold_ == threshold
        assert fitted.fit(X, y).threshold_ != threshold


def test_groups_go_to_the_splits_and_other_parameters_to_the_fits():
    X, y = rows(400)
    groups = np.repeat(np.arange(40), 10)
    notes = np.arange(400)
    Oracle.fits.clear()
    RejectingClassifier(Oracle(), cv=GroupKFold(4)).fit(X, y, groups=groups, note=notes)
    assert [n for n, _, _ in Oracle.fits] == [300, 300, 300, 300, 400]
    for _, _, note in Oracle.fits[:4]:
        held = np.setdiff1d(notes, note)
        assert not set(groups[held]) & set(groups[note])


def test_without_groups_a_splitter_of_groups_says_so():
    with pytest.raises(ValueError, match="groups"):
        RejectingClassifier(Oracle(), cv=GroupKFold(4)).fit(*rows())


def test_parameters_of_a_fit_that_there_is_not_are_refused():
    X, y = rows()
    with pytest.raises(ValueError, match=r"cv='prefit' must get no.* Got \['note'\]"):
        prefit(X, y).fit(X, y, note=1)


def test_rows_held_out_twice_choose_a_coverage_but_promise_nothing():
    X, y = rows()
    twice = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    fitted = RejectingClassifier(Oracle(), coverage=0.5, cv=twice).fit(X, y)
    assert_allclose(fitted.coverage_, 0.5, atol=0.01)
    with pytest.raises(ValueError, match=r"cv must hold out each row once at most"):
        fitted.set_params(coverage=None, max_risk=0.1).fit(X, y)


def test_with_metadata_routing_each_gets_what_it_requests():
    X, y = rows(300)
    groups, weights = np.repeat(np.arange(30), 10), np.linspace(1, 2, 300)
    Oracle.fits.clear()
    with sklearn.config_context(enable_metadata_routing=True):
        rejecting = RejectingClassifier(
            Oracle().set_fit_request(sample_weight=True, note=False),
            cv=GroupKFold(3),
            coverage=0.5,
        )
        rejecting.fit(X, y, sample_weight=weights, groups=groups)
        assert [len(weight) for _, weight, _ in Oracle.fits] == [200, 200, 200, 300]
        rejecting.set_fit_request(sample_weight=True)
        rejecting.set_score_request(sample_weight=True)
        found = cross_val_score(
            rejecting, X, y, cv=2, params={"sample_weight": weights, "groups": groups}
        )
        accuracy = get_scorer("accuracy").set_score_request(sample_weight=False)
        plain = cross_val_score(
            rejecting, X, y, cv=2, scoring=accuracy,
            params={"sample_weight": weights, "groups": groups},
        )  # fmt: skip
    assert (found > plain).all()  # among accepted rows
    assert all(len(weight) == n for n, weight, _ in Oracle.fits)


def test_with_metadata_routing_what_nobody_requests_is_refused():
    X, y = rows()
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(TypeError, match="note"),
    ):
        RejectingClassifier(Oracle(), cv=2).fit(X, y, notes=1)


class Recorder:
    """A callback that goes on to inner fits and notes who begins and ends what."""

    max_propagation_depth = None

    def __init__(self):
        self.events = []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append((type(estimator).__name__, "begin", context.task_name))

    def on_fit_task_end(self, estimator, context):
        self.events.append((type(estimator).__name__, "end", context.task_name))


def network(**params):
    return MCDropoutClassifier((5,), epochs=2, n_samples=5, random_state=0, **params)


@needs_callbacks
def test_callbacks_see_the_epochs_of_all_inner_fits(moons):
    recorder = Recorder()
    rejecting = RejectingClassifier(network(), cv=2).set_callbacks(recorder)
    rejecting.fit(*moons)
    events = recorder.events
    assert events[:2] == ["setup", ("RejectingClassifier", "begin", "fit")]
    assert events[-2:] == [("RejectingClassifier", "end", "fit"), "teardown"]
    assert events.count(("MCDropoutClassifier", "end", "epoch")) == 3 * 2
    assert events.count(("MCDropoutClassifier", "begin", "fit")) == 3
    plain = RejectingClassifier(network(), cv=2).fit(*moons)
    assert rejecting.threshold_ == plain.threshold_
    unfitted = clone(rejecting).set_callbacks(recorder)
    assert set(vars(rejecting)) == {*vars(plain), *vars(unfitted)}


@needs_callbacks
def test_callbacks_of_a_pipeline_reach_the_inner_fits(moons):
    recorder = Recorder()
    rejecting = RejectingClassifier(network(), cv=2)
    make_pipeline(StandardScaler(), rejecting).set_callbacks(recorder).fit(*moons)
    assert recorder.events.count(("MCDropoutClassifier", "end", "epoch")) == 3 * 2
    assert vars(rejecting).keys() == vars(clone(rejecting).fit(*moons)).keys()


@needs_callbacks
def test_a_fit_that_fails_tells_of_its_end_and_leaves_what_was(moons):
    recorder = Recorder()
    rejecting = RejectingClassifier(network(), cv=2).fit(*moons)
    before = dict(vars(rejecting))
    rejecting.set_callbacks(recorder).set_params(coverage=None, max_risk=1e-6)
    with pytest.raises(ValueError, match="max_risk must be a risk"):
        rejecting.fit(*moons)
    assert recorder.events[-1] == "teardown"
    assert rejecting.threshold_ == before["threshold_"]


@needs_callbacks
def test_what_is_fitted_already_has_a_callback_for_the_threshold_alone():
    recorder = Recorder()
    X, y = rows()
    prefit(X, y).set_callbacks(recorder).fit(X, y)
    kind = "RejectingClassifier"
    assert recorder.events == [
        "setup",
        (kind, "begin", "fit"),
        (kind, "end", "fit"),
        "teardown",
    ]


@pytest.mark.slow
@needs_callbacks
def test_a_progress_bar_goes_on_to_fits_in_other_processes(moons, capsys):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich", reason="the bar is drawn by rich")
    bar = callback.ProgressBar(max_propagation_depth=None)
    rejecting = RejectingClassifier(network(), cv=2, n_jobs=2).set_callbacks(bar)
    rejecting.fit(*moons)
    assert "MCDropoutClassifier" in capsys.readouterr().out
    plain = RejectingClassifier(network(), cv=2).fit(*moons)
    assert rejecting.threshold_ == plain.threshold_


def test_the_draws_of_labels_and_of_the_threshold_are_made_once(moons, draw_calls):
    fitted = RejectingClassifier(network(), cv=2, reject_label=-1).fit(*moons)
    for method in (fitted.predict, fitted.accept, lambda X: fitted.score(X, moons[1])):
        draw_calls.clear()
        method(moons[0])
        assert len(draw_calls) == 1


def test_no_warning_where_all_is_well():
    X, y = rows()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prefit(X, y, max_risk=0.1).fit(X, y).score(X, y)

"""What is told and shown while a fit or a prediction goes on."""

import inside
import keras
import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from skmcdropout import (
    MCDropoutClassifier,
    MCDropoutRegressor,
    RejectingClassifier,
)
from skmcdropout.metrics import make_uncertainty_scorer

HAS_CALLBACKS = parse_version(sklearn.__version__) >= parse_version("1.9")
needs_callbacks = pytest.mark.skipif(
    not HAS_CALLBACKS, reason="scikit-learn has callbacks from version 1.9 on"
)


class Recorder:
    """A callback that notes the tasks; it asks for `n_epochs` at most."""

    def __init__(self, n_epochs=1000):
        self.n_epochs = n_epochs
        self.events = []
        self.fitted = []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.events.append(("end", context.task_name, context.task_id))
        self.fitted.append(fitted_estimator)
        return context.task_name == "epoch" and context.task_id + 1 >= self.n_epochs


class Planned(Recorder):
    """Notes also how many epochs there are to be."""

    def on_fit_task_begin(self, estimator, context):
        super().on_fit_task_begin(estimator, context)
        if context.task_name == "fit":
            self.planned = context.max_subtasks


def network(**params):
    return MCDropoutClassifier((10,), n_samples=10, random_state=0, **params)


def build(meta, dropout_rate):
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dropout(dropout_rate),
            keras.layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


def epochs_told(recorder):
    return sum(event[:2] == ("end", "epoch") for event in recorder.events)


@needs_callbacks
def test_epochs_are_subtasks_of_the_fit(moons):
    recorder = Recorder()
    network(epochs=2).set_callbacks(recorder).fit(*moons)
    assert recorder.events == [
        "setup",
        ("begin", "fit", 0),
        ("begin", "epoch", 0),
        ("end", "epoch", 0),
        ("begin", "epoch", 1),
        ("end", "epoch", 1),
        ("end", "fit", 0),
        "teardown",
    ]


@pytest.mark.slow
@needs_callbacks
@pytest.mark.parametrize("params", [{}, {"model": build}], ids=["mlp", "model"])
def test_a_callback_sees_the_classifier_as_if_fit_had_ended_there(moons, params):
    given = {"random_state": 0, "n_samples": 10, "learning_rate_schedule": "constant"}
    clf = MCDropoutClassifier(**given, **params)
    if not params:  # that of the whole fit is found after the last epoch
        clf.set_params(temperature=1.0)
    recorder = Recorder()
    clone(clf).set_params(epochs=3).set_callbacks(recorder).fit(*moons)
    for n_epochs, seen in zip((1, 2, 3), recorder.fitted, strict=False):
        expected = clone(clf).set_params(epochs=n_epochs).fit(*moons)
        assert_allclose(
            seen.predict_proba(moons[0]), expected.predict_proba(moons[0]), atol=1e-6
        )
        assert seen.n_iter_ == n_epochs
        assert seen.history_ == expected.history_


@needs_callbacks
def test_what_callbacks_see_changes_nothing(moons, moons_classifier):
    watched = clone(moons_classifier).set_callbacks(Recorder()).fit(*moons)
    assert_array_equal(
        watched.predict_proba(moons[0]), moons_classifier.predict_proba(moons[0])
    )
    assert watched.history_ == moons_classifier.history_
    assert set(vars(watched)) == {*vars(moons_classifier), "_skl_callbacks"}


@needs_callbacks
def test_a_callback_can_stop_training(moons):
    recorder = Recorder(n_epochs=3)
    given = {"learning_rate_schedule": "constant", "temperature": 1.0}
    stopped = network(epochs=10, **given).set_callbacks(recorder).fit(*moons)
    assert stopped.n_iter_ == epochs_told(recorder) == 3
    assert_array_equal(
        stopped.predict_proba(moons[0]),
        network(epochs=3, **given).fit(*moons).predict_proba(moons[0]),
    )


@needs_callbacks
def test_early_stopping_tells_of_the_epochs_there_were(moons):
    recorder = Recorder()
    clf = network(epochs=200, early_stopping=True, n_iter_no_change=2)
    clf.set_params(learning_rate=0.1).set_callbacks(recorder).fit(*moons)
    assert epochs_told(recorder) == clf.n_iter_ < 200


@needs_callbacks
def test_a_fit_that_fails_tells_of_its_end(moons):
    recorder = Recorder()
    clf = network(epochs=2).set_callbacks(recorder)
    before = dict(vars(clf))
    with pytest.raises(ValueError, match="NaN"):  # before it begins
        clf.fit(np.full((20, 2), np.nan), moons[1][:20])
    assert recorder.events == []
    assert vars(clf) == before
    clf.set_params(learning_rate=1e30)
    with pytest.raises(ValueError, match="loss became"):
        clf.fit(*moons)
    assert recorder.events[-1] == "teardown"
    assert vars(clf) == {**before, "learning_rate": 1e30}


@needs_callbacks
def test_partial_fit_is_told_too(moons):
    recorder = Recorder()
    clf = network().set_callbacks(recorder)
    clf.partial_fit(*moons, classes=[0, 1]).partial_fit(*moons)
    assert epochs_told(recorder) == 2
    assert recorder.events.count("teardown") == 2
    assert [seen.n_iter_ for seen in recorder.fitted] == [1, 1, 2, 2]


@needs_callbacks
def test_a_scoring_monitor_scores_each_epoch_with_the_weights_of_the_fit(moons):
    from sklearn.callback import ScoringMonitor

    X, y = moons
    weights = np.random.RandomState(0).uniform(size=len(y))
    monitor = ScoringMonitor(scoring="accuracy")
    given = {"learning_rate_schedule": "constant", "temperature": 1.0}
    clf = network(epochs=3, **given).set_callbacks(monitor)
    clf.fit(X, y, sample_weight=weights)
    *scores, last = (
        row["accuracy"]
        for row in sorted(
            monitor.get_logs().data, key=lambda row: row["task_name"] == "fit"
        )
    )
    expected = [
        network(epochs=i, **given).fit(X, y, weights).score(X, y, weights)
        for i in (1, 2, 3)
    ]
    assert_allclose(scores, expected)
    assert last == clf.score(X, y, weights)


@pytest.mark.slow
@needs_callbacks
def test_a_progress_bar_shows_epochs_within_a_search_over_pipelines(moons, capsys):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich", reason="the bar is drawn by rich")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), network(epochs=2)),
        {"mcdropoutclassifier__dropout_rate": [0.1, 0.3]},
        cv=2,
    )
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(*moons)
    lines = [
        line for line in capsys.readouterr().out.splitlines() if "MCDropout" in line
    ]
    assert len(lines) >= 5  # four fits and the last one
    assert all("100%" in line or "10…" in line for line in lines[-5:])


@needs_callbacks
def test_a_progress_bar_leaves_the_memory_at_work_and_others_do_not(
    moons, tmp_path, trainings
):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich", reason="the bar is drawn by rich")
    for callbacks, n_fits in [
        ([], 1),
        ([callback.ProgressBar()], 1),
        ([Recorder()], 2),
    ]:
        clf = network(epochs=2, temperature=1.0, memory=str(tmp_path))
        clf.set_callbacks(*callbacks).fit(*moons)
        assert len(trainings) == n_fits


class Losing:
    """A memory that keeps nothing of what it was given."""

    def __init__(self):
        self.n_asked = 0

    def cache(self, function, **kwargs):
        def lost(*args):
            self.n_asked += 1
            function(*args)

        return lost


@needs_callbacks
def test_what_the_memory_lost_is_trained_and_told_once(moons, trainings, capsys):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich", reason="the bar is drawn by rich")
    clf = network(epochs=2, temperature=1.0, memory=Losing())
    fitted = clf.set_callbacks(callback.ProgressBar()).fit(*moons)
    assert fitted.n_iter_ == 2
    assert (len(trainings), clf.memory.n_asked) == (1, 1)
    shown = capsys.readouterr().out
    assert shown.count("100%") == 1


@pytest.mark.slow
@needs_callbacks
def test_code_in_the_network_may_be_run_for_callbacks(moons):
    def with_code(meta, dropout_rate):
        net = build(meta, dropout_rate)
        return keras.Sequential(
            [net.inputs[0], keras.layers.Lambda(lambda x: 2 * x), *net.layers]
        )

    recorder = Recorder()
    clf = MCDropoutClassifier(model=with_code, epochs=2, random_state=0)
    clf.set_callbacks(recorder).fit(*moons)
    for seen in recorder.fitted[1:]:  # the last epoch and the fit
        assert_array_equal(seen.predict_proba(moons[0]), clf.predict_proba(moons[0]))


@needs_callbacks
def test_a_callback_that_fails_at_the_end_leaves_the_classifier_as_it_was(moons):
    class Failing(Recorder):
        def on_fit_task_end(self, estimator, context):
            if context.task_name == "fit":
                raise RuntimeError("the disk is full")

    clf = network(epochs=1).set_callbacks(Failing())
    before = dict(vars(clf))
    with pytest.raises(RuntimeError, match="disk"):
        clf.fit(*moons)
    assert vars(clf) == before


@pytest.mark.slow
@needs_callbacks
def test_a_scoring_monitor_takes_scores_of_uncertainty(moons):
    from sklearn.callback import ScoringMonitor

    X, y = moons
    scorer = make_uncertainty_scorer("neg_aurc", "mutual_information")
    monitor = ScoringMonitor(scoring=scorer)
    clf = network(epochs=2).set_callbacks(monitor)
    clf.fit(X, y, sample_weight=np.linspace(1, 2, len(y)))
    assert len(monitor.get_logs().data) == 3
    scores = [row["score"] for row in monitor.get_logs().data]
    assert_allclose(scores[0], scorer(clf, X, y))


@pytest.mark.skipif(HAS_CALLBACKS, reason="scikit-learn has callbacks")
def test_without_callbacks_in_scikit_learn_they_are_refused_and_fit_works(moons):
    clf = network(epochs=1)
    with pytest.raises(NotImplementedError, match=r"needs scikit-learn 1\.9 or newer"):
        clf.set_callbacks(Recorder())
    assert clf.fit(*moons).n_iter_ == 1


@pytest.mark.parametrize(
    "params", [{}, pytest.param({"model": build}, marks=pytest.mark.slow)]
)
def test_long_predictions_show_a_bar_over_rows(moons, params, monkeypatch, capsys):
    clf = MCDropoutClassifier(random_state=0, epochs=1, n_samples=10, **params)
    clf.fit(*moons)
    expected = clf.predict_proba(moons[0])
    inside.show_bars_at_once(monkeypatch)
    inside.draw_in_pieces(monkeypatch)
    clf.predict_proba(moons[0])
    assert capsys.readouterr().out == ""
    clf.set_params(verbose=1)
    assert_allclose(clf.predict_proba(moons[0]), expected, atol=1e-6)
    shown = capsys.readouterr().out
    assert "300/300" in shown
    assert "/row" in shown


def test_a_bar_moves_within_a_block_of_a_wide_network(moons, monkeypatch, capsys):
    clf = network(epochs=1).fit(*moons).set_params(verbose=1)
    inside.show_bars_at_once(monkeypatch)
    inside.keep_no_thinned_weights(monkeypatch)
    clf.predict_proba(moons[0])
    shown = capsys.readouterr().out
    assert "300/300" in shown
    assert " 30/300" in shown  # after the first of ten draws
    assert shown.count("300/300") == 1


def test_an_interrupted_bar_ends_its_line(moons, monkeypatch, capsys):
    clf = network(epochs=1).fit(*moons).set_params(verbose=1)
    inside.show_bars_at_once(monkeypatch)
    inside.draw_in_pieces(monkeypatch)
    inside.interrupt_when_rows_are_shown(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        clf.predict_proba(moons[0])
    shown = capsys.readouterr().out
    assert "300/300" not in shown
    assert shown.endswith("\n")


def test_short_predictions_show_none(moons, capsys):
    clf = network(epochs=1).fit(*moons).set_params(verbose=1)
    clf.predict_proba(moons[0])
    assert capsys.readouterr().out == ""


@needs_callbacks
@pytest.mark.parametrize(
    ("params", "weights"),
    [
        ({}, None),
        ({"early_stopping": True, "n_iter_no_change": 10**6}, None),
        ({}, "zeros"),
        ({}, "integers"),
        ({"early_stopping": True, "n_iter_no_change": 10**6}, "integers"),
    ],
)
def test_as_many_epochs_are_announced_as_are_trained(params, weights):
    """Of so many rows that their number decides, which weights say as rows do."""
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(1200, 2)), rng.normal(size=1200)
    sample_weight = {
        None: None,
        "zeros": (np.arange(1200) % 2).astype(float),
        "integers": np.full(1200, 2.0) - np.arange(1200) % 2,
    }[weights]
    planned = Planned()
    reg = MCDropoutRegressor(
        (2,), noise="constant", batch_size=5000, random_state=0, **params
    )
    reg.set_callbacks(planned).fit(X, y, sample_weight)
    assert planned.planned == reg.n_iter_ == epochs_told(planned)
    n_rows = 1200 if weights is None else int(sample_weight.sum())
    alone = clone(reg).fit(np.zeros((n_rows, 2)), np.arange(n_rows))
    assert alone.n_iter_ == reg.n_iter_
    reg.partial_fit(X, y)
    assert planned.planned == 1


@needs_callbacks
@pytest.mark.parametrize("is_weighed", [False, True])
def test_a_validation_set_adds_no_rows_that_epochs_are_counted_by(is_weighed):
    """1200 rows are trained on, with or without others beside them."""
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(1200, 2)), rng.normal(size=1200)
    held = {"X_val": X[:700], "y_val": y[:700]}
    if is_weighed:
        held["sample_weight_val"] = np.full(700, 3)
    planned = Planned()
    reg = MCDropoutRegressor(
        (2,), noise="constant", batch_size=5000, random_state=0, warm_start=True
    ).set_callbacks(planned)
    expected = round(100 * (10_000 / 1200) ** 0.5)  # as `epochs` of the class says
    reg.fit(X, y, **held)
    assert planned.planned == reg.n_iter_ == epochs_told(planned) == expected
    reg.fit(X, y, **held)  # goes on for as many more
    assert planned.planned == expected
    assert reg.n_iter_ == epochs_told(planned) == 2 * expected


@needs_callbacks
def test_a_rejecting_classifier_announces_the_epochs_of_each_fit():
    """Two folds of half the rows, and all rows; those of weight zero are not there."""
    announced = []

    class Inner(Recorder):
        max_propagation_depth = None

        def on_fit_task_begin(self, estimator, context):
            if isinstance(estimator, MCDropoutClassifier) and context.max_subtasks:
                announced.append(context.max_subtasks)

        def on_fit_task_end(self, estimator, context):
            pass

    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(24_000, 1)), np.arange(24_000) % 2
    counts = (np.arange(24_000) // 2 % 8 != 0).astype(float)  # 21,000 of them
    clf = MCDropoutClassifier(
        (1,), batch_size=30_000, temperature=1.0, random_state=0, n_samples=2
    )
    rejecting = RejectingClassifier(clf, coverage=0.8, cv=2).set_callbacks(Inner())
    rejecting.fit(X, y, counts)
    of_folds, of_all = (round(50 * (10_000 / n) ** 0.5) for n in (10_500, 21_000))
    assert announced == [of_folds, of_folds, of_all]
    assert rejecting.estimator_.n_iter_ == of_all

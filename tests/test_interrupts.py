"""A fit or prediction that ends early leaves its estimator, and the next one, alone.

Whatever is raised, at whatever stage: the estimator is as it was, it predicts what it
predicted, and the next fit gives what a new process gives.
"""

import copy
import os
import signal
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.utils.fixes import parse_version

from skmcdropout import MCDropoutClassifier
from skmcdropout._drawing import chain_engine
from skmcdropout._fitting import fit as fitting
from skmcdropout._training.graph_trainer import GraphTrainer
from skmcdropout._utils.interrupts import interrupts_held

pytestmark = pytest.mark.slow

X = np.random.RandomState(0).normal(size=(40, 4)) + np.arange(40)[:, None] % 3
Y = np.arange(40) % 3
OTHER_X, OTHER_Y = X[::-1, :2] * 3, (Y + 1) % 2

MLP = {"hidden_layer_sizes": (6,), "epochs": 3, "n_samples": 7, "random_state": 0}


def build(meta, dropout_rate=0.5):
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(5, activation="tanh"),
            keras.layers.Dropout(dropout_rate),
            keras.layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


NETWORK = {"model": build, "epochs": 3, "n_samples": 7, "random_state": 0}
KINDS = {"mlp": MLP, "model": NETWORK}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Predictions of a fit of each kind in a new process."""
    folder = tmp_path_factory.mktemp("fresh")
    script = (
        "import sys, numpy as np\n"
        f"sys.path.append({os.path.dirname(__file__)!r})\n"
        "from test_interrupts import KINDS, X, Y\n"
        "from skmcdropout import MCDropoutClassifier\n"
        "for name, params in KINDS.items():\n"
        "    fitted = MCDropoutClassifier(**params).fit(X, Y)\n"
        "    np.save(name + '.npy', fitted.sample_proba(X))\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)
    return {name: np.load(folder / f"{name}.npy") for name in KINDS}


class Failing(keras.callbacks.Callback):
    """Raises at one of Keras's hooks, the second time it is called if it can be."""

    def __init__(self, hook, error):
        super().__init__()
        self._error = error
        n_calls = iter(range(10))
        is_once = hook in ("on_train_begin", "on_train_end")

        def fail(*args, **kwargs):
            if next(n_calls) == (0 if is_once else 1):
                raise self._error

        setattr(self, hook, fail)


HOOKS = [
    "on_train_begin",
    "on_epoch_begin",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_epoch_end",
    "on_train_end",
]
WAYS = {
    "fit": lambda c: c.fit(OTHER_X, OTHER_Y),
    "warm": lambda c: c.set_params(warm_start=True).fit(X, Y),
    "partial": lambda c: c.partial_fit(X, Y),
}


def same(value):
    """Something equal exactly where `value` is, arrays compared by their bytes."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {name: same(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [same(v) for v in value]
    return value


def fitted_state(classifier):
    params = classifier.get_params()
    state = {n: v for n, v in vars(classifier).items() if n not in params}
    sampler = state.pop("_sampler", None)
    weights = None if sampler is None else list(sampler.weights)
    return same(state), same(weights)


def check_that_it_survives(classifier, interrupted, error, kind, expected):
    """`interrupted` raises `error`, and neither state nor the next fit know of it."""
    draws, before = classifier.sample_proba(X), fitted_state(classifier)
    with pytest.raises(error):
        interrupted(classifier)
    assert fitted_state(classifier) == before
    assert_array_equal(classifier.sample_proba(X), draws)
    again = MCDropoutClassifier(**KINDS[kind]).fit(X, Y)
    assert_array_equal(again.sample_proba(X), expected[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("hook", "way", "error"),
    [
        ("on_train_begin", "fit", KeyboardInterrupt),
        ("on_train_begin", "partial", RuntimeError),
        ("on_epoch_begin", "warm", SystemExit),
        ("on_train_batch_begin", "fit", MemoryError),
        ("on_train_batch_begin", "partial", KeyboardInterrupt),
        ("on_train_batch_end", "warm", KeyboardInterrupt),
        ("on_epoch_end", "fit", KeyboardInterrupt),
        ("on_train_end", "partial", KeyboardInterrupt),
        ("on_train_end", "warm", RuntimeError),
    ],
)
def test_a_callback_that_raises_changes_nothing(hook, way, error, kind, expected):
    classifier = MCDropoutClassifier(**KINDS[kind]).fit(X, Y)
    classifier.set_params(callbacks=[Failing(hook, error)], batch_size=10)
    check_that_it_survives(classifier, WAYS[way], error, kind, expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hook", HOOKS)
def test_a_first_fit_that_a_callback_ends_leaves_it_unfitted(hook, kind):
    failing = Failing(hook, KeyboardInterrupt)
    classifier = MCDropoutClassifier(**KINDS[kind], callbacks=failing, batch_size=10)
    before = dict(vars(classifier))
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(X, Y)
    assert vars(classifier) == before
    classifier.set_params(callbacks=None, batch_size="auto").fit(X, Y)
    plain = MCDropoutClassifier(**KINDS[kind]).fit(X, Y)
    assert_array_equal(classifier.predict_proba(X), plain.predict_proba(X))


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"),
    reason="scikit-learn has callbacks from version 1.9 on",
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", ["begin", "end"])
@pytest.mark.parametrize("task", ["fit", "epoch"])
def test_a_callback_of_scikit_learn_that_raises_changes_nothing(
    task, stage, kind, expected
):
    class FailingTask:
        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            if (stage, task) == ("begin", context.task_name):
                raise KeyboardInterrupt

        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            if (stage, task) == ("end", context.task_name):
                raise KeyboardInterrupt

    classifier = MCDropoutClassifier(**KINDS[kind]).fit(X, Y)
    classifier.set_callbacks(FailingTask())
    check_that_it_survives(classifier, WAYS["fit"], KeyboardInterrupt, kind, expected)


#: What a fit goes through, by module and name, in the order it does.
STAGES = [
    ("skmcdropout._base.check_training_data", "both"),
    ("skmcdropout._fitting.parameters.Seeds.drawn", "both"),
    ("skmcdropout._networks.perceptron.Perceptron.initial_weights", "mlp"),
    ("skmcdropout._fitting.labels.training_rows", "both"),
    ("skmcdropout._training.perceptron_trainer.PerceptronTrainer.load", "mlp"),
    ("skmcdropout._training.graph_trainer.GraphTrainer.load", "model"),
    ("skmcdropout._training.trainer.Trainer.fit", "both"),
    ("skmcdropout._training.trainer.Trainer.unload", "both"),
    ("skmcdropout._drawing.sampler.Sampler.__init__", "both"),
    ("skmcdropout._classifier.MCDropoutClassifier._commit", "both"),
]


@pytest.mark.parametrize(
    ("stage", "kind"),
    [(stage, kind) for stage, of in STAGES for kind in KINDS if of in ("both", kind)],
)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupt_at_any_stage_of_fit_changes_nothing(
    stage, kind, moment, expected
):
    classifier = MCDropoutClassifier(**KINDS[kind]).fit(X, Y)
    module, _, name = stage.rpartition(".")
    owner = sys.modules.get(module)
    if owner is None:
        module, _, cls = module.rpartition(".")
        owner = getattr(sys.modules[module], cls)
    original = getattr(owner, name)

    def interrupted(*args, **kwargs):
        if moment == "after" and name != "_commit":
            original(*args, **kwargs)
        raise KeyboardInterrupt

    def fit(classifier):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, interrupted)
            classifier.fit(OTHER_X, OTHER_Y)

    check_that_it_survives(classifier, fit, KeyboardInterrupt, kind, expected)


def test_a_model_function_that_raises_changes_nothing(expected):
    def failing(meta):
        raise RuntimeError("no network today")

    classifier = MCDropoutClassifier(**NETWORK).fit(X, Y).set_params(model=failing)
    check_that_it_survives(classifier, WAYS["fit"], RuntimeError, "model", expected)


class FailingLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        raise RuntimeError("no loss today")


def with_failing_loss(meta):
    network = build(meta)
    network.compile("adam", FailingLoss())
    return network


def test_a_loss_that_raises_changes_nothing(expected):
    classifier = MCDropoutClassifier(**NETWORK).fit(X, Y)
    classifier.set_params(model=with_failing_loss)
    check_that_it_survives(classifier, WAYS["fit"], RuntimeError, "model", expected)


class FailingInitializer(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        raise RuntimeError("no weights today")

    def get_config(self):
        return {}


class FailingOptimizer(keras.optimizers.SGD):
    def update_step(self, *args):
        raise RuntimeError("no step today")


@pytest.mark.parametrize(
    "params",
    [
        {"kernel_initializer": FailingInitializer()},
        {"optimizer": FailingOptimizer()},
        {"optimizer": FailingOptimizer},
    ],
    ids=["initializer", "optimizer", "class of optimizers"],
)
def test_parts_of_a_network_that_raise_change_nothing(params, expected):
    classifier = MCDropoutClassifier(**MLP).fit(X, Y).set_params(**params)
    check_that_it_survives(classifier, WAYS["fit"], RuntimeError, "mlp", expected)


# By a signal


def seconds_of(call):
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


@pytest.fixture
def interrupt_after():
    """Runs a call and interrupts it after some seconds, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread alone")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def run(seconds, call):
        timer = threading.Timer(seconds, signal.raise_signal, [signal.SIGINT])
        try:
            try:
                timer.start()
                call()
                return False
            finally:
                timer.cancel()
                timer.join()
        except KeyboardInterrupt:
            return True

    yield run
    signal.signal(signal.SIGINT, before)


#: A signal may come while an object is finalized; Python then only warns of it.
may_be_swallowed = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


@may_be_swallowed
@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_in_mid_fit_changes_nothing(kind, expected, interrupt_after):
    longer = {"epochs": 40, "batch_size": 4}
    fitted = MCDropoutClassifier(**KINDS[kind]).fit(X, Y)

    def fit():
        attempt.fit(OTHER_X, OTHER_Y)

    attempt = clone(fitted).set_params(**longer)
    fit()
    whole = seconds_of(fit)
    hits = 0
    for share in np.linspace(0.05, 0.95, 10):
        attempt = copy.copy(fitted).set_params(**longer)
        before = fitted_state(attempt)
        if interrupt_after(whole * share, fit):  # if not, it was faster this time
            hits += 1
            assert fitted_state(attempt) == before
            assert_array_equal(attempt.sample_proba(X), expected[kind])
    assert hits >= 3
    again = MCDropoutClassifier(**KINDS[kind]).fit(X, Y)
    assert_array_equal(again.sample_proba(X), expected[kind])


@may_be_swallowed
@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_in_mid_prediction_changes_nothing(kind, expected, interrupt_after):
    classifier = MCDropoutClassifier(**KINDS[kind]).fit(X, Y)
    table = np.tile(X, (200, 1))
    classifier.set_params(n_samples=50).predict_proba(table)
    whole = seconds_of(lambda: classifier.predict_uncertainty(table))
    for share in np.linspace(0.0, 0.9, 10):
        classifier.set_params(n_samples=50 + int(10 * share))  # other draws each time
        interrupt_after(
            max(whole * share, 1e-4), lambda: classifier.predict_uncertainty(table)
        )
    classifier.set_params(n_samples=7)
    assert_array_equal(classifier.sample_proba(X), expected[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_between_chunks_of_a_prediction_changes_nothing(
    kind, expected, monkeypatch
):
    from skmcdropout._drawing import progress_bar

    classifier = MCDropoutClassifier(**KINDS[kind]).fit(X, Y)

    def interrupted(*args):
        raise KeyboardInterrupt

    for method in ("predict", "predict_proba", "predict_uncertainty", "sample_proba"):
        with monkeypatch.context() as patch:
            patch.setattr(progress_bar.ProgressBar, "update", interrupted)
            with pytest.raises(KeyboardInterrupt):
                getattr(classifier, method)(X)
        assert_array_equal(classifier.sample_proba(X), expected[kind])


def test_a_draw_that_is_interrupted_is_not_kept(expected, monkeypatch):
    classifier = MCDropoutClassifier(**MLP).fit(X, Y)

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(chain_engine, "dropout_masks", interrupted)
        with pytest.raises(KeyboardInterrupt):
            classifier.predict(X)
    assert_array_equal(classifier.sample_proba(X), expected["mlp"])


def test_a_trainer_that_was_interrupted_is_never_used_again(monkeypatch):
    """Its variables may hold anything: the next fit gets another one."""
    used = []
    fit = GraphTrainer.fit

    def interrupted(trainer, *args, **kwargs):
        used.append(trainer)
        if len(used) == 1:
            raise KeyboardInterrupt
        return fit(trainer, *args, **kwargs)

    monkeypatch.setattr(GraphTrainer, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        MCDropoutClassifier(**MLP, optimizer="rmsprop").fit(X, Y)
    for _ in range(2):
        MCDropoutClassifier(**MLP, optimizer="rmsprop").fit(X, Y)
    assert used[1] is not used[0]
    assert used[2] is used[1]


def test_an_interrupted_fit_leaves_no_entry_in_the_memory(tmp_path, monkeypatch):
    cached = MCDropoutClassifier(**MLP, memory=str(tmp_path))
    plain = MCDropoutClassifier(**MLP).fit(X, Y).predict_proba(X)
    train = fitting.train

    def interrupted(*args, **kwargs):
        train(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cached.fit(X, Y)
    assert not list(tmp_path.rglob("output.pkl"))
    for _ in range(2):
        assert_array_equal(cached.fit(X, Y).predict_proba(X), plain)


def test_an_interrupt_is_held_back_and_then_delivered():
    """TensorFlow loses, or crashes at, exceptions that come while it compiles."""
    reached = []

    def work():
        with interrupts_held():
            with interrupts_held():
                signal.raise_signal(signal.SIGINT)
                reached.append("inner")
            reached.append("outer")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
        assert reached == ["inner", "outer"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)

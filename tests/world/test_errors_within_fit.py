"""What a user's code raises within a fit leaves the estimator, and the next fit, alone.

Whatever is raised, at whatever stage: the estimator is as it was, it predicts what it
predicted, and the next fit gives what a new process gives.
"""

import keras
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.utils.fixes import parse_version
from survival import KINDS, OTHER, X, Y, build, check_that_it_survives, raises


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
    "fit": lambda classifier, kind: classifier.fit(*OTHER[kind]),
    "warm": lambda classifier, kind: classifier.fit(X, Y),
    "partial": lambda classifier, kind: classifier.partial_fit(X, Y),
}
MOMENTS = [
    ("on_train_begin", "fit", KeyboardInterrupt),
    ("on_train_begin", "partial", RuntimeError),
    ("on_epoch_begin", "warm", SystemExit),
    ("on_train_batch_begin", "fit", MemoryError),
    ("on_train_batch_begin", "partial", KeyboardInterrupt),
    ("on_train_batch_end", "warm", KeyboardInterrupt),
    ("on_epoch_end", "fit", KeyboardInterrupt),
    ("on_train_end", "partial", KeyboardInterrupt),
    ("on_train_end", "warm", RuntimeError),
]


def check_that_it_survives_a_callback(kind, hook, way, error, expected):
    classifier = KINDS[kind]().fit(X, Y)
    classifier.set_params(
        callbacks=[Failing(hook, error)], batch_size=10, warm_start=way == "warm"
    )
    call = raises(error, lambda classifier: WAYS[way](classifier, kind))
    check_that_it_survives(classifier, call, kind, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("hook", "way", "error"), MOMENTS)
def test_a_callback_that_raises_changes_nothing(hook, way, error, expected):
    check_that_it_survives_a_callback("mlp", hook, way, error, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("hook", "way", "error"), MOMENTS[1:9:2] + MOMENTS[6:7])
def test_a_callback_of_a_network_that_raises_changes_nothing(
    hook, way, error, expected
):
    check_that_it_survives_a_callback("model", hook, way, error, expected)


@pytest.mark.parametrize(
    ("kind", "hooks", "params"),
    [
        ("mlp", HOOKS, {"temperature": 1.0}),
        pytest.param("model", HOOKS[::2], {}, marks=pytest.mark.slow),
    ],
    ids=["mlp", "model"],
)
def test_a_first_fit_that_a_callback_ends_leaves_it_unfitted(kind, hooks, params):
    plain = KINDS[kind]().set_params(**params).fit(X, Y).predict_proba(X)
    for hook in hooks:
        failing = Failing(hook, KeyboardInterrupt)
        classifier = KINDS[kind]().set_params(**params)
        classifier.set_params(callbacks=failing, batch_size=10)
        before = dict(vars(classifier))
        with pytest.raises(KeyboardInterrupt):
            classifier.fit(X, Y)
        assert vars(classifier) == before
        classifier.set_params(callbacks=None, batch_size="auto").fit(X, Y)
        assert_array_equal(classifier.predict_proba(X), plain)


class FailingTask:
    """A callback of scikit-learn that raises at one end of its tasks of one name."""

    def __init__(self, task, stage):
        self.at = task, stage

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        if self.at == (context.task_name, "begin"):
            raise KeyboardInterrupt

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if self.at == (context.task_name, "end"):
            raise KeyboardInterrupt


@pytest.mark.slow
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
    classifier = KINDS[kind]().fit(X, Y)
    classifier.set_callbacks(FailingTask(task, stage))
    fit = raises(KeyboardInterrupt, lambda c: c.fit(*OTHER[kind]))
    check_that_it_survives(classifier, fit, kind, expected)


def failing_build(meta):
    raise RuntimeError("no network today")


class FailingLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        raise RuntimeError("no loss today")


def with_failing_loss(meta):
    network = build(meta)
    network.compile("adam", FailingLoss())
    return network


class FailingInitializer(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        raise RuntimeError("no weights today")

    def get_config(self):
        return {}


class FailingOptimizer(keras.optimizers.SGD):
    def update_step(self, *args):
        raise RuntimeError("no step today")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("model", {"model": failing_build}),
        ("model", {"model": with_failing_loss}),
        ("mlp", {"kernel_initializer": FailingInitializer()}),
        ("mlp", {"optimizer": FailingOptimizer()}),
        ("mlp", {"optimizer": FailingOptimizer}),
    ],
    ids=["model", "loss", "initializer", "optimizer", "class of optimizers"],
)
def test_a_part_of_a_network_that_raises_changes_nothing(kind, params, expected):
    classifier = KINDS[kind]().fit(X, Y).set_params(**params)
    fit = raises(RuntimeError, lambda c: c.fit(*OTHER[kind]))
    check_that_it_survives(classifier, fit, kind, expected)

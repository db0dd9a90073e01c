"""What users expect of fit: history, early stopping, optimizers, compiled trainers."""

import inside
import keras
import numpy as np
import pytest
from lanes import fast
from numpy.testing import assert_allclose, assert_array_equal
from plain import PLAIN
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_class_weight_classifiers
from trained_rows import fit_and_find_trained_rows

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor


def test_history_has_an_entry_an_epoch(blobs):
    classifier = MCDropoutClassifier((5,), epochs=7, temperature=1.0).fit(*blobs)
    assert classifier.n_iter_ == 7
    assert list(classifier.history_) == ["loss"]
    assert len(classifier.history_["loss"]) == 7


def test_early_stopping_restores_the_best_weights(blobs):
    X, y = blobs
    given = {**PLAIN, "learning_rate": 0.05}
    stopped = MCDropoutClassifier(
        (20,), epochs=200, early_stopping=True, n_iter_no_change=3, random_state=0,
        **given,
    )  # fmt: skip
    table, is_trained = fit_and_find_trained_rows(stopped, X, y)
    losses = stopped.history_["val_loss"]
    assert stopped.n_iter_ == len(losses) < 200
    assert np.argmin(losses) == len(losses) - 4  # n_iter_no_change epochs ago
    assert_array_equal(np.bincount(y[~is_trained]), [2, 2, 2])
    p = stopped.set_params(n_samples=0).predict_proba(table[~is_trained])
    loss = -np.log(p[np.arange(6), y[~is_trained]]).mean()
    assert_allclose(loss, min(losses), rtol=1e-4)


def test_early_stopping_weighs_the_validation_rows(blobs):
    X, y = blobs
    w = np.random.RandomState(0).randint(0, 3, size=60)
    repeated = np.repeat(np.arange(60), w)
    stopped = MCDropoutClassifier(
        (5,), epochs=20, early_stopping=True, class_weight="balanced", random_state=0
    )
    a = clone(stopped).fit(X, y, sample_weight=w)
    b = clone(stopped).fit(X[repeated], y[repeated])
    assert a.history_ == b.history_
    assert_array_equal(a.predict_proba(X), b.predict_proba(X))


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        {"dropout_rate": 0.2, "hidden_layer_sizes": (100,), "epochs": 60},
        {"dropout_rate": 0.1, "hidden_layer_sizes": (20, 20), "epochs": 200},
    ],
    ids=["wide", "deep"],
)
def test_classes_that_weigh_next_to_nothing_do_not_stop_training_early(parameters):
    """The few validation rows that count are right from the first epoch on."""
    classifier = MCDropoutClassifier(early_stopping=True, **parameters)
    check_class_weight_classifiers("early stopping", classifier)


def test_an_optimizer_instance_is_left_alone(blobs):
    optimizer = keras.optimizers.Adam(0.02)
    classifier = MCDropoutClassifier(
        (5,), epochs=2, optimizer=optimizer, temperature=1.0
    ).fit(*blobs)
    assert classifier.optimizer is optimizer
    assert int(optimizer.iterations.numpy()) == 0
    assert not optimizer.built
    copied = clone(classifier)
    assert copied.optimizer is not optimizer
    assert copied.optimizer.get_config() == optimizer.get_config()


def test_learning_rate_reaches_the_optimizer_of_a_reused_trainer(blobs):
    def weights(**parameters):
        classifier = MCDropoutClassifier(
            (5,), epochs=2, random_state=0, **{**PLAIN, **parameters}
        )
        return classifier.fit(*blobs).model_.get_weights()[0]

    slow, fast = weights(learning_rate=1e-4), weights(learning_rate=0.1)
    assert abs(fast - slow).max() > 0.05
    assert_array_equal(weights(learning_rate=1e-4), slow)
    instance = keras.optimizers.Adam(1e-4)
    assert_array_equal(weights(optimizer=instance, learning_rate=0.1), slow)


@pytest.mark.slow
def test_a_loss_of_nan_says_so_with_the_epoch_and_what_to_try(blobs):
    X, y = blobs
    classifier = MCDropoutClassifier((5,), epochs=2, temperature=1.0)
    proba = classifier.fit(X, y).predict_proba(X)
    diverging = keras.optimizers.SGD(1e30)
    with pytest.raises(
        ValueError, match=r"loss became (nan|inf) in epoch \d+.*lower learning_rate"
    ):
        classifier.set_params(optimizer=diverging, epochs=50).fit(X * 100, y)
    assert_array_equal(classifier.predict_proba(X), proba)
    once = MCDropoutClassifier(
        (5,), optimizer=keras.optimizers.SGD(1e38), epochs=1,
        batch_normalization=False, temperature=1.0,
    )  # fmt: skip
    with pytest.raises(ValueError, match="became nan in epoch 1"):
        once.set_params(batch_size=60).fit(X * 1000, y)  # the only update is the last


@pytest.fixture
def compiled_trainers(monkeypatch):
    return inside.compiled_trainers(monkeypatch)


@pytest.mark.slow
def test_one_compilation_serves_all_tables_and_learning_rates(blobs, compiled_trainers):
    X, y = blobs
    for step, learning_rate in [(1, 1e-3), (2, 1e-2), (3, 1e-1)]:
        MCDropoutClassifier(
            (5, 4), optimizer="rmsprop", learning_rate=learning_rate, epochs=1,
            temperature=1.0,
        ).fit(X[::step], y[::step])  # fmt: skip
    assert len(compiled_trainers) == 1


@pytest.mark.slow
def test_a_trainer_forgets_the_networks_before(blobs, compiled_trainers):
    X, y = blobs
    given = {"optimizer": "rmsprop", "epochs": 3, "random_state": 0, "max_norm": 0.5}
    given |= {"learning_rate": 0.1, "temperature": 1.0, "early_stopping": True}
    given |= {"batch_normalization": True}
    first = MCDropoutClassifier((6,), **given).fit(X, y).predict_proba(X)
    for seed in (1, 2):
        other = MCDropoutClassifier((6,), **{**given, "random_state": seed})
        other.fit(X[::-1], y)
    again = MCDropoutClassifier((6,), **given).fit(X, y).predict_proba(X)
    assert len(compiled_trainers) == 1
    assert_array_equal(again, first)


class Plan(keras.callbacks.Callback):
    """Keeps how many epochs and steps there would be, and stops at once."""

    def on_train_begin(self, logs=None):
        self.found = self.params["epochs"], self.params["steps"]

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = True


SIZES = {
    60: ((50, 1), (300, 2)),
    6400: ((50, 32), (125, 32)),
    40_000: ((25, 157), (50, 157)),
}


@pytest.mark.parametrize("n_rows", fast(6400, among=SIZES))
def test_epochs_and_batches_follow_the_size_of_the_table(n_rows):
    of_classes, of_targets = SIZES[n_rows]
    X = np.random.RandomState(0).normal(size=(n_rows, 1))
    classifier = MCDropoutClassifier((2,), callbacks=Plan(), temperature=1.0)
    regressor = MCDropoutRegressor((2,), callbacks=Plan())
    for estimator, expected in ((classifier, of_classes), (regressor, of_targets)):
        estimator.fit(X, np.arange(n_rows) % 2)
        n_epochs, _ = estimator.callbacks.found
        estimator.partial_fit(X, np.arange(n_rows) % 2)
        _, n_steps = estimator.callbacks.found
        assert (n_epochs, n_steps) == expected

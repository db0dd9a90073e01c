"""What compiled losses and metrics are shown, and what is kept of them."""

import functools
import pickle

import keras
import numpy as np
import pytest
from keras import layers, ops
from numpy.testing import assert_allclose, assert_array_equal

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = 500 * X[:, 0] + 1500 + 30 * RNG.normal(size=60)
CODES = np.digitize(X[:, 0], [-0.4, 0.4])


def network(n_units, activation=None, rate=0.0):
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="relu"),
            layers.Dropout(rate),
            layers.Dense(n_units, activation=activation),
        ]
    )


def compiled(loss, n_units=1, activation=None, metrics=(), rate=0.0):
    built = network(n_units, activation, rate)
    built.compile(keras.optimizers.Adam(0.01), loss, metrics=list(metrics))
    return built


def row_loss(y, p):
    """A function that is written for a column."""
    return ops.mean(ops.abs(y - p) ** 1.5, axis=-1)


class OfColumns(keras.losses.Loss):
    """Broadcasts where it is shown labels without an axis."""

    def call(self, y, p):
        return ops.mean(ops.square(y - p), axis=-1)


class OfVectors(keras.losses.Loss):
    """Broadcasts where it is shown a column."""

    def call(self, y, p):
        return ops.square(y - p[:, 0])


class Asymmetric(keras.losses.Loss):
    """Without a configuration that holds its argument."""

    def __init__(self, share=0.5):
        super().__init__()
        self.share = share

    def call(self, y, p):
        error = ops.reshape(y, (-1, 1)) - p
        return ops.maximum(self.share * error, (self.share - 1) * error)[:, 0]


class WithoutConfig(Asymmetric):
    def get_config(self):
        raise NotImplementedError


def masked(y, p):
    seen = ops.cast(y != -999, "float32")
    return ops.sum(seen * ops.square(y - p), axis=-1)


REGRESSION = {
    "mse": (lambda: "mse", lambda y, p: (y - p) ** 2),
    "mae": (lambda: "mae", lambda y, p: abs(y - p)),
    "mape": (lambda: "mape", lambda y, p: 100 * abs(y - p) / y),
    "msle": (
        lambda: "msle",
        lambda y, p: (np.log1p(y) - np.log1p(np.maximum(p, 0))) ** 2,
    ),
    "huber": (
        lambda: keras.losses.Huber(delta=20.0),
        lambda y, p: np.where(abs(y - p) < 20, (y - p) ** 2 / 2, 20 * abs(y - p) - 200),
    ),
    "a function": (lambda: row_loss, lambda y, p: abs(y - p) ** 1.5),
    "a lambda": (
        lambda: lambda y, p: ops.mean(ops.abs(y - p), -1),
        lambda y, p: abs(y - p),
    ),
    "partial": (
        lambda: functools.partial(keras.losses.huber, delta=20.0),
        lambda y, p: np.where(abs(y - p) < 20, (y - p) ** 2 / 2, 20 * abs(y - p) - 200),
    ),
    "of columns": (OfColumns, lambda y, p: (y - p) ** 2),
    "of vectors": (OfVectors, lambda y, p: (y - p) ** 2),
    "with an argument": (
        lambda: Asymmetric(0.9),
        lambda y, p: np.maximum(0.9 * (y - p), -0.1 * (y - p)),
    ),
    "without a configuration": (
        lambda: WithoutConfig(0.1),
        lambda y, p: np.maximum(0.1 * (y - p), -0.9 * (y - p)),
    ),
}


@pytest.mark.filterwarnings("ignore:The model 'seq.*has no dropout:UserWarning")
@pytest.mark.parametrize("name", REGRESSION)
def test_a_regression_loss_is_told_of_in_the_units_of_y(name):
    """Without dropout, and next to no step, it is that of the predictions."""
    loss, formula = REGRESSION[name]

    def build(meta):
        built = network(1)
        built.compile(keras.optimizers.SGD(1e-12), loss(), metrics=["mae"])
        return built

    reg = MCDropoutRegressor(
        model=build, noise="constant", epochs=1, n_samples=0, random_state=0
    ).fit(X, Y)
    p = reg.predict(X)
    assert_allclose(reg.history_["loss"], [formula(Y, p).mean()], rtol=1e-4)
    assert_allclose(reg.history_["mae"], [abs(Y - p).mean()], rtol=1e-4)


@pytest.mark.filterwarnings("ignore:The model 'seq.*has no dropout:UserWarning")
@pytest.mark.parametrize(
    ("loss", "best"),
    [
        ("mape", "mape"),
        (Asymmetric(0.9), 0.9),
        (Asymmetric(0.1), 0.1),
        ("mae", 0.5),
    ],
)
def test_the_best_constant_is_found(loss, best):
    """Of skewed targets, by a network that has nothing to learn from."""
    y = np.exp(np.random.RandomState(0).normal(size=400)) * 100
    if best == "mape":
        order = np.argsort(y)
        share = np.cumsum(1 / y[order]) / (1 / y).sum()
        expected = y[order][np.searchsorted(share, 0.5)]
    else:
        expected = np.quantile(y, best)

    def build(meta):
        built = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
        built.compile(keras.optimizers.Adam(0.02), loss)
        return built

    reg = MCDropoutRegressor(
        model=build, noise="constant", epochs=150, batch_size=100, n_samples=0,
        random_state=0,
    ).fit(np.zeros((400, 1)), y)  # fmt: skip
    found = float(reg.predict([[0.0]])[0])
    # within the share of targets by which the last steps may miss a quantile
    if best == "mape":
        assert abs(found / expected - 1) < 0.1
    else:
        assert abs((y < found).mean() - best) < 0.03


def test_masked_targets_say_nothing_of_units_and_noise():
    y = Y.copy()
    y[::4] = -999
    reg = MCDropoutRegressor(
        model=lambda meta: compiled(masked, rate=0.1), noise="constant", epochs=60,
        random_state=0,
    ).fit(X, y)  # fmt: skip
    seen = y != -999
    assert_allclose(reg.target_mean_, [Y[seen].mean()])
    assert_allclose(reg.target_scale_, [Y[seen].std()])
    assert reg.noise_std_ < 2 * Y[seen].std()
    assert abs(reg.predict(X) - Y)[~seen].mean() < Y.std()


def test_a_network_that_ends_in_an_activation_is_trained_as_keras_trains_it():
    """Batches of all rows without dropout: every step is that of `Model.fit`."""
    counts = np.round(abs(X[:, 0]) * 3)
    own = compiled("poisson", activation="softplus")
    weights = own.get_weights()

    def build(meta):
        built = compiled("poisson", activation="softplus")
        built.set_weights(weights)
        return built

    with pytest.warns(UserWarning, match="nothing to sample"):
        reg = MCDropoutRegressor(
            model=build, noise="constant", epochs=5, batch_size=60, random_state=0
        ).fit(X, counts)
    own.run_eagerly = True
    theirs = own.fit(X, counts, epochs=5, batch_size=60, verbose=0, shuffle=False)
    assert_allclose(reg.history_["loss"], theirs.history["loss"], rtol=1e-4)
    assert_allclose(reg.predict(X), own(X)[:, 0], rtol=1e-4)
    assert reg.predict(X).min() >= 0


def test_a_network_that_stays_far_from_targets_is_told_of():
    reg = MCDropoutRegressor(
        model=lambda meta: compiled("huber", activation="softplus", rate=0.1),
        noise="constant", epochs=2, random_state=0,
    )  # fmt: skip
    with pytest.warns(UserWarning, match=r"less than a constant.*mean 1.*e\+06"):
        reg.fit(X, Y + 1e6)


def test_two_targets_of_unlike_units_are_both_learned():
    both = np.stack([Y, 1e-3 * Y[::-1]], axis=1)
    reg = MCDropoutRegressor(
        model=lambda meta: compiled("mse", 2, metrics=["mse"], rate=0.05),
        noise="constant", epochs=40, random_state=0,
    ).fit(X, both)  # fmt: skip
    assert_allclose(reg.history_["mse"], reg.history_["loss"], rtol=1e-4)
    assert np.corrcoef(reg.predict(X)[:, 0], Y)[0, 1] > 0.9


def focal(y, p, gamma=2.0):
    codes = ops.reshape(ops.cast(y, "int32"), (-1, 1))
    of_label = ops.take_along_axis(p, codes, axis=1)[:, 0]
    return -((1 - of_label) ** gamma) * ops.log(of_label)


class Focal(keras.losses.Loss):
    def __init__(self, gamma=0.0):
        super().__init__()
        self.gamma = gamma

    def call(self, y, p):
        return focal(y, p, self.gamma)


class OfKeras(keras.losses.CategoricalCrossentropy):
    """Takes what it is derived from takes."""


def closure(gamma):
    def inner(y, p):
        return focal(y, p, gamma)

    return inner


CLASSIFICATION = {
    "a function": (focal, False),
    "a closure": (closure(1.0), False),
    "partial": (functools.partial(focal, gamma=3.0), False),
    "a class": (Focal(2.0), False),
    "of distributions": ("categorical_crossentropy", True),
    "derived": (OfKeras(), True),
    "focal of Keras": (keras.losses.CategoricalFocalCrossentropy(gamma=4.0), True),
    "partial of Keras": (
        functools.partial(keras.losses.categorical_crossentropy, label_smoothing=0.1),
        True,
    ),
    "squares": ("mse", True),
    "codes": (keras.losses.SparseCategoricalCrossentropy(), False),
    "in a list": (["sparse_categorical_crossentropy"], False),
}


@pytest.mark.parametrize("way", ["model", "from_keras"])
@pytest.mark.parametrize("name", CLASSIFICATION)
def test_a_classification_loss_is_trained_by_as_keras_does(name, way):
    """Batches of all rows without dropout: every step is that of `Model.fit`."""
    loss, is_of_rows = CLASSIFICATION[name]
    own = compiled(loss, 3, "softmax", metrics=["accuracy"])
    weights = own.get_weights()

    def build(meta):
        built = compiled(loss, 3, "softmax", metrics=["accuracy"])
        built.set_weights(weights)
        return built

    def fitted():
        if way == "model":
            return MCDropoutClassifier(model=build, epochs=3, batch_size=60).fit(
                X, CODES
            )
        ours = MCDropoutClassifier.from_keras(own, batch_size=60)
        for _ in range(3):
            ours.partial_fit(X, CODES)
        return ours

    with pytest.warns(UserWarning, match="nothing to sample"):
        ours = fitted()
    own.run_eagerly = True
    targets = keras.utils.to_categorical(CODES, 3) if is_of_rows else CODES
    theirs = own.fit(X, targets, epochs=3, batch_size=60, verbose=0).history
    for metric in ("loss", "accuracy"):
        assert_allclose(ours.history_[metric], theirs[metric], rtol=1e-4)
    assert_allclose(ours.predict_proba(X), own(X), rtol=0, atol=1e-5)


def test_a_loss_that_is_written_for_one_hot_rows_is_refused_with_the_rule():
    def one_hot(y, p):
        return -ops.sum(y * ops.log(p), axis=-1)

    clf = MCDropoutClassifier(
        model=lambda meta: compiled(one_hot, 3, "softmax", rate=0.1)
    )
    with pytest.raises(ValueError, match=r"'one_hot'.*codes 0.*keras\.ops\.one_hot"):
        clf.fit(X, CODES)


KEPT = {
    "huber": keras.losses.Huber(delta=50.0),
    "no configuration": WithoutConfig(0.9),
    "another argument": Asymmetric(0.9),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_loss_whose_configuration_says_less_is_kept(name, tmp_path):
    reg = MCDropoutRegressor.from_keras(
        compiled(KEPT[name], rate=0.1), random_state=0, memory=str(tmp_path)
    )
    loaded = pickle.loads(pickle.dumps(reg))
    reg.partial_fit(X, Y)
    loaded.partial_fit(X, Y)
    p = reg.predict(X)
    assert_allclose(loaded.predict(X), p, rtol=1e-3, atol=1e-3)
    assert_allclose(loaded.history_["loss"], reg.history_["loss"], rtol=1e-5)
    loss = KEPT[name]
    again = loaded.model.blueprint.given_loss()
    values = [ops.convert_to_numpy(each.call(Y[:, None], p[:, None])) for each in
              (loss, again)]  # fmt: skip
    assert_array_equal(*values)


def test_early_stopping_does_not_depend_on_the_units_of_y():
    def fitted(size):
        return MCDropoutRegressor(
            model=lambda meta: compiled("mse", rate=0.1), noise="constant", epochs=60,
            early_stopping=True, n_iter_no_change=3, random_state=0,
        ).fit(X, size * Y)  # fmt: skip

    # powers of 2, which standardise to the same numbers
    small, large = fitted(2.0**-30), fitted(2.0**10)
    assert small.n_iter_ == large.n_iter_ < 60


def test_what_a_loss_that_is_not_finite_needs_is_said():
    reg = MCDropoutRegressor(
        model=lambda meta: compiled(lambda y, p: ops.log(p - 1e9), rate=0.1),
        noise="constant", epochs=1,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"became nan.*finite for all values of y"):
        reg.fit(X, Y)


def test_several_losses_and_weights_of_losses_are_refused():
    def weighted(meta):
        built = network(1, rate=0.1)
        built.compile("adam", "mse", loss_weights=[2.0])
        return built

    reg = MCDropoutRegressor(model=weighted, noise="constant")
    with pytest.raises(ValueError, match=r"one loss.*no loss_weights.*\[2\.0\]"):
        reg.fit(X, Y)


def test_a_loss_that_cannot_be_saved_is_missed_only_by_training():
    reg = MCDropoutRegressor.from_keras(
        compiled(lambda y, p: ops.mean(ops.abs(y - p), -1), rate=0.1), random_state=0
    )
    reg.partial_fit(X, Y)
    loaded = pickle.loads(pickle.dumps(reg))
    assert_allclose(loaded.predict(X), reg.predict(X), rtol=1e-5)
    with pytest.raises(ValueError, match="could not be saved"):
        loaded.partial_fit(X, Y)
    assert_allclose(loaded.predict(X), reg.predict(X), rtol=1e-5)

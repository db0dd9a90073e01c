"""A validation set of one's own: what is learned on it, and that it alone counts."""

import keras
import numpy as np
import pandas as pd
import pytest
import sklearn
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, GroupShuffleSplit, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import (
    MCDropoutClassifier,
    MCDropoutRegressor,
    RejectingClassifier,
    cross_val_uncertainty,
)

RNG = np.random.RandomState(0)
X = RNG.normal(size=(120, 3)).astype(np.float32)
Z = X[:, 0] + 0.5 * RNG.normal(size=120)
Y = (Z > 0).astype(int)
TRAIN, HELD = slice(0, 80), slice(80, 120)


def classifier(**params):
    return MCDropoutClassifier(
        (6,), epochs=4, n_samples=10, random_state=0, learning_rate=0.02, **params
    )


def regressor(**params):
    return MCDropoutRegressor((6,), epochs=4, n_samples=10, random_state=0, **params)


def of_own(estimator, y, weight=None, weight_val=None, rows=HELD):
    return estimator.fit(
        X[TRAIN], y[TRAIN], weight, X_val=X[rows], y_val=y[rows],
        sample_weight_val=weight_val,
    )  # fmt: skip


def drawn(estimator):
    """Predictions that temperature and noise are part of."""
    if isinstance(estimator, MCDropoutClassifier):
        return estimator.predict_proba(X)
    return np.stack(estimator.predict(X, return_std=True))


def test_the_loss_is_told_of_and_stops_nothing():
    fitted = of_own(classifier(temperature=1.0), Y)
    proba = np.asarray(fitted.model_(X[HELD]))
    assert len(fitted.history_["val_loss"]) == fitted.n_iter_ == 4
    expected = log_loss(Y[HELD], proba)
    assert_allclose(fitted.history_["val_loss"][-1], expected, rtol=1e-4)
    plain = classifier(temperature=1.0).fit(X[TRAIN], Y[TRAIN])
    assert_allclose(fitted.predict_proba(X), plain.predict_proba(X), atol=1e-6)


def best_epoch(history, patience):
    """The rule of early stopping, and whether these epochs end where it says."""
    best, lowest, in_training, waited = 0, np.inf, np.inf, 0
    for epoch, (loss, own) in enumerate(
        zip(history["val_loss"], history["loss"], strict=True)
    ):
        assert waited < patience  # or training would have stopped before
        waited += 1
        if loss < lowest - 1e-4 or (loss <= lowest + 1e-4 and own < in_training):
            best, in_training, waited = epoch, own, 0
        lowest = min(lowest, loss)
    return best, waited == patience


@pytest.mark.parametrize("labels", [Y, 1 - Y])
def test_early_stopping_watches_it_and_restores_the_best_weights(labels):
    """Of labels that are the reverse of what is learned, it stops at once."""
    stopping = classifier(temperature=1.0, early_stopping=True, n_iter_no_change=2)
    fitted = stopping.set_params(epochs=30, learning_rate=0.05).fit(
        X[TRAIN], Y[TRAIN], X_val=X[HELD], y_val=labels[HELD]
    )
    best, has_stopped = best_epoch(fitted.history_, 2)
    assert has_stopped or fitted.n_iter_ == 30
    expected = log_loss(labels[HELD], np.asarray(fitted.model_(X[HELD])))
    assert_allclose(fitted.history_["val_loss"][best], expected, rtol=1e-4)


def test_nothing_is_held_out_of_training():
    """An epoch of one batch has the loss of all rows, before anything is learned."""
    one_batch = {
        "epochs": 1, "batch_size": 80, "dropout_rate": 0.0, "alpha": 0.0,
        "batch_normalization": False, "temperature": 1.0, "early_stopping": True,
    }  # fmt: skip
    fitted = of_own(classifier().set_params(**one_batch), Y)
    begun = of_own(classifier().set_params(**one_batch, learning_rate=1e-12), Y)
    expected = log_loss(Y[TRAIN], np.asarray(begun.model_(X[TRAIN])))
    assert_allclose(fitted.history_["loss"][0], expected, rtol=1e-5)


@pytest.mark.parametrize("weights", [None, np.linspace(0.1, 2, 40)])
@pytest.mark.parametrize("labels", [Y, 1 - Y])
def test_the_temperature_is_the_most_probable_one_on_it(labels, weights):
    """Of a network without dropout, whose logits are those of one draw."""
    held = {"X_val": X[HELD], "y_val": labels[HELD], "sample_weight_val": weights}
    plain = classifier(temperature=1.0, dropout_rate=0.0).fit(X[TRAIN], Y[TRAIN])
    fitted = classifier(dropout_rate=0.0).fit(X[TRAIN], Y[TRAIN], **held)
    log_p = plain.predict_log_proba(X[HELD])
    shares = np.ones(40) if weights is None else weights
    shares = shares * shares.sum() / (shares**2).sum()

    def surprise(log_temperature):
        of_label = log_softmax(log_p / np.exp(log_temperature), axis=1)
        return log_temperature**2 / 2 - shares @ of_label[range(40), labels[HELD]]

    best = minimize_scalar(surprise, bounds=(-3, 3), method="bounded").x
    # it is looked for to within 0.005
    assert_allclose(np.log(fitted.temperature_), best, atol=0.02)


@pytest.mark.parametrize("factor", [1, 100])
def test_the_noise_is_the_most_probable_one_on_it(factor):
    """Of a network without dropout; the training set alone says what is standard."""
    reg = regressor(noise="constant", dropout_rate=0.0)
    fitted = reg.fit(X[TRAIN], Z[TRAIN], X_val=X[HELD], y_val=factor * Z[HELD])
    assert_allclose(fitted.target_mean_, [Z[TRAIN].mean()])
    assert_allclose(fitted.target_scale_, [Z[TRAIN].std()])
    residuals = (factor * Z[HELD] - fitted.predict(X[HELD])) / Z[TRAIN].std()

    def surprise(log_variance):
        prior = (log_variance / 3) ** 2 / 2
        return prior + np.sum(residuals**2 * np.exp(-log_variance) + log_variance) / 2

    best = minimize_scalar(surprise, bounds=(-20, 20), method="bounded").x
    # it is looked for to within 0.005, of the variance's logarithm
    found = 2 * np.log(fitted.noise_std_ / Z[TRAIN].std())
    assert_allclose(found, best, atol=0.02)


@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_its_order_and_rows_of_no_weight_do_not_count(make, early_stopping):
    y = Y if make is classifier else Z
    first = of_own(make(early_stopping=early_stopping), y)
    order = RNG.permutation(np.arange(80, 120))
    again = of_own(make(early_stopping=early_stopping), y, rows=order)
    assert_array_equal(drawn(again), drawn(first))
    assert again.history_ == first.history_
    rows = np.r_[80:120, 0:10]
    weights = np.r_[np.ones(40), np.zeros(10)]
    without = of_own(
        make(early_stopping=early_stopping), y, rows=rows, weight_val=weights
    )
    assert_array_equal(drawn(without), drawn(first))
    assert without.history_ == first.history_


@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_integer_weights_are_repeated_rows(make, early_stopping):
    """Of either set, whatever the weights of the other."""
    y = Y if make is classifier else Z
    counts, shares = 1 + np.arange(40) % 3, np.linspace(0.1, 2, 80)
    weighted = of_own(make(early_stopping=early_stopping), y, shares, counts)
    repeated = of_own(
        make(early_stopping=early_stopping), y, shares,
        rows=np.repeat(np.arange(80, 120), counts),
    )  # fmt: skip
    assert_array_equal(drawn(weighted), drawn(repeated))
    assert weighted.history_ == repeated.history_
    counts, held = 1 + np.arange(80) % 3, {"X_val": X[HELD], "y_val": y[HELD]}
    weighted = make(early_stopping=early_stopping).fit(
        X[TRAIN], y[TRAIN], counts, sample_weight_val=shares[:40], **held
    )
    rows = np.repeat(np.arange(80), counts)
    repeated = make(early_stopping=early_stopping).fit(
        X[rows], y[rows], sample_weight_val=shares[:40], **held
    )
    assert_array_equal(drawn(weighted), drawn(repeated))


def test_classes_weigh_as_in_training():
    balanced = of_own(classifier(class_weight="balanced", temperature=1.0), Y)
    share = np.bincount(Y[TRAIN]) / 80
    weights = (1 / (2 * share))[Y[HELD]]
    proba = np.asarray(balanced.model_(X[HELD]))
    expected = log_loss(Y[HELD], proba, sample_weight=weights)
    assert_allclose(balanced.history_["val_loss"][-1], expected, rtol=1e-4)


def test_a_network_of_ones_own_with_metrics():
    def build(meta):
        assert meta["X_shape_"] == (80, 3)
        network = keras.Sequential(
            [keras.Input((3,)), layers.Dropout(0.1), layers.Dense(1)]
        )
        network.compile("adam", "mse", metrics=["mae"])
        return network

    fitted = of_own(
        MCDropoutRegressor(model=build, noise="constant", epochs=2, random_state=0), Z
    )
    rest = fitted.set_params(n_samples=0).predict(X[HELD])
    last = {name: values[-1] for name, values in fitted.history_.items()}
    assert_allclose(last["val_mae"], abs(Z[HELD] - rest).mean(), rtol=1e-4)
    assert_allclose(last["val_loss"], np.mean((Z[HELD] - rest) ** 2), rtol=1e-4)


def test_its_form_does_not_change_what_is_learned():
    sparse = csr_matrix(X[HELD])
    expected = of_own(classifier(), Y).predict_proba(X)
    found = classifier().fit(X[TRAIN], Y[TRAIN], X_val=sparse, y_val=Y[HELD])
    assert_array_equal(found.predict_proba(X), expected)
    train = csr_matrix(X[TRAIN])
    found = classifier().fit(train, Y[TRAIN], X_val=sparse, y_val=Y[HELD])
    dense = classifier().fit(train, Y[TRAIN], X_val=X[HELD], y_val=Y[HELD])
    assert_array_equal(found.predict_proba(X), dense.predict_proba(X))


def test_frames_have_the_same_columns():
    frame = pd.DataFrame(X, columns=list("abc"))
    framed = classifier().fit(frame[TRAIN], Y[TRAIN], X_val=frame[HELD], y_val=Y[HELD])
    expected = of_own(classifier(), Y)
    assert_array_equal(framed.predict_proba(frame), expected.predict_proba(X))
    with pytest.raises(ValueError, match=r"X_val.*must be like X.*feature names"):
        classifier().fit(
            frame[TRAIN], Y[TRAIN], X_val=frame[["b", "a", "c"]][HELD], y_val=Y[HELD]
        )


def two_inputs(meta):
    first, second = keras.Input((2,), name="two"), keras.Input((1,), name="one")
    joint = layers.Dropout(0.2)(layers.Concatenate()([first, second]))
    return keras.Model([first, second], layers.Dense(2, activation="softmax")(joint))


FORMS = {
    "table": lambda rows: X[rows],
    "dict": lambda rows: {"one": X[rows, 2:], "two": X[rows, :2]},
    "list": lambda rows: [X[rows, :2], X[rows, 2]],
}


@pytest.mark.parametrize("name", FORMS)
def test_several_inputs(name):
    form = FORMS[name]
    fitted = MCDropoutClassifier(model=two_inputs, epochs=2, random_state=0).fit(
        form(TRAIN), Y[TRAIN], X_val=form(HELD), y_val=Y[HELD]
    )
    expected = log_loss(Y[HELD], np.asarray(fitted.model_([X[HELD, :2], X[HELD, 2:]])))
    assert_allclose(fitted.history_["val_loss"][-1], expected, rtol=1e-4)
    other = next(key for key in FORMS if key != name)
    with pytest.raises(ValueError, match="X_val must have the form of X, a "):
        fitted.fit(form(TRAIN), Y[TRAIN], X_val=FORMS[other](HELD), y_val=Y[HELD])


def test_a_warm_start_has_another_each_time():
    clf = classifier(temperature=1.0, warm_start=True).set_params(epochs=2)
    clf = of_own(clf, Y)
    clf.fit(X[HELD], Y[HELD], X_val=X[TRAIN], y_val=Y[TRAIN])
    losses = clf.history_["val_loss"]
    assert len(losses) == clf.n_iter_ == 4
    expected = log_loss(Y[TRAIN], np.asarray(clf.model_(X[TRAIN])))
    assert_allclose(losses[-1], expected, rtol=1e-4)


BAD = {
    "no labels": ({"X_val": X}, "y_val must be given with a validation set"),
    "no rows": ({"y_val": Y}, "X_val must be given with a validation set"),
    "weights alone": ({"sample_weight_val": np.ones(3)}, "X_val must be given"),
    "another width": ({"X_val": X[:, :2], "y_val": Y}, "2 features.*expecting 3"),
    "another length": ({"X_val": X, "y_val": Y[:5]}, "X_val.*inconsistent numbers"),
    "another class": ({"X_val": X, "y_val": Y + 1}, r"y_val must hold classes.*\[2\]"),
    "labels of another kind": (
        {"X_val": X, "y_val": Y.astype(str)}, "y_val must hold classes of y alone",
    ),
    "gaps": ({"X_val": X * np.nan, "y_val": Y}, "X_val.*NaN"),
    "weights of zero": (
        {"X_val": X, "y_val": Y, "sample_weight_val": 0 * Y},
        "X_val.*(non-zero|positive)",
    ),
    "negative weights": (
        {"X_val": X, "y_val": Y, "sample_weight_val": -np.ones(120)}, "X_val.*egative",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_ones_are_refused_and_nothing_is_lost(name):
    given, message = BAD[name]
    fitted = classifier().fit(X, Y)
    before = fitted.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        fitted.fit(X, Y, **given)
    assert_array_equal(fitted.predict_proba(X), before)


def test_a_stream_is_refused_by_its_name():
    with pytest.raises(TypeError, match=r"X_val must be an array.*Got a stream"):
        classifier().fit(X, Y, X_val=iter([X]), y_val=Y)


def test_classes_of_no_weight_alone_are_refused():
    with pytest.raises(ValueError, match=r"class_weight.*in y_val.*Got \{0: 1, 1: 0\}"):
        classifier(class_weight={0: 1, 1: 0}).fit(X, Y, X_val=X[:5], y_val=np.ones(5))


def test_another_number_of_targets_is_refused():
    with pytest.raises(ValueError, match="y_val must have the number of targets"):
        regressor().fit(X, Z, X_val=X, y_val=np.stack([Z, Z], axis=1))


def test_metadata_is_routed_through_pipelines_and_searches():
    """The steps transform the validation rows too."""
    shares = np.linspace(0.1, 2, 40)
    held = {"X_val": X[HELD], "y_val": Y[HELD], "sample_weight_val": shares}
    with sklearn.config_context(enable_metadata_routing=True):
        network = classifier().set_fit_request(
            X_val=True, y_val=True, sample_weight_val=True
        )
        pipe = Pipeline(
            [("scale", StandardScaler()), ("network", network)],
            transform_input=["X_val"],
        )
        search = GridSearchCV(pipe, {"network__alpha": [0.0, 10.0]}, cv=2)
        search.fit(X[TRAIN], Y[TRAIN], **held)
    scaler = StandardScaler().fit(X[TRAIN])
    alone = classifier(alpha=search.best_params_["network__alpha"]).fit(
        scaler.transform(X[TRAIN]), Y[TRAIN],
        **{**held, "X_val": scaler.transform(X[HELD])},
    )  # fmt: skip
    found = search.predict_proba(X)
    assert_array_equal(found, alone.predict_proba(scaler.transform(X)))


class Noting(LogisticRegression):
    """Notes how many rows it is given."""

    fits = []

    def fit(self, X, y, sample_weight=None, X_val=None, y_val=None):
        self.fits.append((len(X), len(X_val), len(y_val)))
        return super().fit(X, y)


@pytest.mark.parametrize("prefix", ["", "last__"])
@pytest.mark.parametrize("is_routed", [False, True])
def test_folds_see_the_whole_of_it_though_it_is_as_long_as_the_rows(is_routed, prefix):
    Noting.fits.clear()
    with sklearn.config_context(enable_metadata_routing=is_routed):
        estimator = Noting()
        if is_routed:
            estimator.set_fit_request(X_val=True, y_val=True)
        if prefix:
            estimator = Pipeline([("scale", StandardScaler()), ("last", estimator)])
        prefix = "" if is_routed else prefix
        held = {f"{prefix}X_val": X[HELD], f"{prefix}y_val": Y[HELD]}
        rows = slice(0, 40)
        RejectingClassifier(estimator, coverage=0.8, cv=2).fit(X[rows], Y[rows], **held)
        assert Noting.fits == [(20, 40, 40), (20, 40, 40), (40, 40, 40)]
        Noting.fits.clear()
        cross_val_uncertainty(
            estimator, X[rows], Y[rows], cv=2, params=held,
            measure="predictive_entropy",
        )  # fmt: skip
        assert Noting.fits == [(20, 40, 40), (20, 40, 40)]


def test_out_of_fold_uncertainties_with_it():
    cv = StratifiedKFold(2)
    held = {"X_val": X[HELD], "y_val": Y[HELD]}
    rows, labels = X[:40], Y[:40]
    found = cross_val_uncertainty(classifier(), rows, labels, cv=cv, params=held)
    for train, test in cv.split(rows, labels):
        fitted = classifier().fit(rows[train], labels[train], **held)
        assert_array_equal(found[test], fitted.predict_uncertainty(rows[test]))


def test_groups_of_its_own():
    groups = np.arange(120) // 6
    train, held = next(
        GroupShuffleSplit(1, test_size=0.3, random_state=0).split(X, Y, groups)
    )
    fitted = classifier(temperature=1.0).fit(
        X[train], Y[train], X_val=X[held], y_val=Y[held]
    )
    assert not set(groups[train]) & set(groups[held])
    expected = log_loss(Y[held], np.asarray(fitted.model_(X[held])))
    assert_allclose(fitted.history_["val_loss"][-1], expected, rtol=1e-4)


def test_the_last_rows_where_time_goes_on():
    """Noise that grows is that of the end."""
    growing = Z * np.linspace(0, 3, 120)
    reg = regressor(noise="constant", dropout_rate=0.0)
    last = reg.fit(X[TRAIN], growing[TRAIN], X_val=X[HELD], y_val=growing[HELD])
    errors = growing[HELD] - last.predict(X[HELD])
    # the prior of the variance's logarithm, of standard deviation 3, against 40 rows
    assert_allclose(last.noise_std_, np.sqrt(np.mean(errors**2)), rtol=0.03)


def test_the_memory_knows_it(tmp_path):
    kept = classifier(memory=str(tmp_path))
    first = of_own(kept, Y).predict_proba(X)
    other = of_own(kept, Y, rows=slice(90, 120)).predict_proba(X)
    assert abs(first - other).max() > 1e-6
    assert_array_equal(of_own(kept, Y).predict_proba(X), first)

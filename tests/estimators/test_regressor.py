"""The regressor: Keras's numbers, in the units of y, and a mixture that is one."""

import copy

import inside
import keras
import numpy as np
import pytest
from lanes import fast
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.base import clone
from sklearn.datasets import make_friedman1
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutRegressor

NOISES = ["constant", "varying"]
X, Y = make_friedman1(150, noise=1.0, random_state=0)
X = X.astype(np.float32)
TWO = np.column_stack([Y, -3 * Y + 100])


def regressor(**parameters):
    given = {"hidden_layer_sizes": (20,), "epochs": 10, "learning_rate": 0.01}
    given |= {"alpha": 1.0, "random_state": 0}
    return MCDropoutRegressor(**{**given, **parameters})


@pytest.fixture(scope="module", params=NOISES)
def fitted(request):
    """Shared: tests that set parameters take a copy."""
    return regressor(noise=request.param, dropout_rate=0.2).fit(X, Y)


@pytest.fixture(scope="module", params=NOISES)
def fitted_to_two(request):
    return regressor(noise=request.param, dropout_rate=0.2).fit(X, TWO)


def keras_draws(estimator, rows, n_passes):
    """Outputs of the network that is trained, dropout on, one mask a row and pass."""
    network = estimator.model_
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    repeated = np.repeat(rows, n_passes, axis=0)
    outputs = np.asarray(network(repeated, training=True))
    return outputs.reshape(len(rows), n_passes, -1).swapaxes(0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("batch_normalization", [False, True])
@pytest.mark.parametrize("noise", NOISES)
def test_moments_are_those_of_keras(noise, batch_normalization):
    reg = regressor(
        noise=noise,
        batch_normalization=batch_normalization,
        n_samples=2000,
        dropout_rate=0.3,
    )
    reg.fit(X, TWO)
    outputs = keras_draws(reg, X[:5], 20_000)
    means, logs = outputs[..., :2], outputs[..., 2:]
    mean, std = reg.predict(X[:5], return_std=True)
    assert_allclose(mean, means.mean(axis=0), atol=0.05 * TWO.std(axis=0).max())
    epistemic, aleatoric = np.moveaxis(
        reg.predict_uncertainty(X[:5], ["epistemic_std", "aleatoric_std"]), -1, 0
    )
    assert_allclose(epistemic, means.std(axis=0), rtol=0.06)
    if noise == "varying":
        noise_variance = np.exp(logs).mean(axis=0)
        assert_allclose(aleatoric, np.sqrt(noise_variance), rtol=0.06)
    else:
        assert_allclose(aleatoric, np.broadcast_to(reg.noise_std_, (5, 2)))
    assert_allclose(std**2, epistemic**2 + aleatoric**2)


def test_nothing_dropped_is_the_network_of_keras(fitted_to_two):
    reg = copy.deepcopy(fitted_to_two).set_params(n_samples=0)
    outputs = np.asarray(reg.model_(X))
    assert_allclose(reg.predict(X), outputs[:, :2], rtol=1e-5)
    assert_array_equal(reg.predict_uncertainty(X, "epistemic_std"), 0)
    if reg.noise == "varying":
        std = reg.predict_uncertainty(X, "aleatoric_std")
        assert_allclose(std, np.exp(outputs[:, 2:] / 2), rtol=1e-4)


def test_moments_are_those_of_the_draws(fitted):
    means, stds = fitted.sample_predictions(X, return_std=True)
    assert means.shape == stds.shape == (100, 150)
    mean, std = fitted.predict(X, return_std=True)
    assert_array_equal(mean, fitted.predict(X))
    assert_allclose(mean, means.mean(axis=0), rtol=1e-6)
    total = np.sqrt(means.var(axis=0) + (stds**2).mean(axis=0))
    assert_allclose(std, total, rtol=1e-5)
    assert_array_equal(std, fitted.predict_uncertainty(X))
    assert_array_equal(means, fitted.sample_predictions(X))
    measures = ["epistemic_std", "aleatoric_std", "total_std"]
    found = fitted.predict_uncertainty(X, measures)
    assert_array_equal(found[:, 2], std)
    assert_allclose(found[:, 0], means.std(axis=0), rtol=1e-4)


def test_log_density_is_that_of_the_mixture(fitted_to_two):
    means, stds = fitted_to_two.sample_predictions(X, return_std=True)
    by_draw = norm(means, stds).logpdf(TWO).sum(axis=2)
    expected = logsumexp(by_draw, axis=0) - np.log(100)
    assert_allclose(fitted_to_two.predict_log_density(X, TWO), expected, rtol=1e-6)


def test_quantiles_are_those_of_the_mixture(fitted_to_two):
    levels = [0.01, 0.3, 0.5, 0.95]
    means, stds = fitted_to_two.sample_predictions(X, return_std=True)
    found = fitted_to_two.predict_quantiles(X, levels)
    assert found.shape == (150, 2, 4)
    for i, level in enumerate(levels):
        below = norm(means, stds).cdf(found[..., i]).mean(axis=0)
        assert_allclose(below, level, rtol=1e-6)
    interval = fitted_to_two.predict_interval(X, coverage=0.9)
    ends = fitted_to_two.predict_quantiles(X, [0.05, 0.95])
    assert_allclose(interval, ends, rtol=1e-9)


def test_an_interval_of_one_target_has_two_columns(fitted):
    assert fitted.predict_interval(X).shape == (150, 2)
    assert fitted.predict_quantiles(X, 0.5).shape == (150, 1)


def test_samples_of_y_have_the_predicted_distribution(fitted):
    samples = fitted.sample_y(X[:4], 20_000)
    assert samples.shape == (4, 20_000)
    mean, std = fitted.predict(X[:4], return_std=True)
    assert_allclose(samples.mean(axis=1), mean, atol=4 * std.max() / 20_000**0.5)
    assert_allclose(samples.std(axis=1), std, rtol=0.03)
    assert_array_equal(samples, fitted.sample_y(X[:4], 20_000))
    other = fitted.sample_y(X[:4], 20_000, random_state=1)
    assert (samples != other).all()


def test_a_sample_of_y_is_of_one_draw_at_all_rows(fitted_to_two):
    samples = fitted_to_two.sample_y(X[:1].repeat(2, axis=0), 5000)
    assert samples.shape == (2, 2, 5000)
    first, second = samples[:, 0]
    epistemic = fitted_to_two.predict_uncertainty(X[:1], "epistemic_std")[0, 0]
    assert_allclose(np.cov(first, second)[0, 1], epistemic**2, rtol=0.3)


@pytest.mark.parametrize("shift", [0.0, 1e9])
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_are_those_of_y(fitted, factor, shift):
    y = factor * Y + shift * factor
    reg = clone(fitted).fit(X, y)
    expected, std = fitted.predict(X, return_std=True)
    got, got_std = reg.predict(X, return_std=True)
    assert_allclose(got / factor - shift, expected, atol=0.01)
    assert_allclose(got_std / factor, std, rtol=0.01)
    offset = np.log(factor)
    density = reg.predict_log_density(X, y) + offset
    assert_allclose(density, fitted.predict_log_density(X, Y), atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES)
def test_constant_targets_are_predicted(noise):
    reg = regressor(noise=noise, epochs=60).fit(X, np.full(150, 7.0))
    mean, std = reg.predict(X, return_std=True)
    assert_allclose(mean, 7, atol=0.7)
    assert ((std > 0) & (std < 0.5)).all()


def test_shapes_of_y_come_back(fitted):
    column = clone(fitted).fit(X, Y[:, None])
    assert column.predict(X).shape == (150, 1)
    assert_array_equal(column.predict(X)[:, 0], fitted.predict(X))
    assert fitted.predict(X).shape == (150,)
    assert fitted.n_outputs_ == column.n_outputs_ == 1
    if fitted.noise == "constant":
        assert column.noise_std_[0] == fitted.noise_std_
        assert isinstance(fitted.noise_std_, float)
    else:
        assert not hasattr(fitted, "noise_std_")


@pytest.mark.slow
def test_targets_of_equal_values_are_predicted_alike_in_either_order():
    swapped = TWO[:, ::-1]
    first = regressor(epochs=60).fit(X, TWO).score(X, TWO)
    second = regressor(epochs=60).fit(X, swapped).score(X, swapped)
    assert min(first, second) > 0.4


def test_fits_do_not_depend_on_the_order_of_rows(fitted):
    order = np.random.RandomState(0).permutation(150)
    again = clone(fitted).fit(X[order], Y[order])
    assert_array_equal(again.predict(X), fitted.predict(X))


@pytest.mark.parametrize("noise", fast("varying", among=NOISES))
def test_integer_weights_are_repeated_rows(noise):
    counts = np.arange(150) % 3
    weighed = regressor(noise=noise).fit(X, TWO, sample_weight=counts)
    rows = np.repeat(np.arange(150), counts)
    repeated = regressor(noise=noise).fit(X[rows], TWO[rows])
    assert_array_equal(
        weighed.predict(X, return_std=True), repeated.predict(X, return_std=True)
    )


@pytest.mark.slow
def test_weights_that_are_not_integers_count():
    weights = np.where(np.median(Y) < Y, 2.5, 0.5)
    mean = regressor(epochs=30).fit(X, Y, sample_weight=weights).predict(X).mean()
    assert mean > regressor(epochs=30).fit(X, Y).predict(X).mean()


def test_predictions_do_not_depend_on_company(fitted):
    mean, std = fitted.predict(X, return_std=True)
    for rows in (slice(0, 1), slice(3, 50), slice(150, None, -1)):
        few, few_std = fitted.predict(X[rows], return_std=True)
        assert_allclose(few, mean[rows], rtol=1e-6, atol=1e-6 * Y.std())
        assert_allclose(few_std, std[rows], rtol=1e-5)


def test_rows_are_reduced_a_block_at_a_time(fitted, monkeypatch):
    expected = (
        fitted.predict_interval(X),
        fitted.predict_log_density(X, Y),
    )
    inside.reduce_in_blocks(monkeypatch, 2000)
    got = fitted.predict_interval(X), fitted.predict_log_density(X, Y)
    for ours, theirs in zip(got, expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-4)


@pytest.mark.slow
def test_partial_fit_learns_and_looks_before_it_trains():
    reg = regressor(noise="constant")
    reg.partial_fit(X[:50], Y[:50])
    assert reg.noise_std_ == pytest.approx(Y[:50].std())  # nothing is known yet
    assert_allclose(reg.target_mean_, Y[:50].mean())
    for _ in range(40):
        reg.partial_fit(X, Y)
    assert reg.n_iter_ == 41
    assert reg.score(X, Y) > 0.6
    assert reg.noise_std_ < Y.std()
    assert_allclose(reg.target_mean_, Y[:50].mean())


def test_warm_start_goes_on(fitted):
    whole = clone(fitted).set_params(learning_rate_schedule="constant", epochs=20)
    whole.fit(X, Y)
    parts = clone(whole).set_params(warm_start=True, epochs=10)
    parts.fit(X, Y)
    first = parts.predict_uncertainty(X, "aleatoric_std")
    parts.fit(X, Y)
    assert parts.n_iter_ == 20
    assert_allclose(parts.predict(X), whole.predict(X), rtol=1e-5)
    if parts.noise == "constant":
        assert_array_equal(parts.predict_uncertainty(X, "aleatoric_std"), first)


def test_early_stopping_watches_the_loss():
    reg = regressor(early_stopping=True, epochs=300, n_iter_no_change=10).fit(X, Y)
    assert reg.n_iter_ < 300
    assert set(reg.history_) == {"loss", "val_loss"}
    assert reg.score(X, Y) > 0.5


@pytest.mark.slow
def test_other_optimizers_train_in_graphs(fitted):
    adam = keras.optimizers.Adam(0.003, epsilon=1e-6)
    for optimizer in ("rmsprop", adam):
        other = clone(fitted).set_params(optimizer=optimizer, epochs=50).fit(X, Y)
        assert other.score(X, Y) > 0.4


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("noise", NOISES)
def test_the_loss_is_the_likelihood_in_standard_units_and_the_penalty(noise, optimizer):
    """Without dropout and steps to speak of, it is that of the initial weights.

    Adam trains on arrays, other optimizers in graphs.
    """
    reg = regressor(
        noise=noise,
        optimizer=optimizer,
        dropout_rate=0.0,
        batch_normalization=False,
        epochs=1,
        learning_rate=1e-12,
        batch_size=150,
    ).fit(X, TWO)
    kernel, bias, last, of_last = (
        w.astype(float) for w in reg.model_.get_weights()[:4]
    )
    outputs = np.maximum(X @ kernel + bias, 0) @ last + of_last
    y = (TWO - TWO.mean(axis=0)) / TWO.std(axis=0)
    squares = np.square(outputs[:, :2] - y)
    variances = squares.mean(axis=0) if noise == "constant" else np.exp(outputs[:, 2:])
    likelihood = norm(0, np.sqrt(variances)).logpdf(np.sqrt(squares)).sum(axis=1)
    penalty = reg.alpha / (2 * 150) * ((kernel**2).sum() + (last**2).sum())
    expected = penalty - likelihood.mean()
    assert_allclose(reg.history_["loss"][0], expected, rtol=1e-5)


@pytest.mark.slow
def test_it_takes_part_in_searches_and_pipelines():
    pipe = make_pipeline(StandardScaler(), regressor(epochs=60, noise="constant"))
    grid = {
        "mcdropoutregressor__dropout_rate": [0.1, 0.5],
        "mcdropoutregressor__n_samples": [0, 20],
    }
    search = GridSearchCV(pipe, grid, cv=2).fit(X, Y)
    assert search.best_score_ > 0
    mean, std = search.best_estimator_.predict(X, return_std=True)
    assert mean.shape == std.shape == (150,)
    assert cross_val_score(pipe, X, Y, cv=3).shape == (3,)


def test_memory_trains_once(tmp_path):
    reg = regressor(memory=str(tmp_path))
    first = reg.fit(X, Y).predict(X, return_std=True)
    history = reg.history_
    again = clone(reg).set_params(n_samples=50).fit(X, Y)
    assert again.history_ == history
    assert_array_equal(clone(reg).fit(X, Y).predict(X, return_std=True), first)


def test_what_is_not_fitted_says_so():
    for method in ("predict", "predict_interval", "sample_y", "sample_predictions"):
        with pytest.raises(NotFittedError):
            getattr(MCDropoutRegressor(), method)(X)


def test_a_fit_that_fails_changes_nothing(fitted):
    before = fitted.predict(X)
    going_on = clone(fitted).set_params(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="must have the same number of targets"):
        going_on.fit(X, TWO)
    with pytest.raises(ValueError, match="NaN"):
        fitted.fit(X, np.where(Y > 10, np.nan, Y))
    assert_array_equal(fitted.predict(X), before)


REFUSED = {
    "coverage of 1": (
        lambda r: r.predict_interval(X, coverage=1),
        r"coverage must hold numbers in the range \(0, 1\). Got \[1\]",
    ),
    "a quantile of 0": (
        lambda r: r.predict_quantiles(X, [0.5, 0.0]),
        r"quantiles must hold numbers in the range \(0, 1\)",
    ),
    "no sample": (
        lambda r: r.sample_y(X, 0),
        "n_samples == 0, must be >= 1",
    ),
    "a measure of classes": (
        lambda r: r.predict_uncertainty(X, "predictive_entropy"),
        "measure must be one of",
    ),
    "fewer targets than rows": (
        lambda r: r.predict_log_density(X, Y[:9]),
        "y must have a target for each row of X. Got 9 for 150 rows",
    ),
    "two targets for one": (
        lambda r: r.predict_log_density(X, TWO),
        r"y must have 1 target\(s\) for each row",
    ),
    "targets without squares": (
        lambda r: clone(r).fit(X, Y * 1e200),
        "y must hold values whose squares",
    ),
    "a noise that isn't there": (
        lambda r: clone(r).set_params(noise="heavy").fit(X, Y),
        "The 'noise' parameter",
    ),
    "text": (
        lambda r: clone(r).fit(X, np.where(Y > 10, "high", "low")),
        "could not convert string to float",
    ),
    "features without bounds": (
        lambda r: r.predict(np.full_like(X, 3.4e38)),
        "X must hold values that the network can compute with",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_in_words(fitted, case):
    call, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        call(fitted)

"""Targets that are transformed: distributions pass through, by closed forms."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, VotingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)

from skmcdropout import (
    MCDropoutRegressor,
    predict_interval,
    predict_log_density,
    predict_quantiles,
    predict_uncertainty,
    sample_predictions,
)
from skmcdropout.metrics import make_distribution_scorer
from skmcdropout.plotting import (
    PredictionIntervalDisplay,
    PredictiveBandDisplay,
    QuantileCalibrationDisplay,
)

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 3))
Z = X[:, 0] + 0.3 * RNG.normal(size=60)
Y = np.exp(Z)
LEVELS = np.array([0.05, 0.5, 0.9])


def regressor(n_samples=10, **params):
    given = {"epochs": 100, "learning_rate": 0.01, "n_samples": n_samples}
    return MCDropoutRegressor((8,), random_state=0, **{**given, **params})


def of_logarithms(inner=None, y=Y, **how):
    how = how or {"func": np.log, "inverse_func": np.exp}
    inner = regressor() if inner is None else inner
    return TransformedTargetRegressor(inner, check_inverse=False, **how).fit(X, y)


def one_normal(fitted):
    """Mean and standard deviation of a network without draws."""
    return fitted.regressor_.predict(X, return_std=True)


def pushed(fitted, back, n=400_000):
    """A row's distribution by brute force: samples of the mixture, transformed."""
    means, stds = fitted.regressor_.sample_predictions(X[:2], return_std=True)
    rng = np.random.RandomState(0)
    which = rng.randint(len(means), size=n)
    return back(means[which] + stds[which] * rng.normal(size=(n, 2)))


def test_one_draw_in_logarithms_is_lognormal():
    fitted = of_logarithms(regressor(n_samples=0))
    mean, std = one_normal(fitted)
    law = stats.lognorm(std, scale=np.exp(mean))
    assert_allclose(
        predict_quantiles(fitted, X, LEVELS), law.ppf(LEVELS[:, None]).T, rtol=1e-6
    )
    interval = predict_interval(fitted, X, coverage=0.8)
    assert_allclose(interval, law.ppf([[0.1], [0.9]]).T, rtol=1e-6)
    assert_allclose(predict_log_density(fitted, X, Y), law.logpdf(Y), rtol=1e-6)
    total, epistemic, aleatoric = predict_uncertainty(
        fitted, X, ["total_std", "epistemic_std", "aleatoric_std"]
    ).T
    assert_allclose(total, law.std(), rtol=5e-3)
    assert_allclose(aleatoric, law.std(), rtol=5e-3)
    assert not epistemic.any()
    draws, stds = sample_predictions(fitted, X, return_std=True)
    assert_allclose(draws, law.median()[None], rtol=1e-6)
    assert_allclose(stds, law.std()[None], rtol=5e-3)


def test_many_draws_in_logarithms():
    fitted = of_logarithms()
    means, stds = fitted.regressor_.sample_predictions(X, return_std=True)
    assert_allclose(sample_predictions(fitted, X), np.exp(means))
    inside = fitted.regressor_.predict_quantiles(X, LEVELS)
    assert_allclose(predict_quantiles(fitted, X, LEVELS), np.exp(inside))
    law = stats.lognorm(stds, scale=np.exp(means))
    parts = predict_uncertainty(fitted, X, ["epistemic_std", "aleatoric_std"]).T
    # 12 nodes for what is nearly without limit
    assert_allclose(parts[0], law.mean().std(axis=0), rtol=5e-3, atol=1e-12)
    assert_allclose(parts[1], np.sqrt(law.var().mean(axis=0)), rtol=5e-3)
    expected = np.log(law.pdf(Y).mean(axis=0))
    assert_allclose(predict_log_density(fitted, X, Y), expected, rtol=1e-6)
    assert predict_log_density(fitted, X[:1], [-1.0]) == -np.inf


TRANSFORMED = {
    "log1p": {"func": np.log1p, "inverse_func": np.expm1},
    "log2": {"func": np.log2, "inverse_func": np.exp2},
    "log10": {"func": np.log10, "inverse_func": lambda z: 10.0**z},
    "sqrt": {"func": np.sqrt, "inverse_func": np.square},
    "cbrt": {"func": np.cbrt, "inverse_func": lambda z: z**3},
    "arcsinh": {"func": np.arcsinh, "inverse_func": np.sinh},
    "one's own": {
        "func": lambda y: y**0.7,
        "inverse_func": lambda z: np.abs(z) ** (1 / 0.7),
    },
    "falling": {"func": lambda y: -np.log(y), "inverse_func": lambda z: np.exp(-z)},
    "box-cox": {"transformer": PowerTransformer(method="box-cox")},
    "yeo-johnson": {"transformer": PowerTransformer()},
    "not standardised": {"transformer": PowerTransformer(standardize=False)},
    "a pipeline": {
        "transformer": make_pipeline(
            FunctionTransformer(np.log, inverse_func=np.exp), StandardScaler()
        )
    },
    "ranks": {
        "transformer": QuantileTransformer(n_quantiles=20, output_distribution="normal")
    },
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_any_monotone_function_agrees_with_samples(name):
    fitted = of_logarithms(**TRANSFORMED[name])
    transformer = fitted.transformer_
    quantiles = predict_quantiles(fitted, X[:2], LEVELS)
    assert (np.diff(quantiles) >= 0).all()

    def back(z):
        y = transformer.inverse_transform(z.reshape(-1, 1)).reshape(z.shape)
        if name in ("sqrt", "one's own"):
            y = np.where(z < 0, 0, y)
        return np.where(np.isnan(y), 0, y)  # Box and Cox beyond their range

    samples = pushed(fitted, back)
    # shares of samples below the quantiles, to 5 standard errors
    for row in range(2):
        slack = 5 * 0.5 / np.sqrt(len(samples)) + 1e-9
        below, at_most = (
            compare(samples[:, row, None], quantiles[row]).mean(axis=0)
            for compare in (lambda y, q: y < q - 1e-9, lambda y, q: y <= q + 1e-9)
        )
        assert (below - slack <= LEVELS).all()  # which differ at the ends of a range
        assert (at_most + slack >= LEVELS).all()
    expected = samples.std(axis=0)
    heavy = stats.kurtosis(samples, axis=0) + 3
    slack = 5 * np.sqrt(heavy / len(samples)) + 0.02  # and kinks between the nodes
    found = predict_uncertainty(fitted, X[:2])
    assert (abs(found / expected - 1) < slack).all()


@pytest.mark.parametrize("name", [name for name in TRANSFORMED if name != "ranks"])
def test_densities_are_slopes_of_distributions(name):
    """By quantiles: between two near ones lies as much as they say."""
    fitted = of_logarithms(**TRANSFORMED[name])
    levels = np.array([0.4999, 0.5, 0.5001])
    low, middle, high = predict_quantiles(fitted, X, levels).T
    density = np.exp(predict_log_density(fitted, X, middle))
    is_inside = high > low + 1e-9  # and not where half of the mass sits at an end
    assert is_inside.mean() > 0.4
    expected = 2e-4 / (high - low)[is_inside]
    assert_allclose(density[is_inside], expected, rtol=1e-3)


def test_what_a_network_says_beyond_the_range_is_at_its_end():
    small = np.abs(RNG.normal(size=60)) * 1e-2
    roots = of_logarithms(y=small, func=np.sqrt, inverse_func=np.square)
    assert roots.regressor_.predict_quantiles(X, [0.001]).min() < 0
    assert_allclose(predict_quantiles(roots, X, [0.001]).min(), 0, atol=1e-12)
    assert (np.diff(predict_interval(roots, X, 0.998)) > 0).all()


def test_two_targets_each_by_itself():
    both = np.stack([Y, 100 * Y[::-1]], axis=1)
    fitted = of_logarithms(regressor(n_samples=0), y=both)
    mean, std = one_normal(fitted)
    law = stats.lognorm(std, scale=np.exp(mean))
    expected = np.moveaxis(law.ppf(LEVELS[:, None, None]), 0, -1)
    assert_allclose(predict_quantiles(fitted, X, LEVELS), expected, rtol=1e-6)
    found = predict_uncertainty(fitted, X)
    assert_allclose(found[std < 2], law.std()[std < 2], rtol=5e-3)
    expected = law.logpdf(both).sum(axis=1)
    assert_allclose(predict_log_density(fitted, X, both), expected, rtol=1e-6)


def test_a_union_of_unlike_transformations():
    members = [
        ("logs", TransformedTargetRegressor(
            regressor(0), func=np.log, inverse_func=np.exp)),
        ("plain", regressor(0)),
    ]  # fmt: skip
    weights = [0.3, np.pi]  # in no proportion of small integers
    fitted = VotingRegressor(members, weights=weights).fit(X, Y)
    logs, plain = fitted.estimators_
    mean, std = one_normal(logs)
    laws = [
        stats.lognorm(std, scale=np.exp(mean)),
        stats.norm(*plain.predict(X, return_std=True)),
    ]
    share = np.array(weights) / sum(weights)
    density = sum(w * law.pdf(Y) for w, law in zip(share, laws, strict=True))
    assert_allclose(np.exp(predict_log_density(fitted, X, Y)), density, rtol=1e-6)
    quantiles = predict_quantiles(fitted, X, LEVELS)
    reached = sum(w * law.cdf(quantiles.T) for w, law in zip(share, laws, strict=True))
    assert_allclose(reached.T, np.broadcast_to(LEVELS, (60, 3)), atol=1e-8)
    means = [law.mean() for law in laws]
    variance = share @ [law.var() for law in laws]
    variance += share @ np.square(means) - np.square(share @ means)
    assert_allclose(predict_uncertainty(fitted, X), np.sqrt(variance), rtol=5e-3)


WITHIN = {
    "a pipeline": lambda fitted: make_pipeline(StandardScaler(), fitted),
    "a search": lambda fitted: GridSearchCV(
        fitted, {"regressor__n_samples": [10]}, cv=2
    ),
    "frozen": lambda fitted: FrozenEstimator(fitted.fit(X, Y)),
    "twice": lambda fitted: TransformedTargetRegressor(
        fitted, transformer=StandardScaler(with_mean=False)
    ),
}


@pytest.mark.parametrize("name", WITHIN)
def test_it_may_be_in_anything(name):
    inner = TransformedTargetRegressor(regressor(), func=np.log, inverse_func=np.exp)
    fitted = WITHIN[name](inner).fit(X, Y)
    interval = predict_interval(fitted, X)
    assert interval.shape == (60, 2)
    assert interval.min() > 0
    below = predict_quantiles(fitted, X, [0.05, 0.95])
    assert_allclose(interval, below)
    middle = predict_quantiles(fitted, X, [0.4999, 0.5, 0.5001])
    density = np.exp(predict_log_density(fitted, X, middle[:, 1]))
    assert_allclose(density, 2e-4 / (middle[:, 2] - middle[:, 0]), rtol=1e-3)


def test_an_ensemble_inside_is_the_mixture_of_its_members():
    bagged = BaggingRegressor(regressor(0), 2, random_state=0)
    fitted = of_logarithms(bagged)
    found = predict_quantiles(fitted, X, LEVELS)
    laws = [
        stats.norm(*member.predict(X[:, columns], return_std=True))
        for member, columns in zip(
            fitted.regressor_.estimators_,
            fitted.regressor_.estimators_features_,
            strict=True,
        )
    ]
    reached = np.mean([law.cdf(np.log(found).T) for law in laws], axis=0)
    assert_allclose(reached.T, np.broadcast_to(LEVELS, (60, 3)), atol=1e-8)


def lognormal_crps(y, mean, std):
    """Closed form (Baran and Lerch, 2015)."""
    z = (np.log(y) - mean) / std
    inner = stats.norm.cdf(z - std) + stats.norm.cdf(std / np.sqrt(2)) - 1
    return y * (2 * stats.norm.cdf(z) - 1) - 2 * np.exp(mean + std**2 / 2) * inner


def test_scores_of_transformed_targets():
    fitted = of_logarithms(regressor(n_samples=0))
    mean, std = one_normal(fitted)
    law = stats.lognorm(std, scale=np.exp(mean))
    scores = {
        name: make_distribution_scorer(name)(fitted, X, Y)
        for name in ("mean_log_density", "neg_crps", "neg_quantile_calibration_error")
    }
    assert_allclose(scores["mean_log_density"], law.logpdf(Y).mean(), rtol=1e-6)
    expected = lognormal_crps(Y, mean, std).mean()
    # 50 points stand for a distribution
    assert_allclose(-scores["neg_crps"], expected, rtol=0.01)
    levels = np.arange(1, 20) / 20
    observed = (law.cdf(Y)[:, None] <= levels).mean(axis=0)
    expected = abs(observed - levels).mean()
    found = -scores["neg_quantile_calibration_error"]
    assert_allclose(found, expected, atol=1e-6)


def test_displays_of_transformed_targets():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    fitted = of_logarithms(regressor(n_samples=0))
    mean, std = one_normal(fitted)
    law = stats.lognorm(std, scale=np.exp(mean))
    interval = PredictionIntervalDisplay.from_estimator(fitted, X, Y, coverage=0.8)
    assert_allclose(np.sort(interval.lower), np.sort(law.ppf(0.1)), rtol=1e-6)
    assert_allclose(np.sort(interval.upper), np.sort(law.ppf(0.9)), rtol=1e-6)
    band = PredictiveBandDisplay.from_estimator(fitted, X, feature=0)
    assert band.lower.min() > 0
    calibration = QuantileCalibrationDisplay.from_estimator(fitted, X, Y)
    observed = (law.cdf(Y)[:, None] <= calibration.levels).mean(axis=0)
    assert_allclose(calibration.observed, observed, atol=1e-6)

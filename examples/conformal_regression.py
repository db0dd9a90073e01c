"""
Conformal intervals: numbers with a guarantee
=============================================

An interval of `predict_interval` is right if the noise is as the regressor models it: a
normal distribution, whose width depends on the row. Here the noise is not normal. A
conformal method corrects intervals on rows that were not trained on, so that a chosen
share of new rows is covered, whatever the noise: on average over rows, not for each
kind of row. MAPIE does so around any fitted regressor. Three of its methods differ in
what they make of the network's own idea of the noise. Needs ``pip install mapie``.
Saves ``conformal_regression.png``.
"""

# %%
# The data
# --------
# Noise that is larger on the right, and skewed: mostly a little below the curve, and
# sometimes far above. A part to train on, one to calibrate on, one to test on.

import matplotlib.pyplot as plt
import numpy as np
from mapie.conformity_scores import ResidualNormalisedScore
from mapie.regression import ConformalizedQuantileRegressor, SplitConformalRegressor
from scipy.stats import expon
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import train_test_split

from skmcdropout import MCDropoutRegressor
from skmcdropout.metrics import interval_coverage, interval_score, interval_width

rng = np.random.RandomState(0)
X = rng.uniform(-2, 2, size=(4000, 1))


def quantile(x, q):
    """The true quantile of y, with noise of mean 0."""
    return np.sin(2 * x) + (0.1 + 0.25 * (x + 2)) * (expon.ppf(q) - 1)


y = quantile(X[:, 0], rng.uniform(size=len(X)))
X, X_rest, y, y_rest = train_test_split(X, y, train_size=1000, random_state=0)
X_cal, X_test, y_cal, y_test = train_test_split(
    X_rest, y_rest, train_size=1000, random_state=0
)
network = MCDropoutRegressor((64, 64), alpha=1.0, epochs=100, random_state=0)
network.fit(X, y)

# %%
# What MAPIE asks for
# -------------------
# It asks regressors for one number a row. For its better methods that is a quantile, or
# a width; so a small class gives either as a regressor that is fitted already.


class Part(RegressorMixin, BaseEstimator):
    """One number a row from a fitted network: a quantile, or the standard deviation."""

    def __init__(self, network, quantile=None):
        self.network = network
        self.quantile = quantile

    def fit(self, X, y):
        self.n_features_in_ = self.network.n_features_in_
        return self

    def predict(self, X):
        if self.quantile is None:
            return self.network.predict_uncertainty(X, "total_std")
        return self.network.predict_quantiles(X, [self.quantile])[:, 0]


# %%
# Four intervals
# --------------
# "split": as wide as the residuals of the calibration rows ask for, the same for all
# rows. "normalised": residuals divided by the predicted standard deviation, so that
# unsure rows get wider ones; still symmetric. "quantiles": the network's own 5 % and
# 95 % quantiles, each interval moved outwards or inwards by one number.
conformal = {
    "split": SplitConformalRegressor(network, confidence_level=0.9),
    "normalised": SplitConformalRegressor(
        network,
        confidence_level=0.9,
        conformity_score=ResidualNormalisedScore(Part(network).fit(X, y), prefit=True),
    ),
    "quantiles": ConformalizedQuantileRegressor(
        [Part(network, q).fit(X, y) for q in (0.05, 0.95, 0.5)],
        confidence_level=0.9,
        prefit=True,
    ),
}
intervals = {"predict_interval": network.predict_interval(X_test, coverage=0.9)}
for name, method in conformal.items():
    _, bounds = method.conformalize(X_cal, y_cal).predict_interval(X_test)
    intervals[name] = bounds[:, :, 0]

# %%
# The network expects normal noise, so its own intervals are too wide here. All
# conformal ones keep the promise of 90 % on average, but not in each place: the
# constant width of "split" covers nearly everything where there is little noise and too
# little where there is much. Those that use the network's idea of the noise follow it.
# The interval score is small for intervals that are narrow and cover.
order = np.argsort(X_test[:, 0])
quarters = {"left": order[: len(order) // 4], "right": order[-(len(order) // 4) :]}
print(f"{'':<17}{'coverage':>9}{'width':>7}{'score':>7}   coverage of the quarter")
print(f"{'(90 % promised)':<17}{'':>9}{'':>7}{'':>7}" + f"{'left':>9}{'right':>9}")
for name, bounds in intervals.items():
    lower, upper = bounds.T
    print(
        f"{name:<17}{interval_coverage(y_test, lower, upper):>9.3f}"
        f"{interval_width(lower, upper):>7.2f}"
        f"{interval_score(y_test, lower, upper, coverage=0.9):>7.2f}"
        + "".join(
            f"{interval_coverage(y_test[rows], lower[rows], upper[rows]):>9.3f}"
            for rows in quarters.values()
        )
    )

# %%
# Blue: the intervals. Between the dotted lines are 90 % of what can be observed.
figure, axes = plt.subplots(
    2, 2, figsize=(10, 7), sharex=True, sharey=True, layout="constrained"
)
x = X_test[order, 0]
for axis, (name, bounds) in zip(axes.flat, intervals.items(), strict=True):
    axis.scatter(X_test[:, 0], y_test, s=4, color="black", alpha=0.3, linewidths=0)
    axis.fill_between(x, *bounds[order].T, color="tab:blue", alpha=0.3)
    for q in (0.05, 0.95):
        axis.plot(x, quantile(x, q), ":", color="black")
    axis.set_title(f"{name}: {interval_coverage(y_test, *bounds.T):.3f} covered")
axes[0, 0].set_ylim(-3, 5)
figure.suptitle("Share of new rows covered, where 0.9 is promised")
figure.supxlabel("x")
figure.supylabel("y")
figure.savefig("conformal_regression.png", dpi=120)
print("figure saved: conformal_regression.png")

"""
Regression: a number, and how sure it is
========================================

How far diabetes has progressed in a year, predicted from ten measurements of a patient:
442 rows, and much that the measurements do not say. A predicted mean is worth little
without its interval. Here: how good both are, which part of the uncertainty is the
model's and which the data's, and a search that is scored by the predicted density.
Saves ``regression.png``.
"""

# %%
# Train in a pipeline
# -------------------
# Features are scaled outside, targets inside: all that is predicted is in units of y.

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm
from sklearn.datasets import load_diabetes
from sklearn.linear_model import BayesianRidge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutRegressor
from skmcdropout.metrics import (
    interval_coverage,
    interval_width,
    make_distribution_scorer,
)

X, y = load_diabetes(return_X_y=True, scaled=False)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=1 / 3, random_state=0
)
pipeline = make_pipeline(
    StandardScaler(),
    MCDropoutRegressor((64, 64), dropout_rate=0.2, epochs=50, random_state=0),
)
pipeline.fit(X_train, y_train)
scaler, regressor = pipeline
rows = scaler.transform(X_test)

# %%
# Beside a linear model and another network
# -----------------------------------------
# With so few rows a linear model is hard to beat, and `BayesianRidge` has a standard
# deviation too: the first two rows of the table are as good as equal. `MLPRegressor`
# predicts a mean alone.
linear = make_pipeline(StandardScaler(), BayesianRidge()).fit(X_train, y_train)
linear_mean, linear_std = linear.predict(X_test, return_std=True)
perceptron = make_pipeline(
    StandardScaler(),
    MLPRegressor(
        hidden_layer_sizes=(64, 64), early_stopping=True, max_iter=1000, random_state=0
    ),
).fit(X_train, y_train)

print(f"{len(X_train)} training and {len(X_test)} test rows; intervals of 90 %\n")
print(f"{'':<20}{'R2':>6}{'log density':>13}{'coverage':>10}{'width':>7}")
for name, mean, log_density, interval in [
    (
        "MCDropoutRegressor",
        regressor.predict(rows),
        regressor.predict_log_density(rows, y_test),
        regressor.predict_interval(rows, coverage=0.9).T,
    ),
    (
        "BayesianRidge",
        linear_mean,
        norm.logpdf(y_test, linear_mean, linear_std),
        norm.interval(0.9, linear_mean, linear_std),
    ),
]:
    print(
        f"{name:<20}{r2_score(y_test, mean):>6.3f}{log_density.mean():>13.3f}"
        f"{interval_coverage(y_test, *interval):>10.1%}"
        f"{interval_width(*interval):>7.0f}"
    )
print(f"{'MLPRegressor':<20}{perceptron.score(X_test, y_test):>6.3f}")

# %%
# The model's part and the data's
# -------------------------------
# Variances add up. Nearly all is noise: more rows would help little, other measurements
# would.
total, epistemic, aleatoric = regressor.predict_uncertainty(
    rows, ["total_std", "epistemic_std", "aleatoric_std"]
).T
print("\nstandard deviation, root mean square over the test rows")
for name, std in [
    ("total", total),
    ("epistemic (the model's)", epistemic),
    ("aleatoric (the data's)", aleatoric),
]:
    share = np.mean(std**2) / np.mean(total**2)
    print(f"{name:<25}{np.sqrt(np.mean(std**2)):>6.1f}{share:>7.0%} of the variance")

# %%
# Is it wrong where it is unsure?
# -------------------------------
# The predicted standard deviations differ little from row to row, so they can't say
# much. But the quarter of the rows that is surest has the smallest errors by far.
error = np.abs(y_test - regressor.predict(rows))
quarters = np.array_split(np.argsort(total), 4)
errors = [error[quarter].mean() for quarter in quarters]
print("\ntest rows by predicted standard deviation")
print(f"{'quarter':<16}{'mean std':>9}{'mean error':>12}")
names = ["1 (surest)", "2", "3", "4 (least sure)"]
for name, quarter, value in zip(names, quarters, errors, strict=True):
    print(f"{name:<16}{total[quarter].mean():>9.1f}{value:>12.1f}")

mean = regressor.predict(rows)
lower, upper = regressor.predict_interval(rows, coverage=0.9).T
missed = (y_test < lower) | (upper < y_test)
figure, (left, right) = plt.subplots(
    1, 2, figsize=(10.5, 4.8), width_ratios=[2, 1], layout="constrained"
)
order = np.argsort(mean)
left.fill_between(
    mean[order], lower[order], upper[order], color="tab:blue", alpha=0.2,
    linewidth=0, label="interval of 90 %",
)  # fmt: skip
left.scatter(mean[~missed], y_test[~missed], s=14, color="tab:blue", label="inside")
left.scatter(mean[missed], y_test[missed], s=14, color="tab:red", label="outside")
ends = [mean.min(), mean.max()]
left.plot(ends, ends, ":", color="black", label="predicted = observed")
left.set(
    xlabel="predicted mean",
    ylabel="observed progression",
    title=f"{missed.sum()} of {len(y_test)} observed values are outside",
)
left.legend(loc="upper left", fontsize=9)
right.bar(["1", "2", "3", "4"], errors, color="tab:blue", alpha=0.6)
right.set(
    xlabel="quarter of the test rows, from the surest on",
    ylabel="mean absolute error",
    title="Error by predicted std",
)
figure.savefig("regression.png", dpi=120)
print("\nfigure saved: regression.png")

# %%
# A search by log density
# -----------------------
# R2 knows nothing of intervals; the density that was predicted for what was observed
# judges the mean and the uncertainty at once. Compare the differences with the standard
# error: with so few rows, a search finds what is bad rather than what is best.

rates, noises = [0.05, 0.2, 0.5], ["constant", "varying"]
search = GridSearchCV(
    pipeline,
    {
        "mcdropoutregressor__dropout_rate": rates,
        "mcdropoutregressor__noise": noises,
    },
    scoring=make_distribution_scorer("mean_log_density"),
    cv=3,
).fit(X_train, y_train)
print("\nmean log density by 3-fold grid search")
print("dropout_rate" + "".join(f"{noise:>10}" for noise in noises))
scores = search.cv_results_["mean_test_score"].reshape(len(rates), len(noises))
for rate, row in zip(rates, scores, strict=True):
    print(f"{rate:>12}" + "".join(f"{score:>10.3f}" for score in row))
over_folds = search.cv_results_["std_test_score"].mean() / np.sqrt(3)
best = {name.split("__")[1]: value for name, value in search.best_params_.items()}
print(f"standard error, from fold to fold: about {over_folds:.3f}")
print(f"best: {best}; on the test rows: {search.score(X_test, y_test):.3f}")

"""
Do the probabilities keep their word?
=====================================

Of all rows that are given a probability of 80 %, 80 % should be of that class. A
network that was trained long on few rows promises more than it keeps; the mean over
Monte-Carlo draws promises less. Drawn with scikit-learn's `CalibrationDisplay`, counted
with its log-loss and Brier score and with the calibration error of
`skmcdropout.metrics`.
Saves ``calibration.png``.
"""

# %%
# One network, predicted with and without draws. One label in twenty is wrong.

import matplotlib.pyplot as plt
from sklearn.calibration import CalibrationDisplay
from sklearn.datasets import make_classification
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier
from skmcdropout.metrics import top_label_calibration_error

X, y = make_classification(6000, 20, n_informative=8, flip_y=0.1, random_state=0)
X = StandardScaler().fit_transform(X)
X, X_test, y, y_test = train_test_split(
    X, y, train_size=600, stratify=y, random_state=0
)
network = MCDropoutClassifier(
    (100, 100), alpha=0.0, dropout_rate=0.2, epochs=100, random_state=0
).fit(X, y)

# %%
# The same network: `n_samples` plays no part in training.
predictions = {
    "100 draws": network.set_params(n_samples=100).predict_proba(X_test),
    "ordinary prediction": network.set_params(n_samples=0).predict_proba(X_test),
}
print(f"{'':<22}{'accuracy':>9}{'log-loss':>10}{'Brier':>8}{'calibration error':>19}")
for name, proba in predictions.items():
    print(
        f"{name:<22}"
        f"{(proba.argmax(axis=1) == y_test).mean():>9.3f}"
        f"{log_loss(y_test, proba):>10.3f}"
        f"{brier_score_loss(y_test, proba[:, 1]):>8.3f}"
        f"{top_label_calibration_error(y_test, proba):>19.3f}"
    )

# %%
# Below: how often each probability is given. Certainty is what the draws take away.
figure, (top, bottom) = plt.subplots(
    2, 1, figsize=(5.6, 6.6), height_ratios=[3, 1], sharex=True, layout="constrained"
)
for (name, proba), marker in zip(predictions.items(), "os", strict=True):
    CalibrationDisplay.from_predictions(
        y_test, proba[:, 1], n_bins=10, strategy="quantile", name=name, ax=top,
        marker=marker,
    )  # fmt: skip
    bottom.hist(proba[:, 1], bins=40, range=(0, 1), histtype="step", linewidth=1.5)
top.set(xlabel="", ylabel="share of class 1 among these rows")
bottom.set(xlabel="predicted probability of class 1", ylabel="rows")
figure.savefig("calibration.png", dpi=120)
print("figure saved: calibration.png")

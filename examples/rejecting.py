"""
Rejecting what it is not sure of
================================

A threshold on an uncertainty is chosen on held-out rows so that at most one in two
hundred accepted digits is wrong, with 95 % confidence. Then digits whose pixels were
shuffled, which look like nothing it has seen, come along.
Saves ``rejecting.png``.
"""

# %%
# Half of the digits to train and choose the threshold on.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skmcdropout import MCDropoutClassifier, RejectingClassifier
from skmcdropout.metrics import (
    accuracy_at_coverage,
    error_detection_auroc,
    ood_detection_auroc,
)
from skmcdropout.plotting import RiskCoverageDisplay, UncertaintyHistogramDisplay

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(
    X / 16, y, test_size=0.5, stratify=y, random_state=0
)
network = MCDropoutClassifier((200,), dropout_rate=0.3, epochs=40, random_state=0)
classifier = RejectingClassifier(network, max_risk=0.005).fit(X, y)
print(f"threshold {classifier.threshold_:.3f} nats of predictive entropy")
print(f"held out: {classifier.coverage_:.1%} accepted, {classifier.risk_:.2%} wrong")

# %%
# What it is worth on new digits.
accepted = classifier.accept(X_test)
right = classifier.predict(X_test) == y_test
print(f"on {len(y_test)} new digits:")
for name, rows in [("accepted", accepted), ("rejected", ~accepted)]:
    print(f"  {name} {rows.mean():>6.1%}, of which {1 - right[rows].mean():.2%} wrong")

# %%
# Shuffled digits, and how well each measure tells errors and them from the rest.
shuffled = np.random.default_rng(0).permuted(X_test, axis=1)
share = classifier.accept(shuffled).mean()
print(f"of {len(shuffled)} shuffled digits {share:.1%} accepted")
fitted = classifier.estimator_
predicted = fitted.predict(X_test)
print(
    f"\n{'measure':<22}{'errors':>8}{'shuffled':>10}{'accuracy of the surest 90 %':>30}"
)
for measure in ("predictive_entropy", "mutual_information", "variation_ratio"):
    unsure = fitted.predict_uncertainty(X_test, measure)
    elsewhere = fitted.predict_uncertainty(shuffled, measure)
    print(
        f"{measure:<22}"
        f"{error_detection_auroc(y_test, predicted, unsure):>8.3f}"
        f"{ood_detection_auroc(unsure, elsewhere):>10.3f}"
        f"{accuracy_at_coverage(y_test, predicted, unsure, 0.9):>30.4f}"
    )
print("(AUROC: 0.5 is chance, 1 is perfect)")

figure, (left, right_axis) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
for measure, style in [("predictive_entropy", "-"), ("mutual_information", "--")]:
    RiskCoverageDisplay.from_estimator(
        fitted, X_test, y_test, measure=measure, ax=left, linestyle=style
    )
left.axvline(classifier.coverage_, color="grey", linewidth=1)
UncertaintyHistogramDisplay.from_estimator(
    fitted, X_test, y_test, X_other=shuffled, ax=right_axis
)
right_axis.axvline(classifier.threshold_, color="grey", linewidth=1)
right_axis.annotate(
    "threshold", (classifier.threshold_, 0.97), xycoords=("data", "axes fraction"),
    xytext=(4, 0), textcoords="offset points", va="top", fontsize=9,
)  # fmt: skip
figure.savefig("rejecting.png", dpi=120)
print("figure saved: rejecting.png")

"""
Conformal sets: labels with a guarantee
=======================================

Instead of one label, a set of labels that holds the true one with a probability that
can be chosen, whatever the network is worth: on average over rows like those it was
calibrated on, not for each kind of row. MAPIE makes such sets around any fitted
classifier; where this one is unsure they grow (at low levels some of the most unsure
rows get an empty one). Needs ``pip install mapie``.
Saves ``conformal_sets.png``.
"""

# %%
# A part to train on, one to calibrate on, one to test on. The digits are made hard to
# read by noise.

import matplotlib.pyplot as plt
import numpy as np
from mapie.classification import SplitConformalClassifier
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skmcdropout import MCDropoutClassifier

X, y = load_digits(return_X_y=True)
X = X / 16 + np.random.RandomState(0).normal(scale=0.35, size=X.shape)
X, X_rest, y, y_rest = train_test_split(X, y, train_size=700, random_state=0)
X_cal, X_test, y_cal, y_test = train_test_split(
    X_rest, y_rest, train_size=0.5, random_state=0
)
network = MCDropoutClassifier(dropout_rate=0.3, epochs=40, random_state=0).fit(X, y)
print(f"accuracy {network.score(X_test, y_test):.3f}")

# %%
# The sets: of shape (rows, classes, levels).
levels = [0.8, 0.9, 0.95, 0.98]
conformal = SplitConformalClassifier(
    network, confidence_level=levels, conformity_score="lac", random_state=0
).conformalize(X_cal, y_cal)
_, sets = conformal.predict_set(X_test)
covered = sets[np.arange(len(y_test)), y_test].mean(axis=0)
sizes = sets.sum(axis=1)
print(f"{'promised':>8}{'kept':>8}{'mean size':>11}{'one label':>11}")
for i, level in enumerate(levels):
    print(
        f"{level:>8.2f}{covered[i]:>8.3f}{sizes[:, i].mean():>11.2f}"
        f"{(sizes[:, i] == 1).mean():>11.1%}"
    )

# %%
# How many labels a row needs, by how unsure the network is of it.
entropy = network.predict_uncertainty(X_test)
size = sizes[:, levels.index(0.95)]
groups = [entropy[size == n] for n in np.unique(size)]
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
left.plot([0.75, 1], [0.75, 1], ":", color="black", label="as promised")
left.plot(levels, covered, "o-", label="found")
left.set(
    xlabel="promised coverage",
    ylabel=f"coverage of {len(y_test)} new digits",
    title="Promised and kept",
)
left.legend()
left.grid(alpha=0.3)
right.boxplot(groups, positions=np.unique(size), widths=0.6)
right.set(
    xlabel="labels in the set (95 % promised)",
    ylabel="predictive entropy (nats)",
    title="The less sure, the more labels",
)
figure.savefig("conformal_sets.png", dpi=120)
print("figure saved: conformal_sets.png")

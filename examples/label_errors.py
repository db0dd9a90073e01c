"""
Finding wrong labels
====================

Four in a hundred labels of handwritten digits are made wrong on purpose.
`cross_val_uncertainty` looks at each digit with a network that was not trained on it.
The rows whose label it finds least probable are worth a look: nearly all of the wrong
labels are among the first of them. Uncertainty does not find them. It answers another
question, which rows are hard, and does not know the label: a network is sure that a
clear 5 is a 5, whatever it was called.
Saves ``label_errors.png``.
"""

# %%
# Digits, some of which get a label of another class.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skmcdropout import MCDropoutClassifier, cross_val_uncertainty

X, truth = load_digits(return_X_y=True)
rng = np.random.default_rng(0)
wrong = rng.choice(len(truth), size=len(truth) // 25, replace=False)
y = truth.copy()
y[wrong] = (truth[wrong] + rng.integers(1, 10, size=len(wrong))) % 10
is_wrong = y != truth
print(f"{is_wrong.sum()} of {len(y)} labels are wrong")

# %%
# Out-of-fold: what a network says of rows that it was not trained on. One call gives
# the uncertainties and the probabilities, of the same five networks.
network = make_pipeline(MinMaxScaler(), MCDropoutClassifier(epochs=40, random_state=0))
measures = ["predictive_entropy", "mutual_information"]
uncertainty, proba = cross_val_uncertainty(
    network,
    X,
    y,
    measure=measures,
    cv=StratifiedKFold(5, shuffle=True, random_state=0),
    return_prediction=True,
)
suspicion = {"1 - probability of the label": 1 - proba[np.arange(len(y)), y]}
suspicion |= dict(zip(measures, uncertainty.T, strict=True))

# %%
# Rows are looked at from the most suspect on.
found = {
    name: np.cumsum(is_wrong[np.argsort(-score, kind="stable")])
    for name, score in suspicion.items()
}
looked_at = [len(wrong), 2 * len(wrong), len(y) // 4]
print(f"\n{'wrong labels found in the first':<32}", *(f"{n:>6}" for n in looked_at))
for name, count in found.items():
    print(f"{name:<32}", *(f"{count[n - 1]:>6}" for n in looked_at))
by_chance = [n * len(wrong) / len(y) for n in looked_at]
print(f"{'by chance':<32}", *(f"{n:>6.0f}" for n in by_chance))

# %%
# How many are found, and the rows to look at first, with the label that they have.
figure = plt.figure(figsize=(11, 4.4), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=[1, 1.1])
axis = left.subplots()
rows = np.arange(1, len(y) + 1)
for (name, count), style in zip(found.items(), ["-", "--", ":"], strict=True):
    axis.plot(rows, count / len(wrong), style, label=name, linewidth=2)
axis.plot([0, len(y)], [0, 1], color="grey", linewidth=1, label="by chance")
axis.axvline(len(wrong), color="grey", linewidth=1, linestyle=(0, (1, 3)))
axis.annotate(
    f"as many rows\nas wrong labels ({len(wrong)})", (len(wrong), 0.65),
    xytext=(6, 0), textcoords="offset points", fontsize=8, color="dimgrey",
)  # fmt: skip
axis.set(
    xlabel="rows looked at, most suspect first",
    ylabel="share of the wrong labels found",
    xlim=(0, len(y) // 3),
    ylim=(0, 1.03),
)
axis.legend(fontsize=8, loc="center right")
first = np.argsort(-suspicion["1 - probability of the label"])[:24]
right.suptitle("the 24 most suspect, with the labels that they have", fontsize=10)
for place, row in zip(right.subplots(4, 6).flat, first, strict=True):
    place.imshow(X[row].reshape(8, 8), cmap="gray_r")
    place.set_axis_off()
    color = "#D55E00" if is_wrong[row] else "#0072B2"
    place.set_title(f"“{y[row]}”" + (" wrong" if is_wrong[row] else " right"),
                    color=color, fontsize=9, pad=2)  # fmt: skip
figure.savefig("label_errors.png", dpi=120)
print("\nfigure saved: label_errors.png")

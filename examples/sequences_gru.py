"""
A recurrent network
===================

Uncertainty that falls while a digit is read line by line.
Each handwritten digit is a sequence of eight lines of eight pixels. A GRU drops inputs
and recurrent units, in each draw the same ones at every step, and learns from digits
that are cut off after any number of lines, so that one can watch it make up its mind.
Saves ``sequences_gru.png``.
"""

# %%
# Digits as sequences, (n_rows, 8 steps, 8 values), each of them read up to line 2, 4,
# 6 and 8. What is not read yet is -1, and masked.

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, GroupKFold, train_test_split

from skmcdropout import MCDropoutClassifier

UNREAD = -1.0


def read(X, n_lines):
    X = X.copy()
    X[:, n_lines:] = UNREAD
    return X


digits = load_digits()
X, X_test, y, y_test = train_test_split(
    digits.images / 16, digits.target, stratify=digits.target, random_state=0
)
lengths = (2, 4, 6, 8)
X_parts = np.concatenate([read(X, n) for n in lengths])
y_parts = np.tile(y, len(lengths))
digit = np.tile(np.arange(len(y)), len(lengths))


# %%
# Parts of one digit must stay on one side of each split: `GroupKFold`.
def build(meta, dropout_rate):
    return keras.Sequential(
        [
            keras.Input(meta["X_shape_"][1:]),
            layers.Masking(UNREAD),
            layers.GRU(48, dropout=dropout_rate, recurrent_dropout=dropout_rate),
            layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


search = GridSearchCV(
    MCDropoutClassifier(
        model=build, epochs=8, learning_rate=0.005, n_samples=50, random_state=0
    ),
    {"dropout_rate": [0.05, 0.3]},
    scoring="neg_log_loss",
    cv=GroupKFold(2),
)
search.fit(X_parts, y_parts, groups=digit)
for rate, score in zip(
    search.cv_results_["param_dropout_rate"],
    search.cv_results_["mean_test_score"],
    strict=True,
):
    print(f"dropout rate {rate:<5} log-loss {-score:.3f}")
print(f"best: {search.best_params_}")
classifier = search.best_estimator_

# %%
# The test digits, read up to line 1, 2, ..., 8.
steps = range(1, 9)
measures = ["expected_entropy", "mutual_information"]
parts = np.array(
    [
        classifier.predict_uncertainty(read(X_test, n), measures).mean(axis=0)
        for n in steps
    ]
)
accuracy = np.array([classifier.score(read(X_test, n), y_test) for n in steps])
print(f"{'lines read':>10}{'accuracy':>10}{'aleatoric':>11}{'epistemic':>11}  (nats)")
for n, share, (aleatoric, epistemic) in zip(steps, accuracy, parts, strict=True):
    print(f"{n:>10}{share:>10.3f}{aleatoric:>11.3f}{epistemic:>11.3f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
left.stackplot(
    steps, *parts.T, colors=["#56B4E9", "#D55E00"],
    labels=["aleatoric (expected entropy)", "epistemic (mutual information)"],
)  # fmt: skip
left.axhline(np.log(10), color="black", linestyle=":", linewidth=1)
left.text(8, np.log(10) + 0.03, "log 10: nothing known", ha="right", fontsize=9)
left.set(xlabel="lines read", ylabel="mean uncertainty in nats", ylim=(0, 2.6))
left.legend(loc="center right", fontsize=9)
right.plot(steps, accuracy, "o-", color="#0072B2")
right.set(xlabel="lines read", ylabel="accuracy", ylim=(0, 1.02))
right.grid(alpha=0.3)
figure.savefig("sequences_gru.png", dpi=120)
print("figure saved: sequences_gru.png")

"""
Active learning: asking for the labels that help
================================================

Labels cost; rows are free. Starting from twenty labelled digits, the network asks for
ten more at a time: those on which its draws disagree (the mutual information, also
known as BALD), or digits at random. At first it knows too little to ask well; from
about sixty labels on, asking is ahead. Needs ``pip install scikit-activeml``.
Saves ``active_learning.png``.
"""

# %%
# Digits to choose from, and others to test on.

import matplotlib.pyplot as plt
import numpy as np
from skactiveml.classifier import SklearnClassifier
from skactiveml.pool import GreedyBALD, RandomSampling
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skmcdropout import MCDropoutClassifier

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(
    X / 16, y, test_size=800, stratify=y, random_state=0
)
n_first, n_batch, n_rounds, n_repeats = 20, 10, 13, 3


# %%
# A round: fit, note the accuracy, ask. What is not labelled is NaN to scikit-activeml,
# and `sample_proba` has the draws that `GreedyBALD` compares.
def learn(ask, seed):
    first = np.random.RandomState(seed).permutation(len(y))[:n_first]
    known = np.full(len(y), np.nan)
    known[first] = y[first]
    learner = SklearnClassifier(
        MCDropoutClassifier(dropout_rate=0.3, n_samples=50, random_state=seed),
        classes=np.arange(10),
    )
    accuracies = []
    for _ in range(n_rounds):
        accuracies.append(learner.fit(X, known).score(X_test, y_test))
        asked = ask(learner, known)
        known[asked] = y[asked]
    return accuracies


def by_disagreement(seed):
    strategy = GreedyBALD(
        sample_predictions_method_name="sample_proba", random_state=seed
    )
    return lambda learner, known: strategy.query(
        X, known, ensemble=learner, fit_ensemble=False, batch_size=n_batch
    )


def at_random(seed):
    strategy = RandomSampling(random_state=seed)
    return lambda learner, known: strategy.query(X, known, batch_size=n_batch)


curves = {
    name: np.array([learn(make(seed), seed) for seed in range(n_repeats)])
    for name, make in [("where draws disagree", by_disagreement), ("random", at_random)]
}

# %%
# Accuracy by the number of labels.
n_labels = n_first + n_batch * np.arange(n_rounds)
print(f"{'labels':>6}" + "".join(f"{name:>23}" for name in curves))
for i in range(0, n_rounds, 2):
    means = (curve[:, i].mean() for curve in curves.values())
    print(f"{n_labels[i]:>6}" + "".join(f"{mean:>23.3f}" for mean in means))

figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
for (name, curve), marker in zip(curves.items(), "os", strict=True):
    ax.plot(n_labels, curve.mean(axis=0), marker=marker, label=name)
    ax.fill_between(n_labels, curve.min(axis=0), curve.max(axis=0), alpha=0.2)
ax.set(xlabel="labelled digits", ylabel=f"accuracy on {len(y_test)} others")
ax.set_title(f"Which digits to label next ({n_repeats} repeats: mean, least, largest)")
ax.legend(title="asked for")
ax.grid(alpha=0.3)
figure.savefig("active_learning.png", dpi=120)
print("figure saved: active_learning.png")

"""
Quickstart: how sure is it?
===========================

A classifier of handwritten digits, its accuracy, and the rows it is unsure of.
It takes about a quarter of a minute and saves ``quickstart.png``.
"""

# %%
# Train on real data
# ------------------
# A network with dropout, in a pipeline like any other classifier.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skmcdropout import MCDropoutClassifier

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
network = MCDropoutClassifier(random_state=0)
pipeline = make_pipeline(MinMaxScaler(), network)
pipeline.fit(X_train, y_train)
scaler, classifier = pipeline

# %%
# Weight scaling or Monte-Carlo dropout
# -------------------------------------
# Weight scaling is the ordinary prediction, dropout off; such networks are often too
# sure of themselves, and the mean over draws is less so. `n_samples` belongs to the
# prediction: no second fit.
print(f"{len(X_train)} training and {len(X_test)} test rows\n")
print(f"{'prediction':<30}{'accuracy':>9}{'log-loss':>10}")
for name, n_samples in [
    ("weight scaling (dropout off)", 0),
    ("MC dropout, 100 draws", 100),
]:
    classifier.set_params(n_samples=n_samples)
    proba = pipeline.predict_proba(X_test)
    accuracy = accuracy_score(y_test, proba.argmax(axis=1))
    print(f"{name:<30}{accuracy:>9.4f}{log_loss(y_test, proba):>10.4f}")

# %%
# Most errors are among the rows it is unsure of
# ----------------------------------------------
uncertainty = classifier.predict_uncertainty(scaler.transform(X_test))
predicted = classifier.classes_[proba.argmax(axis=1)]
wrong = predicted != y_test
unsure = np.argsort(-uncertainty)
n_unsure = len(y_test) // 20
print(
    f"\n{wrong.sum()} of {len(y_test)} test rows are wrong; "
    f"{wrong[unsure[:n_unsure]].sum()} of them are among the {n_unsure} (5 %) "
    "that the classifier is least sure of."
)
print("The eight rows it is least sure of:\n")
print(" row  predicted  true  entropy (nats)")
for row in unsure[:8]:
    mark = "  <- wrong" if wrong[row] else ""
    print(
        f"{row:>4}{predicted[row]:>11}{y_test[row]:>6}{uncertainty[row]:>16.2f}{mark}"
    )

figure, axes = plt.subplots(2, 8, figsize=(10, 3.4), layout="constrained")
for axis, row in zip(axes.flat, unsure, strict=False):
    axis.imshow(X_test[row].reshape(8, 8), cmap="gray_r")
    axis.set_title(
        f"says {predicted[row]}, is {y_test[row]}",
        color="tab:red" if wrong[row] else "black",
        fontsize=10,
    )
    axis.set_xlabel(f"{uncertainty[row]:.2f} nats", fontsize=8)
    axis.set_xticks([])
    axis.set_yticks([])
figure.suptitle("The 16 test digits it is least sure of (red: wrong)")
figure.savefig("quickstart.png", dpi=120)
print("\nfigure saved: quickstart.png")

# %%
# Choose rate and draws by grid search
# ------------------------------------
search = GridSearchCV(
    pipeline,
    {
        "mcdropoutclassifier__dropout_rate": [0.1, 0.3, 0.5],
        "mcdropoutclassifier__n_samples": [0, 10, 100],
    },
    scoring="neg_log_loss",
    cv=3,
).fit(X_train, y_train)
print("\nlog-loss by 3-fold grid search")
print("dropout_rate   " + "".join(f"{n:>5} draws" for n in (0, 10, 100)))
scores = -search.cv_results_["mean_test_score"].reshape(3, 3)
for rate, row in zip((0.1, 0.3, 0.5), scores, strict=True):
    print(f"{rate:>12}   " + "".join(f"{score:>11.4f}" for score in row))
best = {name.split("__")[1]: value for name, value in search.best_params_.items()}
loss = log_loss(y_test, search.predict_proba(X_test))
print(f"best: {best}; on the test rows: log-loss {loss:.4f}")

"""
Choosing the rate and the number of draws
=========================================

A grid search in a pipeline, judged twice: by the log-loss of the probabilities, and by
the area under the risk-coverage curve (AURC), which is small if there are few errors
and the uncertainty finds them. Draws cost no training: with `memory` each network is
trained once, whatever number of draws is tried on it.
Saves ``grid_search.png``.
"""

# %%
# Few rows, some of them mislabelled: a network learns them by heart if it can.
import tempfile

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier
from skmcdropout.metrics import make_uncertainty_scorer

X, y = make_classification(
    3000, 20, n_informative=8, n_classes=3, flip_y=0.1, random_state=0
)
X, X_test, y, y_test = train_test_split(
    X, y, train_size=600, stratify=y, random_state=0
)
rates = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7]
draws = [0, 1, 3, 10, 30, 100]
cv = StratifiedKFold(4, shuffle=True, random_state=0)

# %%
# Two scorers: the search keeps the best by log-loss, `cv_results_` has both.
with tempfile.TemporaryDirectory() as folder:
    pipe = make_pipeline(
        StandardScaler(),
        MCDropoutClassifier(
            (100, 100), alpha=0.0, epochs=60, memory=folder, random_state=0
        ),
    )
    search = GridSearchCV(
        pipe,
        {
            "mcdropoutclassifier__dropout_rate": rates,
            "mcdropoutclassifier__n_samples": draws,
        },
        scoring={
            "log-loss": "neg_log_loss",
            "AURC": make_uncertainty_scorer("neg_aurc", "predictive_entropy"),
        },
        refit="log-loss",
        cv=cv,
    ).fit(X, y)
print(f"{len(rates) * len(draws) * 4} scored, {len(rates) * 4} trained, and the best")
for name, value in search.best_params_.items():
    print(f"best {name.split('__')[1]}: {value}")
print(f"test accuracy {search.best_estimator_.score(X_test, y_test):.3f}")
print(f"test log-loss {-search.score(X_test, y_test):.3f}")

# %%
# The whole grid at a glance. 0 draws is the ordinary prediction.
figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
for ax, (name, unit) in zip(axes, [("log-loss", " (nats)"), ("AURC", "")], strict=True):
    table = -search.cv_results_[f"mean_test_{name}"].reshape(len(rates), len(draws))
    image = ax.imshow(table, cmap="viridis_r", norm="log")
    for (row, column), value in np.ndenumerate(table):
        ax.text(
            column, row, f"{value:.3f}", ha="center", va="center", fontsize=9,
            color="white" if image.norm(value) > 0.5 else "black",
            weight="bold" if value == table.min() else "normal",
        )  # fmt: skip
    ax.set_xticks(range(len(draws)), draws)
    ax.set_yticks(range(len(rates)), rates)
    ax.set(xlabel="draws (n_samples)", ylabel="dropout rate", title=name + unit)
figure.suptitle("Cross-validated on 600 rows: lower is better, best in bold")
figure.savefig("grid_search.png", dpi=120)
print("figure saved: grid_search.png")

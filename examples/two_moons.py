"""
Two moons: what is not known, and why
=====================================

The total uncertainty of a prediction is the sum of two: the aleatoric, high where the
classes overlap, and the epistemic, high where the draws disagree, away from the data.
(Straight behind a class they still agree: Monte-Carlo dropout knows no distances.)
Saves ``two_moons.png``.
"""

# %%
# Half of the hidden units dropped in each draw, and a grid of points far beyond the
# data.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.neighbors import NearestNeighbors

from skmcdropout import MCDropoutClassifier

X, y = make_moons(500, noise=0.2, random_state=0)
classifier = MCDropoutClassifier(
    (100, 100, 100),
    activation="gelu",
    dropout_rate=0.5,
    n_samples=300,
    epochs=60,
    learning_rate=0.003,
    random_state=0,
)
classifier.fit(X, y)

extent = (-4.0, 5.0, -3.5, 4.0)
horizontal, vertical = np.meshgrid(
    np.linspace(*extent[:2], 200), np.linspace(*extent[2:], 200)
)
points = np.column_stack([horizontal.ravel(), vertical.ravel()])
measures = ["predictive_entropy", "expected_entropy", "mutual_information"]
values = classifier.predict_uncertainty(points, measures)

# %%
# All three in nats and in the same colours; the first is the sum of the others.
titles = ["total", "aleatoric: the classes overlap", "epistemic: the draws disagree"]
figure, axes = plt.subplots(1, 3, figsize=(12, 3.9), layout="constrained", sharey=True)
for axis, title, measure, column in zip(axes, titles, measures, values.T, strict=True):
    image = axis.imshow(
        column.reshape(horizontal.shape),
        extent=extent,
        origin="lower",
        cmap="viridis",
        aspect="auto",
        vmin=0,
        vmax=np.log(2),
    )
    for label, marker, color in [(0, "o", "white"), (1, "^", "tab:orange")]:
        axis.scatter(
            *X[y == label].T, s=8, marker=marker, color=color, label=f"class {label}",
            edgecolors="black", linewidths=0.3,
        )  # fmt: skip
    axis.set_title(f"{title}\n({measure})", fontsize=10)
    axis.set_xlabel("feature 0")
figure.colorbar(image, ax=axes, label="uncertainty in nats (at most log 2)")
axes[0].set_ylabel("feature 1")
axes[0].legend(loc="lower left", fontsize=8, framealpha=0.9)
figure.savefig("two_moons.png", dpi=120)

# %%
# The same in numbers: at the boundary most of the uncertainty is aleatoric, far away
# most of it is epistemic.
distance = NearestNeighbors(n_neighbors=1).fit(X).kneighbors(points)[0][:, 0]
places = {
    "where the classes meet": (distance < 0.2) & (values[:, 0] > 0.5),
    "elsewhere in the data": (distance < 0.2) & (values[:, 0] <= 0.5),
    "farther than 1 away": distance > 1,
}
print(f"{'mean over points':<24}{'aleatoric':>10}{'epistemic':>10}  (nats)")
for name, where in places.items():
    aleatoric, epistemic = values[where, 1:].mean(axis=0)
    share = epistemic / (aleatoric + epistemic)
    print(f"{name:<24}{aleatoric:>10.3f}{epistemic:>10.3f}  {share:.0%} epistemic")
print("figure saved: two_moons.png")

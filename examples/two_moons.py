"""Two moons: what the model does not know, and what the data do not say.

The total uncertainty of a prediction is the sum of two: the aleatoric, high where the
classes overlap, and the epistemic, high where the draws disagree, away from the data.
Saves ``two_moons.png`` beside itself.
"""

# %%
# A network with dropout in all of its layers, and a grid of points far beyond the data.
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.datasets import make_moons

from skmcdropout import MCDropoutClassifier

matplotlib.use("Agg")
import matplotlib.pyplot as plt

X, y = make_moons(500, noise=0.2, random_state=0)
classifier = MCDropoutClassifier(
    (100, 100, 100),
    activation="tanh",
    dropout_rate=0.3,
    n_samples=300,
    epochs=150,
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
# All three in nats; the first is the sum of the others.
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
    )
    for label, marker, color in [(0, "o", "white"), (1, "^", "tab:orange")]:
        axis.scatter(
            *X[y == label].T, s=8, marker=marker, color=color, label=f"class {label}",
            edgecolors="black", linewidths=0.3,
        )  # fmt: skip
    axis.set_title(f"{title}\n({measure})", fontsize=10)
    figure.colorbar(image, ax=axis, label="nats")
axes[0].legend(loc="lower left", fontsize=8, framealpha=0.9)
path = Path(__file__).with_name("two_moons.png")
figure.savefig(path, dpi=120)

# %%
# The same in numbers.
near = np.min(((points[:, None] - X[::5]) ** 2).sum(axis=2), axis=1) < 0.15**2
print(f"{'mean over the points':<24}{'aleatoric':>10}{'epistemic':>10}")
for name, where in [("near the data", near), ("away from the data", ~near)]:
    print(f"{name:<24}{values[where, 1].mean():>10.3f}{values[where, 2].mean():>10.3f}")
print(f"figure saved: {path.name}")

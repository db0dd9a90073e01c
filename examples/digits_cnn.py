"""
A convolutional network
=======================

Any Keras network with dropout is a classifier.
`model` is a function that builds it, in the form known from scikeras. Its own
parameters are searched over together with the dropout rate.
Saves ``digits_cnn.png``.
"""

# %%
# Handwritten digits as images of 8 by 8 pixels: `X` has three axes.

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, train_test_split

from skmcdropout import MCDropoutClassifier

digits = load_digits()
X, X_test, y, y_test = train_test_split(
    digits.images / 16, digits.target, stratify=digits.target, random_state=0
)


# %%
# The network. `meta` tells it of the data; `dropout_rate` is the classifier's, and
# `filters` its own.
def build(meta, dropout_rate, filters=16):
    return keras.Sequential(
        [
            keras.Input((*meta["X_shape_"][1:], 1)),
            layers.Conv2D(filters, 3, activation="relu", padding="same"),
            layers.Conv2D(2 * filters, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(dropout_rate / 2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dropout(dropout_rate),
            layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


search = GridSearchCV(
    MCDropoutClassifier(model=build, epochs=15, random_state=0),
    {"dropout_rate": [0.1, 0.3, 0.5], "model__filters": [4, 16]},
    scoring="neg_log_loss",
    cv=2,
)
search.fit(X, y)

# %%
# Log-loss by cross-validation, and on the test rows: 100 draws, or none.
losses = -search.cv_results_["mean_test_score"].reshape(3, 2)
print(f"{'dropout rate':>12}{'4 filters':>12}{'16 filters':>12}   (log-loss)")
for rate, row in zip((0.1, 0.3, 0.5), losses, strict=True):
    print(f"{rate:>12}{row[0]:>12.3f}{row[1]:>12.3f}")
print(f"best: {search.best_params_}\n")
classifier = search.best_estimator_
for name, n_samples in [("ordinary prediction", 0), ("100 draws", 100)]:
    proba = classifier.set_params(n_samples=n_samples).predict_proba(X_test)
    accuracy, loss = classifier.score(X_test, y_test), log_loss(y_test, proba)
    print(f"{name:<20} test accuracy {accuracy:.4f}, log-loss {loss:.4f}")

# %%
# The digits on which the thinned networks disagree most.
disagreement = classifier.predict_uncertainty(X_test, "mutual_information")
draws = classifier.sample_proba(X_test)
order = np.argsort(-disagreement)[:6]
figure, axes = plt.subplots(2, 6, figsize=(11, 4.2), layout="constrained")
for (above, below), i in zip(axes.T, order, strict=True):
    above.imshow(X_test[i], cmap="gray_r")
    above.set_title(f"is {y_test[i]}, {disagreement[i]:.2f} nats", fontsize=10)
    above.set_axis_off()
    below.boxplot(
        draws[:, i], positions=range(10), widths=0.6, sym=".", patch_artist=True,
        boxprops={"facecolor": "#0072B2", "alpha": 0.6},
        medianprops={"color": "black"}, flierprops={"markersize": 2},
    )  # fmt: skip
    below.set_ylim(0, 1)
    below.set_xticks(range(10), range(10))
    below.set_xlabel("class")
axes[1, 0].set_ylabel("probability\nover 100 draws")
for below in axes[1, 1:]:
    below.set_yticklabels([])
figure.suptitle("Six test digits with the most mutual information", fontsize=11)
figure.savefig("digits_cnn.png", dpi=120)
print("figure saved: digits_cnn.png")

"""
A Keras model trained elsewhere
===============================

Draws, measures and scikit-learn for it.
`from_keras` copies a trained network, from memory or a ``.keras`` file, into a fitted
classifier. Nothing is trained again, and the model stays as it is.
Saves ``trained_keras_model.png``.
"""

# %%
# A model trained, saved and loaded as anybody does. Here it ends in logits.
import tempfile
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skmcdropout import MCDropoutClassifier

keras.utils.set_random_seed(0)
digits = load_digits()
X, X_test, y, y_test = train_test_split(
    (digits.images / 16).astype("float32"), digits.target, train_size=0.4,
    stratify=digits.target, random_state=0,
)  # fmt: skip
inputs = keras.Input((8, 8))
h = layers.Conv2D(16, 3, activation="relu")(layers.Reshape((8, 8, 1))(inputs))
h = layers.SpatialDropout2D(0.2)(layers.BatchNormalization()(h))
h = layers.Concatenate()([layers.Flatten()(h), layers.Flatten()(inputs)])
h = layers.Dropout(0.5)(layers.Dense(64, activation="relu")(h))
model = keras.Model(inputs, layers.Dense(10)(h))
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile("adam", loss, metrics=["accuracy"])
model.fit(X, y, epochs=30, batch_size=32, verbose=0)
with tempfile.TemporaryDirectory() as folder:
    model.save(f"{folder}/digits.keras")
    loaded = keras.models.load_model(f"{folder}/digits.keras")

# %%
# From here on it is a scikit-learn classifier. That its outputs are logits is read
# from its last activation.
classifier = MCDropoutClassifier.from_keras(loaded, random_state=0)
classifier.predict_proba(X_test)  # the first call compiles
start = time.perf_counter()
classifier.predict_proba(X_test)
elapsed = time.perf_counter() - start
loaded.predict(X_test, verbose=0)
start = time.perf_counter()
ordinary = loaded.predict(X_test, verbose=0).argmax(axis=1)
one_pass = time.perf_counter() - start
print(f"100 draws of {len(X_test)} digits: {elapsed:.3f} s")
print(f"one pass of `model.predict`:  {one_pass:.3f} s")
print(f"accuracy of the model itself: {np.mean(ordinary == y_test):.4f}")
print(f"accuracy of 100 draws:        {classifier.score(X_test, y_test):.4f}")

# %%
# Which errors do the measures find? Rows are sorted from the least certain on.
measures = {
    "predictive_entropy": ("#0072B2", "-"),
    "mutual_information": ("#D55E00", "--"),
    "variation_ratio": ("#009E73", "-."),
}
is_wrong = classifier.predict(X_test) != y_test
share = np.arange(1, len(y_test) + 1) / len(y_test)
figure, axis = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
print(f"{'errors among the least certain':<34}{'2%':>6}{'5%':>6}{'10%':>6}")
for measure, (color, style) in measures.items():
    uncertainty = classifier.predict_uncertainty(X_test, measure)
    found = np.cumsum(is_wrong[np.argsort(-uncertainty, kind="stable")])
    found = found / is_wrong.sum()
    axis.plot(share, found, color=color, linestyle=style, label=measure)
    at = [found[int(part * len(y_test)) - 1] for part in (0.02, 0.05, 0.1)]
    print(f"{measure:<34}" + "".join(f"{value:>6.0%}" for value in at))
axis.plot([0, 1], [0, 1], color="grey", linestyle=":", label="by chance")
axis.set(
    xlabel="share of rows looked at, least certain first",
    ylabel=f"share of the {is_wrong.sum()} errors found",
    xlim=(0, 0.5),
    ylim=(0, 1.02),
)
axis.legend(loc="lower right")
figure.savefig("trained_keras_model.png", dpi=120)
print("figure saved: trained_keras_model.png")

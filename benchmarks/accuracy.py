"""Accuracy and log-loss by 5-fold: speed and method must not cost any."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from peers import PLAIN, scikeras_classifier
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from timing import table

from skmcdropout import MCDropoutClassifier


def folds(X: Any, y: Any, seed: int) -> Any:
    split = StratifiedKFold(5, shuffle=True, random_state=seed)
    for train, test in split.split(X, y):
        scaler = StandardScaler().fit(X[train])
        yield scaler.transform(X[train]), y[train], scaler.transform(X[test]), y[test]


def scores(y: Any, proba: Any) -> tuple[float, float]:
    return accuracy_score(y, proba.argmax(axis=1)), log_loss(y, proba)


def cell(values: list[tuple[float, float]]) -> str:
    """Accuracy and log-loss, means over folds and seeds, ± over seeds."""
    by_seed = np.reshape(values, (-1, 5, 2)).mean(axis=1)
    (accuracy, loss), (_, spread) = by_seed.mean(axis=0), by_seed.std(axis=0)
    return f"{accuracy:.4f}, {loss:.4f} ± {spread:.4f}"


def main(quick: bool) -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("## Accuracy\n")
    n_seeds = 1 if quick else 5
    loaders = {
        "digits": load_digits,
        "wine": load_wine,
        "breast cancer": load_breast_cancer,
    }
    if quick:
        del loaders["digits"]
    lines = []
    for name, load in loaders.items():
        X, y = load(return_X_y=True)
        found: dict[str, list[tuple[float, float]]] = {}
        for seed in range(n_seeds):
            same = {"epochs": 20, "batch_size": 32}
            ours = MCDropoutClassifier(
                (100, 100), dropout_rate=0.2, random_state=seed, **PLAIN, **same
            )
            plain = scikeras_classifier((100, 100), **same)
            for X_train, y_train, X_test, y_test in folds(X, y, seed):

                def add(
                    column: str, proba: Any, y_test: Any = y_test, found: Any = found
                ) -> None:
                    found.setdefault(column, []).append(scores(y_test, proba))

                fitted = clone(ours).fit(X_train, y_train)
                add("same network: MC dropout", fitted.predict_proba(X_test))
                fitted.set_params(n_samples=0)
                add("same network: weight scaling", fitted.predict_proba(X_test))
                keras = clone(plain).fit(X_train, y_train)
                add("same in plain Keras", keras.predict_proba(X_test))
                default = MCDropoutClassifier(random_state=seed).fit(X_train, y_train)
                add("defaults: MC dropout", default.predict_proba(X_test))
                default.set_params(n_samples=0)
                add("defaults: weight scaling", default.predict_proba(X_test))
                mlp = MLPClassifier(random_state=seed).fit(X_train, y_train)
                add("`MLPClassifier()`", mlp.predict_proba(X_test))
        lines.append([name, *map(cell, found.values())])
    print(
        f"Accuracy, log-loss ± its spread over {n_seeds} seed(s), 5-fold, features "
        "standardised. Same network: 100-100, rate 0.2, batch 32, 20 epochs.\n"
    )
    table(["data", *found], lines)

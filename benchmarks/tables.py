"""The tables that stand for real ones: those scikit-learn ships and made ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

Table = tuple[NDArray[np.float64], NDArray[np.int64]]


def _classification(**parameters: object) -> Callable[[], Table]:
    return lambda: datasets.make_classification(random_state=0, **parameters)


def _hastie(n_rows: int) -> Table:
    X, y = datasets.make_hastie_10_2(n_rows, random_state=0)
    return X, (y > 0).astype(int)


def _pure_noise() -> Table:
    rng = np.random.RandomState(0)
    return rng.normal(size=(150, 10)), rng.randint(3, size=150)


MAKERS: dict[str, Callable[[], Table]] = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "tiny, noisy labels": _classification(
        n_samples=60, n_features=10, n_informative=4, flip_y=0.2
    ),
    "few rows": _classification(n_samples=120, n_features=20, n_informative=5),
    "noisy labels": _classification(
        n_samples=500, n_features=20, n_informative=8, flip_y=0.3
    ),
    "useless features": _classification(
        n_samples=300, n_features=100, n_informative=5, n_redundant=0
    ),
    "imbalanced": _classification(
        n_samples=1000, n_features=15, n_informative=6, weights=[0.95], flip_y=0.02
    ),
    "20 classes": _classification(
        n_samples=2000,
        n_features=30,
        n_informative=15,
        n_classes=20,
        n_clusters_per_class=1,
    ),
    "many rows": _classification(
        n_samples=10_000, n_features=20, n_informative=10, flip_y=0.05
    ),
    "many rows, 5 classes": _classification(
        n_samples=5000, n_features=20, n_informative=8, n_classes=5, flip_y=0.1
    ),
    "moons": lambda: datasets.make_moons(300, noise=0.3, random_state=0),
    "overlapping blobs": lambda: datasets.make_blobs(
        600, n_features=4, centers=6, cluster_std=4.0, random_state=0
    ),
    "sphere in 10 dimensions": lambda: _hastie(2000),
    "nothing to learn": _pure_noise,
}


def tables() -> Iterator[tuple[str, Table]]:
    """Name and data of each table."""
    for name, make in MAKERS.items():
        yield name, make()

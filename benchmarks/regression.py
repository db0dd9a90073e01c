"""`MCDropoutRegressor` on the tables that Monte-Carlo dropout was published with.

A folder of the six sets is read, ``$REGRESSION_DATA`` or ``benchmarks/data``: files
NAME.npz with X, y and the published splits as `test_mask`, of shape (n_splits, n_rows).
Features are standardised with the training part, everything else is what `fit` does.
"Tuned" is a search over dropout rate, penalty and noise, for each split by the
likelihood of a fifth of its training part, before the best is fitted to all of it.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from prediction import N_DRAWS, floor_flops, rows
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from timing import matrix_product_rate, seconds, short, table

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor
from skmcdropout.metrics import interval_coverage

NAMES = ("boston", "concrete", "energy", "power_plant", "naval", "protein")

#: As published: RMSE and log-likelihood of Monte-Carlo dropout (best column),
#: log-likelihoods of deep ensembles and of NGBoost.
PUBLISHED = {
    "boston": (2.83, -2.40, -2.41, -2.43),
    "concrete": (4.82, -2.93, -3.06, -3.04),
    "energy": (0.54, -1.21, -1.38, -0.60),
    "power_plant": (4.00, -2.79, -2.79, -2.79),
    "naval": (0.00, 4.45, 5.63, 5.34),
    "protein": (4.27, -2.87, -2.83, -2.81),
}

GRID = {
    "dropout_rate": [0.01, 0.05],
    "alpha": [2.0, 20.0],
    "noise": ["constant", "varying"],
}

#: Sets of fewer rows are given to a Gaussian process as well.
FEW_ROWS = 1100

#: Splits that peers are measured on, at most.
N_OF_PEERS = 5

#: Passes of the textbook's predictions.
N_PASSES = 10_000

#: Rows, features, hidden layers and epochs of fits beside the classifier's.
SIZES_OF_FITS = ((1000, 20, (128, 128), 50), (10_000, 784, (300, 100), 5))


class Split(NamedTuple):
    """A published split, features standardised."""

    X: Any
    y: Any
    X_test: Any
    y_test: Any


def folder() -> Path:
    return Path(os.environ.get("REGRESSION_DATA", Path(__file__).parent / "data"))


def splits(name: str, quick: bool) -> Iterator[Split]:
    with np.load(folder() / f"{name}.npz") as held:
        X, y = held["X"].astype(float), held["y"].astype(float)
        masks = held["test_mask"].astype(bool)[: 2 if quick else None]
    for is_test in masks:
        scaler = StandardScaler().fit(X[~is_test])
        X_train, X_test = scaler.transform(X[~is_test]), scaler.transform(X[is_test])
        yield Split(X_train, y[~is_test], X_test, y[is_test])


def rmse(y: Any, predicted: Any) -> float:
    return float(np.sqrt(np.mean((y - predicted) ** 2)))


def judged(estimator: Any, split: Split) -> list[float]:
    """RMSE, mean log density, coverage of 90 % intervals and seconds of the fit."""
    start = time.perf_counter()
    fitted = estimator.fit(split.X, split.y)
    seconds = time.perf_counter() - start
    low, high = fitted.predict_interval(split.X_test, 0.9).T
    return [
        rmse(split.y_test, fitted.predict(split.X_test)),
        fitted.predict_log_density(split.X_test, split.y_test).mean(),
        interval_coverage(split.y_test, low, high),
        seconds,
    ]


def tuned(split: Split, seed: int) -> tuple[Any, float]:
    """The estimator that is most likely on a fifth of the training part; seconds."""
    start = time.perf_counter()
    X, X_held, y, y_held = train_test_split(
        split.X, split.y, test_size=0.2, random_state=seed
    )
    best, highest = None, -np.inf
    for values in product(*GRID.values()):
        candidate = MCDropoutRegressor(random_state=seed)
        candidate.set_params(**dict(zip(GRID, values, strict=True)))
        fitted = clone(candidate).fit(X, y)
        likelihood = fitted.predict_log_density(X_held, y_held).mean()
        if likelihood > highest:
            best, highest = candidate, likelihood
    return best, time.perf_counter() - start


def of_gaussian_process(split: Split) -> tuple[float, float]:
    """RMSE and mean log density of a Gaussian process with one length a feature."""
    n_features = split.X.shape[1]
    kernel = ConstantKernel() * RBF(np.ones(n_features)) + WhiteKernel()
    fitted = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    mean, std = fitted.fit(split.X, split.y).predict(split.X_test, return_std=True)
    z = (split.y_test - mean) / std
    density = -(z**2) / 2 - np.log(std) - np.log(2 * np.pi) / 2
    return rmse(split.y_test, mean), density.mean()


def of_ngboost(split: Split) -> tuple[float, float] | None:
    """The same of NGBoost, if it is installed."""
    try:
        from ngboost import NGBRegressor
    except ImportError:
        return None
    fitted = NGBRegressor(n_estimators=2000, verbose=False, random_state=0)
    X, X_held, y, y_held = train_test_split(
        split.X, split.y, test_size=0.2, random_state=0
    )
    fitted.fit(X, y, X_val=X_held, Y_val=y_held, early_stopping_rounds=50)
    density = fitted.pred_dist(split.X_test).logpdf(split.y_test).mean()
    return rmse(split.y_test, fitted.predict(split.X_test)), density


def seconds_of_textbook(split: Split, n_hidden: int, n_epochs: int) -> float:
    """Of one network of the published code: trained by Keras, predicted in a loop."""
    import keras

    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((split.X.shape[1],)),
            layers.Dropout(0.05),
            layers.Dense(n_hidden, activation="relu"),
            layers.Dropout(0.05),
            layers.Dense(1),
        ]
    )
    network.compile(optimizer="adam", loss="mse")
    start = time.perf_counter()
    network.fit(split.X, split.y, batch_size=128, epochs=n_epochs, verbose=0)
    trained = time.perf_counter()
    for _ in range(50):
        network(split.X_test, training=True)
    a_pass = (time.perf_counter() - trained) / 50
    return trained - start + N_PASSES * a_pass


def with_error(values: Any, digits: int) -> str:
    """Mean and standard error over splits."""
    error = np.std(values) / np.sqrt(len(values))
    return f"{np.mean(values):.{digits}f} ± {error:.{digits}f}"


def rows_of(name: str, quick: bool, is_tuned: bool, spent: list[float]) -> list[str]:
    """A line of the first table; `spent` gets the seconds of each search."""
    found = []
    for seed, split in enumerate(splits(name, quick)):
        estimator = MCDropoutRegressor(random_state=seed)
        if is_tuned:
            estimator, seconds = tuned(split, seed)
            spent.append(seconds)
        found.append(judged(estimator, split))
    error, density, coverage, fit_time = np.transpose(found)
    mc_rmse, *densities = PUBLISHED[name]
    return [
        name,
        "tuned" if is_tuned else "default",
        with_error(error, digits_of(name)),
        f"{mc_rmse:.2f}",
        with_error(density, 3),
        " / ".join(f"{value:.2f}" for value in densities),
        f"{100 * coverage.mean():.0f} %",
        f"{fit_time.mean():.1f} s",
    ]


def rows_of_peers(name: str, quick: bool) -> list[str]:
    """A line of the third table."""
    boosted, processes, distributions = [], [], []
    for split in islice(splits(name, quick), N_OF_PEERS):
        trees = HistGradientBoostingRegressor(random_state=0)
        predicted = trees.fit(split.X, split.y).predict(split.X_test)
        boosted.append(rmse(split.y_test, predicted))
        if len(split.X) < FEW_ROWS:
            processes.append(of_gaussian_process(split))
        distributions.append(of_ngboost(split) or (np.nan, np.nan))
    digits = digits_of(name)
    cells = []
    for pairs in (processes, distributions):
        error, density = np.mean(pairs, axis=0) if pairs else (np.nan, np.nan)
        is_known = np.isfinite(error)
        cells.append(f"{error:.{digits}f} / {density:.2f}" if is_known else "–")
    return [name, with_error(boosted, digits), *cells]


def row_of_textbook(name: str, spent: list[float]) -> list[str]:
    """A line of the second table."""
    with np.load(folder() / f"{name}.npz") as held:
        sizes = int(held["n_hidden"]), int(held["n_epochs"])
    one = seconds_of_textbook(next(splits(name, True)), *sizes)
    n_tried, search = np.prod([len(values) for values in GRID.values()]), np.mean(spent)
    return [name, f"{search:.0f} s", f"{one:.0f} s", f"{one * n_tried / search:.1f}"]


def digits_of(name: str) -> int:
    """That make sense in the units of a set's targets."""
    return 5 if name == "naval" else 2


def speed_of_predictions() -> None:
    """To the multiplications that are needed, for 10,000 rows of 784-300-100-1."""
    X = rows(10_000, 784)
    y = X[:, 0]
    floor = floor_flops((784, (300, 100), 1), len(X)) / matrix_product_rate()
    lines = []
    for noise, rate in product(("constant", "varying"), (0.2, 0.05)):
        fitted = MCDropoutRegressor((300, 100), noise=noise, dropout_rate=rate)
        fitted.set_params(epochs=1, random_state=0).fit(X[:200], y[:200])
        predictions = {
            "predict": partial(fitted.predict, X),
            "predict, return_std": partial(fitted.predict, X, return_std=True),
            "predict_log_density": partial(fitted.predict_log_density, X, y),
            "predict_interval": partial(fitted.predict_interval, X),
        }
        for name, predict in predictions.items():
            time_ = seconds(predict)
            of_floor = f"{time_ / floor:.2f}×"
            lines.append([f"{name}, {noise} noise, {rate}", short(time_), of_floor])
    print(f"784-300-100-1, {len(X):,} rows, {N_DRAWS} draws; floor {short(floor)}:\n")
    table(["prediction, noise, dropout rate", "time", "of the floor"], lines)


def speed_of_fits(quick: bool) -> None:
    """To fits of the classifier to the same rows, by networks of the same sizes."""
    lines = []
    repeats = 1 if quick else 3
    for n, n_in, sizes, epochs in SIZES_OF_FITS:
        X = rows(n, n_in)
        y = X[:, :5].sum(axis=1)
        sized = {"epochs": epochs, "batch_size": 64, "batch_normalization": False}
        classifier = MCDropoutClassifier(sizes, random_state=0, **sized)
        of_classes = seconds(partial(classifier.fit, X, y > 0), repeats)
        for noise in ("constant", "varying"):
            fitted = MCDropoutRegressor(sizes, noise=noise, random_state=0, **sized)
            time_ = seconds(partial(fitted.fit, X, y), repeats)
            name = f"{n:,} × {n_in}, {sizes}, {epochs} epochs, {noise} noise"
            lines.append([name, short(time_), f"{time_ / of_classes:.2f}×"])
    table(["fit", "time", "of the classifier's"], lines)


def main(quick: bool) -> None:
    warnings.simplefilter("ignore")
    print("## Regression\n")
    speed_of_predictions()
    speed_of_fits(quick)
    published(quick)


def published(quick: bool) -> None:
    names = [name for name in NAMES if (folder() / f"{name}.npz").exists()]
    if not names:
        print(f"There are no tables in {folder()}; see `benchmarks/regression.py`.\n")
        return
    print("Log-likelihoods published: MC dropout / deep ensemble / NGBoost.\n")
    header = ["set", "parameters", "RMSE", "MC dropout", "log-likelihood", "published"]
    spent: dict[str, list[float]] = {name: [] for name in names}
    lines = product(names, (False, True))
    table(
        [*header, "in 90 % intervals", "fit"],
        (rows_of(name, quick, is_tuned, spent[name]) for name, is_tuned in lines),
    )
    print("The search, and one network of the textbook (10,000 passes):\n")
    table(
        ["set", "search", "textbook's one", "times, for as many"],
        (row_of_textbook(name, spent[name]) for name in names),
    )
    print(f"Others on the first {N_OF_PEERS} splits: RMSE / log-likelihood.\n")
    table(
        ["set", "gradient boosting", "Gaussian process", "NGBoost"],
        (rows_of_peers(name, quick) for name in names),
    )

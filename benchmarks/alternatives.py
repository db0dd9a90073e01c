"""Monte-Carlo dropout beside other ways to an uncertainty, on scikit-learn's data.

Deep ensembles of five, of plain networks and of Monte-Carlo dropout networks,
calibrated boosting, Gaussian processes, a Laplace approximation and conformal
prediction. All have their defaults (but `N_EPOCHS`), standardised features and the same
splits. Times are processor time, so that other work on the machine does not count.
Methods whose library (mapie, laplace-torch) is not installed are left out.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any, NamedTuple

import laplace_peer
import numpy as np
from scipy.special import entr
from sklearn import datasets
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.preprocessing import StandardScaler
from timing import short, table

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor
from skmcdropout._utils.gaussian_mixture import quantiles
from skmcdropout.metrics import (
    aurc,
    crps,
    error_detection_auroc,
    interval_coverage,
    interval_width,
    mean_log_density,
    top_label_calibration_error,
)

N_SPLITS = 5
N_MEMBERS = 5
#: Of an ensemble in all, and of a network alone.
N_DRAWS = 100
#: Of regressors; "auto" would be 300 for so few rows, and three times the time.
N_EPOCHS = 100
#: What intervals and sets of labels are made for.
COVERAGE = 0.9


class Split(NamedTuple):
    """Features standardised."""

    X: Any
    y: Any
    X_test: Any
    y_test: Any
    seed: int


@cache
def one_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What it returns in a process without TensorFlow; None without its library."""
    if find_spec("laplace") is None:
        return None
    return one_process().submit(function, *arguments).result()


def varying_noise(n_rows: int) -> Any:
    """A wave, with noise that grows from left to right, and two useless features."""
    rng = np.random.RandomState(0)
    X = rng.uniform(-2, 2, size=(n_rows, 3))
    noise = (0.05 + 0.25 * (X[:, 0] + 2)) * rng.normal(size=n_rows)
    return X, np.sin(2 * X[:, 0]) + noise


#: Data, rows to train on.
CLASSES: dict[str, tuple[Any, int]] = {
    "digits": (datasets.load_digits(return_X_y=True), 400),
    "breast cancer": (datasets.load_breast_cancer(return_X_y=True), 200),
    "wine": (datasets.load_wine(return_X_y=True), 90),
    "noisy labels": (
        datasets.make_classification(
            2000, 20, n_informative=8, n_classes=3, flip_y=0.2, random_state=0
        ),
        300,
    ),
    "two moons": (datasets.make_moons(1500, noise=0.3, random_state=0), 200),
}
NUMBERS: dict[str, tuple[Any, int]] = {
    "diabetes": (datasets.load_diabetes(return_X_y=True), 200),
    "Friedman 1": (datasets.make_friedman1(1200, noise=1, random_state=0), 200),
    "varying noise": (varying_noise(1200), 200),
}


def splits(data: tuple[Any, int], quick: bool, is_stratified: bool) -> Iterator[Split]:
    (X, y), n_train = data
    for seed in range(2 if quick else N_SPLITS):
        stratify = y if is_stratified else None
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, train_size=n_train, stratify=stratify, random_state=seed
        )
        scaler = StandardScaler().fit(X_train)
        X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
        yield Split(X_train, y_train, X_test, y_test, seed)


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and seconds of one core."""
    start = time.process_time()
    result = function()
    return result, time.process_time() - start


class Members:
    """Networks with seeds of their own, fitted once: the first one alone, or all."""

    def __init__(self, network: Any, split: Split, n_members: int = N_MEMBERS) -> None:
        seeds = range(100 * split.seed, 100 * split.seed + n_members)
        fits = [
            timed(lambda s=s: clone(network).set_params(random_state=s).fit(*split[:2]))
            for s in seeds
        ]
        self.networks = [fitted for fitted, _ in fits]
        self.seconds = [spent for _, spent in fits]

    def sharing(self, n_members: int) -> list[Any]:
        """So many of them, which share the draws."""
        chosen = self.networks[:n_members]
        if chosen[0].dropout_rate:
            for network in chosen:
                network.set_params(n_samples=N_DRAWS // n_members)
        return chosen

    def proba(self, X: Any, n_members: int) -> Any:
        """Their mean."""
        members = self.sharing(n_members)
        return np.mean([network.predict_proba(X) for network in members], axis=0)

    def mixture(self, X: Any, n_members: int) -> tuple[Any, Any]:
        """Means and standard deviations of normal distributions, draws first."""
        pairs = [
            network.sample_predictions(X, return_std=True)
            for network in self.sharing(n_members)
        ]
        means, stds = map(np.concatenate, zip(*pairs, strict=True))
        return means, stds


# Each method of classes: (name, (probabilities, seconds of fit, of predictions)).


def networks_of_classes(split: Split) -> Iterator[tuple[str, Any]]:
    with_dropout = Members(MCDropoutClassifier(), split)
    plain = Members(MCDropoutClassifier(dropout_rate=0.0), split)
    raw = Members(MCDropoutClassifier(dropout_rate=0.0, temperature=1.0), split)
    for name, members, n_members in (
        ("**MC dropout**", with_dropout, 1),
        ("five MC-dropout networks", with_dropout, N_MEMBERS),
        ("plain network", plain, 1),
        ("five plain networks", plain, N_MEMBERS),
        ("five plain ones, no temperature", raw, N_MEMBERS),
    ):
        members.proba(split.X_test, n_members)  # what is compiled is not counted
        proba, seconds = timed(lambda m=members, n=n_members: m.proba(split.X_test, n))
        yield name, (proba, sum(members.seconds[:n_members]), seconds)


def boosted_classes(split: Split) -> Any:
    boosting = HistGradientBoostingClassifier(random_state=split.seed)
    return of_fit(CalibratedClassifierCV(boosting), split)


def gaussian_process_of_classes(split: Split) -> Any:
    """Its length is fitted where the classes are few: for ten that takes minutes."""
    kernel = ConstantKernel() * RBF(np.sqrt(split.X.shape[1]))
    is_small = len(np.unique(split.y)) < 5
    optimizer = "fmin_l_bfgs_b" if is_small else None
    process = GaussianProcessClassifier(kernel, optimizer=optimizer, random_state=0)
    return of_fit(process, split)


def of_fit(estimator: Any, split: Split) -> Any:
    fitted, fit = timed(lambda: estimator.fit(split.X, split.y))
    proba, predict = timed(lambda: fitted.predict_proba(split.X_test))
    return proba, fit, predict


def laplace_of_classes(split: Split) -> Any:
    y = np.searchsorted(np.unique(split.y), split.y)
    return in_process(laplace_peer.probabilities, split.X, y, split.X_test, split.seed)


def judged_classes(split: Split, proba: Any) -> list[float]:
    """Log-loss, accuracy, calibration error, AURC, AUROC of errors."""
    proba = np.clip(np.asarray(proba, float), 1e-15, 1)
    proba /= proba.sum(axis=1, keepdims=True)
    classes = np.unique(split.y)
    predicted = classes[proba.argmax(axis=1)]
    entropy = entr(proba).sum(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no errors: not defined
        auroc = error_detection_auroc(split.y_test, predicted, entropy)
    return [
        log_loss(split.y_test, proba, labels=classes),
        float((predicted == split.y_test).mean()),
        top_label_calibration_error(split.y_test, proba, labels=classes),
        aurc(split.y_test, predicted, entropy),
        auroc,
    ]


def sets_of(split: Split) -> Any:
    """Coverage and size of own sets and of MAPIE's, of one network; None without it.

    The own set of a row has the most probable labels, to a sum of 90 %.
    """
    try:
        from mapie.classification import SplitConformalClassifier
    except ImportError:
        return None
    X, X_cal, y, y_cal = train_test_split(
        split.X, split.y, test_size=0.3, stratify=split.y, random_state=0
    )
    network = MCDropoutClassifier(random_state=split.seed).fit(X, y)
    conformal = SplitConformalClassifier(network, confidence_level=COVERAGE)
    _, found = conformal.conformalize(X_cal, y_cal).predict_set(split.X_test)
    proba = network.predict_proba(split.X_test)
    order = np.argsort(-proba, axis=1)
    sorted_ = np.take_along_axis(proba, order, axis=1)
    is_needed = np.cumsum(sorted_, axis=1) - sorted_ < COVERAGE
    own = np.zeros(proba.shape, bool)
    np.put_along_axis(own, order, is_needed, axis=1)
    true = np.searchsorted(network.classes_, split.y_test)
    rows = np.arange(len(true))
    return [
        value
        for sets in (own, found[:, :, 0])
        for value in (sets[rows, true].mean(), sets.sum(axis=1).mean())
    ]


# Each method of numbers: mixture and intervals, seconds of fit and predictions.


def networks_of_numbers(split: Split) -> Iterator[tuple[str, Any]]:
    with_dropout = Members(MCDropoutRegressor(epochs=N_EPOCHS), split)
    plain = Members(MCDropoutRegressor(dropout_rate=0.0, epochs=N_EPOCHS), split)
    for name, members, n_members in (
        ("**MC dropout**", with_dropout, 1),
        ("five MC-dropout networks", with_dropout, N_MEMBERS),
        ("plain network", plain, 1),
        ("five plain networks", plain, N_MEMBERS),
    ):
        members.mixture(split.X_test, n_members)
        mixture, seconds = timed(
            lambda m=members, n=n_members: m.mixture(split.X_test, n)
        )
        yield name, (*mixture, None, sum(members.seconds[:n_members]), seconds)


def boosted_numbers(split: Split) -> Any:
    """With normal noise, as large as it is on rows that were held out."""
    boosting = HistGradientBoostingRegressor(random_state=split.seed)

    def fit() -> Any:
        out_of_fold = cross_val_predict(boosting, split.X, split.y)
        return boosting.fit(split.X, split.y), np.std(out_of_fold - split.y)

    (fitted, std), fit_time = timed(fit)
    mean, predict = timed(lambda: fitted.predict(split.X_test))
    return mean[None], np.full((1, len(mean)), std), None, fit_time, predict


def boosted_quantiles(split: Split) -> Any:
    """Three of them, ends that cross swapped; there is no density."""
    levels = ((1 - COVERAGE) / 2, 0.5, (1 + COVERAGE) / 2)

    def fit() -> Any:
        models = [
            HistGradientBoostingRegressor(
                loss="quantile", quantile=level, random_state=split.seed
            )
            for level in levels
        ]
        return [model.fit(split.X, split.y) for model in models]

    models, fit_time = timed(fit)
    (low, middle, high), predict = timed(
        lambda: [model.predict(split.X_test) for model in models]
    )
    interval = np.sort([low, high], axis=0)
    return middle[None], None, interval, fit_time, predict


def gaussian_process_of_numbers(split: Split) -> Any:
    kernel = ConstantKernel() * RBF(np.ones(split.X.shape[1])) + WhiteKernel()
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    fitted, fit_time = timed(lambda: process.fit(split.X, split.y))
    (mean, std), predict = timed(lambda: fitted.predict(split.X_test, return_std=True))
    return mean[None], std[None], None, fit_time, predict


def laplace_of_numbers(split: Split) -> Any:
    found = in_process(laplace_peer.normals, split.X, split.y, split.X_test, split.seed)
    if found is None:
        return None
    mean, std, *seconds = found
    return mean[None], std[None], None, *seconds


class Quantile(RegressorMixin, BaseEstimator):
    """A quantile of a fitted network, in the form that MAPIE takes."""

    def __init__(self, network: Any, level: float) -> None:
        self.network = network
        self.level = level

    def fit(self, X: Any, y: Any) -> Quantile:
        """Nothing to do but to say so."""
        self.n_features_in_ = self.network.n_features_in_
        return self

    def predict(self, X: Any) -> Any:
        """The quantile."""
        return self.network.predict_quantiles(X, [self.level])[:, 0]


def conformal_numbers(split: Split) -> Any:
    try:
        from mapie.regression import ConformalizedQuantileRegressor
    except ImportError:
        return None

    def fit() -> Any:
        X, X_cal, y, y_cal = train_test_split(
            split.X, split.y, test_size=0.3, random_state=0
        )
        network = MCDropoutRegressor(epochs=N_EPOCHS, random_state=split.seed)
        network.fit(X, y)
        levels = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2, 0.5)
        return ConformalizedQuantileRegressor(
            [Quantile(network, level).fit(X, y) for level in levels],
            confidence_level=COVERAGE,
            prefit=True,
        ).conformalize(X_cal, y_cal)

    conformal, fit_time = timed(fit)
    (middle, bounds), predict = timed(lambda: conformal.predict_interval(split.X_test))
    interval = np.sort(bounds[:, :, 0].T, axis=0)
    return middle[None], None, interval, fit_time, predict


def judged_numbers(split: Split, means: Any, stds: Any, interval: Any) -> list[float]:
    """RMSE, log density, CRPS, coverage and width of intervals."""
    y = split.y_test
    levels = np.array([(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    if stds is None:
        density = score = np.nan
    else:
        means, stds = means.astype(float), np.broadcast_to(stds, means.shape)
        density = mean_log_density(y, means, stds)
        score = crps(y, means, stds)
        interval = quantiles(levels, means, stds).T
    low, high = interval
    error = np.sqrt(np.mean((means.mean(axis=0) - y) ** 2))
    covered = interval_coverage(y, low, high)
    return [error, density, score, covered, interval_width(low, high)]


def cells(results: list[list[float]], digits: list[int]) -> list[str]:
    """Means over splits with their standard errors; the last two are seconds."""
    found = np.array(results)
    line = []
    for values, n_digits in zip(found.T[:-2], digits, strict=True):
        values = values[np.isfinite(values)]
        if not len(values):
            line.append("–")
            continue
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        line.append(f"{values.mean():.{n_digits}f} ± {error:.{n_digits}f}")
    return [*line, *(short(value) for value in found.mean(axis=0)[-2:])]


def of_classes(quick: bool) -> None:
    for name, data in CLASSES.items():
        found: dict[str, list[list[float]]] = {}
        for split in splits(data, quick, is_stratified=True):
            others = {
                "calibrated boosting": boosted_classes,
                "Gaussian process": gaussian_process_of_classes,
                "Laplace, last layer": laplace_of_classes,
            }
            methods = list(networks_of_classes(split))
            methods += [(n, method(split)) for n, method in others.items()]
            for method, result in methods:
                if result is not None:
                    proba, *seconds = result
                    line = [*judged_classes(split, proba), *seconds]
                    found.setdefault(method, []).append(line)
        print(f"{describe(name, data)}, {len(np.unique(data[0][1]))} classes:\n")
        header = ["method", "log-loss", "accuracy", "calibration error", "AURC"]
        table(
            [*header, "AUROC of errors", "fit", "predict"],
            ([n, *cells(r, [3, 3, 3, 4, 2])] for n, r in found.items()),
        )


def describe(name: str, data: tuple[Any, int]) -> str:
    (X, _), n_train = data
    return f"{name}, {n_train} of {len(X):,} rows × {X.shape[1]}"


def of_sets(quick: bool) -> None:
    lines = []
    for name, data in CLASSES.items():
        found = [sets_of(split) for split in splits(data, quick, is_stratified=True)]
        if found[0] is None:
            print("MAPIE is not installed.\n")
            return
        lines.append([name, *cells([[*r, 0, 0] for r in found], [3, 2, 3, 2])[:-2]])
    print("Sets of labels for 90 %, of a network of seven tenths of the rows:\n")
    header = ["table", "own: in them", "labels", "conformal: in them", "labels"]
    table(header, lines)


def of_numbers(quick: bool) -> None:
    for name, data in NUMBERS.items():
        found: dict[str, list[list[float]]] = {}
        for split in splits(data, quick, is_stratified=False):
            others = {
                "boosting, normal noise": boosted_numbers,
                "boosting of quantiles": boosted_quantiles,
                "Gaussian process": gaussian_process_of_numbers,
                "Laplace, last layer": laplace_of_numbers,
                "MC dropout, conformal": conformal_numbers,
            }
            methods = list(networks_of_numbers(split))
            methods += [(n, method(split)) for n, method in others.items()]
            for method, result in methods:
                if result is not None:
                    *prediction, fit, predict = result
                    line = [*judged_numbers(split, *prediction), fit, predict]
                    found.setdefault(method, []).append(line)
        print(f"{describe(name, data)}:\n")
        n_digits = 1 if np.std(data[0][1]) > 10 else 3
        header = ["method", "RMSE", "log density", "CRPS", "in 90 % intervals"]
        table(
            [*header, "width", "fit", "predict"],
            (
                [n, *cells(r, [n_digits, 3, n_digits, 3, min(n_digits, 2)])]
                for n, r in found.items()
            ),
        )


def main(quick: bool) -> None:
    warnings.simplefilter("ignore")
    print("## Alternatives\n")
    rng = np.random.RandomState(0)
    MCDropoutClassifier(epochs=1).fit(rng.normal(size=(99, 2)), np.arange(99) % 3)
    of_classes(quick)
    of_sets(quick)
    of_numbers(quick)

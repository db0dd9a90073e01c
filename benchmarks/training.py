"""Training: scikit-learn's MLP, scikeras and searches, side by side."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
from peers import PLAIN, AlwaysDropout, LoopingClassifier, scikeras_classifier
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from timing import seconds, short, table, times

from skmcdropout import MCDropoutClassifier

FIRST_FIT = """
import time, warnings
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from skmcdropout import MCDropoutClassifier
warnings.simplefilter("ignore")
X, y = load_digits(return_X_y=True)
X /= 16
ours = MCDropoutClassifier(
    (100, 100),
    epochs=20,
    batch_size=32,
    batch_normalization=False,
    temperature=1.0,
)
mlp = MLPClassifier((100, 100), max_iter=20, batch_size=32, n_iter_no_change=20)
for classifier in (ours, mlp):
    start = time.perf_counter()
    classifier.fit(X, y)
    print(time.perf_counter() - start)
"""


def fits(quick: bool) -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y = load_digits(return_X_y=True)
    X /= 16
    ours = MCDropoutClassifier(
        (100, 100), dropout_rate=0.2, epochs=20, batch_size=32, **PLAIN
    )
    mlp = MLPClassifier(
        (100, 100), max_iter=20, batch_size=32, n_iter_no_change=20, tol=0
    )
    keras = scikeras_classifier((100, 100), epochs=20, batch_size=32)
    first = [
        [float(line) for line in out.split()]
        for out in (
            subprocess.run(
                [sys.executable, "-c", FIRST_FIT],
                capture_output=True, text=True, check=True,
            ).stdout
            for _ in range(1 if quick else 3)
        )
    ]  # fmt: skip
    first_ours, first_mlp = np.min(first, axis=0)
    lines = [
        [
            "digits, 64-100-100-10, batch 32, 20 epochs: first fit of a process",
            short(first_ours),
            f"{first_ours / first_mlp:.2f}× ({short(first_mlp)})",
            "–",
        ]
    ]
    a = seconds(lambda: clone(ours).fit(X, y), 5)
    b = seconds(lambda: clone(mlp).fit(X, y), 5)
    c = seconds(lambda: clone(keras).fit(X, y), 1 if quick else 2, warm=False)
    lines.append(
        [
            "the same, later fits",
            short(a),
            f"{a / b:.2f}× ({short(b)})",
            f"{a / c:.2f}× ({short(c)})",
        ]
    )
    n = 10_000 if quick else 60_000
    rng = np.random.RandomState(0)
    y = rng.randint(10, size=n)
    X = np.clip(rng.normal(size=(10, 784))[y] / 4 + rng.normal(size=(n, 784)), 0, 1)
    X = X.astype(np.float32)
    sized = {"epochs": 3, "batch_size": 128}
    ours = MCDropoutClassifier((300, 100), dropout_rate=0.2, **PLAIN, **sized)
    mlp = MLPClassifier((300, 100), max_iter=3, batch_size=128, n_iter_no_change=9)
    keras = scikeras_classifier((300, 100), **sized)
    a, b, c = (
        seconds(lambda e=e: clone(e).fit(X, y), 1 if quick else 2, warm=False)
        for e in (ours, mlp, keras)
    )
    lines.append(
        [
            f"{n:,} × 784, 784-300-100-10, batch 128, 3 epochs",
            short(a),
            f"{a / b:.2f}× ({short(b)})",
            f"{a / c:.2f}× ({short(c)})",
        ]
    )
    n = 50_000 if quick else 200_000
    y = rng.randint(4, size=n)
    X = (rng.normal(size=(4, 30))[y] / 2 + rng.normal(size=(n, 30))).astype(np.float32)
    ours = MCDropoutClassifier((256, 256), epochs=2, batch_size=256, **PLAIN)
    mlp = MLPClassifier((256, 256), max_iter=2, batch_size=256, n_iter_no_change=9)
    a, b = (
        seconds(lambda e=e: clone(e).fit(X, y), 1 if quick else 3, warm=False)
        for e in (ours, mlp)
    )
    lines.append(
        [
            f"{n:,} × 30, 30-256-256-4, batch 256, 2 epochs",
            short(a),
            f"{a / b:.2f}× ({short(b)})",
            "–",
        ]
    )
    table(
        ["fit", "skmcdropout", "of `MLPClassifier`'s time", "of scikeras's time"], lines
    )


def searches(quick: bool) -> None:
    X, y = load_digits(return_X_y=True)
    X /= 16
    rates = [0.1, 0.2, 0.3, 0.4, 0.5]
    draws = [10, 30, 50, 100]
    folds = 2 if quick else 5
    ours = MCDropoutClassifier(
        (100, 100), epochs=20, batch_size=32, random_state=0, **PLAIN
    )
    grid = {"dropout_rate": rates, "n_samples": draws}

    def search(**parameters: object) -> float:
        estimator = clone(ours).set_params(**parameters.pop("set", {}))
        start = time.perf_counter()
        GridSearchCV(estimator, grid, cv=folds, refit=False, **parameters).fit(X, y)
        return time.perf_counter() - start

    single, double, again = search(), search(n_jobs=2), search(n_jobs=2)
    with joblib.parallel_config("threading"):
        threads = search(n_jobs=2)
    with tempfile.TemporaryDirectory() as folder:
        remembered = search(set={"memory": str(Path(folder))})
    looping = scikeras_classifier(
        (100, 100), LoopingClassifier, AlwaysDropout, epochs=20, batch_size=32
    )
    part = GridSearchCV(looping, {"n_samples": [10, 50]}, cv=2, refit=False)
    start = time.perf_counter()
    part.fit(X, y)
    scaled = (time.perf_counter() - start) / 4 * len(rates) * len(draws) * folds
    table(
        [f"5 rates × 4 `n_samples` × {folds} folds on digits, 20 epochs", "time", ""],
        [
            ["skmcdropout", short(single), ""],
            [
                "with `n_jobs=2`, processes that start for it",
                short(double),
                f"{times(single / double)} faster",
            ],
            [
                "with `n_jobs=2`, processes that run already",
                short(again),
                f"{times(single / again)} faster",
            ],
            [
                "with `n_jobs=2`, threads",
                short(threads),
                f"{times(single / threads)} faster",
            ],
            [
                "with `memory`",
                short(remembered),
                f"{times(single / remembered)} faster",
            ],
            [
                "scikeras subclass, loop of `model.predict` (4 of the fits, scaled up)",
                short(scaled),
                f"{times(scaled / single)} slower",
            ],
        ],
    )


MEMORY_LEFT = """
import sys
import numpy as np
from skmcdropout import MCDropoutClassifier

def held():
    for line in open("/proc/self/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024

n_fits, predicts = int(sys.argv[1]), sys.argv[2] == "predict"
rng = np.random.RandomState(0)
for i in range(n_fits):
    n, d, k = rng.randint(50, 300), rng.randint(2, 60), rng.randint(2, 6)
    X, y = rng.normal(size=(n, d)), np.arange(n) % k
    sizes = tuple(rng.randint(5, 150, size=rng.randint(1, 4)).tolist())
    classifier = MCDropoutClassifier(sizes, epochs=2).fit(X, y)
    if predicts:
        classifier.predict_uncertainty(X)
    if i == 19:
        before = held()
print(held() - before)
"""


def memory_left(quick: bool) -> None:
    n_fits = 60 if quick else 200
    left = [
        float(
            subprocess.run(
                [sys.executable, "-c", MEMORY_LEFT, str(n_fits), what],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for what in ("fit", "predict")
    ]
    print(
        f"{n_fits} fits of varied shapes leave {left[0]:.0f} MB behind after the first "
        f"20, {left[1]:.0f} MB with a prediction after each.\n"
    )


def main(quick: bool) -> None:
    print("## Training\n")
    fits(quick)
    searches(quick)
    memory_left(quick)

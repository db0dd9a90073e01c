"""Prediction: ratios to the textbook loop, a compiled loop and the arithmetic floor."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from peers import PLAIN, compiled_loop, textbook, torch_loop
from timing import matrix_product_rate, seconds, short, table, times

from skmcdropout import MCDropoutClassifier
from skmcdropout.uncertainty import MEASURES

N_DRAWS = 100
CASES = [
    ((20, (100,), 2), 1000),
    ((64, (100, 100), 10), 1797),
    ((784, (300, 100), 10), 10_000),
    ((64, (100, 100), 10), 1),
]


def fitted(
    sizes: tuple[int, tuple[int, ...], int], **parameters: object
) -> MCDropoutClassifier:
    """A classifier for these sizes, hardly trained: speed does not depend on it."""
    n_in, hidden, n_out = sizes
    rng = np.random.RandomState(0)
    y = np.arange(20 * n_out) % n_out
    X = rng.normal(size=(len(y), n_in))
    defaults = {"dropout_rate": 0.2, "epochs": 1, "random_state": 0, **PLAIN}
    return MCDropoutClassifier(hidden, **{**defaults, **parameters}).fit(X, y)


def floor_flops(sizes: tuple[int, tuple[int, ...], int], n_rows: int) -> int:
    """FLOPs of what comes before the first dropout once, of the rest for each draw."""
    n_in, hidden, n_out = sizes
    widths = (*hidden, n_out)
    after = sum(2 * a * b for a, b in pairwise(widths))
    return n_rows * (2 * n_in * widths[0] + N_DRAWS * after)


def rows(n_rows: int, n_in: int) -> NDArray[np.float32]:
    rng = np.random.RandomState(1)
    return rng.normal(size=(n_rows, n_in)).astype(np.float32)


def against_peers(quick: bool) -> None:
    rate = matrix_product_rate()
    print(f"Matrix products: {rate / 1e9:.0f} GFLOP/s in single precision.\n")
    lines = []
    for sizes, n_rows in CASES:
        classifier = fitted(sizes)
        X = rows(n_rows, sizes[0])
        ours = seconds(lambda c=classifier, X=X: c.predict_proba(X), 7)
        passes = 5 if quick else 20
        loops = {
            "textbook": (textbook(classifier.model_, 0.2), passes),
            "compiled": (compiled_loop(classifier.model_), N_DRAWS),
            "torch": (torch_loop(classifier.model_, 0.2), N_DRAWS),
        }
        measured = {
            name: seconds(lambda f=loop, X=X, n=n: f(X, n), 2) * N_DRAWS / n
            if loop
            else None
            for name, (loop, n) in loops.items()
        }
        floor = floor_flops(sizes, n_rows) / rate
        name = "-".join(map(str, (sizes[0], *sizes[1], sizes[2])))
        ratios = [
            f"{times(m / ours)} ({short(m)})" if m else "–" for m in measured.values()
        ]
        is_large = n_rows > 1000
        lines.append(
            [
                f"{name}, {n_rows:,} rows",
                short(ours),
                *ratios,
                f"{ours / floor:.2f}× ({short(floor)})" if is_large else "–",
            ]
        )
    table(
        [
            "network, rows",
            "skmcdropout",
            "textbook loop of `predict`",
            "compiled loop",
            "PyTorch loop",
            "arithmetic floor",
        ],
        lines,
    )
    print(
        f"{N_DRAWS} draws, rate 0.2, hidden dropout, public `predict_proba`. The "
        f"textbook loop: {passes} of its {N_DRAWS} passes, scaled up.\n"
    )


def first_prediction_and_row_counts() -> None:
    lines = []
    for sizes, n_rows in CASES[:3]:
        X = rows(n_rows, sizes[0])
        ours, keras = [], []
        for _ in range(3):
            classifier = fitted(sizes)
            ours.append(seconds(partial(classifier.predict_proba, X), 1, warm=False))
            first_of_keras = partial(classifier.model_.predict, X, verbose=0)
            keras.append(seconds(first_of_keras, 1, warm=False))
        lines.append(
            [
                "-".join(map(str, (sizes[0], *sizes[1], sizes[2]))) + f", {n_rows:,}",
                short(min(ours)),
                short(min(keras)),
                times(min(ours) / min(keras)),
            ]
        )
    table(["first prediction", "skmcdropout", "Keras's `predict`", "ratio"], lines)

    classifier = fitted(CASES[1][0])
    X = rows(1000, 64)
    counts = range(500, 1000, 10)
    different = seconds(lambda: [classifier.predict_proba(X[:n]) for n in counts], 3)
    equal = seconds(lambda: [classifier.predict_proba(X[:745]) for _ in counts], 3)
    ratio = times(different / equal)
    print(f"50 different row counts take {ratio} the time of 50 equal ones.\n")


def variations(quick: bool) -> None:
    sizes, n_rows = CASES[1]
    X = rows(n_rows, sizes[0])
    base = seconds(partial(fitted(sizes).predict_proba, X), 7)
    lines = [["hidden dropout, rate 0.2, 100 draws", short(base), "1×"]]

    def add(name: str, time: float, per: float = base) -> None:
        lines.append([name, short(time), times(time / per)])

    for name, parameters in {
        'dropout_position="all"': {"dropout_position": "all"},
        "rate 0.5": {"dropout_rate": 0.5},
        "batch normalization": {"batch_normalization": True},
        "n_samples=0": {"n_samples": 0},
        "n_samples=10": {"n_samples": 10},
        "n_samples=300": {"n_samples": 300},
        "n_samples=1000": {"n_samples": 1000},
    }.items():
        classifier = fitted(sizes, **parameters)
        add(name, seconds(lambda c=classifier: c.predict_proba(X), 5))
    classifier = fitted(sizes)
    add(
        "`predict_uncertainty`, all measures",
        seconds(lambda: classifier.predict_uncertainty(X, list(MEASURES)), 7),
    )
    table([f"64-100-100-10, {n_rows:,} rows", "time", "to the first line"], lines)
    lines = []
    for sizes, n_rows in CASES[:3]:
        c, X = fitted(sizes), rows(n_rows, sizes[0])
        mean = seconds(lambda c=c, X=X: c.predict_proba(X), 7)
        all_six = seconds(lambda c=c, X=X: c.predict_uncertainty(X, list(MEASURES)), 7)
        name = "-".join(map(str, (sizes[0], *sizes[1], sizes[2]))) + f", {n_rows:,}"
        lines.append([name, short(mean), short(all_six), times(all_six / mean)])
    table(["all measures", "`predict_proba`", "all six", "ratio"], lines)
    n_rows = 100_000 if quick else 1_000_000
    c, X = fitted((20, (100,), 2)), rows(n_rows, 20)
    print(
        f"{n_rows:,} rows × 20 features, 20-100-2, 100 draws: "
        f"{short(seconds(lambda: c.predict_proba(X), 1))}.\n"
    )


def main(quick: bool) -> None:
    print("## Prediction\n")
    against_peers(quick)
    first_prediction_and_row_counts()
    variations(quick)

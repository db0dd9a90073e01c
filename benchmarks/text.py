"""A sparse table of words, like TF-IDF of 20 newsgroups, beside scikit-learn's MLP.

The table is made: each class has words of its own, among many that all have, whose
frequencies fall like those of a language. Each estimator runs in a process of its own,
on one thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import log_loss
from timing import short, table

N_CLASSES, WORDS_OF_A_ROW, WORDS_OF_A_CLASS = 20, 130, 1000

#: Share of a row's words that are of its class, and of labels that are wrong.
OWN, WRONG = 0.08, 0.05

NAMES = (
    "MCDropoutClassifier",
    "without normalization and temperature",
    "MLPClassifier",
)

RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import text
text.run(sys.argv[2], *map(int, sys.argv[3:]))
"""


def estimator(name: str, epochs: int) -> Any:
    """One of `NAMES`, with one hidden layer."""
    if name == "MLPClassifier":
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier(
            (128,),
            max_iter=epochs,
            batch_size=256,
            random_state=0,
            n_iter_no_change=epochs,
            tol=0,
        )
    from skmcdropout import MCDropoutClassifier

    plain = {"batch_normalization": False, "temperature": 1.0}
    changes = plain if name.startswith("without") else {}
    return MCDropoutClassifier(
        (128,), epochs=epochs, batch_size=256, random_state=0, **changes
    )


def words(n_rows: int, n_columns: int, seed: int = 0) -> tuple[Any, Any]:
    """A TF-IDF table of about a hundred words a row, in CSR, and its classes."""
    rng = np.random.RandomState(seed)
    y = rng.randint(N_CLASSES, size=n_rows)
    rows = np.repeat(np.arange(n_rows), rng.poisson(WORDS_OF_A_ROW, size=n_rows))
    frequencies = np.cumsum(1 / np.arange(1, n_columns + 1))
    uniform = rng.random_sample(len(rows)) * frequencies[-1]
    columns = np.searchsorted(frequencies, uniform)
    shape = N_CLASSES, WORDS_OF_A_CLASS
    own = rng.randint(n_columns // 100, n_columns, size=shape)
    is_own = np.flatnonzero(rng.random_sample(len(rows)) < OWN)
    which = rng.randint(WORDS_OF_A_CLASS, size=len(is_own))
    columns[is_own] = own[y[rows[is_own]], which]
    counts = sparse.csr_array(
        (np.ones(len(rows), np.float32), (rows, columns)), shape=(n_rows, n_columns)
    )
    X = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    is_wrong = rng.random_sample(n_rows) < WRONG
    return X, np.where(is_wrong, rng.randint(N_CLASSES, size=n_rows), y)


def peak() -> float:
    """Largest size that this process had, in megabytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(name: str, n_rows: int, n_columns: int, epochs: int) -> None:
    """Fit and predict in this process; print what it took as JSON."""
    warnings.simplefilter("ignore")
    X, y = words(n_rows, n_columns)
    n_train = n_rows * 4 // 5
    first = estimator(name, 1).fit(X[:200, :50], y[:200])  # imports, compilation
    first.predict_proba(X[:100, :50])
    judged = estimator(name, epochs)
    before, start = peak(), time.perf_counter()
    judged.fit(X[:n_train], y[:n_train])
    fitted = time.perf_counter()
    proba = judged.predict_proba(X[n_train:]).astype(float)
    found = {
        "fit": fitted - start,
        "predict_proba": time.perf_counter() - fitted,
        "beyond": peak() - before,
        "accuracy": float((proba.argmax(axis=1) == y[n_train:]).mean()),
        "log-loss": log_loss(
            y[n_train:], proba / proba.sum(axis=1, keepdims=True), labels=range(20)
        ),
    }
    print(json.dumps(found))


def main(quick: bool) -> None:
    n_rows, n_columns, epochs = (4000, 20_000, 3) if quick else (12_000, 100_000, 3)
    one_thread = dict.fromkeys(
        (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "TF_NUM_INTRAOP_THREADS",
            "TF_NUM_INTEROP_THREADS",
        ),
        "1",
    )
    rows = []
    sizes = [str(n) for n in (n_rows, n_columns, epochs)]
    for name in NAMES:
        asked = [str(Path(__file__).parent), name, *sizes]
        printed = subprocess.run(
            [sys.executable, "-c", RUN, *asked],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, **one_thread},
        )
        found = json.loads(printed.stdout.splitlines()[-1])
        rows.append(
            [
                name,
                short(found["fit"]),
                short(found["predict_proba"]),
                f"{found['beyond']:.0f} MB",
                f"{found['accuracy']:.3f}",
                f"{found['log-loss']:.3f}",
            ]
        )
    print("## Sparse rows\n")
    table(
        [
            f"{n_rows:,} rows, {n_columns:,} columns, {epochs} epochs, one thread",
            "fit",
            "`predict_proba`",
            "peak memory beyond the start",
            "accuracy",
            "log-loss",
        ],
        rows,
    )
    X, _ = words(n_rows, n_columns)
    print(
        f"{X.nnz / n_rows:.0f} values a row; a dense table of single precision would "
        f"take {4 * n_rows * n_columns / 2**20:,.0f} MB.\n"
    )

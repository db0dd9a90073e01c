"""A fitted classifier in a service: latency of a row, threads, memory, time to load."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import make_classification
from timing import short, table

from skmcdropout import MCDropoutClassifier

SIZES = {"20-100-2": 100, "20-128-128-2, the default": (128, 128)}

#: What a worker of a service does before and at its first request.
WORKER = """
import json, resource, sys, time
start = time.perf_counter()
import numpy as np
import sklearn.pipeline
report = {"before": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
path = sys.argv[1]
if path.endswith(".skops"):
    import skops.io
    types = skops.io.get_untrusted_types(file=path)
    assert all(name.startswith("skmcdropout.") for name in types), types
    classifier = skops.io.load(path, trusted=types)
else:
    import pickle
    with open(path, "rb") as file:
        classifier = pickle.load(file)
report["loaded"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report["load"] = time.perf_counter() - start
row = np.zeros((1, 20), np.float32)
for name in ("first", "second"):
    start = time.perf_counter()
    classifier.predict_proba(row)
    report[name] = time.perf_counter() - start
report["row"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
classifier.predict_proba(np.zeros((1000, 20), np.float32))
report["batch"] = time.perf_counter() - start
report["rows"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(report))
"""


def latencies(classifier: Any, rows: Any, n_calls: int, n_threads: int) -> Any:
    """Seconds of each call, and calls a second of all threads together."""

    def calls(thread: int) -> list[float]:
        found = []
        for i in range(n_calls // n_threads):
            row = rows[(thread + i) % len(rows)][None]
            start = time.perf_counter()
            classifier.predict_uncertainty(row)
            found.append(time.perf_counter() - start)
        return found

    calls(0)
    with ThreadPoolExecutor(n_threads) as pool:
        start = time.perf_counter()
        found = np.concatenate(list(pool.map(calls, range(n_threads))))
        return found, len(found) / (time.perf_counter() - start)


def worker(path: Path) -> dict[str, float]:
    """The report of a new process that loads the file."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(quick: bool) -> None:
    print("## Serving\n")
    X, y = make_classification(1000, 20, random_state=0)
    X = X.astype(np.float32)
    n_calls = 1000 if quick else 4000
    lines = []
    for name, sizes in SIZES.items():
        classifier = MCDropoutClassifier(sizes, epochs=5, random_state=0).fit(X, y)
        for n_threads in (1, 4):
            found, rate = latencies(classifier, X, n_calls, n_threads)
            low, high = np.quantile(found, [0.5, 0.99])
            lines.append([name, n_threads, short(low), short(high), f"{rate:,.0f}"])
    print("One row a call, 100 draws, `predict_uncertainty`:\n")
    table(["network", "threads", "median", "99 %", "rows a second"], lines)

    lines = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, "classifier.pickle")]
        paths[0].write_bytes(pickle.dumps(classifier))
        if find_spec("skops"):
            import skops.io

            paths.append(Path(folder, "classifier.skops"))
            skops.io.dump(classifier, paths[1])
        for path in paths:
            size = path.stat().st_size
            reports = [worker(path) for _ in range(2 if quick else 5)]
            best = {k: min(report[k] for report in reports) for k in reports[0]}
            memory = (f"{best[k] / 1024:.0f}" for k in ("before", "loaded", "rows"))
            seconds = (short(best[k]) for k in ("load", "first", "second", "batch"))
            lines.append([path.suffix, f"{size / 1024:.0f} KB", *seconds, *memory])
    print("The default network in a new process; memory in MB, the peak so far:\n")
    header = ["file", "size", "import and load", "first row", "next", "first 1,000"]
    table([*header, "scikit-learn alone", "loaded", "at work"], lines)

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
import json, sys, time
import numpy as np
import sklearn.pipeline

def memory():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

report = {"before": memory()}
start = time.perf_counter(), time.process_time()
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
report["loaded"] = memory()
report["load"] = time.perf_counter() - start[0]
report["load_cpu"] = time.process_time() - start[1]
row = np.zeros((1, 20), np.float32)
for name in ("first", "second"):
    start = time.perf_counter()
    classifier.predict_proba(row)
    report[name] = time.perf_counter() - start
rows = np.zeros((1000, 20), np.float32)
for name in ("first_rows", "rows"):
    start = time.perf_counter()
    classifier.predict_proba(rows)
    report[name] = time.perf_counter() - start
report["after"] = memory()
print(json.dumps(report))
"""


def latencies(classifier: Any, rows: Any, n_calls: int, n_threads: int) -> Any:
    """Seconds of each call, processor time of each, calls a second of all threads."""

    def calls(thread: int) -> list[tuple[float, float]]:
        found = []
        for i in range(n_calls // n_threads):
            row = rows[(thread + i) % len(rows)][None]
            start = time.perf_counter(), time.thread_time()
            classifier.predict_uncertainty(row)
            end = time.perf_counter(), time.thread_time()
            found.append((end[0] - start[0], end[1] - start[1]))
        return found

    calls(0)
    with ThreadPoolExecutor(n_threads) as pool:
        start = time.perf_counter()
        found = np.concatenate(list(pool.map(calls, range(n_threads))))
        return *found.T, len(found) / (time.perf_counter() - start)


def of_block(classifier: Any, rows: Any, n_calls: int) -> float:
    """Median of the processor time of a call."""
    found = []
    for _ in range(n_calls + 1):
        start = time.process_time()
        classifier.predict_uncertainty(rows)
        found.append(time.process_time() - start)
    return float(np.median(found[1:]))


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
            wall, own, rate = latencies(classifier, X, n_calls, n_threads)
            found = *np.quantile(wall, [0.5, 0.99]), *np.quantile(own, [0.5, 0.99])
            lines.append([name, n_threads, *map(short, found), f"{rate:,.0f}"])
    print("One row a call, 100 draws, `predict_uncertainty`:\n")
    header = ["network", "threads", "median", "99 %"]
    table([*header, "processor: median", "99 %", "rows a second"], lines)

    lines = []
    for n_draws in (10, 30, 100):
        classifier.set_params(n_samples=n_draws)
        blocks = (X[:n_rows] for n_rows in (1, 10, 100, 1000))
        found = (of_block(classifier, block, n_calls // 50) for block in blocks)
        lines.append([n_draws, *map(short, found)])
    print("The default network, processor time of a call:\n")
    table(["draws", "1 row", "10 rows", "100 rows", "1,000 rows"], lines)

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
            memory = (f"{best[k] / 1024:.0f}" for k in ("before", "loaded", "after"))
            names = ("load", "load_cpu", "first", "second", "first_rows", "rows")
            seconds = (short(best[k]) for k in names)
            lines.append([path.suffix, f"{size / 1024:.0f} KB", *seconds, *memory])
    print("The default network in a new process; memory in MB (Linux):\n")
    header = ["file", "size", "import and load", "of it processor", "first row", "next"]
    header += ["first 1,000 rows", "next", "scikit-learn alone", "loaded", "at work"]
    table(header, lines)

"""Clocks, tables and facts about the machine."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("scikit-learn", "keras", "tensorflow", "scikeras", "numpy", "torch")


def seconds(function: Callable[[], Any], repeats: int = 5, warm: bool = True) -> float:
    """Least wall time of `repeats` calls, after one that is not counted."""
    if warm:
        function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a Markdown table."""
    print("| " + " | ".join(header) + " |")
    print("|---" * len(header) + "|")
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
    print()


def short(value: float) -> str:
    """Seconds, legibly."""
    if value >= 1:
        return f"{value:.1f} s" if value < 100 else f"{value:.0f} s"
    return f"{value * 1e3:.3g} ms"


def times(ratio: float) -> str:
    """A ratio, legibly."""
    return f"{ratio:.0f}×" if ratio >= 20 else f"{ratio:.2g}×"


def machine() -> str:
    """Processor, cores, system and versions."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [ln for ln in info.read_text().splitlines() if "model name" in ln]
        model = names[0].split(":")[1].strip() if names else model
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} not installed")
    return (
        f"{model}, {len(os.sched_getaffinity(0))} cores, {platform.system()}, Python "
        f"{platform.python_version()}; {', '.join(versions)}"
    )


def matrix_product_rate() -> float:
    """Single-precision FLOPs a second: the better of NumPy's and TensorFlow's."""
    import tensorflow as tf

    n = 2000
    a = np.random.RandomState(0).normal(size=(n, n)).astype(np.float32)
    b = tf.constant(a)
    product = tf.function(tf.matmul)
    fastest = min(
        seconds(lambda: a @ a, 10), seconds(lambda: product(b, b).numpy(), 10)
    )
    return 2 * n**3 / fastest

"""Print the tables as Markdown: ``python benchmarks/run.py [--quick] [section ...]``.

All ratios of a table are measured side by side in this run. Peers that are not
installed are left out (``pip install ".[bench]"`` brings them).
"""

from __future__ import annotations

import argparse
import importlib
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SECTIONS = (
    "prediction",
    "networks",
    "training",
    "draws",
    "accuracy",
    "defaults",
    "real",
    "regression",
    "rejecting",
    "text",
    "alternatives",
    "serving",
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and coarser")
    parser.add_argument("sections", nargs="*", metavar="section", default=SECTIONS)
    arguments = parser.parse_args()
    from timing import machine

    start = time.perf_counter()
    print(f"# skmcdropout benchmark\n\n{machine()}\n")
    for section in arguments.sections:
        importlib.import_module(section).main(arguments.quick)
    print(f"{time.perf_counter() - start:.0f} s in all.")

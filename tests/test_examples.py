"""Every example runs as a script and saves its figure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


#: What the examples need beyond the extra "plot".
NEEDED = {
    "active_learning": "skactiveml",
    "conformal_regression": "mapie",
    "conformal_sets": "mapie",
    "tutorial_mixed_frame": "pandas",
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, tmp_path):
    if path.stem in NEEDED:
        pytest.importorskip(NEEDED[path.stem], reason="it is not installed")
    script = shutil.copy(path, tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "MPLBACKEND": "Agg"},
    )
    assert done.returncode == 0, done.stderr
    assert f"figure saved: {path.stem}.png" in done.stdout
    assert (tmp_path / f"{path.stem}.png").stat().st_size > 10_000


README = (Path(__file__).parents[1] / "README.md").read_text()
#: What each block of code prints.
PRINTED = ["dropout_rate", "of the targets are within", "dropout_rate", "are right"]


@pytest.mark.parametrize("i", range(README.count("```python\n")))
def test_the_code_in_the_readme_runs(tmp_path, i):
    code = README.split("```python\n")[i + 1].split("```")[0]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )
    assert done.returncode == 0, done.stderr
    assert PRINTED[i] in done.stdout

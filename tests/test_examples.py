"""Every example runs as a script and saves its figure."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numpy.testing import assert_allclose

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


NUMBER = re.compile(r"[0-9.]+")


def test_the_code_in_the_readme_prints_what_it_says(tmp_path):
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    code, printed, *_ = readme.split("```python\n")[1].split("```")[::2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )
    assert done.returncode == 0, done.stderr
    said, is_said = done.stdout.strip(), printed.strip()
    assert NUMBER.sub("#", said) == NUMBER.sub("#", is_said)
    # Another processor rounds otherwise, and training carries that on.
    numbers = [[float(x) for x in NUMBER.findall(text)] for text in (said, is_said)]
    assert_allclose(*numbers, rtol=0.02, atol=3)
    assert numbers[0][0] == pytest.approx(numbers[1][0], abs=0.01)

"""README's code prints what it says; examples save figures of their own names.

(The examples run where the documentation is built, and `.ci/check_gallery.py` looks for
their figures.)
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from numpy.testing import assert_allclose

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


NUMBER = re.compile(r"[0-9.]+")


@pytest.mark.slow
def test_the_code_in_the_readme_prints_what_it_says(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code, printed, *_ = readme.split("```python\n")[1].split("```")[::2]
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", code],
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


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_tells_the_name_of_its_figure(path):
    """CI looks for this line on the page that is made by running it."""
    code = path.read_text(encoding="utf-8")
    compile(code, path, "exec")
    assert f'savefig("{path.stem}.png"' in code
    assert f"figure saved: {path.stem}.png" in code

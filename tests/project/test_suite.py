"""The suite itself: which files look inside, and where a test goes."""

import re
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("*.py"))

#: A module of the package that is private, imported or named in a string.
LOOKS_INSIDE = re.compile(r"skmcdropout\._(?!_)|from skmcdropout import _|\b_sampler\b")


def may_look_inside(path):
    """The seams that all share, and a folder's tests of inner functions."""
    return path.name == "inside.py" or path.stem.endswith("_internals")


def test_few_files_look_inside():
    looking = [
        path.relative_to(TESTS).as_posix()
        for path in FILES
        if LOOKS_INSIDE.search(path.read_text(encoding="utf-8"))
        and not may_look_inside(path)
        and path != Path(__file__)
    ]
    assert looking == []


def test_files_that_look_inside_are_named_after_their_folder():
    inside = [path for path in FILES if path.stem.endswith("_internals")]
    assert len(inside) > 2
    for path in inside:
        assert path.name.startswith(f"test_{path.parent.name}_")
        assert LOOKS_INSIDE.search(path.read_text("utf-8")), f"{path} need not be one"


def test_tests_stand_in_folders():
    """Beside the fixtures of all, nothing stands at the top."""
    assert [path.name for path in TESTS.glob("*.py")] == ["conftest.py"]


def test_names_of_files_are_their_own():
    """pytest imports test files by their base names."""
    counts = Counter(path.name for path in FILES if path.name != "conftest.py")
    assert {name: n for name, n in counts.items() if n > 1} == {}

"""A folder of trained networks that is damaged, full or read-only stops no fit.

Nor does it give another network than the one that was trained.
"""

import errno
import os
import shutil
import sys
import weakref

import joblib
import pytest
from damage import X, Y, changes, mlp
from numpy.testing import assert_array_equal
from sklearn.base import clone

quiet = pytest.mark.filterwarnings("ignore")  # it may also warn


def cached_fit(folder, **params):
    return mlp(memory=str(folder), **params).fit(X, Y).predict_proba(X)


@pytest.fixture(scope="module")
def plain():
    return mlp().fit(X, Y).predict_proba(X)


@pytest.mark.slow
@quiet
@pytest.mark.parametrize(
    "change", ["emptied", "cut", "altered", "deleted", "made a folder"]
)
@pytest.mark.parametrize("name", ["output.pkl", "metadata.json"])
def test_an_entry_of_the_memory_that_was_damaged_is_trained_again(
    tmp_path, plain, name, change
):
    assert_array_equal(cached_fit(tmp_path), plain)
    (path,) = tmp_path.rglob(name)
    whole = path.read_bytes()
    if change in ("deleted", "made a folder"):
        path.unlink()
        if change == "made a folder":
            (path / "with a folder").mkdir(parents=True)
    else:
        path.write_bytes(
            {
                "emptied": b"",
                "cut": whole[: len(whole) // 2],
                "altered": whole[:20] + bytes(20) + whole[40:],
            }[change]
        )
    for _ in range(2):
        assert_array_equal(cached_fit(tmp_path), plain)


@pytest.mark.slow
@quiet
def test_altered_entries_of_the_memory_give_no_other_predictions(tmp_path, plain):
    cached_fit(tmp_path)
    (path,) = tmp_path.rglob("output.pkl")
    for altered in changes(path.read_bytes(), seed=1, n=8):
        path.write_bytes(altered)
        assert_array_equal(cached_fit(tmp_path), plain)


def test_an_entry_of_another_fit_is_not_taken(tmp_path, plain):
    """Its file is intact: only the place where it lies is another's."""
    cached_fit(tmp_path)
    (first,) = tmp_path.rglob("output.pkl")
    other = mlp(memory=str(tmp_path)).set_params(random_state=1).fit(X, Y)
    (second,) = set(tmp_path.rglob("output.pkl")) - {first}
    assert first.parent != second.parent
    assert abs(other.predict_proba(X) - plain).max() > 1e-3
    assert_array_equal(cached_fit(tmp_path), plain)


def test_the_memory_may_vanish_between_two_fits(tmp_path, plain):
    folder = tmp_path / "cache"
    classifier = mlp(memory=str(folder))
    for _ in range(2):
        assert_array_equal(classifier.fit(X, Y).predict_proba(X), plain)
        shutil.rmtree(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not read-only there")
@pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0,
    reason="the superuser may write in folders that are read-only",
)
def test_a_full_memory_can_be_read_where_nothing_can_be_written(tmp_path, plain):
    cached_fit(tmp_path)
    folders = [tmp_path, *(p for p in tmp_path.rglob("*") if p.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    try:
        assert_array_equal(cached_fit(tmp_path), plain)
    finally:
        for folder in folders:
            folder.chmod(0o700)


def check_trains_once(folder, trainings, **params):
    """With a memory that is of no use, a fit gives the same by as many trainings."""
    new = mlp().set_params(**params)
    expected = clone(new).fit(X, Y).predict_proba(X)
    n = len(trainings)
    assert n > 0
    cached = new.set_params(memory=str(folder)).fit(X, Y)
    assert_array_equal(cached.predict_proba(X), expected)
    assert len(trainings) == 2 * n


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def denied(*args, **kwargs):
    raise PermissionError(errno.EACCES, "Permission denied")


@quiet
def test_a_memory_on_a_full_disk_trains_once(tmp_path, monkeypatch, trainings):
    monkeypatch.setattr(joblib.numpy_pickle, "dump", full)
    check_trains_once(tmp_path, trainings)


@quiet
def test_a_memory_on_a_small_disk_trains_once(small_disk, trainings):
    check_trains_once(small_disk, trainings, hidden_layer_sizes=(400,))


@quiet
def test_a_memory_whose_folder_cannot_be_made_stops_no_fit(
    tmp_path, monkeypatch, trainings
):
    monkeypatch.setattr(os, "makedirs", denied)
    check_trains_once(tmp_path / "none", trainings)


@quiet
def test_a_file_in_place_of_the_memory_stops_no_fit(tmp_path, plain):
    path = tmp_path / "file"
    path.write_bytes(b"something else")
    assert_array_equal(cached_fit(path), plain)
    assert path.read_bytes() == b"something else"


@pytest.mark.slow
@quiet
@pytest.mark.parametrize(
    "content", [b"", b"def train():\n    pass\n", b"\xff\xfe", None]
)
def test_no_code_in_the_memory_stops_a_fit(tmp_path, plain, content, monkeypatch):
    """Whatever its file holds, and if it is a folder (None)."""
    new = weakref.WeakKeyDictionary()  # as in a process that has not read it yet
    monkeypatch.setattr(joblib.memory, "_FUNCTION_HASHES", new)
    cached_fit(tmp_path)
    (path,) = tmp_path.rglob("func_code.py")
    path.unlink()
    if content is None:
        path.mkdir()
        (path / "something").write_bytes(b"else")
    else:
        path.write_bytes(content)
    new.clear()
    assert_array_equal(cached_fit(tmp_path), plain)

"""`memory`: what was trained is kept, and no trouble with it stops a fit."""

import shutil

import joblib
import pytest
from numpy.testing import assert_array_equal
from plain import PLAIN
from sklearn.model_selection import GridSearchCV

from skmcdropout import MCDropoutClassifier


@pytest.fixture
def quick():
    return MCDropoutClassifier((8,), epochs=1, n_samples=10, random_state=0, **PLAIN)


@pytest.mark.parametrize("memory_type", ["path", "Memory"])
def test_memory_trains_each_rate_and_fold_once(
    quick, moons, tmp_path, trainings, memory_type
):
    X, y = moons
    path = str(tmp_path / "cache")
    memory = path if memory_type == "path" else joblib.Memory(path, verbose=0)
    quick.set_params(memory=memory, epochs=1)
    grid = {"dropout_rate": [0.1, 0.5], "n_samples": [0, 10, 30]}
    search = GridSearchCV(quick, grid, cv=2, refit=False).fit(X, y)
    assert len(trainings) == 4
    plain = GridSearchCV(quick.set_params(memory=None), grid, cv=2, refit=False)
    plain.fit(X, y)
    assert len(trainings) == 4 + 12
    assert_array_equal(
        search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )
    quick.set_params(memory=memory, random_state=None).fit(X, y)
    quick.fit(X, y)
    assert len(trainings) == 4 + 12 + 2  # not determined by what could be hashed


def test_a_damaged_cache_is_not_trusted(quick, moons, tmp_path):
    X, y = moons
    quick.set_params(memory=str(tmp_path), epochs=1)
    proba = quick.fit(X, y).predict_proba(X)
    (file,) = tmp_path.rglob("output.pkl")
    intact = file.read_bytes()
    middle = len(intact) // 2
    altered = bytearray(intact)
    for i in range(middle, middle + 40):
        altered[i] ^= 0x55
    for damaged in (b"", intact[:middle], bytes(altered)):
        file.write_bytes(damaged)
        assert_array_equal(quick.fit(X, y).predict_proba(X), proba)
        assert len(file.read_bytes()) == len(intact)


def full(*args, **kwargs):
    raise OSError(28, "No space left on device")


class Unusable:
    """A memory whose functions fail before or after they have been called."""

    def __init__(self, fails):
        self.fails = fails

    def cache(self, function, **kwargs):
        def cached(*args):
            if self.fails == "after":
                function(*args)
            raise RuntimeError("no cache today")

        return cached


def trouble_with_a_cache(kind, folder, monkeypatch):
    """What to give as memory, with something wrong."""
    if kind == "disk full":
        monkeypatch.setattr(joblib.numpy_pickle, "dump", full)
    elif kind == "no folder can be made":
        monkeypatch.setattr("os.makedirs", full)
    elif kind == "a file in its place":
        (folder / "cache").write_text("not a folder")
    elif kind.startswith("fails"):
        return Unusable(kind.split()[1])
    elif kind == "returns nonsense":
        nonsense = Unusable("")
        nonsense.cache = lambda function, **kwargs: lambda *args: None
        return nonsense
    return str(folder / "cache")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "kind",
    [
        "disk full",
        "no folder can be made",
        "a file in its place",
        "fails before",
        "fails after",
        "returns nonsense",
    ],
)
def test_no_trouble_with_a_cache_stops_a_fit_or_trains_twice(
    quick, moons, tmp_path, monkeypatch, trainings, kind
):
    X, y = moons
    expected = quick.set_params(epochs=1).fit(X, y).predict_proba(X)
    trainings.clear()
    quick.set_params(memory=trouble_with_a_cache(kind, tmp_path, monkeypatch))
    assert_array_equal(quick.fit(X, y).predict_proba(X), expected)
    assert len(trainings) == 1


def test_trouble_with_a_cache_is_said(quick, moons):
    with pytest.warns(UserWarning, match="memory must be a folder.*no cache today"):
        quick.set_params(memory=Unusable("before"), epochs=1).fit(*moons)


def test_a_folder_that_vanishes_is_made_again(quick, moons, tmp_path, trainings):
    quick.set_params(memory=joblib.Memory(tmp_path / "cache", verbose=0), epochs=1)
    for expected in (1, 1):
        quick.fit(*moons)
        assert len(trainings) == expected
    shutil.rmtree(tmp_path / "cache")
    for expected in (2, 2):
        quick.fit(*moons)
        assert len(trainings) == expected


def test_a_training_that_fails_is_not_tried_again(quick, moons, tmp_path, trainings):
    quick.set_params(memory=str(tmp_path), learning_rate=1e30, optimizer="sgd")
    with pytest.raises(ValueError, match="The training loss became"):
        quick.fit(*moons)
    assert len(trainings) == 1

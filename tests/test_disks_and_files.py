"""Full and read-only disks, and files that were cut or altered: never another model."""

import copy
import errno
import os
import pickle
import pickletools
import shutil
import struct
import subprocess
import sys
import weakref

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier, RejectingClassifier

X = np.random.RandomState(0).normal(size=(40, 3)) + np.arange(40)[:, None] % 3
Y = np.array(["a", "b", "c"])[np.arange(40) % 3]


def mlp(**params):
    return MCDropoutClassifier(
        (6,), epochs=2, n_samples=7, dropout_position="all", random_state=0, **params
    )


def network():
    """A classifier of a Keras network: its file holds a configuration."""
    return MCDropoutClassifier.from_keras(
        mlp().fit(X, Y).model_, ["a", "b", "c"], n_samples=7, random_state=0
    )


KINDS = {
    "mlp": lambda: mlp().fit(X, Y),
    "network": network,
    "pipeline": lambda: make_pipeline(StandardScaler(), mlp()).fit(X, Y),
}


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    return KINDS[request.param]()


def by_pickle(estimator, path):
    path.write_bytes(pickle.dumps(estimator))
    return lambda: pickle.loads(path.read_bytes())


def by_old_pickle(estimator, path):
    path.write_bytes(pickle.dumps(estimator, protocol=2))
    return lambda: pickle.loads(path.read_bytes())


def by_joblib(estimator, path):
    joblib.dump(estimator, path)
    return lambda: joblib.load(path)


def by_zipped_joblib(estimator, path):
    joblib.dump(estimator, path, compress=3)
    return lambda: joblib.load(path)


def by_skops(estimator, path):
    skops = pytest.importorskip("skops.io", reason="skops comes with `ecosystem`")
    skops.dump(estimator, path)
    types = skops.get_untrusted_types(file=path)
    return lambda: skops.load(path, trusted=types)


FORMATS = {
    "pickle": by_pickle,
    "pickle 2": by_old_pickle,
    "joblib": by_joblib,
    "zipped joblib": by_zipped_joblib,
    "skops": by_skops,
}


def predictions(estimator):
    """Of the classifier; what stands before it in a pipeline has no checksum."""
    rows = X
    if isinstance(estimator, Pipeline):
        rows, estimator = StandardScaler().fit_transform(X), estimator[-1]
    return estimator.predict(rows), estimator.predict_proba(rows)


def check_same_or_refused(load, expected):
    """Whether the file was refused; if it was not, its model is the one saved."""
    try:
        found = predictions(load())
    except Exception:  # whatever reading a damaged file may raise
        return True
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(a, b)
    return False


quiet = pytest.mark.filterwarnings("ignore")  # a damaged file may also warn


@quiet
@pytest.mark.parametrize("kind_of_file", FORMATS)
def test_a_file_that_was_cut_is_refused(fitted, kind_of_file, tmp_path):
    path = tmp_path / "model"
    load = FORMATS[kind_of_file](fitted, path)
    whole, expected = path.read_bytes(), predictions(fitted)
    assert not check_same_or_refused(load, expected)
    sizes = np.linspace(0, len(whole) - 1, 25).astype(int)
    for size in sizes:
        path.write_bytes(whole[:size])
        is_refused = check_same_or_refused(load, expected)
        # zlib's own checksum is all that may be missing of a compressed file
        assert is_refused or (kind_of_file == "zipped joblib" and size > len(whole) - 9)


def asks_for_too_much(data):
    """Whether a pickle names a place so far away that reading it takes gigabytes."""
    try:
        for operation, argument, _ in pickletools.genops(data):
            if operation.name == "LONG_BINPUT" and argument > 10**6:
                return True
    except Exception:  # the pickle ends here: reading it will end here too
        pass
    return False


def changes(whole, seed, n):
    """Copies of a file with a bit, a byte, a run of bytes or two parts exchanged."""
    rng = np.random.RandomState(seed)
    for i in range(n):
        data = bytearray(whole)
        at = rng.randint(len(data))
        if i % 4 == 0:
            data[at] ^= 1 << rng.randint(8)
        elif i % 4 == 1:
            data[at] = rng.randint(256)
        elif i % 4 == 2:
            data[at : at + 16] = bytes(len(data[at : at + 16]))
        else:
            other = rng.randint(len(data))
            a, b = data[at : at + 8], data[other : other + 8]
            data[at : at + len(b)], data[other : other + len(a)] = b, a
        if not asks_for_too_much(bytes(data)):
            yield bytes(data)


@pytest.mark.slow
@quiet
@pytest.mark.parametrize("kind_of_file", FORMATS)
def test_a_file_that_was_altered_gives_no_other_predictions(
    fitted, kind_of_file, tmp_path
):
    path = tmp_path / "model"
    load = FORMATS[kind_of_file](fitted, path)
    whole, expected = path.read_bytes(), predictions(fitted)
    n_refused = 0
    for altered in changes(whole, seed=0, n=40):
        path.write_bytes(altered)
        n_refused += check_same_or_refused(load, expected)
    assert n_refused > 5


def parts(value, path=()):
    """Every array in nested plain values, and where it is."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        items = ()
        if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "fiu":
            yield path, value
    for name, part in items:
        yield from parts(part, (*path, name))


def test_each_number_of_each_weight_is_under_the_checksum():
    state = mlp(batch_normalization=True).fit(X, Y).__getstate__()
    weights = [(path, a) for path, a in parts(state) if path[0] == "_sampler"]
    assert len(weights) == 4 + 2 + 4 + 2
    for path, array in weights:
        for place in (0, array.size // 2, array.size - 1):
            changed = copy.deepcopy(state)
            part = changed
            for name in path[:-1]:
                part = part[name]
            altered = array.copy()
            altered.flat[place] = np.nextafter(altered.flat[place], np.float32(9))
            part[path[-1]] = altered
            with pytest.raises(ValueError, match="checksum differs"):
                MCDropoutClassifier().__setstate__(changed)


# The cache


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
    for altered in changes(path.read_bytes(), seed=1, n=12):
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


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own that holds a few kilobytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only the superuser may mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k,nr_inodes=64", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this system lets nobody mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_fails_the_saving_and_not_the_classifier(small_disk):
    fitted = mlp().fit(X, Y)
    expected = fitted.predict_proba(X)
    path = small_disk / "model"
    large = copy.copy(fitted)
    large.history_ = {"loss": [0.5] * 10_000}
    with pytest.raises(OSError, match="No space left"):
        joblib.dump(large, path)
    with pytest.raises((EOFError, pickle.UnpicklingError, ValueError, OSError)):
        joblib.load(path)
    assert_array_equal(fitted.predict_proba(X), expected)


@pytest.mark.parametrize("is_first", [True, False])
def test_saving_that_fails_halfway_leaves_the_classifier_alone(tmp_path, is_first):
    class Full:
        """A file on a disk with room for some bytes."""

        def __init__(self, room):
            self._room = room

        def write(self, data):
            self._room -= len(memoryview(data).cast("B"))
            if self._room < 0:
                raise OSError(errno.ENOSPC, "No space left on device")

    fitted = mlp().fit(X, Y)
    expected = fitted.predict_proba(X)
    if not is_first:
        fitted.model_  # noqa: B018  it is built, and its weights are what is saved
    size = len(pickle.dumps(fitted))
    for room in range(0, size, size // 12):
        with pytest.raises(OSError, match="No space left"):
            pickle.dump(fitted, Full(room))
    assert_array_equal(fitted.predict_proba(X), expected)
    pickle.dump(fitted, Full(size + 100))


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


@pytest.fixture
def trainings(monkeypatch):
    """A list that grows by one with each training."""
    from skmcdropout._fitting import fit

    trained = []
    train = fit.train

    def counted(*args, **kwargs):
        trained.append(1)
        return train(*args, **kwargs)

    monkeypatch.setattr(fit, "train", counted)
    return trained


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def denied(*args, **kwargs):
    raise PermissionError(errno.EACCES, "Permission denied")


@quiet
def test_a_memory_on_a_full_disk_trains_once(tmp_path, plain, monkeypatch, trainings):
    monkeypatch.setattr(joblib.numpy_pickle, "dump", full)
    assert_array_equal(cached_fit(tmp_path), plain)
    assert len(trainings) == 1


@quiet
def test_a_memory_on_a_small_disk_trains_once(small_disk, trainings):
    wide = MCDropoutClassifier((400,), epochs=1, n_samples=5, random_state=0)
    expected = clone(wide).fit(X, Y).predict_proba(X)
    cached = clone(wide).set_params(memory=str(small_disk)).fit(X, Y)
    assert_array_equal(cached.predict_proba(X), expected)
    assert len(trainings) == 2


@quiet
def test_a_memory_whose_folder_cannot_be_made_stops_no_fit(
    tmp_path, plain, monkeypatch, trainings
):
    monkeypatch.setattr(os, "makedirs", denied)
    assert_array_equal(cached_fit(tmp_path / "none"), plain)
    assert len(trainings) == 1


@quiet
def test_a_file_in_place_of_the_memory_stops_no_fit(tmp_path, plain):
    path = tmp_path / "file"
    path.write_bytes(b"something else")
    assert_array_equal(cached_fit(path), plain)
    assert path.read_bytes() == b"something else"


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


@quiet
def test_an_altered_file_trains_on_as_the_one_saved_or_is_refused():
    whole = pickle.dumps(mlp().fit(X, Y))
    expected = pickle.loads(whole).partial_fit(X, Y).predict_proba(X)
    for altered in changes(whole, seed=2, n=60):
        try:
            found = pickle.loads(altered).partial_fit(X, Y).predict_proba(X)
        except Exception:  # whatever reading a damaged file may raise
            continue
        assert_array_equal(found, expected)


def test_an_altered_threshold_is_refused():
    fitted = RejectingClassifier(mlp(), cv=2, reject_label="unsure").fit(X, Y)
    whole = pickle.dumps(fitted)
    number = struct.pack(">d", fitted.threshold_)
    assert whole.count(number) == 1
    altered = whole.replace(number, struct.pack(">d", fitted.threshold_ / 2))
    with pytest.raises(ValueError, match="checksum"):
        pickle.loads(altered)

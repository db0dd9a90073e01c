"""Files of classifiers that were cut or altered: the one saved, or an error."""

import copy
import errno
import pickle
import struct
from dataclasses import fields, is_dataclass

import joblib
import numpy as np
import pytest
from damage import X, Y, changes, mlp
from lanes import fast
from numpy.testing import assert_array_equal
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier, RejectingClassifier


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


@pytest.fixture(scope="module", params=fast("mlp", among=KINDS))
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
    sizes = np.linspace(0, len(whole) - 1, 9).astype(int)
    for size in sizes:
        path.write_bytes(whole[:size])
        is_refused = check_same_or_refused(load, expected)
        # zlib's own checksum is all that may be missing of a compressed file
        assert is_refused or (kind_of_file == "zipped joblib" and size > len(whole) - 9)


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
    for altered in changes(whole, seed=0, n=8):
        path.write_bytes(altered)
        n_refused += check_same_or_refused(load, expected)
    assert n_refused > 0


def altered_leaf(value):
    """Values of the same kind that are as near as can be."""
    if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "fiu":
        for place in {0, value.size // 2, value.size - 1}:
            altered = value.copy()
            number = altered.flat[place]
            is_float = value.dtype.kind == "f"
            nine = value.dtype.type(9)  # one of Python makes it double in NumPy 1
            altered.flat[place] = np.nextafter(number, nine) if is_float else number + 1
            yield altered
    elif isinstance(value, (bool, np.bool_)):
        yield not value
    elif isinstance(value, float):
        yield np.nextafter(value, 9).item()
    elif isinstance(value, int):
        yield value + 1
    elif isinstance(value, str):
        yield value + "x"


def altered_once(value):
    """Copies of nested values, in each of them one number or word altered."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from ({**value, name: other} for other in altered_once(part))
    elif isinstance(value, (list, tuple)):
        make = getattr(value, "_make", type(value))
        for i, part in enumerate(value):
            for other in altered_once(part):
                yield make([*value[:i], other, *value[i + 1 :]])
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            for other in altered_once(getattr(value, field.name)):
                altered = copy.copy(value)
                object.__setattr__(altered, field.name, other)
                yield altered
    else:
        yield from altered_leaf(value)


@pytest.mark.parametrize(
    "fit",
    [lambda: mlp(batch_normalization=True, temperature=1.0).fit(X, Y), network],
    ids=["mlp", "network"],
)
def test_each_number_and_word_of_a_state_is_under_the_checksum(fit):
    state = fit().__getstate__()
    n_altered = 0
    for altered in altered_once(state):
        with pytest.raises(ValueError, match="checksum differs"):
            MCDropoutClassifier().__setstate__(altered)
        n_altered += 1
    assert n_altered > 80


@pytest.mark.parametrize("kind_of_file", ["pickle", "joblib"])
def test_a_weight_that_was_altered_in_a_file_is_refused(kind_of_file, tmp_path):
    """The file can be read all the same: only the checksum tells."""
    classifier, path = KINDS["mlp"](), tmp_path / "model"
    load = FORMATS[kind_of_file](classifier, path)
    whole = path.read_bytes()
    for weight in classifier.model_.get_weights():
        altered = weight.copy()
        altered.flat[-1] = np.nextafter(altered.flat[-1], np.float32(9))
        assert weight.tobytes() in whole
        path.write_bytes(whole.replace(weight.tobytes(), altered.tobytes()))
        with pytest.raises(ValueError, match="checksum differs"):
            load()


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


@quiet
def test_an_altered_file_trains_on_as_the_one_saved_or_is_refused():
    whole = pickle.dumps(mlp().fit(X, Y))
    expected = pickle.loads(whole).partial_fit(X, Y).predict_proba(X)
    for altered in changes(whole, seed=2, n=24):
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

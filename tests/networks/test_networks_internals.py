"""Inside of what draws from and trains Keras networks."""

import importlib
import importlib.util
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from skmcdropout import MCDropoutClassifier
from skmcdropout._fit import callbacks
from skmcdropout._keras import keras_backend
from skmcdropout._keras.scikeras_backend import scikeras_without_patches

# Libraries


def test_scikeras_of_others_is_taken_as_it_is(monkeypatch):
    """Its changes to Keras's classes are left alone once somebody has imported it."""

    def theirs(self):
        return "theirs"

    assert "scikeras" in sys.modules
    monkeypatch.setattr(keras.Model, "__reduce__", None, raising=False)
    with scikeras_without_patches():
        keras.Model.__reduce__ = theirs
    assert keras.Model.__reduce__ is theirs


def test_importing_scikeras_gives_keras_its_own_methods_back(monkeypatch):
    def own(self):
        return "mine"

    monkeypatch.setattr(keras.Model, "__reduce__", own, raising=False)
    monkeypatch.setattr(keras.optimizers.Optimizer, "__deepcopy__", own, raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == "scikeras"]:
        monkeypatch.delitem(sys.modules, name)
    with scikeras_without_patches():
        importlib.import_module("scikeras.wrappers")
    assert keras.Model.__reduce__ is own
    assert keras.optimizers.Optimizer.__deepcopy__ is own
    assert "__deepcopy__" not in vars(keras.losses.Loss)


@pytest.fixture
def without_callbacks(monkeypatch):
    """The module as scikit-learn before 1.9 lets it be imported."""
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    spec = importlib.util.spec_from_file_location(
        "callbacks_of_old_scikit_learn", Path(callbacks.__file__)
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_callbacks_in_scikit_learn_a_fit_is_told_to_nobody(without_callbacks):
    assert not without_callbacks.HAS_CALLBACKS
    task = without_callbacks.FitTask(MCDropoutClassifier(), np.eye(2), [0, 1], None)
    task.begin(2)
    assert not task.needs_epochs
    assert task.epochs(lambda state: {}) is None
    task.end()
    with pytest.raises(NotImplementedError, match=r"needs scikit-learn 1\.9 or newer"):
        without_callbacks.CallbackSupportMixin().set_callbacks()


def test_another_backend_of_keras_is_named(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ImportError, match=r"backend to be 'tensorflow'. Got 'jax'"):
        importlib.reload(keras_backend)
    monkeypatch.undo()
    importlib.reload(keras_backend)

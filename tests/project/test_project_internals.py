"""The door to private parts of other libraries: what is gone is told by its name."""

import runpy
import subprocess
import sys
from importlib.util import find_spec

import keras
import pytest
import sklearn.base
import tensorflow as tf
from keras import KerasTensor
from tensorflow.python.eager import context

from skmcdropout._keras import private
from skmcdropout._utils import private as of_scikit_learn
from skmcdropout._utils.private import PrivatePartError


def _holder(path):
    holder = keras
    for part in path.split("."):
        holder = getattr(holder, part)
    return holder


@pytest.mark.parametrize(
    ("holder", "part"),
    [
        ("layers.GRUCell", private.DRAWS_CELL_MASKS),
        ("layers.LSTMCell", private.DRAWS_CELL_MASKS),
        ("layers.SimpleRNNCell", private.DRAWS_CELL_MASKS),
        ("layers.Attention", private.APPLIES_SCORES),
        ("layers.SpatialDropout1D", private.CHOOSE_NOISE_SHAPE[0]),
        ("layers.AlphaDropout", private.CHOOSE_NOISE_SHAPE[1]),
        ("layers.Layer", "_flatten_layers"),
        ("models.Model", "_standardize_inputs"),
        ("optimizers.Optimizer", "_all_reduce_sum_gradients"),
    ],
)
def test_a_part_that_is_gone_is_told_by_name(holder, part, monkeypatch):
    inputs = keras.Input((2,))
    network = keras.Model(inputs, keras.layers.Flatten()(inputs))
    kind = type(network) if holder == "models.Model" else _holder(holder)
    owner = next(parent for parent in kind.__mro__ if part in vars(parent))
    private.check_keras()
    monkeypatch.delattr(owner, part)
    with pytest.raises(PrivatePartError, match=rf"{part}, a private part of"):
        private.check_keras()


@pytest.mark.parametrize(
    ("owner", "part"),
    [
        (context.Context, "clear_kernel_cache"),
        (tf.__internal__, "EagerTensor"),
        (KerasTensor, "_keras_mask"),
    ],
)
def test_what_hides_behind_tensors_and_contexts_is_told_by_name(
    owner, part, monkeypatch
):
    if owner is KerasTensor:
        monkeypatch.setattr(owner, part, Unset(), raising=False)
    else:
        monkeypatch.delattr(owner, part)
    with pytest.raises(PrivatePartError, match=rf"{part}, a private part of"):
        private.check_keras()


class Unset:
    """A descriptor of an attribute that can be set and is never there."""

    def __get__(self, holder, kind=None):
        raise AttributeError

    def __set__(self, holder, value):
        pass


@pytest.mark.skipif(
    find_spec("sklearn.callback") is None, reason="scikit-learn has no callbacks"
)
def test_callbacks_that_are_kept_elsewhere_are_told_by_name(monkeypatch):
    from sklearn.callback import CallbackSupportMixin

    monkeypatch.setattr(CallbackSupportMixin, "set_callbacks", lambda self, *_: self)
    of_scikit_learn._check_callbacks.cache_clear()
    with pytest.raises(PrivatePartError, match="_skl_callbacks, a private"):
        of_scikit_learn.callbacks_of(CallbackSupportMixin())


def test_a_private_import_that_is_gone_is_told_by_name(monkeypatch):
    monkeypatch.delattr(sklearn.base, "_fit_context")
    with pytest.raises(ImportError, match=r"find sklearn\.base\._fit_context, a priv"):
        runpy.run_path(of_scikit_learn.__file__)


def test_what_is_missing_where_it_is_used_is_told_by_name():
    with pytest.raises(PrivatePartError, match=r"object\._keras_history"):
        private.operation_of(object())


@pytest.mark.slow
def test_the_check_makes_no_variables():
    """It runs when Keras is first needed, maybe in a process that forks later."""
    script = (
        "from skmcdropout._keras import private\n"
        "private.check_keras()\n"
        "assert not private.tensorflow_has_started()\n"
    )

    subprocess.run([sys.executable, "-c", script], check=True)

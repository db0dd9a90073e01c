"""How global settings are restored and kernels let go, by inner functions."""

import gc

import keras
import numpy as np
import pytest
from tensorflow.python.eager import context

from skmcdropout import MCDropoutClassifier
from skmcdropout._keras import process
from skmcdropout._keras.keras_backend import single_precision


def test_floatx_is_restored_by_the_last_who_needs_single_precision():
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        first, second = single_precision(), single_precision()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert keras.config.floatx() == "float32"
        second.__exit__(None, None, None)
        assert keras.config.floatx() == "float64"
    finally:
        keras.config.set_floatx(before)


@pytest.mark.slow
def test_kernels_of_what_is_gone_are_let_go_and_the_rest_still_works(
    moons, moons_classifier, monkeypatch
):
    """Each would keep about 1 MB for as long as the process lives."""
    gc.collect()
    process.clear_gone_kernels()  # of what other tests left
    cleared = []
    eager = context.context()
    clear = eager.clear_kernel_cache
    monkeypatch.setattr(process, "N_GONE", 2)
    monkeypatch.setattr(
        type(eager), "clear_kernel_cache", lambda self: cleared.append(clear())
    )
    expected = moons_classifier.predict_proba(moons[0])
    for _ in range(5):
        callback = keras.callbacks.Callback()
        MCDropoutClassifier(
            (8,), epochs=1, optimizer="rmsprop", temperature=1.0, callbacks=callback
        ).fit(*moons)
        gc.collect()
    assert 1 <= len(cleared) < 5
    np.testing.assert_array_equal(moons_classifier.predict_proba(moons[0]), expected)

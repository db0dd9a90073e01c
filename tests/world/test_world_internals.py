"""Inner functions that keep a process in order, on their own."""

import signal

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from skmcdropout import MCDropoutClassifier
from skmcdropout._perceptron.optimizers import Adam
from skmcdropout._utils.interrupts import interrupts_held


def test_an_interrupt_is_held_back_and_then_delivered():
    """TensorFlow loses, or crashes at, exceptions that come while it compiles."""
    reached = []

    def work():
        with interrupts_held():
            with interrupts_held():
                signal.raise_signal(signal.SIGINT)
                reached.append("inner")
            reached.append("outer")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
        assert reached == ["inner", "outer"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def threads_of_blas():
    pools = threadpool_info()
    return {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"}


@pytest.mark.parametrize(
    ("width", "expected"), [(8, 1), pytest.param(40_000, 3, marks=pytest.mark.slow)]
)
def test_small_matrix_products_run_on_one_thread_and_large_ones_on_all(
    width, expected, monkeypatch
):
    used, step = [], Adam.step

    def tell_and_step(*args):
        used.append(threads_of_blas())
        return step(*args)

    if not threads_of_blas():
        pytest.skip("this library of matrix products does not tell of its threads")
    monkeypatch.setattr(Adam, "step", tell_and_step)
    table = np.random.RandomState(0).normal(size=(256, 4))
    classifier = MCDropoutClassifier((width,), batch_size=256, epochs=1, temperature=1)
    with threadpool_limits(3, user_api="blas"):
        classifier.fit(table, np.arange(256) % 2)
        assert threads_of_blas() == {3}
    assert used == [{expected}]

"""Small matrix products of NumPy, run on one thread."""

from __future__ import annotations

import contextlib
import functools

from threadpoolctl import ThreadpoolController

#: Products of more multiplications than that are faster on several threads.
MANY_MULTIPLICATIONS = 20_000_000


def threads_for(n_multiplications: int) -> contextlib.AbstractContextManager[object]:
    """A context in which products of that size run on as many threads as pay.

    Threads wait for each other at the end of each product. For a small one that costs
    what they win, and many times that where other processes use the cores too.
    """
    if n_multiplications > MANY_MULTIPLICATIONS:
        return contextlib.nullcontext()
    return _controller().limit(limits=1, user_api="blas")


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all loaded libraries

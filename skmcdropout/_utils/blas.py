"""How many threads NumPy's matrix products run on."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator

from threadpoolctl import ThreadpoolController

#: Products of more multiplications than that are faster on several threads.
MANY_MULTIPLICATIONS = 20_000_000


class _OneThreadEach:
    """Lets products of the whole process run on one thread each, while anybody asks.

    The first to ask sets the limit and the last to leave lifts it: limits that were set
    and lifted crosswise would leave one behind.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: nobody has asked."""
        self._lock = threading.Lock()
        self._n_users = 0
        self._limit = contextlib.ExitStack()
        #: Threads of a product before the first asked.
        self.n_threads = 1

    @contextlib.contextmanager
    def __call__(self) -> Iterator[int]:
        with self._lock:
            if self._n_users == 0:
                self.n_threads = _n_blas_threads()
                if self.n_threads > 1:
                    limit = _controller().limit(limits=1, user_api="blas")
                    self._limit.enter_context(limit)
            self._n_users += 1
        try:
            yield self.n_threads
        finally:
            with self._lock:
                self._n_users -= 1
                if self._n_users == 0:
                    self._limit.close()


#: A context in which products run on one thread each; it gives the number of threads
#: that they may have run on before, for those who share out the work themselves.
one_thread_each = _OneThreadEach()


def threads_for(n_multiplications: int) -> contextlib.AbstractContextManager[object]:
    """A context in which products of that size run on as many threads as pay.

    Threads wait for each other at the end of each product. For a small one that costs
    what they win, and many times that where other processes use the cores too.
    """
    if n_multiplications > MANY_MULTIPLICATIONS:
        return contextlib.nullcontext()
    return one_thread_each()


def _n_blas_threads() -> int:
    libraries = _controller().lib_controllers
    return max((x.num_threads for x in libraries if x.user_api == "blas"), default=1)


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all loaded libraries


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=one_thread_each.forget)

"""TensorFlow's threads do not survive a fork: say so, where it would hang."""

from __future__ import annotations

import os

from skmcdropout._utils import private

_is_cut_off = False


def check_process() -> None:
    """Raise an error in a forked process whose TensorFlow lost its threads."""
    if _is_cut_off:
        raise RuntimeError(
            "skmcdropout must not run TensorFlow in a process that was forked after "
            "TensorFlow had run, for its threads are not forked along: it would hang. "
            f"Got such a process, {os.getpid()}. Start processes by 'spawn' or "
            "'forkserver' (multiprocessing.get_context) or with joblib's loky, use "
            "threads, or fork before anything is fitted or predicted."
        )


def _after_fork() -> None:
    global _is_cut_off
    _is_cut_off = _is_cut_off or private.tensorflow_has_started()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)

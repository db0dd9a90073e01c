"""Trained networks in a folder, for the fits that ask for the same again.

A cache saves time, and that is all it may do: nothing that goes wrong with it stops a
fit or makes it train twice.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import metadata
from typing import Any

import joblib
import numpy as np
from sklearn.utils.validation import check_memory

from skmcdropout._perceptron.state import TrainingState
from skmcdropout._utils.checksum import checksum
from skmcdropout._version import __version__


class _Training:
    """A training that is done at most once."""

    def __init__(self, run: Callable[[], TrainingState]) -> None:
        self._run = run
        self.has_begun = False
        self.trained: TrainingState | None = None

    def result(self) -> TrainingState:
        """What it trained; whatever `run` raises is raised again."""
        if self.trained is None:
            self.has_begun = True
            self.trained = self._run()
        return self.trained


def train_once(
    memory: Any, run: Callable[[], TrainingState], key: tuple[Any, ...]
) -> TrainingState:
    """What ``run()`` gives, or gave for the same `key` before, if that is intact."""
    training = _Training(run)
    versions = (__version__, np.__version__, *map(_version_of, ("keras", "tensorflow")))
    found = None
    try:
        digest = joblib.hash((key, versions))  # joblib would save the data themselves
        cached = check_memory(memory).cache(
            _train_with_checksum, ignore=["training"], verbose=0
        )
        found = _intact(cached(training, digest))
        if found is None and not training.has_begun:  # damaged: put another there
            cached.call_and_shelve(training, digest).clear()
            found = _intact(cached(training, digest))
    except Exception as error:  # whatever a file system or a pickle may raise
        if training.has_begun and training.trained is None:
            raise  # it was the training
        warnings.warn(
            "memory must be a folder that can be read and written to be of use; the "
            f"network is trained all the same. Got {memory!r}, and "
            f"{type(error).__name__}: {error}",
            UserWarning,
            stacklevel=2,
        )
    return training.result() if found is None else found


def _version_of(library: str) -> str | None:
    """Of a library that need not be there, and is not imported for that."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _train_with_checksum(training: _Training, digest: str) -> tuple[TrainingState, str]:
    trained = training.result()
    return trained, checksum(vars(trained))


def _intact(entry: Any) -> TrainingState | None:
    """The state that an entry of the cache holds, unless it was damaged."""
    try:
        trained, expected = entry
        return trained if checksum(vars(trained)) == expected else None
    except Exception:  # whatever is in its place
        return None

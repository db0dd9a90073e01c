"""A checksum of all that is saved, so that a damaged file is not taken for a model.

It is made of values alone, not of how a file holds them: a state has the same checksum
before it is saved and after it is loaded, by whatever version.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

#: Where a state holds its checksum.
NAME = "_checksum"

#: Kinds of values that are written as Python writes them.
PLAIN = (bool, int, str, bytes)


def checksum(state: Mapping[str, Any]) -> str:
    """Checksum of a state, apart from the checksum it holds."""
    return _Digester().digest({n: v for n, v in state.items() if n != NAME}).hex()


def verify_checksum(kind: type, state: Mapping[str, Any]) -> None:
    """Refuse a state that does not have the checksum it holds."""
    if state.get(NAME) != checksum(state):
        raise ValueError(
            f"The state of {kind.__name__} must be as it was saved. Got one that was "
            "altered or damaged: its checksum differs."
        )


class _Digester:
    """Digests values: those of their parts, after the name of their kind."""

    def __init__(self) -> None:
        self._digests: dict[int, bytes] = {}  # of objects, some of them met twice
        self._alive: list[Any] = []

    def digest(self, value: Any) -> bytes:
        """The digest of a value."""
        found = self._digests.get(id(value))
        if found is None:
            self._alive.append(value)
            self._digests[id(value)] = b"itself"  # should it be a part of its own
            found = hashlib.sha256(b"".join(self._parts(value))).digest()
            self._digests[id(value)] = found
        return found

    def _parts(self, value: Any) -> Iterator[bytes]:
        if isinstance(value, (np.ndarray, np.generic)):
            yield from self._array(np.asarray(value))
        elif value is None or isinstance(value, PLAIN):
            kind: Any = next((k for k in PLAIN if isinstance(value, k)), type(None))
            yield f"{kind.__name__} {kind.__repr__(value)}".encode()
        elif isinstance(value, float):
            yield f"float {value.hex()}".encode()
        elif isinstance(value, Mapping):
            yield b"dict"
            items = value.items()
            yield from sorted(self.digest(k) + self.digest(v) for k, v in items)
        elif isinstance(value, (set, frozenset)):
            yield b"set"
            yield from sorted(map(self.digest, value))
        elif isinstance(value, (list, tuple)):
            yield b"list" if isinstance(value, list) else b"tuple"
            yield from map(self.digest, value)
        else:
            yield from self._object(value)

    def _array(self, array: NDArray[Any]) -> Iterator[bytes]:
        if array.dtype.hasobject or array.dtype.kind not in "biufcSUmMV":
            yield f"objects {array.shape}".encode()
            yield from map(self.digest, array.ravel().tolist())
        else:
            yield f"array {array.dtype.str} {array.shape}".encode()
            yield hashlib.sha256(array.tobytes()).digest()

    def _object(self, value: Any) -> Iterator[bytes]:
        """A class or function is its name; an object what it is restored from.

        An object with its own way of being pickled counts by the name of its class
        alone, for that way may differ between versions of libraries.
        """
        if isinstance(value, (type, FunctionType, BuiltinFunctionType, MethodType)):
            yield f"named {value.__qualname__}".encode()
            return
        kind = type(value)
        yield f"object {kind.__qualname__}".encode()
        if isinstance(value, functools.partial):
            yield self.digest([value.func, value.args, value.keywords])
        elif isinstance(value, np.random.RandomState):
            yield self.digest(value.get_state(legacy=False))
        elif is_dataclass(value):
            left_out = getattr(value, "NOT_SAVED", ())
            names = {field.name for field in fields(value)}.difference(left_out)
            yield self.digest({name: getattr(value, name) for name in names})
        elif isinstance(value, ChecksumMixin):
            yield self.digest(value.__getstate__())
        elif _is_its_attributes(kind):
            yield self.digest(vars(value))


class ChecksumMixin:
    """Gives what an estimator saves a checksum."""

    def _saved(self) -> dict[str, Any]:
        """What is saved."""
        return dict(super().__getstate__())  # type: ignore[misc]

    def __getstate__(self) -> dict[str, Any]:
        """The state and its checksum."""
        state = self._saved()
        return {**state, NAME: checksum(state)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        verify_checksum(type(self), state)
        plain = {name: value for name, value in state.items() if name != NAME}
        super().__setstate__(plain)  # type: ignore[misc]


def _is_its_attributes(kind: type) -> bool:
    """Whether objects of a class are saved as their attributes, and restored so."""
    base = BaseEstimator if issubclass(kind, BaseEstimator) else object
    names = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__")
    return kind.__dictoffset__ != 0 and all(
        getattr(kind, name, None) is getattr(base, name, None) for name in names
    )

"""Rows of any shape, and of several inputs, as one table and back again.

All that works on rows (order, weights, batches, chunks) sees a table of one line per
row; only the network sees their shapes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import (
    assert_all_finite,
    check_array,
    check_consistent_length,
    check_X_y,
)
from sklearn.utils.validation import validate_data

Floats = NDArray[np.float32]

#: Rows as an estimator gets them: one array, or one for each input of a network.
Rows = Floats | dict[str, Floats]

Shapes = tuple[tuple[int, ...], ...]

#: Types that rows keep until it is known what a network wants; others become the first.
NUMBERS = [np.float64, np.float32, np.float16, np.bool_] + [
    np.dtype(f"{sign}int{size}") for sign in ("", "u") for size in (8, 16, 32, 64)
]


class InputSpec(NamedTuple):
    """What a network says of one of its inputs; None = any size."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    @property
    def is_integer(self) -> bool:
        """Whether it takes whole numbers."""
        return "int" in self.dtype

    @property
    def tensor_dtype(self) -> str:
        """Type in which it is given to the network."""
        return self.dtype if self.is_integer or self.dtype == "bool" else "float32"


def pack(
    X: Rows, inputs: Sequence[InputSpec], dtype: Any = np.float32
) -> tuple[NDArray[Any], Shapes]:
    """`X` as a table (n_rows, n_values), and the shape of a row of each input.

    A network of several inputs takes a dict of arrays, or a table with the values of
    one input after the other.
    """
    if len(inputs) == 1:
        arrays = [_fitted(_single(X), inputs[0])]
    elif isinstance(X, Mapping):
        arrays = _by_name(X, inputs)
    else:
        arrays = _split(X, inputs)
    shapes = tuple(array.shape[1:] for array in arrays)
    tables = [
        _exactly(np.reshape(array, (len(array), -1)), dtype, spec)
        for array, spec in zip(arrays, inputs, strict=True)
    ]
    return tables[0] if len(tables) == 1 else np.hstack(tables), shapes


def _exactly(table: NDArray[Any], dtype: Any, spec: InputSpec) -> NDArray[Any]:
    """`table` as `dtype`, which holds all of its values."""
    if spec.is_integer:
        limits = np.iinfo(spec.dtype)
        low, high = max(limits.min, -(2**53)), min(limits.max, 2**53)
        if table.size and not low <= table.min() <= table.max() <= high:
            raise ValueError(
                f"X must hold integers from {low} to {high} for the network's input "
                f"{spec.name!r}. Got values from {table.min()} to {table.max()}."
            )
    with np.errstate(over="ignore"):
        converted = table.astype(dtype, copy=False)
    if not spec.is_integer and table.dtype != dtype:
        assert_all_finite(converted, input_name="X")
    return converted


def _single(X: Rows) -> Floats:
    if isinstance(X, Mapping):
        _refuse_dict(X)
    return X


def _refuse_dict(X: Mapping[str, Any]) -> NoReturn:
    raise ValueError(
        "X must be one array for a network with one input. "
        f"Got a dict of {sorted(X)} instead."
    )


def _fitted(array: Floats, spec: InputSpec) -> Floats:
    """The array in the shape of an input; a last axis of length 1 comes and goes."""
    shape = array.shape[1:]
    candidates = [shape, (*shape, 1), *([shape[:-1]] if shape[-1:] == (1,) else [])]
    for candidate in candidates:
        if _fits(candidate, spec.shape):
            break
    else:
        raise ValueError(
            f"X must hold rows of shape {spec.shape} for the network's input "
            f"{spec.name!r}. Got an array of shape {array.shape} instead."
        )
    is_whole = array.dtype.kind in "biu" or np.array_equal(array, np.trunc(array))
    if spec.is_integer and not is_whole:
        raise ValueError(
            f"X must hold integers for the network's input {spec.name!r}. "
            "Got other values."
        )
    return array.reshape(len(array), *candidate)


def _fits(shape: Sequence[int], spec: Sequence[int | None]) -> bool:
    return len(shape) == len(spec) and all(
        m is None or m == n for n, m in zip(shape, spec, strict=True)
    )


def _by_name(X: Mapping[str, Floats], inputs: Sequence[InputSpec]) -> list[Floats]:
    names = [spec.name for spec in inputs]
    if sorted(X) != sorted(names):
        raise ValueError(
            f"X, a dict, must hold an array for each of the network's inputs, {names}. "
            f"Got {list(X)} instead."
        )
    return [_fitted(X[spec.name], spec) for spec in inputs]


def _split(X: Floats, inputs: Sequence[InputSpec]) -> list[Floats]:
    expected = {spec.name: spec.shape for spec in inputs}
    shapes = [tuple(n for n in spec.shape if n is not None) for spec in inputs]
    is_known = all(None not in spec.shape for spec in inputs)
    sizes = [math.prod(shape) for shape in shapes]
    if not is_known or X.ndim != 2 or X.shape[1] != sum(sizes):
        raise ValueError(
            "X must be a dict with an array for each of the network's inputs, or an "
            "array with the values of one after the other in each row. Expected "
            f"inputs of shapes {expected}. Got an array of shape {X.shape} instead."
        )
    parts = np.split(X, np.cumsum(sizes)[:-1], axis=1)
    return [
        _fitted(part.reshape(len(X), *shape), spec)
        for part, shape, spec in zip(parts, shapes, inputs, strict=True)
    ]


def check_rows(estimator: BaseEstimator, X: Any) -> Rows:
    """`X` for a prediction, finite."""
    if _is_dict(X):
        return _checked_dict(X, estimator)
    with np.errstate(over="ignore"):  # what overflows is refused as infinite
        array = validate_data(estimator, X, reset=False, **_wanted(estimator))
    return _one_zero(array)


def check_rows_and_labels(
    estimator: BaseEstimator, X: Any, y: Any, reset: bool
) -> tuple[Rows, NDArray[Any]]:
    """`X` and `y` for training, of the same length."""
    if not _is_dict(X):
        with np.errstate(over="ignore"):
            array, labels = validate_data(
                estimator, X, y, reset=reset, **_wanted(estimator)
            )
        return _one_zero(array), labels
    arrays = _checked_dict(X, estimator)
    stand_in = np.zeros((len(next(iter(arrays.values()))), 1))
    _, labels = check_X_y(stand_in, y, estimator=estimator)
    return arrays, labels


def _wanted(estimator: BaseEstimator) -> dict[str, Any]:
    """Type and axes of rows: a network may want whole numbers, which stay exact."""
    if estimator.model is None:
        return {"dtype": np.float32}
    return {"dtype": NUMBERS, "allow_nd": True}


def _is_dict(X: Any) -> bool:
    return isinstance(X, Mapping) and not issparse(X)  # some sparse arrays are dicts


def _checked_dict(X: Mapping[str, Any], estimator: BaseEstimator) -> dict[str, Floats]:
    """A dict of arrays, one for each input of a network."""
    if estimator.model is None:
        _refuse_dict(X)
    if not X:
        raise ValueError("X, a dict, must hold an array for each input. Got none.")
    with np.errstate(over="ignore"):
        arrays = {
            name: check_array(
                array,
                dtype=NUMBERS,
                allow_nd=True,
                ensure_2d=False,
                input_name=f"X[{name!r}]",
            )
            for name, array in X.items()
        }
    check_consistent_length(*arrays.values())
    return {name: _one_zero(array) for name, array in arrays.items()}


def _one_zero(array: Floats) -> Floats:
    """The array with 0.0 for -0.0, so that equal rows are the same row to a network."""
    if array.dtype.kind != "f":
        return array
    has_other = np.signbit(array[array == 0]).any()
    return array + array.dtype.type(0) if has_other else array


def take(X: Rows, rows: Any) -> Rows:
    """Some of the rows."""
    if isinstance(X, Mapping):
        return {name: array[rows] for name, array in X.items()}
    return X[rows]

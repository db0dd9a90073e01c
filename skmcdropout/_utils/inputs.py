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
from scipy.sparse import csr_array, vstack
from sklearn.utils import assert_all_finite

from skmcdropout._utils.arrays import Floats, Table
from skmcdropout._utils.sparse_tables import canonical, issparse

#: Rows as an estimator gets them: a table or array, or one for each input of a network.
Rows = Table | dict[str, Floats]

Shapes = tuple[tuple[int, ...], ...]


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
        refuse_dict(X)
    return X


def refuse_dict(X: Mapping[str, Any]) -> NoReturn:
    """Refuse several arrays for a network with one input."""
    raise ValueError(
        f"X must be one array for a network with one input. Got {form_of(X)} instead."
    )


def _fitted(array: Floats, spec: InputSpec) -> Floats:
    """The array in the shape of an input; a last axis of length 1 comes and goes."""
    shape = _shape_in(array.shape[1:], spec)
    if shape is None:
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
    return array.reshape(len(array), *shape)


def _shape_in(shape: tuple[int, ...], spec: InputSpec) -> tuple[int, ...] | None:
    """The shape of a row as the input has it, if that is a matter of a last axis."""
    candidates = [shape, (*shape, 1), *([shape[:-1]] if shape[-1:] == (1,) else [])]
    return next((c for c in candidates if _fits(c, spec.shape)), None)


def _fits(shape: Sequence[int], spec: Sequence[int | None]) -> bool:
    return len(shape) == len(spec) and all(
        m is None or m == n for n, m in zip(shape, spec, strict=True)
    )


def is_list_of_arrays(X: Any) -> bool:
    """Whether `X` is a list of arrays, frames or tensors of at least one axis."""
    return (
        isinstance(X, (list, tuple))
        and len(X) > 0
        and all(len(getattr(array, "shape", ())) > 0 for array in X)
    )


def listed(arrays: Sequence[Any]) -> dict[str, Any]:
    """Arrays that were given in the order of the inputs, as a dict."""
    return {
        name: array if hasattr(array, "iloc") or issparse(array) else np.asarray(array)
        for name, array in zip(_places(len(arrays)), arrays, strict=True)
    }


def is_listed(X: Any) -> bool:
    """Whether it is a dict that was a list."""
    return isinstance(X, Mapping) and [*X] == _places(len(X))


def _places(n: int) -> list[str]:
    return [f"input {i:03d} of a list" for i in range(n)]


def form_of(X: Any) -> str:
    """In which form rows were given, in words."""
    if is_listed(X):
        return f"a list of {len(X)} arrays"
    return f"a dict of {sorted(X)}" if isinstance(X, Mapping) else "a table or array"


def inputs_to_predict(X: Any, inputs: Sequence[InputSpec]) -> Any:
    """A list of arrays for the inputs of a network, as a dict, or the one array.

    A list that can be one of rows is that.
    """
    if not is_list_of_arrays(X) or not inputs:
        return X
    shapes = [tuple(array.shape) for array in X]
    if len(inputs) == 1:
        (spec,) = inputs
        if all(_fits(shape, spec.shape) for shape in shapes):
            return X
        if any(_shape_in(shape[1:], spec) is None for shape in shapes):
            return X
        return X[0] if len(X) == 1 else listed(X)
    if all(len(shape) == 1 for shape in shapes):
        sizes = [n for spec in inputs for n in spec.shape]
        is_row = None in sizes or shapes[0][0] == _n_values(inputs)
        if len(X) != len(inputs) or (is_row and len({*shapes}) == 1):
            return X
    return listed(X)


def _n_values(inputs: Sequence[InputSpec]) -> int:
    """Values of a row of all inputs, whose shapes are known."""
    return sum(math.prod(n or 1 for n in spec.shape) for spec in inputs)


def _by_name(X: Mapping[str, Floats], inputs: Sequence[InputSpec]) -> list[Floats]:
    names = [spec.name for spec in inputs]
    if is_listed(X):
        if len(X) != len(names):
            raise ValueError(
                f"X, a list, must hold an array for each of the network's inputs, "
                f"{names}. Got {len(X)}."
            )
        X = dict(zip(names, X.values(), strict=True))
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


def joined(first: Rows, second: Rows) -> Rows:
    """Rows of one kind, one after the other."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        if first.keys() == second.keys():
            return {n: _joined_arrays(first[n], second[n]) for n in first}
    elif not (isinstance(first, Mapping) or isinstance(second, Mapping)):
        return _joined_arrays(first, second)
    raise ValueError(
        f"X_val must have the form of X, {form_of(first)}. "
        f"Got {form_of(second)} instead."
    )


def _joined_arrays(first: Any, second: Any) -> Any:
    """Rows of arrays or sparse tables, one after the other, sparse if the first are."""
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(
            f"X_val must have rows of the shape {first.shape[1:]} of X. "
            f"Got {second.shape[1:]}."
        )
    if issparse(first):
        both = [csr_array(first), csr_array(second)]
        return canonical(vstack(both, format="csr"))
    return np.concatenate([first, second.toarray() if issparse(second) else second])

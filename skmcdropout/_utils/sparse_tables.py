"""Sparse tables in one form, so that equal tables are the same arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.utils import assert_all_finite

__all__ = [
    "canonical",
    "dense",
    "differ",
    "issparse",
    "row_values",
    "summed",
    "varied_columns",
]


def summed(X: Any) -> Any:
    """`X` as a CSR array that holds each entry once; what is given is not changed.

    An entry that is given in parts is their sum in the type of `X`, as in a dense
    table.
    """
    if X.ndim != 2:
        raise ValueError(
            f"X, a sparse array, must have two axes. Got shape {X.shape} instead."
        )
    table = csr_array(X)
    if not table.has_canonical_format:
        table = table.copy()
        table.sum_duplicates()
    return table


def canonical(table: Any) -> Any:
    """A table without stored zeros, its entries in the order of their columns."""
    assert_all_finite(table.data, input_name="X")
    table = summed(table)
    if not table.data.all():  # -0.0 is one of them
        table = table.copy()
        table.eliminate_zeros()
    parts = table.data, table.indices, table.indptr
    plain = csr_array(parts, shape=table.shape)
    plain.has_canonical_format = True
    return plain


def dense(table: Any) -> Any:
    """The same table as an array."""
    return table.toarray() if issparse(table) else table


def row_values(table: Any) -> int:
    """Values that a row holds, of a sparse table on average; at least one."""
    n_rows, n_columns = table.shape
    n_values = table.nnz // max(n_rows, 1) if issparse(table) else n_columns
    return max(n_values, 1)


def differ(first: Any, second: Any) -> Any:
    """Whether a row differs from the other table's, for each."""
    if not issparse(first):
        return (first != second).any(axis=1)
    return np.diff((first != second).tocsr().indptr) > 0


def varied_columns(table: Any) -> Any:
    """The columns in which a few rows can differ, dense."""
    if not issparse(table):
        return table
    return table[:, np.unique(table.indices)].toarray()

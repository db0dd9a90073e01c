"""What estimators say of rows that were held out of their fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from skmcdropout._fit.callbacks import fit_within
from skmcdropout._utils.private import params_of_rows
from skmcdropout._validation import is_of_validation_set, one_of_each_row, rows_of
from skmcdropout.metrics._scorers import judged


class HeldOut(NamedTuple):
    """Rows by their indices, what is predicted for them and how uncertain they are."""

    rows: NDArray[np.int_]
    labels: NDArray[Any]
    uncertainty: NDArray[Any]


def judge_held_out(
    estimator: Any,
    X: Any,
    y: Any,
    splits: Sequence[tuple[Any, Any]],
    *,
    measure: str,
    params: dict[str, Any],
    n_jobs: int | None,
    caller: Any,
    contexts: Sequence[Any],
) -> HeldOut:
    """Fit a clone for each split, and have it judge the rows that were held out."""
    parts = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_judge)(
            clone(estimator), X, y, train, held, measure, params, caller, context
        )
        for (train, held), context in zip(splits, contexts, strict=True)
    )
    return HeldOut(*map(np.concatenate, zip(*parts, strict=True)))


def _params_of_rows(X: Any, params: dict[str, Any], rows: Any) -> dict[str, Any]:
    """Parameters of `fit` for some rows of X; a validation set stays whole."""
    whole = {name: params[name] for name in params if is_of_validation_set(name)}
    split = {name: params[name] for name in params if name not in whole}
    return params_of_rows(X, split, rows) | whole


def _fit_and_judge(
    estimator: Any,
    X: Any,
    y: Any,
    train: Any,
    held: Any,
    measure: str,
    params: dict[str, Any],
    caller: Any,
    context: Any,
) -> HeldOut:
    fit_within(
        context,
        caller,
        estimator,
        rows_of(X, train),
        rows_of(y, train),
        _params_of_rows(one_of_each_row(X), params, train),
    )
    rows = np.asarray(held)
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows
    return HeldOut(rows, *judged(estimator, rows_of(X, held), measure))

"""What the displays of `skmcdropout.plotting` share: axes, colours, outputs, checks."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor
from sklearn.utils import check_random_state

from skmcdropout._meta_estimators.regressors import intervals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours that differ for the colour-blind too (Okabe and Ito 2008), with hatches.
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"


def axes_or_new(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]


def of_target(values: NDArray[Any], target: int, axis: int = 1) -> NDArray[Any]:
    """The values of one output, where there is an axis of outputs."""
    n_outputs = values.shape[axis] if values.ndim > axis else 1
    if not (isinstance(target, Integral) and 0 <= target < n_outputs):
        raise ValueError(
            f"target must be an int in the range [0, {n_outputs}), an output of the "
            f"regressor. Got {target!r} instead."
        )
    return values.take(target, axis=axis) if values.ndim > axis else values


def predicted_intervals(
    estimator: Any, X: Any, coverage: float, target: int
) -> list[NDArray[Any]]:
    """Means, ends of intervals and epistemic_std of one output."""
    found = intervals(estimator, X, coverage)
    return [of_target(values, target) for values in found.values()]


def some_rows(
    n_all: int,
    n_rows: int | None,
    random_state: int | np.random.RandomState | None,
) -> NDArray[np.bool_]:
    """Which rows to draw: `n_rows` at most, chosen at random; None is all."""
    if n_rows is not None and not (isinstance(n_rows, Integral) and n_rows > 0):
        raise ValueError(
            f"n_rows must be an int in the range [1, inf) or None. Got {n_rows!r} "
            "instead."
        )
    is_drawn = np.ones(n_all, dtype=bool)
    if n_rows is not None and n_rows < n_all:
        is_drawn[check_random_state(random_state).permutation(n_all)[n_rows:]] = False
    return is_drawn


def check_classifier(estimator: Any) -> None:
    """Refuse a regressor."""
    if is_regressor(estimator):
        raise TypeError(
            "The estimator must be a classifier for this display. "
            f"Got {estimator!r} instead."
        )


def like_table(X: Any, rows: NDArray[Any]) -> Any:
    """A table with the columns of `X`, of pandas or Polars; or the array."""
    if not hasattr(X, "columns"):
        return rows
    names = {"columns" if hasattr(X, "iloc") else "schema": list(X.columns)}
    return type(X)(rows, **names)

"""Which rows are trained on, in which order and with which weight.

Here integer weights are made equal to repeated rows, zero weights to absent ones,
and a fit independent of the order its rows came in.
"""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedShuffleSplit

from skmcdropout._utils.arrays import Table
from skmcdropout._utils.sparse_tables import (
    differ,
    issparse,
    row_values,
    varied_columns,
)

#: Integral weights are expanded to repeated rows while they sum to at most this many
#: times the number of rows; beyond, they multiply the loss like any other weight.
MAX_REPETITION = 10

#: Values at a time where all are looked at.
BLOCK_FLOATS = 2**18

#: An odd number with bits set all over (the finalizer of MurmurHash3).
MIX = np.uint64(0xFF51AFD7ED558CCD)


class TrainingRows(NamedTuple):
    """`rows`: indices to train on, canonical order, repeated as often as they count.

    `loss_weights`: one factor a row of the data (not of `rows`), mean 1 over `rows`.
    """

    rows: NDArray[np.int64]
    loss_weights: NDArray[np.float32]


def training_rows(
    X: Table,
    y: NDArray[Any],
    sample_weight: NDArray[np.float64] | None,
    class_weight: dict[Any, float] | str | NDArray[np.float64] | None = None,
    classes: NDArray[Any] | None = None,
) -> TrainingRows:
    """Rows and loss weights that honour `sample_weight` and `class_weight`.

    `y` holds codes into `classes`, or real numbers (n_rows, n_targets); an array as
    `class_weight` has a weight for each class;
    `sample_weight`, where given, is positive.
    """
    n_rows = X.shape[0]
    weights = np.ones(n_rows) if sample_weight is None else sample_weight
    rows = canonical_order(X, y, weights)
    with np.errstate(over="ignore"):
        total = weights.sum()
    integral = np.array_equal(weights, np.round(weights))
    if integral and total <= MAX_REPETITION * n_rows:
        counts = weights[rows].astype(np.int64)
        rows = np.repeat(rows, counts)
        loss_weights = np.ones(n_rows)
    else:
        loss_weights = weights / weights.max()
    if class_weight is not None and classes is not None:
        factors = class_weight
        if not isinstance(factors, np.ndarray):
            factors = weight_of_class(factors, classes, y, weights)
        loss_weights *= factors[y]
        rows = rows[loss_weights[rows] > 0]
    if not len(rows):
        raise ValueError(
            "class_weight must give some class in y a positive weight. "
            f"Got {class_weight!r} instead."
        )
    loss_weights /= loss_weights[rows].mean()
    return TrainingRows(rows, loss_weights.astype(np.float32))


def canonical_order(
    X: Table, y: NDArray[Any], weights: NDArray[np.float64]
) -> NDArray[np.int64]:
    """An order of the rows that depends on what they hold, not on where they stand.

    They are sorted by a hash of `X` in integer arithmetic, exact where a projection in
    floating point would round differently from one position to the next, and those of
    one hash by their labels and weights. Different ones of one hash are sorted by their
    values.
    """
    labels = y.reshape(len(y), -1)
    keys = _hashes(X)
    order = np.lexsort((weights, *labels.T, keys))
    is_tied = keys[order[1:]] == keys[order[:-1]]
    ties = np.flatnonzero(is_tied)
    has_changed = np.zeros(len(is_tied), dtype=bool)
    for block in _blocks(len(ties), row_values(X)):
        first, second = order[ties[block]], order[ties[block] + 1]
        has_changed[ties[block]] = differ(X[first], X[second])
    if has_changed.any():  # different rows of one hash
        run = np.concatenate([[0], np.cumsum(~is_tied)])
        for number in np.unique(run[1:][has_changed]):
            places = np.flatnonzero(run == number)
            rows = order[places]
            by_value = (weights[rows], *varied_columns(X[rows]).T, *labels[rows].T)
            order[places] = rows[np.lexsort(by_value)]
    return order


def _blocks(n_rows: int, n_values: int) -> Iterator[slice]:
    """Slices of as many rows at a time as hold about `BLOCK_FLOATS` values."""
    n_block = max(1, BLOCK_FLOATS // n_values)
    for start in range(0, n_rows, n_block):
        yield slice(start, start + n_block)


def _hashes(X: Table) -> NDArray[np.uint64]:
    """A 64-bit hash of each row; sparse ones hash as dense ones, and -0.0 as 0.0.

    The bits of a value are mixed, as in MurmurHash, before they are multiplied by the
    odd number of its column: 1 and -1 differ in the highest bit alone, of which a
    product keeps next to nothing. A zero adds nothing.
    """
    n_words = X.shape[1] * X.dtype.itemsize // 4
    factors = np.random.RandomState(0).randint(2**62, size=n_words) * 2 + 1
    factors = factors.astype(np.uint64)
    keys = np.empty(X.shape[0], np.uint64)
    for block in _blocks(X.shape[0], row_values(X)):
        rows: Any = X[block]
        if issparse(rows):
            sums = np.zeros(len(rows.data) + 1, np.uint64)
            np.cumsum(_mixed(rows.data) * factors[rows.indices], out=sums[1:])
            keys[block] = np.diff(sums[rows.indptr])  # modulo 2**64, as all sums here
        else:
            keys[block] = _mixed(rows) @ factors
    return keys


def _mixed(values: NDArray[Any]) -> NDArray[np.uint64]:
    """The bits of values, mixed."""
    positive = values + values.dtype.type(0)  # -0.0 becomes 0.0
    bits = positive.view(np.uint32).astype(np.uint64)
    bits *= MIX
    bits ^= bits >> np.uint64(32)
    return bits


def hold_out(
    rows: NDArray[np.int64], y: NDArray[Any], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split `rows` into training and validation rows, stratified by class if any.

    At least as many rows are held out as there are classes with two rows or more; a
    class of one row is trained on. Where no class has two, none are held out.
    """
    if y.dtype.kind == "f":
        n_held = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
        is_held = np.random.RandomState(seed).permutation(len(rows)) < n_held
        return rows[~is_held], rows[is_held]
    labels = y[rows]
    splittable = np.flatnonzero(np.bincount(labels)[labels] > 1)
    n_classes = len(np.unique(labels[splittable]))
    n_held = max(round(fraction * len(splittable)), n_classes)
    n_held = min(n_held, len(splittable) - n_classes)
    if n_held < 1:
        return rows, rows[:0]
    split = StratifiedShuffleSplit(1, test_size=n_held, random_state=seed)
    held = next(split.split(splittable, labels[splittable]))[1]
    is_held = np.zeros(len(rows), dtype=bool)
    is_held[splittable[held]] = True
    for label in np.setdiff1d(labels, labels[~is_held]):  # keep one to train on
        is_held[np.flatnonzero(labels == label)[0]] = False
    return rows[~is_held], rows[is_held]


def weight_of_class(
    class_weight: dict[Any, float] | str,
    classes: NDArray[Any],
    y: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Weight of each class, as `class_weight` says for these labels and weights."""
    if not isinstance(class_weight, dict):  # "balanced"
        share = np.maximum(weights / weights.max(), np.finfo(float).tiny)
        mass = np.bincount(y, weights=share, minlength=len(classes))
        return share.sum() / (len(classes) * mass)
    if not all(isinstance(w, Real) and 0 <= w < np.inf for w in class_weight.values()):
        raise ValueError(
            "class_weight, a dict, must give finite weights of at least 0. "
            f"Got {class_weight!r} instead."
        )
    labels = classes.tolist()
    if class_weight and not any(label in class_weight for label in labels):
        raise ValueError(
            "class_weight, a dict, must have labels of y as keys. The classes, "
            f"{labels}, are not in class_weight. Got {class_weight!r}."
        )
    return np.array([float(class_weight.get(label, 1.0)) for label in labels])

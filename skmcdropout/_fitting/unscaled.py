"""A warning where features are so far from 0 that nothing will be learned."""

from __future__ import annotations

import warnings

import numpy as np

from skmcdropout._networks.perceptron import Perceptron
from skmcdropout._networks.spec import NetworkSpec
from skmcdropout._utils.arrays import Table
from skmcdropout._utils.sparse_tables import issparse

#: Distance of the mean row from 0, in root mean square distances of rows from it, from
#: which on networks learn nothing: every unit is in one linear piece for all rows, and
#: a step of Adam that fits the rows moves what they share many times as far.
TOO_FAR = 100.0

#: Rows and values of features that are looked at, at most.
MOST_ROWS, MOST_VALUES = 2000, 2**22


def warn_if_unscaled(spec: NetworkSpec, table: Table) -> None:
    """Warn if a perceptron that does not normalize its inputs can't learn from them."""
    if not isinstance(spec, Perceptron) or spec.batch_normalization:
        return
    n_rows, n_features = table.shape
    n_seen = max(2, min(MOST_ROWS, MOST_VALUES // n_features))
    distance = _distance(table[:: max(1, n_rows // n_seen)])
    if TOO_FAR < distance < np.inf:
        warnings.warn(
            "X has features so unscaled that hardly anything will be learned: they "
            f"should have means near 0, but the mean row is {distance:.3g} times as "
            "far from 0 as rows are from it. Scale them (StandardScaler) or set "
            "batch_normalization=True.",
            UserWarning,
            stacklevel=2,
        )


def _distance(rows: Table) -> float:
    """Of the mean row from 0, in root mean square distances of rows from it."""
    rows = rows.astype(np.float64)
    mean = np.asarray(rows.mean(axis=0)).ravel()
    if issparse(rows):
        squares = np.square(rows.data).sum() / rows.shape[0] - mean @ mean
    else:
        squares = np.square(rows - mean).sum() / len(rows)
    far = float(np.linalg.norm(mean))
    spread = float(np.sqrt(max(squares, 0.0)))
    # Rows that are the same in single precision are not a matter of scale.
    return far / spread if spread > np.finfo(np.float32).eps * far else np.inf

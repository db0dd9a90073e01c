"""A warning where features are so unscaled that next to nothing will be learned."""

from __future__ import annotations

import math
import warnings

import numpy as np

from skmcdropout._utils.arrays import Table
from skmcdropout._utils.sparse_tables import issparse

#: Distance of the mean row from 0, in root mean square distances of rows from it, from
#: which on networks learn nothing: every unit is in one linear piece for all rows, and
#: a step of Adam that fits the rows moves what they share many times as far.
TOO_FAR = 200.0

#: Root mean square distance of rows from their mean, and the same for the root of the
#: number of features, beyond which real targets are not learned: outputs begin that
#: far off. Probabilities saturate instead, and are learned.
TOO_WIDE, TOO_WIDE_FOR_ONE = 100.0, 30.0

#: Rows and values of features that are looked at, at most.
MOST_ROWS, MOST_VALUES = 2000, 2**22


def warn_if_unscaled(table: Table, classifies: bool) -> None:
    """Warn if a perceptron that does not normalize its inputs can't learn from them."""
    n_rows, n_features = table.shape
    n_seen = max(2, min(MOST_ROWS, MOST_VALUES // n_features))
    far, spread = _far_and_spread(table[:: max(1, n_rows // n_seen)])
    if spread <= np.finfo(np.float32).eps * far:
        return  # the same rows in single precision, which is not a matter of scale
    is_wide = spread > max(TOO_WIDE, TOO_WIDE_FOR_ONE * math.sqrt(n_features))
    if far > TOO_FAR * spread:
        found = (
            f"the mean row is {far / spread:.3g} times as far from 0 as rows from it"
        )
    elif is_wide and not classifies:
        found = (
            f"rows are {spread:.3g} from their mean in root mean square, where "
            f"standardised ones are {math.sqrt(n_features):.3g}"
        )
    else:
        return
    warnings.warn(
        "X has features so unscaled that hardly anything will be learned. They should "
        f"have means near 0 and standard deviations near 1. Got others: {found}. Scale "
        "them (StandardScaler) or set batch_normalization=True.",
        UserWarning,
        stacklevel=2,
    )


def _far_and_spread(rows: Table) -> tuple[float, float]:
    """Distance of the mean row from 0, and root mean square of rows' from it."""
    rows = rows.astype(np.float64)
    mean = np.asarray(rows.mean(axis=0)).ravel()
    if issparse(rows):
        squares = np.square(rows.data).sum() / rows.shape[0] - mean @ mean
    else:
        squares = np.square(rows - mean).sum() / len(rows)
    return float(np.linalg.norm(mean)), math.sqrt(max(squares, 0.0))

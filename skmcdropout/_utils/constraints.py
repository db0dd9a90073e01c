"""What parameters must be: scikit-learn's constraints, for numbers that are numbers."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from skmcdropout._utils.private import Interval

__all__ = ["RANDOM_STATE", "Number"]


class Number(Interval):
    """A number of an interval; True and False are none, though Python counts them."""

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether `val` is such a number."""
        return not isinstance(val, (bool, np.bool_)) and super().is_satisfied_by(val)


RANDOM_STATE = [
    Number(Integral, 0, 2**32 - 1, closed="both"),
    np.random.RandomState,
    None,
]

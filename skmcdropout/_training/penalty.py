"""The L2 penalty of the kernels in a vector of weights, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from skmcdropout._training.adam import BLOCK
from skmcdropout._utils.arrays import Floats


class Penalty:
    """`l2` times the sum of squares of the `parts` of a vector that are kernels."""

    def __init__(self, l2: float, parts: Sequence[Floats]) -> None:
        #: Of each block what its weights are multiplied by: often one number for all.
        self._blocks = list(_blocks(2 * l2, parts)) if l2 else []
        self._work = np.empty(BLOCK, np.float32)

    def differentiate(self, vector: Floats, gradient: Floats) -> float:
        """Add its gradient; return the penalty."""
        doubled = 0.0
        for start, factor in self._blocks:
            block = slice(start, start + BLOCK)
            weights, slopes = vector[block], gradient[block]
            work = self._work[: len(weights)]
            np.multiply(weights, factor, out=work)
            slopes += work
            doubled += float(work @ weights)
        return doubled / 2


def _blocks(
    factor: float, parts: Sequence[Floats]
) -> Iterator[tuple[int, Floats | np.float32]]:
    ends = np.cumsum([part.size for part in parts])
    of_parts = np.array([factor * (part.ndim == 2) for part in parts], np.float32)
    for start in range(0, ends[-1], BLOCK):
        places = np.arange(start, min(start + BLOCK, ends[-1]))
        factors = of_parts[np.searchsorted(ends, places, side="right")]
        is_one = factors.min() == factors.max()
        yield start, factors[0] if is_one else factors

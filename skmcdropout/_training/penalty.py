"""The L2 penalty of the kernels in a vector of weights, block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from skmcdropout._training.adam import BLOCK
from skmcdropout._utils.arrays import Floats


class Penalty:
    """`l2` times the sum of squares of the `parts` of a vector that are kernels."""

    def __init__(self, l2: float, parts: Iterable[Floats]) -> None:
        factors = [
            np.full(part.size, 2 * l2 if part.ndim == 2 else 0.0, np.float32)
            for part in parts
        ]
        #: Of each block what its weights are multiplied by: often one number for all.
        self._blocks = list(_blocks(np.concatenate(factors))) if l2 else []
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


def _blocks(factors: Floats) -> Iterator[tuple[int, Floats | np.float32]]:
    for start in range(0, len(factors), BLOCK):
        block = factors[start : start + BLOCK]
        is_one = block.min() == block.max()
        yield start, block[0] if is_one else block.copy()

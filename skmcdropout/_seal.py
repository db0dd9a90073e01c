"""A checksum of what was learned, so that a damaged file is not taken for a model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def seal(weights: Iterable[NDArray[Any]], *plain: Any) -> str:
    """Digest of arrays and of the text of plain values."""
    digest = hashlib.sha256()
    for array in weights:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    for value in plain:
        digest.update(repr(value).encode())
    return digest.hexdigest()

"""Types of arrays."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

#: Values in single precision, as networks compute them.
Floats = NDArray[np.float32]

#: Rows of equal length: an array, or a sparse one of `_utils.sparse_tables`.
Table: TypeAlias = NDArray[Any] | csr_array

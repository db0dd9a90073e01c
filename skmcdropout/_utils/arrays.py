"""Types of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Values in single precision, as networks compute them.
Floats = NDArray[np.float32]

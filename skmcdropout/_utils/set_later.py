"""A warning where parameters of a network were set after it was fitted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

#: Parameters that describe a network or its outputs, and do not act before a fit.
NAMES = (
    "dropout_rate",
    "dropout_position",
    "hidden_layer_sizes",
    "activation",
    "batch_normalization",
    "temperature",
    "noise",
)

#: What was warned of, for each object that stands for a fit.
_warned: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


def described(estimator: Any) -> dict[str, str]:
    """Parameters that describe a network, as text."""
    held = vars(estimator)
    return {name: _text(held[name]) for name in NAMES if name in held}


def warn_if_set_later(estimator: Any, fitted: Mapping[str, str], fit: Any) -> None:
    """Warn of parameters that are not as they were `fitted`, once for each value.

    `fit` is an object that lives as long as what was fitted.
    """
    now = described(estimator)
    if now == fitted:
        return
    warned = _warned.setdefault(fit, set())
    for name in fitted:
        said = f"{name}={now.get(name)}"
        if now.get(name) != fitted[name] and said not in warned:
            warned.add(said)
            warnings.warn(
                f"{said} was set after fit, and does nothing before the next: this "
                f"{type(estimator).__name__} predicts with {name}={fitted[name]}, "
                "which it was fitted with.",
                UserWarning,
                stacklevel=2,
            )


def _text(value: Any) -> str:
    if type(value) in (str, float, bool):
        return repr(value)
    listed = np.asarray(value).tolist()
    if isinstance(listed, list) and len(listed) == 1:
        (listed,) = listed  # one layer
    return repr(listed)

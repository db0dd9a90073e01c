"""What a dropout MLP is made of, in plain values; nothing here needs Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Activations of Keras that treat each unit by itself.
ELEMENTWISE_ACTIVATIONS = {
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "leaky_relu",
    "linear",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
}


@dataclass(frozen=True)
class Architecture:
    """A dropout MLP, weights apart; `rates[i]` is the dropout before Dense layer i."""

    n_features: int
    hidden_layer_sizes: tuple[int, ...]
    n_classes: int
    activation: str
    rates: tuple[float | None, ...]
    batch_normalization: bool
    l2: float
    max_norm: float | None


def rates_by_layer(
    dropout_rate: float | Sequence[float], dropout_position: str | int, n_hidden: int
) -> tuple[float | None, ...]:
    """Dropout rate before each of the ``n_hidden + 1`` Dense layers, None for none."""
    if dropout_position == "all":
        n_positions = n_hidden + 1
    elif dropout_position == "hidden":
        n_positions = n_hidden
    else:
        n_positions = int(dropout_position)
        if n_positions > n_hidden:
            raise ValueError(
                "dropout_position, an integer, must be at most the number of hidden "
                f"layers, {n_hidden}. Got {dropout_position!r} instead."
            )
    try:
        given = np.asarray(dropout_rate, dtype=float)
        is_valid = given.ndim <= 1 and bool(
            ((given >= 0) & (given.astype(np.float32) < 1)).all()
        )
    except (TypeError, ValueError):
        is_valid = False
    if not is_valid:
        raise ValueError(
            "dropout_rate must be a float in the range [0, 1), in single precision, or "
            f"a sequence of them. Got {dropout_rate!r} instead."
        )
    rates = given.tolist() if given.ndim else [float(given)] * n_positions
    if len(rates) != n_positions:
        raise ValueError(
            "dropout_rate, a sequence, must hold one rate per dropout position: "
            f"{n_positions} for dropout_position={dropout_position!r} and {n_hidden} "
            f"hidden layer(s). Got {len(rates)}: {dropout_rate!r} instead."
        )
    return (None,) * (n_hidden + 1 - n_positions) + tuple(rates)

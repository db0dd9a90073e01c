"""Names of activations; nothing here needs Keras."""

from __future__ import annotations

#: Activations of Keras that treat each unit by itself.
ELEMENTWISE = {
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

#: Those through which networks are trained on arrays, which know their derivatives.
DIFFERENTIATED = frozenset({"linear", "relu", "sigmoid", "tanh"})

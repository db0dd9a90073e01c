"""Keras's elementwise activations and their derivatives, on arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from skmcdropout._utils.arrays import Floats

ONE, HALF = np.float32(1), np.float32(0.5)

#: Of leaky relu, for negative inputs.
NEGATIVE_SLOPE = np.float32(0.2)

#: Of SELU (Klambauer et al. 2017): the limit of its exponential, and its factor.
SELU_ALPHA, SELU_SCALE = np.float32(1.6732632423543772), np.float32(1.0507009873554805)

ROOT_2_PI = np.float32((2 * np.pi) ** 0.5)

#: The tail of the standard normal distribution, divided by exp(-x²/2), is a quotient of
#: these polynomials: a least-squares fit for x from 0 to 14, to a relative 6e-9. The
#: error function of SciPy takes six times as long.
MILLS_ABOVE = 0.5000000028, 0.4372485622, 0.1824600555, 0.0403719451, 0.00407751631
MILLS_BELOW = 1.0, 1.6723820795, 1.1992834348, 0.4674244049, 0.1012042697, 0.0102206889

#: The tail is 0 in single precision from here on.
FARTHEST = np.float32(40)


class Activation(NamedTuple):
    """An activation, which may work in place, and its derivatives.

    ``slopes(z, values)`` gives them for inputs and what these have become;
    `needs_input` says whether it looks at the former.
    """

    apply: Callable[[Floats], Floats]
    slopes: Callable[[Floats, Floats], Floats]
    needs_input: bool = False


def _linear(z: Floats) -> Floats:
    return z


def _relu(z: Floats) -> Floats:
    return np.maximum(z, 0, out=z)


def _relu6(z: Floats) -> Floats:
    return np.clip(z, 0, 6, out=z)


def _leaky_relu(z: Floats) -> Floats:
    return np.maximum(z, NEGATIVE_SLOPE * z, out=z)


def _tanh(z: Floats) -> Floats:
    return np.tanh(z, out=z)


def _sigmoid(z: Floats) -> Floats:
    z *= HALF
    np.tanh(z, out=z)
    z += ONE
    z *= HALF
    return z


def _elu(z: Floats) -> Floats:
    below = np.expm1(np.minimum(z, 0))
    np.maximum(z, 0, out=z)
    z += below
    return z


def _selu(z: Floats) -> Floats:
    below = np.expm1(np.minimum(z, 0))
    below *= SELU_ALPHA
    np.maximum(z, 0, out=z)
    z += below
    z *= SELU_SCALE
    return z


def _silu(z: Floats) -> Floats:
    with np.errstate(over="ignore"):  # exp, whose infinity makes the result zero
        below = np.exp(-z)
    below += ONE
    z /= below
    return z


def _gelu(z: Floats) -> Floats:
    far, tail, _ = _normal_tail(z)
    far *= tail
    np.maximum(z, 0, out=z)
    z -= far
    return z


def _softplus(z: Floats) -> Floats:
    rest = np.log1p(np.exp(-np.abs(z)))
    np.maximum(z, 0, out=z)
    z += rest
    return z


def _mish(z: Floats) -> Floats:
    z *= np.tanh(_softplus(z.copy()))
    return z


def _softsign(z: Floats) -> Floats:
    z /= np.abs(z) + ONE
    return z


def _hard_sigmoid(z: Floats) -> Floats:
    z += np.float32(3)
    _relu6(z)
    z /= np.float32(6)
    return z


def _hard_silu(z: Floats) -> Floats:
    z *= _hard_sigmoid(z.copy())
    return z


def _normal_tail(z: Floats) -> tuple[Floats, Floats, Floats]:
    """|z|, how probable it is that a normal variable is above, and exp(-z²/2)."""
    far = np.abs(z)
    np.minimum(far, FARTHEST, out=far)  # no overflow, and NaN stays
    bell = far * far
    bell *= -HALF
    np.exp(bell, out=bell)
    tail = _polynomial(far, MILLS_ABOVE)
    tail /= _polynomial(far, MILLS_BELOW)
    tail *= bell
    return far, tail, bell


def _polynomial(x: Floats, coefficients: Sequence[float]) -> Floats:
    """Of the coefficients of 1, x, x², ..."""
    *others, leading = map(np.float32, coefficients)
    found = x * leading
    for coefficient in reversed(others[1:]):
        found += coefficient
        found *= x
    found += others[0]
    return found


def _slopes_of_elu(z: Floats, values: Floats) -> Floats:
    return np.minimum(values, 0) + ONE


def _slopes_of_selu(z: Floats, values: Floats) -> Floats:
    below = np.minimum(values, 0) + SELU_SCALE * SELU_ALPHA
    return np.where(values < 0, below, SELU_SCALE)


def _slopes_of_silu(z: Floats, values: Floats) -> Floats:
    sigmoid = _sigmoid(z.copy())
    return sigmoid + values * (ONE - sigmoid)


def _slopes_of_gelu(z: Floats, values: Floats) -> Floats:
    far, tail, bell = _normal_tail(z)
    slopes = np.where(z > 0, ONE - tail, tail)
    far *= bell
    far /= ROOT_2_PI
    slopes += np.copysign(far, z)
    return slopes


def _slopes_of_mish(z: Floats, values: Floats) -> Floats:
    tanh = np.tanh(_softplus(z.copy()))
    return tanh + z * (ONE - tanh * tanh) * _sigmoid(z.copy())


def _slopes_of_hard_silu(z: Floats, values: Floats) -> Floats:
    return _hard_sigmoid(z.copy()) + z * (np.abs(z) < 3) / np.float32(6)


#: By Keras's names.
ACTIVATIONS: dict[str, Activation] = {
    "elu": Activation(_elu, _slopes_of_elu),
    "gelu": Activation(_gelu, _slopes_of_gelu, True),
    "hard_sigmoid": Activation(
        _hard_sigmoid, lambda z, v: ((v > 0) & (v < 1)) / np.float32(6)
    ),
    "hard_silu": Activation(_hard_silu, _slopes_of_hard_silu, True),
    "leaky_relu": Activation(
        _leaky_relu, lambda z, v: np.where(v > 0, ONE, NEGATIVE_SLOPE)
    ),
    "linear": Activation(_linear, lambda z, v: np.ones_like(v)),
    "mish": Activation(_mish, _slopes_of_mish, True),
    "relu": Activation(_relu, lambda z, v: (v > 0).astype(np.float32)),
    "relu6": Activation(_relu6, lambda z, v: ((v > 0) & (v < 6)).astype(np.float32)),
    "selu": Activation(_selu, _slopes_of_selu),
    "sigmoid": Activation(_sigmoid, lambda z, v: v * (ONE - v)),
    "silu": Activation(_silu, _slopes_of_silu, True),
    "softplus": Activation(_softplus, lambda z, v: -np.expm1(-v)),
    "softsign": Activation(_softsign, lambda z, v: np.square(ONE - np.abs(v))),
    "tanh": Activation(_tanh, lambda z, v: ONE - v * v),
}

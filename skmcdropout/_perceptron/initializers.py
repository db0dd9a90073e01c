"""Keras's initial weights, by name, from a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr, ndtri

from skmcdropout._utils.arrays import Floats

Shape = tuple[int, int]

#: Standard deviation of a normal variable that is cut off at two of its own.
STD_OF_TRUNCATED = 0.87962566103423978

#: Of the initializers that do not look at the shape.
STD, LIMIT = 0.05, 0.05


def initial_kernel(name: str, shape: Shape, seed: int) -> Floats:
    """A kernel (n_in, n_out), by the law of Keras's initializer of that name."""
    return LAWS[name](np.random.RandomState(seed), shape).astype(np.float32)


Law = Callable[[np.random.RandomState, Shape], np.ndarray]


def _truncated(rng: np.random.RandomState, shape: Shape, std: float) -> np.ndarray:
    """Normal variables within two standard deviations."""
    low = float(ndtr(-2.0))
    return std * ndtri(rng.uniform(low, 1 - low, shape))


def _scaled_normal(scale: float, fan: str) -> Law:
    def law(rng: np.random.RandomState, shape: Shape) -> np.ndarray:
        std = np.sqrt(scale / _size(shape, fan)) / STD_OF_TRUNCATED
        return _truncated(rng, shape, std)

    return law


def _scaled_uniform(scale: float, fan: str) -> Law:
    def law(rng: np.random.RandomState, shape: Shape) -> np.ndarray:
        limit = np.sqrt(3 * scale / _size(shape, fan))
        return rng.uniform(-limit, limit, shape)

    return law


def _size(shape: Shape, fan: str) -> float:
    n_in, n_out = shape
    return max(1.0, n_in if fan == "in" else (n_in + n_out) / 2)


def _orthogonal(rng: np.random.RandomState, shape: Shape) -> np.ndarray:
    """Orthonormal columns, or rows where these are fewer."""
    n_in, n_out = shape
    normal = rng.normal(size=(max(shape), min(shape)))
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diag(r))  # so that it is uniform
    return q.T if n_in < n_out else q


LAWS: dict[str, Law] = {
    "glorot_normal": _scaled_normal(1.0, "average"),
    "glorot_uniform": _scaled_uniform(1.0, "average"),
    "he_normal": _scaled_normal(2.0, "in"),
    "he_uniform": _scaled_uniform(2.0, "in"),
    "lecun_normal": _scaled_normal(1.0, "in"),
    "lecun_uniform": _scaled_uniform(1.0, "in"),
    "orthogonal": _orthogonal,
    "random_normal": lambda rng, shape: rng.normal(0, STD, shape),
    "random_uniform": lambda rng, shape: rng.uniform(-LIMIT, LIMIT, shape),
    "truncated_normal": lambda rng, shape: _truncated(rng, shape, STD),
}

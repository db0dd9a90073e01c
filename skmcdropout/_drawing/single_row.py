"""Probabilities of a row alone, in NumPy: TensorFlow's calls alone take longer."""

from __future__ import annotations

import keras
import numpy as np

from skmcdropout import uncertainty
from skmcdropout._drawing.results import Wanted
from skmcdropout._drawing.thinned import Structure, ThinnedDraws, Weights
from skmcdropout._utils.arrays import Floats


def draw_row(draws: ThinnedDraws, x: Floats, wanted: Wanted) -> tuple[Floats, ...]:
    """What is wanted of all draws for `x`, of shape (1, n_features)."""
    with np.errstate(all="ignore"):  # the estimator refuses what isn't finite
        parts = [_values(x, draws.structure, w) for w in draws.groups]
        p = np.concatenate(parts)
        mean = p.mean(axis=0, dtype=np.float64)
    if wanted == "draws":
        return (p,)
    if wanted == "mean" or not np.isfinite(mean).all():
        return (mean.astype(np.float32),)
    measures = (
        uncertainty.predictive_entropy(p),
        uncertainty.expected_entropy(p),
        1 - uncertainty.variation_ratio(p),
        uncertainty.predictive_std(p),
    )
    return tuple(values.astype(np.float32) for values in (mean, *measures))


def _values(x: Floats, structure: Structure, weights: Weights) -> Floats:
    """Of every draw, (n_draws, 1, n_values)."""
    z = (x * np.asarray(weights.scale) + np.asarray(weights.shift))[..., None]
    *hidden, final = structure.activations
    for i, kernel in enumerate(map(np.asarray, weights.kernels)):
        h = _activated(hidden[i - 1], z) if i else z
        wh = (kernel.T if i < structure.n_shared else kernel) @ h
        z = wh + np.asarray(weights.biases[i])[..., None]  # (1 or n_draws, width, 1)
    if final == "softmax":
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
    else:
        p = 1 / (1 + np.exp(np.concatenate([z, -z], axis=1)))
    return np.swapaxes(p, 1, 2)


def _activated(name: str, z: Floats) -> Floats:
    if name == "relu":
        return np.maximum(z, 0)
    return np.asarray(keras.activations.get(name)(z))

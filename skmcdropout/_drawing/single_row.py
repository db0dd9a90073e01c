"""Draws for a row alone, in NumPy: for so little, TensorFlow's calls cost the most."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from skmcdropout import uncertainty
from skmcdropout._drawing.results import Wanted
from skmcdropout._drawing.thinned import Thinned
from skmcdropout._utils.arrays import Floats


def draw_row(
    groups: Sequence[Thinned], x: Floats, wanted: Wanted
) -> tuple[Floats, ...]:
    """What is wanted of the draws in all groups for `x`, of shape (1, n_features)."""
    with np.errstate(all="ignore"):  # the estimator refuses what isn't finite
        p = np.concatenate([_probabilities(group, x) for group in groups])
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


def _probabilities(thinned: Thinned, x: Floats) -> Floats:
    """Of every draw, (n_draws, 1, n_classes)."""
    scale, shift, kernels, biases, _ = thinned.tensors
    h = (x * np.asarray(scale) + np.asarray(shift))[None]
    for name, kernel, bias in zip(
        thinned.structure.activations, kernels, biases, strict=True
    ):
        h = _activated(name, np.matmul(h, np.asarray(kernel)) + np.asarray(bias))
    return h


def _activated(name: str, z: Floats) -> Floats:
    if name == "relu":
        return np.maximum(z, 0)
    if name == "softmax":
        e = np.exp(z - z.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)
    return np.asarray(keras.activations.get(name)(z))

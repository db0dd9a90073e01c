"""Dropout MLPs at inference: Dense layers with BatchNormalization folded in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from skmcdropout._utils.arrays import Floats


class Scaling(NamedTuple):
    """``x * by + to``: what BatchNormalization does in inference mode."""

    by: Floats
    to: Floats

    @classmethod
    def of_normalization(
        cls,
        mean: Floats,
        variance: Floats,
        epsilon: float,
        gamma: Floats | None = None,
        beta: Floats | None = None,
    ) -> Scaling:
        """From the moving moments of BatchNormalization and what it has learned."""
        std = np.sqrt(variance + np.float32(epsilon))
        by = (1 if gamma is None else gamma) / std
        to = -mean * by
        return cls(by, to if beta is None else beta + to)


class Affine(NamedTuple):
    """A Dense layer: ``activation(x @ kernel + bias)``.

    `rate` is that of the dropout before it.
    """

    kernel: Floats
    bias: Floats
    activation: str
    rate: float

    def scaled_before(self, scaling: Scaling) -> Affine:
        """The same layer for inputs that are scaled first."""
        kernel = self.kernel * scaling.by[:, None]
        return self._replace(kernel=kernel, bias=self.bias + scaling.to @ self.kernel)

    def scaled_after(self, scaling: Scaling) -> Affine:
        """The same layer, scaled before its activation."""
        kernel, bias = self.kernel * scaling.by, self.bias * scaling.by + scaling.to
        return self._replace(kernel=kernel, bias=bias)


class Chain(NamedTuple):
    """A dropout MLP at inference: ``x * scale + shift``, then the Dense layers.

    `sources`, where given, says of each mask which one it repeats; see
    `_drawing.masks.generators`.
    """

    scale: Floats
    shift: Floats
    layers: list[Affine]
    sources: tuple[int, ...] | None = None

"""Dropout, normalization, activations and the L2 penalty on arrays, both ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from skmcdropout._perceptron.activations import ACTIVATIONS
from skmcdropout._perceptron.architecture import OfNormalization
from skmcdropout._perceptron.optimizers import BLOCK
from skmcdropout._utils.arrays import Floats

#: How much of the moving mean and variance a batch leaves in the end; Keras's default.
MOMENTUM = 0.99


def momentum(n_steps: int) -> float:
    """Momentum of the moving mean and variance after `n_steps` steps.

    Less at first: after the fifty steps of a small table, means of what Keras starts
    from would be more than half of that.
    """
    return min(MOMENTUM, (1 + n_steps) / (10 + n_steps))


def move(moving: Floats, now: Floats, left: float) -> None:
    """Move a mean towards that of a batch, which leaves so much of it."""
    moving *= np.float32(left)
    moving += now * np.float32(1 - left)


class Dropout:
    """Inverted dropout at `rate`, None for none; the values stay where they were.

    A unit is kept where 16 random bits are at least a threshold, `rate` of all their
    values rounded down or up at random for each batch, so that the probability of
    dropping is the rate, and not the nearest multiple of ``2**-16``.
    """

    def __init__(self, rate: float | None, n_batch: int, width: int) -> None:
        self._rate = rate or 0.0
        if self._rate:
            self._factors = np.empty((n_batch, width), np.float32)
            self._dropped = np.empty((n_batch, width), np.float32)
        #: Factors of the last batch.
        self._used = np.empty((0, 0), np.float32)

    def forward(self, values: Floats, bits: np.random.BitGenerator) -> Floats:
        """Drop units of a batch."""
        if not self._rate:
            return values
        n = values.size
        words = bits.random_raw(1 + -(-n // 4))
        uniform = float(words[0] >> np.uint64(11)) * 2.0**-53
        threshold = int(self._rate * 2**16 + uniform)
        self._used = self._factors[: len(values)]
        if threshold > 2**16 - 1:  # a rate next to 1: all are dropped this time
            self._used[...] = 0
        else:
            units = words[1:].view(np.uint16)[:n].reshape(values.shape)
            kept = units >= np.uint16(threshold)
            np.multiply(kept, np.float32(1 / (1 - self._rate)), out=self._used)
        return np.multiply(values, self._used, out=self._dropped[: len(values)])

    def backward(self, slopes: Floats) -> Floats:
        """Drop the same units' derivatives."""
        if self._rate:
            slopes *= self._used
        return slopes


class Product:
    """A batch, some of whose units are dropped, times a kernel."""

    def __init__(
        self,
        dropout: Dropout,
        kernel: tuple[Floats, Floats],
        n_batch: int,
        passes_on: bool,
    ) -> None:
        self.kernel, self._gradient = kernel
        self._dropout = dropout
        self._passes_on = passes_on
        n_in, n_out = self.kernel.shape
        self._sums = np.empty((n_batch, n_out), np.float32)
        self._slopes = np.empty((n_batch if passes_on else 0, n_in), np.float32)
        self._values = self._sums

    def forward(
        self, values: Floats, ones: Floats, bits: np.random.BitGenerator, left: float
    ) -> Floats:
        """The products, in an array that is used again."""
        self._values = self._dropout.forward(values, bits)
        return np.matmul(self._values, self.kernel, out=self._sums[: len(ones)])

    def backward(self, slopes: Floats, ones: Floats) -> Floats:
        """Set the kernel's gradient; what comes before it, if anybody wants that."""
        np.matmul(self._values.T, slopes, out=self._gradient)
        if not self._passes_on:
            return slopes
        before = self._slopes[: len(ones)]
        return self._dropout.backward(np.matmul(slopes, self.kernel.T, out=before))

    def apply(self, values: Floats, bits: np.random.BitGenerator | None) -> Floats:
        """As when predicting: without `bits` nothing is dropped."""
        if bits is not None:
            values = self._dropout.forward(values, bits)
        return values @ self.kernel


class Normalization:
    """Batch normalization.

    `weights` holds those that are trained, each with the array of its gradient, and
    those that move.
    """

    def __init__(self, weights: OfNormalization, epsilon: float, n_batch: int) -> None:
        self._gamma, self._gamma_gradient = weights.gamma
        self._beta, self._beta_gradient = weights.beta
        self._mean, self._variance = weights.mean, weights.variance
        width = len(self._gamma)
        self._epsilon = np.float32(epsilon)
        self._standard = np.empty((n_batch, width), np.float32)
        self._scaled = np.empty((n_batch, width), np.float32)
        self._inverse = np.ones(width, np.float32)

    def forward(
        self, values: Floats, ones: Floats, left: float, shift: Floats | float = 0.0
    ) -> Floats:
        """Normalize by the mean and variance of the batch, to which both move.

        `left` is how much of them the batch leaves. `shift` is the constant that was
        left out of `values`: it moves the mean alone.
        """
        n = np.float32(len(ones))
        standard, scaled = self._standard[: len(ones)], self._scaled[: len(ones)]
        mean = ones @ values
        mean /= n
        np.subtract(values, mean, out=standard)
        variance = np.einsum("ij,ij->j", standard, standard)
        variance /= n
        self._inverse = 1 / np.sqrt(variance + self._epsilon)
        standard *= self._inverse
        move(self._mean, mean + shift, left)
        move(self._variance, variance, left)
        np.multiply(standard, self._gamma, out=scaled)
        scaled += self._beta
        return scaled

    def backward(self, slopes: Floats, ones: Floats) -> Floats:
        """Derivatives before the layer, in place of those after it."""
        n = np.float32(len(ones))
        standard, parts = self._standard[: len(ones)], self._scaled[: len(ones)]
        np.matmul(ones, slopes, out=self._beta_gradient)
        np.einsum("ij,ij->j", slopes, standard, out=self._gamma_gradient)
        np.multiply(standard, self._gamma_gradient / n, out=parts)
        slopes -= self._beta_gradient / n
        slopes -= parts
        slopes *= self._gamma * self._inverse
        return slopes

    def apply(self, values: Floats) -> Floats:
        """Normalize by the moving mean and variance."""
        scale = self._gamma / np.sqrt(self._variance + self._epsilon)
        return (values - self._mean) * scale + self._beta


class Nonlinearity:
    """An activation, forward and backward, which may work in place."""

    def __init__(self, name: str, n_batch: int, width: int) -> None:
        self._activation = ACTIVATIONS[name]
        size = n_batch if self._activation.needs_input else 0
        self._inputs = np.empty((size, width), np.float32)
        self._values = self._inputs

    def forward(self, z: Floats) -> Floats:
        """Apply it, and keep what `backward` needs."""
        if self._activation.needs_input:
            self._inputs[: len(z)] = z
        self._values = self._activation.apply(z)
        return self._values

    def backward(self, slopes: Floats) -> Floats:
        """Multiply derivatives by its own, in place."""
        slopes *= self._activation.slopes(self._inputs[: len(slopes)], self._values)
        return slopes

    def apply(self, z: Floats) -> Floats:
        """Apply it."""
        return self._activation.apply(z)


class Penalty:
    """`l2` times the sum of squares of the `parts` of a vector that are kernels."""

    def __init__(self, l2: float, parts: Sequence[Floats]) -> None:
        #: Of each block what its weights are multiplied by: often one number for all.
        self._blocks = list(_blocks(2 * l2, parts)) if l2 else []
        self._work = np.empty(BLOCK, np.float32)

    def differentiate(self, vector: Floats, gradient: Floats) -> float:
        """Add its gradient; return the penalty."""
        doubled = 0.0
        for start, factor in self._blocks:
            block = slice(start, start + BLOCK)
            weights, slopes = vector[block], gradient[block]
            work = self._work[: len(weights)]
            np.multiply(weights, factor, out=work)
            slopes += work
            doubled += float(work @ weights)
        return doubled / 2


def _blocks(
    factor: float, parts: Sequence[Floats]
) -> Iterator[tuple[int, Floats | np.float32]]:
    ends = np.cumsum([part.size for part in parts])
    of_parts = np.array([factor * (part.ndim == 2) for part in parts], np.float32)
    for start in range(0, ends[-1], BLOCK):
        places = np.arange(start, min(start + BLOCK, ends[-1]))
        factors = of_parts[np.searchsorted(ends, places, side="right")]
        is_one = factors.min() == factors.max()
        yield start, factors[0] if is_one else factors

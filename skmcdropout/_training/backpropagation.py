"""Loss and gradient of a perceptron in arrays, with the dropout masks of a batch.

In Keras's graphs a step of a small network is mostly the cost of a hundred operations,
and the matrix products of TensorFlow run at half the speed of NumPy's. Here a step is
some forty calls into arrays that are made once.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmcdropout._networks.perceptron import EPSILON, Perceptron
from skmcdropout._training.array_layers import (
    Activation,
    Dropout,
    Normalization,
    momentum,
)
from skmcdropout._training.array_losses import LOSSES
from skmcdropout._utils.arrays import Floats
from skmcdropout._utils.blas import threads_for

#: Rows at a time where nothing is trained.
BLOCK_ROWS = 1024


class Backpropagation:
    """A perceptron's weights as one vector, and the gradient of its loss as another.

    Parameters
    ----------
    spec : Perceptron
        The network.
    weights : sequence of ndarray
        Its weights, as Keras orders them.
    """

    def __init__(self, spec: Perceptron, weights: Sequence[Floats]) -> None:
        self._spec = spec
        self._loss = LOSSES[spec.outputs.loss]
        self._moving: list[Floats] = []  # means and variances
        trained: list[Floats] = []
        #: For each weight of Keras, whether it is trained and its index among those.
        self._places: list[tuple[bool, int]] = []
        for weight, is_moving in zip(weights, _which_move(spec), strict=True):
            kept = self._moving if is_moving else trained
            self._places.append((not is_moving, len(kept)))
            kept.append(np.array(weight, np.float32))
        self.vector = np.concatenate([weight.ravel() for weight in trained])
        self.gradient = np.zeros_like(self.vector)
        self._trained = _views(self.vector, trained)
        #: Of each weight, what the penalty's gradient multiplies it by.
        self._decay = np.zeros_like(self.vector)
        self._shrunk = np.empty_like(self.vector)
        for part in _views(self._decay, trained):
            if part.ndim == 2:
                part[...] = 2 * spec.l2
        self.make_room(1)

    def make_room(self, n_batch: int) -> None:
        """Get ready for batches of up to `n_batch` rows."""
        spec = self._spec
        gradients = _views(self.gradient, self._trained)
        given = zip(self._trained, gradients, strict=True)
        moving = iter(self._moving)
        normalize = spec.batch_normalization

        def normalization(width: int) -> Normalization:
            parts = next(given), next(given), next(moving), next(moving)
            return Normalization(*parts, EPSILON, n_batch, width)

        self._input = normalization(spec.n_features) if normalize else None
        self._layers = []
        last = len(spec.hidden_layer_sizes)
        for i, (n_in, n_out) in enumerate(itertools.pairwise(spec.widths)):
            dropout = Dropout(spec.rates[i], n_batch, n_in)
            kernel, bias = next(given), next(given)
            is_normalized = normalize and i < last
            self._layers.append(
                _Layer(
                    dropout,
                    *kernel,
                    *bias,
                    normalization(n_out) if is_normalized else None,
                    Activation(spec.activation, n_batch, n_out) if i < last else None,
                    n_batch,
                    passes_on=i > 0 or normalize,
                )
            )
        self._ones = np.ones(n_batch, np.float32)

    @property
    def weights(self) -> list[Floats]:
        """A copy of the weights, as Keras orders them."""
        return [
            (self._trained if is_trained else self._moving)[i].copy()
            for is_trained, i in self._places
        ]

    @weights.setter
    def weights(self, weights: Sequence[Floats]) -> None:
        for weight, (is_trained, i) in zip(weights, self._places, strict=True):
            (self._trained if is_trained else self._moving)[i][...] = weight

    def differentiate(
        self,
        X: Floats,
        y: NDArray[Any],
        factors: Floats,
        bits: np.random.BitGenerator,
        n_steps: int,
    ) -> float:
        """Set `gradient` to that of a batch's mean loss, penalty included.

        `factors` multiply the loss of each row; the masks come of `bits`. Moving means
        and variances move, as they do after `n_steps` others. Returned is the sum of
        the rows' losses.
        """
        n = len(X)
        ones, left = self._ones[:n], momentum(n_steps)
        values = X if self._input is None else self._input.forward(X, ones, left)
        for layer in self._layers:
            values = layer.forward(values, ones, bits, left)
        loss, slopes = self._loss(values, y, factors)
        for layer in reversed(self._layers):
            slopes = layer.backward(slopes, ones)
        if self._input is not None:
            self._input.backward(slopes, ones)
        if self._spec.l2:
            np.multiply(self._decay, self.vector, out=self._shrunk)
            np.add(self.gradient, self._shrunk, out=self.gradient)
            loss += n / 2 * float(self._shrunk @ self.vector)
        return loss

    def n_multiplications(self, n_rows: int) -> int:
        """Multiplications of the largest matrix product for so many rows."""
        return n_rows * max(layer.kernel.size for layer in self._layers)

    def constrain(self) -> None:
        """Bound the norm of the weights into each hidden unit, where it is bounded."""
        largest = self._spec.max_norm
        if largest is None:
            return
        for layer in self._layers[:-1]:
            norms = np.sqrt(np.einsum("ij,ij->j", layer.kernel, layer.kernel))
            layer.kernel *= np.minimum(norms, np.float32(largest)) / (norms + 1e-7)

    def outputs(self, X: Floats, bits: np.random.BitGenerator | None = None) -> Floats:
        """Outputs of some rows, as logits; without `bits` nothing is dropped."""
        values = X if self._input is None else self._input.apply(X)
        for layer in self._layers:
            values = layer.apply(values, bits)
        return values

    def evaluate(self, X: Floats, y: NDArray[Any], factors: Floats) -> dict[str, float]:
        """Weighted mean loss, and of classes the accuracy, nothing dropped."""
        blocks = [
            self.outputs(X[i : i + BLOCK_ROWS]) for i in range(0, len(X), BLOCK_ROWS)
        ]
        outputs, total = np.concatenate(blocks), float(factors.sum(dtype=float)) or 1.0
        found = {"loss": 0.0}
        if self._spec.outputs.loss == "cross_entropy":
            found["accuracy"] = float(factors @ (outputs.argmax(axis=1) == y)) / total
        found["loss"] = self._loss(outputs, y, factors)[0] / total
        return found


def sampled_outputs(
    spec: Perceptron, weights: Sequence[Floats], X: Floats, n_samples: int, seed: int
) -> Floats:
    """Draws of the outputs, of shape (n_samples, n_rows, n_units).

    Every row of every draw has masks of its own.
    """
    arrays = Backpropagation(spec, weights)
    n_block = min(len(X), BLOCK_ROWS)
    arrays.make_room(n_block)
    bits = np.random.SFC64(seed)
    drawn = np.empty((n_samples, len(X), spec.outputs.n_units), np.float32)
    with threads_for(arrays.n_multiplications(n_block)):
        for start in range(0, len(X), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            for draw in drawn:
                draw[block] = arrays.outputs(X[block], bits)
    return drawn


class _Layer:
    """Dropout, a matrix product, and for hidden units normalization and activation."""

    def __init__(
        self,
        dropout: Dropout,
        kernel: Floats,
        kernel_gradient: Floats,
        bias: Floats,
        bias_gradient: Floats,
        normalization: Normalization | None,
        activation: Activation | None,
        n_batch: int,
        passes_on: bool,
    ) -> None:
        self.kernel = kernel
        self._kernel_gradient = kernel_gradient
        self._bias = bias
        self._bias_gradient = bias_gradient
        self._dropout = dropout
        self._normalization = normalization
        self._activation = activation
        self._passes_on = passes_on
        self._sums = np.empty((n_batch, kernel.shape[1]), np.float32)
        self._slopes = np.empty((n_batch, kernel.shape[0]), np.float32)
        self._values = self._sums

    def forward(
        self, values: Floats, ones: Floats, bits: np.random.BitGenerator, left: float
    ) -> Floats:
        self._values = self._dropout.forward(values, bits)
        sums = np.matmul(self._values, self.kernel, out=self._sums[: len(ones)])
        if self._normalization is None:
            sums += self._bias
        else:
            sums = self._normalization.forward(sums, ones, left, self._bias)
        return sums if self._activation is None else self._activation.forward(sums)

    def backward(self, slopes: Floats, ones: Floats) -> Floats:
        """From the loss's derivatives after the layer to those before it."""
        if self._activation is not None:
            slopes = self._activation.backward(slopes)
        if self._normalization is None:
            np.matmul(ones, slopes, out=self._bias_gradient)
        else:  # which takes the bias away: its gradient is and stays 0
            slopes = self._normalization.backward(slopes, ones)
        np.matmul(self._values.T, slopes, out=self._kernel_gradient)
        if not self._passes_on:
            return slopes
        before = self._slopes[: len(ones)]
        return self._dropout.backward(np.matmul(slopes, self.kernel.T, out=before))

    def apply(self, values: Floats, bits: np.random.BitGenerator | None) -> Floats:
        """As when predicting: without `bits` nothing is dropped."""
        if bits is not None:
            values = self._dropout.forward(values, bits)
        sums = values @ self.kernel + self._bias
        if self._normalization is not None:
            sums = self._normalization.apply(sums)
        return sums if self._activation is None else self._activation.apply(sums)


def _which_move(spec: Perceptron) -> list[bool]:
    """Of each weight, as Keras orders them, whether it is a moving mean or variance."""
    normalization = [False, False, True, True] if spec.batch_normalization else []
    hidden = [False, False, *normalization] * len(spec.hidden_layer_sizes)
    return [*normalization, *hidden, False, False]


def _views(vector: Floats, like: Sequence[Floats]) -> list[Floats]:
    """Parts of a vector in the shapes of `like`."""
    ends = np.cumsum([part.size for part in like])
    return [
        vector[end - part.size : end].reshape(part.shape)
        for end, part in zip(ends, like, strict=True)
    ]

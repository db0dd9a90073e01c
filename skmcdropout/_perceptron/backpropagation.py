"""Loss and gradient of a perceptron in arrays, with the dropout masks of a batch.

In Keras's graphs a step of a small network is mostly the cost of a hundred operations,
and the matrix products of TensorFlow run at half the speed of NumPy's. Here a step is
some forty calls into arrays that are made once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skmcdropout._perceptron.architecture import EPSILON, Architecture, Layout
from skmcdropout._perceptron.layers import (
    Dropout,
    Nonlinearity,
    Normalization,
    Penalty,
    Product,
    momentum,
)
from skmcdropout._perceptron.losses import LOSSES
from skmcdropout._perceptron.sparse_product import SparseNormalization, SparseProduct
from skmcdropout._utils.arrays import Floats, Table
from skmcdropout._utils.blas import threads_for
from skmcdropout._utils.sparse_tables import dense, issparse

#: Rows at a time where nothing is trained, and values of their features, at most.
BLOCK_ROWS, BLOCK_FLOATS = 1024, 2**24


class Backpropagation:
    """A perceptron's weights as one vector, and the gradient of its loss as another.

    Parameters
    ----------
    spec : Architecture
        The network.
    weights : sequence of ndarray
        Its weights, as Keras orders them.
    """

    def __init__(self, spec: Architecture, weights: Sequence[Floats]) -> None:
        self._spec = spec
        self._loss = LOSSES[spec.outputs.loss]
        moving = _which_move(spec.layout(range(len(weights))))
        parts = [
            np.asarray(w, np.float32) for i, w in enumerate(weights) if i not in moving
        ]
        self.vector = np.concatenate([part.ravel() for part in parts])
        self.gradient = np.zeros_like(self.vector)
        trained, gradients = (_views(x, parts) for x in (self.vector, self.gradient))
        pairs = zip(trained, gradients, strict=True)
        #: Of each weight itself and its gradient, or itself if it moves by the batch.
        self._held: list[Any] = [
            np.array(weight, np.float32) if i in moving else next(pairs)
            for i, weight in enumerate(weights)
        ]
        self._penalty = Penalty(spec.l2, trained)
        self.make_room(1)

    def make_room(self, n_batch: int, is_sparse: bool = False) -> None:
        """Get ready for batches of up to `n_batch` rows, all sparse or all dense.

        Sparse rows are made dense a batch at a time where inputs are dropped: all of
        them may be, zeros among them, which normalization makes other numbers of.
        """
        spec = self._spec
        is_dropped = bool(spec.rates[0])
        self._is_made_dense = is_sparse and is_dropped
        stays_sparse = is_sparse and not is_dropped
        of_input, layers = spec.layout(self._held)
        normalize = of_input is not None
        self._input = None
        if of_input is not None and not stays_sparse:
            self._input = _normalization(of_input, n_batch)
        self._layers = []
        last = len(spec.hidden_layer_sizes)
        for i, ((kernel, bias, normalization), rate) in enumerate(
            zip(layers, spec.rates, strict=True)
        ):
            if stays_sparse and i == 0:
                scaling = SparseNormalization(of_input, EPSILON) if of_input else None
                product: _Product = SparseProduct(kernel, scaling)
            else:
                dropout = Dropout(rate, n_batch, len(kernel[0]))
                product = Product(dropout, kernel, n_batch, i > 0 or normalize)
            self._layers.append(
                _Layer(
                    product,
                    bias,
                    _normalization(normalization, n_batch),
                    Nonlinearity(spec.activation, n_batch, len(bias[0]))
                    if i < last
                    else None,
                )
            )
        self._ones = np.ones(n_batch, np.float32)

    @property
    def weights(self) -> list[Floats]:
        """A copy of the weights, as Keras orders them."""
        return [weight.copy() for weight in self._arrays]

    @weights.setter
    def weights(self, weights: Sequence[Floats]) -> None:
        for mine, given in zip(self._arrays, weights, strict=True):
            mine[...] = given

    @property
    def _arrays(self) -> list[Floats]:
        return [x[0] if isinstance(x, tuple) else x for x in self._held]

    def differentiate(
        self,
        X: Table,
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
        n = X.shape[0]
        ones, left = self._ones[:n], momentum(n_steps)
        values = dense(X) if self._is_made_dense else X
        if self._input is not None:
            values = self._input.forward(values, ones, left)
        for layer in self._layers:
            values = layer.forward(values, ones, bits, left)
        loss, slopes = self._loss(values, y, factors)
        for layer in reversed(self._layers):
            slopes = layer.backward(slopes, ones)
        if self._input is not None:
            self._input.backward(slopes, ones)
        return loss + n * self._penalty.differentiate(self.vector, self.gradient)

    def n_multiplications(self, n_rows: int) -> int:
        """Multiplications of the largest matrix product for so many rows."""
        return n_rows * max(layer.kernel.size for layer in self._layers)

    def constrain(self) -> None:
        """Bound the norm of the weights into each hidden unit, where it is bounded."""
        largest = self._spec.max_norm
        if largest is None:
            return
        for layer in self._layers[:-1]:
            kernel = layer.kernel
            norms = np.sqrt(np.einsum("ij,ij->j", kernel, kernel))
            kernel *= np.minimum(norms, np.float32(largest)) / (norms + 1e-7)

    def outputs(self, X: Table) -> Floats:
        """Outputs of some rows, as logits, with nothing dropped."""
        values = dense(X) if self._is_made_dense else X
        if self._input is not None:
            values = self._input.apply(values)
        for layer in self._layers:
            values = layer.apply(values, None)
        return values

    def draws(
        self, X: Table, n_samples: int, bits: np.random.BitGenerator
    ) -> Iterator[Floats]:
        """The same with dropout, several times; every row has masks of its own."""
        values = dense(X) if self._is_made_dense else X
        if self._input is not None:
            values = self._input.apply(values)
        n_still = next((i for i, r in enumerate(self._spec.rates) if r), 0)
        for layer in self._layers[:n_still]:  # the same for all draws
            values = layer.apply(values, None)
        for _ in range(n_samples):
            drawn = values
            for layer in self._layers[n_still:]:
                drawn = layer.apply(drawn, bits)
            yield drawn

    def evaluate(self, X: Table, y: NDArray[Any], factors: Floats) -> dict[str, float]:
        """Weighted mean loss, and of classes the accuracy, nothing dropped."""
        blocks = [self.outputs(X[rows]) for rows in _blocks(self._spec, X)]
        outputs, total = np.concatenate(blocks), float(factors.sum(dtype=float)) or 1.0
        found = {"loss": 0.0}
        if self._spec.outputs.loss == "cross_entropy":
            found["accuracy"] = float(factors @ (outputs.argmax(axis=1) == y)) / total
        found["loss"] = self._loss(outputs, y, factors)[0] / total
        return found


def sampled_outputs(
    spec: Architecture, weights: Sequence[Floats], X: Table, n_samples: int, seed: int
) -> Floats:
    """Draws of the outputs, of shape (n_samples, n_rows, n_units).

    Every row of every draw has masks of its own.
    """
    arrays = Backpropagation(spec, weights)
    blocks = _blocks(spec, X)
    n_block = min(X.shape[0], blocks[0].stop)
    arrays.make_room(n_block, issparse(X))
    bits = np.random.SFC64(seed)
    drawn = np.empty((n_samples, X.shape[0], spec.outputs.n_units), np.float32)
    with threads_for(arrays.n_multiplications(n_block)):
        for rows in blocks:
            of_block = arrays.draws(X[rows], n_samples, bits)
            for draw, outputs in zip(drawn, of_block, strict=True):
                draw[rows] = outputs
    return drawn


def _blocks(spec: Architecture, X: Table) -> list[slice]:
    """Slices of rows that are computed at a time where nothing is trained."""
    n_block = min(BLOCK_ROWS, max(1, BLOCK_FLOATS // spec.n_features))
    return [slice(i, i + n_block) for i in range(0, X.shape[0], n_block)]


class _Product(Protocol):
    """The matrix product of a layer, with what is done to its rows before."""

    kernel: Floats

    def forward(
        self, values: Any, ones: Floats, bits: np.random.BitGenerator, left: float
    ) -> Floats:
        """The products of a batch that is trained on."""

    def backward(self, slopes: Floats, ones: Floats) -> Floats:
        """From derivatives after it to those before it, and its gradients."""

    def apply(self, values: Any, bits: np.random.BitGenerator | None) -> Floats:
        """As when predicting: without `bits` nothing is dropped."""


class _Layer:
    """A matrix product, and for hidden units normalization and activation."""

    def __init__(
        self,
        product: _Product,
        bias: tuple[Floats, Floats],
        normalization: Normalization | None,
        activation: Nonlinearity | None,
    ) -> None:
        self._product = product
        self._bias, self._bias_gradient = bias
        self._normalization = normalization
        self._activation = activation

    @property
    def kernel(self) -> Floats:
        return self._product.kernel

    def forward(
        self, values: Any, ones: Floats, bits: np.random.BitGenerator, left: float
    ) -> Floats:
        sums = self._product.forward(values, ones, bits, left)
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
        return self._product.backward(slopes, ones)

    def apply(self, values: Any, bits: np.random.BitGenerator | None) -> Floats:
        """As when predicting: without `bits` nothing is dropped."""
        sums = self._product.apply(values, bits) + self._bias
        if self._normalization is not None:
            sums = self._normalization.apply(sums)
        return sums if self._activation is None else self._activation.apply(sums)


def _normalization(weights: Any, n_batch: int) -> Normalization | None:
    return Normalization(weights, EPSILON, n_batch) if weights else None


def _which_move(places: Layout) -> set[int]:
    """The places of moving means and variances."""
    normalizations = [places.normalization, *(x.normalization for x in places.layers)]
    return {i for each in normalizations if each for i in (each.mean, each.variance)}


def _views(vector: Floats, like: Sequence[Floats]) -> list[Floats]:
    """Parts of a vector in the shapes of `like`."""
    ends = np.cumsum([part.size for part in like])
    return [
        vector[end - part.size : end].reshape(part.shape)
        for end, part in zip(ends, like, strict=True)
    ]

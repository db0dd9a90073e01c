"""The first matrix product of a network, of sparse rows that are never made dense.

Where the inputs are normalized, every zero of a row becomes another number. That number
is one of a column, so it goes into a constant: with ``x * g + c`` for a normalized row,
its product with a kernel is ``(x * g) @ kernel + c @ kernel``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from skmcdropout._perceptron.architecture import OfNormalization
from skmcdropout._perceptron.layers import move
from skmcdropout._utils.arrays import Floats


class SparseNormalization:
    """Batch normalization of sparse rows; see `array_layers.Normalization`."""

    def __init__(self, weights: OfNormalization, epsilon: float) -> None:
        self._gamma, self._gamma_gradient = weights.gamma
        self._beta, self._beta_gradient = weights.beta
        self._mean, self._variance = weights.mean, weights.variance
        self._epsilon = np.float32(epsilon)

    def forward(self, rows: Any, left: float) -> tuple[Any, Floats]:
        """Sparse rows and a constant row, whose sum is the normalized rows.

        Columns without a zero are centred: in all others the mean is at most as many
        standard deviations as the root of the number of rows, and little is lost where
        it is left to the constant.
        """
        n, width = rows.shape
        columns = rows.indices
        counts = np.bincount(columns, minlength=width)
        sums = np.bincount(columns, rows.data, minlength=width)
        exact = sums / n  # in double precision
        centred = rows.data - exact[columns]
        squares = np.bincount(columns, np.square(centred), minlength=width)
        squares = squares + (n - counts) * np.square(exact)  # integers where empty
        mean, variance = exact.astype(np.float32), (squares / n).astype(np.float32)
        inverse = 1 / np.sqrt(variance + self._epsilon)
        move(self._mean, mean, left)
        move(self._variance, variance, left)
        is_full = counts == n
        values = np.where(is_full[columns], centred.astype(np.float32), rows.data)
        self._standard = values * inverse[columns]
        self._means = np.where(is_full, np.float32(0), mean * inverse)
        scaled = _like(rows, self._standard * self._gamma[columns])
        self._constant = self._beta - self._gamma * self._means
        return scaled, self._constant

    def backward(
        self, rows: Any, kernel: tuple[Floats, Floats], slopes: Floats, sums: Floats
    ) -> None:
        """Set the gradients of scale, shift and kernel.

        `slopes` are the derivatives after the product, `sums` those over the rows.
        """
        weights, gradient = kernel
        np.matmul(weights, sums, out=self._beta_gradient)
        np.multiply(self._means, self._beta_gradient, out=self._gamma_gradient)
        np.negative(self._gamma_gradient, out=self._gamma_gradient)
        np.multiply(self._constant[:, None], sums, out=gradient)
        used, products = _transposed_product(rows, self._standard, slopes)
        of_used = np.einsum("ij,ij->i", weights[used], products)
        self._gamma_gradient[used] += of_used
        products *= self._gamma[used, None]
        gradient[used] += products

    def apply(self, rows: Any) -> tuple[Any, Floats]:
        """The same as `forward`, by the moving mean and variance."""
        scale = self._gamma / np.sqrt(self._variance + self._epsilon)
        scaled = _like(rows, rows.data * scale[rows.indices])
        return scaled, self._beta - self._mean * scale


class SparseProduct:
    """Rows times a kernel, normalized before or not; nothing is dropped."""

    def __init__(
        self,
        kernel: tuple[Floats, Floats],
        normalization: SparseNormalization | None,
    ) -> None:
        self.kernel, self._gradient = kernel
        self._normalization = normalization

    def forward(
        self, rows: Any, ones: Floats, bits: np.random.BitGenerator, left: float
    ) -> Floats:
        """The products; `left` is how much moving moments keep."""
        self._rows = rows
        if self._normalization is None:
            return rows @ self.kernel
        scaled, constant = self._normalization.forward(rows, left)
        return self._sums(scaled, constant)

    def backward(self, slopes: Floats, ones: Floats) -> Floats:
        """Set the gradients; there is nothing before this."""
        kernel = self.kernel, self._gradient
        if self._normalization is not None:
            self._normalization.backward(self._rows, kernel, slopes, ones @ slopes)
            return slopes
        self._gradient.fill(0)
        used, products = _transposed_product(self._rows, self._rows.data, slopes)
        self._gradient[used] = products
        return slopes

    def apply(self, rows: Any, bits: np.random.BitGenerator | None) -> Floats:
        """As when predicting."""
        if self._normalization is None:
            return rows @ self.kernel
        return self._sums(*self._normalization.apply(rows))

    def _sums(self, scaled: Any, constant: Floats) -> Floats:
        products = scaled @ self.kernel
        products += constant @ self.kernel
        return products


def _like(rows: Any, data: Floats) -> Any:
    """Other values in the places of `rows`."""
    return csr_array((data, rows.indices, rows.indptr), shape=rows.shape)


def _transposed_product(rows: Any, data: Floats, slopes: Floats) -> tuple[Any, Floats]:
    """Indices of the columns that hold values, and of these alone ``rows.T @ slopes``.

    `data` are the values in the places of `rows`. The other columns are many.
    """
    is_used = np.zeros(rows.shape[1], bool)
    is_used[rows.indices] = True
    used = np.flatnonzero(is_used)
    places = np.empty(len(is_used), rows.indices.dtype)
    places[used] = np.arange(len(used))
    shape = len(slopes), len(used)
    few = csr_array((data, places[rows.indices], rows.indptr), shape=shape)
    return used, few.T @ slopes

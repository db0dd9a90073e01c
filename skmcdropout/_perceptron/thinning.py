"""The layers of some draws, with their masks in the weights.

A draw is one mask for all rows. So its masks are folded into its weights once, and the
units it drops are left out. How many units are kept differs from draw to draw, so each
keeps as many as the largest needs; the few dropped ones among them have zeros in the
next kernel.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmcdropout._perceptron.activations import ACTIVATIONS
from skmcdropout._perceptron.chain import Affine
from skmcdropout._utils.arrays import Floats


class Room:
    """Arrays of some rows that are used for one group of draws after the other.

    New ones would have to be fetched from the system again and again.
    """

    def __init__(self) -> None:
        self._arrays: dict[Hashable, Floats] = {}

    def array(self, key: Hashable, shape: tuple[int, ...]) -> Floats:
        """An array of this shape, whatever it holds."""
        size = math.prod(shape)
        found = self._arrays.get(key)
        if found is None or found.size < size:
            self._arrays[key] = found = np.empty(size, np.float32)
        return found[:size].reshape(shape)


class ThinLayer(NamedTuple):
    """A layer of some draws, or one that they share: (n_draws or 1, n_in + 1, n_out).

    The last input is 1: what it is multiplied by is the bias.
    """

    kernels: Floats
    activation: str

    def of(self, draws: slice) -> Floats:
        """Kernels of some of the draws, transposed."""
        kernels = self.kernels if len(self.kernels) == 1 else self.kernels[draws]
        return kernels.swapaxes(1, 2)

    def values(self, h: Floats, draws: slice, room: Room) -> Floats:
        """What it gives for inputs (n_draws, n_in + 1, n_rows), a 1 behind it."""
        kernels = self.of(draws)
        n_draws, n_rows = max(len(h), len(kernels)), h.shape[2]
        z = room.array(id(self.kernels), (n_draws, kernels.shape[1] + 1, n_rows))
        z[:, -1] = 1
        values = z[:, :-1]
        np.matmul(kernels, h, out=values)
        applied = ACTIVATIONS[self.activation].apply(values)
        if applied is not values:
            values[...] = applied
        return z


class ThinLayers(NamedTuple):
    """All layers from the first that draws.

    `came_in` are the units (n_draws, n_kept + 1) that the first has for its inputs, or
    None where it takes all.
    """

    came_in: NDArray[np.intp] | None
    layers: Sequence[ThinLayer]

    def sums(self, h: Floats, draws: slice, room: Room) -> Floats:
        """What the last layer gives for (n_units + 1, n_rows), activation apart."""
        z = h[None]
        if self.came_in is not None:
            units = self.came_in[draws]
            z = room.array("units that came in", (*units.shape, h.shape[1]))
            np.take(h, units, axis=0, out=z, mode="clip")
        *hidden, last = self.layers
        for layer in hidden:
            z = layer.values(z, draws, room)
        return _product(last.of(draws), z)


def _product(kernels: Floats, z: Floats) -> Floats:
    """``kernels @ z``; for one `z` a single product: many small ones take longer."""
    if len(z) > 1 or len(kernels) == 1:
        return kernels @ z
    n_draws, n_out, n_in = kernels.shape
    beside_each_other = kernels.reshape(n_draws * n_out, n_in)
    return (beside_each_other @ z[0]).reshape(n_draws, n_out, -1)


def whole(layer: Affine) -> ThinLayer:
    """A layer without a mask."""
    return ThinLayer(np.vstack([layer.kernel, layer.bias])[None], layer.activation)


def thinned(layers: Sequence[Affine], masks: Sequence[Floats | None]) -> ThinLayers:
    """Multiply masks into the kernels they precede; leave out the units they drop.

    The first layer has a mask, or is the last.
    """
    came_in = kept = None
    if masks[0] is not None and len(layers) > 1:
        kept = kept_indices(masks[0])
        ones = np.full((len(kept), 1), len(layers[0].kernel))
        came_in = np.hstack([kept, ones])
    found = []
    for i, (layer, mask) in enumerate(zip(layers, masks, strict=True)):
        after = masks[i + 1] if i + 1 < len(masks) else None
        if mask is None:
            found.append(whole(layer))
            kept = None
        else:
            go_on = None if after is None else kept_indices(after)
            kernels = _thin(layer, mask, kept, go_on)
            found.append(ThinLayer(kernels, layer.activation))
            kept = go_on
    return ThinLayers(came_in, found)


def _thin(
    layer: Affine,
    mask: Floats,
    came_in: NDArray[np.intp] | None,
    go_on: NDArray[np.intp] | None,
) -> Floats:
    """Kernels of each draw, of the units that come in and those that go on.

    Where all units come in and go on, they are laid out for a single product.
    """
    kernel, bias = layer.kernel, layer.bias
    if came_in is None and go_on is None:
        transposed = np.hstack([kernel.T, bias[:, None]])
        ones = np.ones((len(mask), 1), np.float32)
        factors = np.hstack([mask, ones])
        return (transposed * factors[:, None, :]).swapaxes(1, 2)
    n_draws, (n_in, n_out) = len(mask), kernel.shape
    n_in = n_in if came_in is None else came_in.shape[1]
    n_out = n_out if go_on is None else go_on.shape[1]
    kernels = np.empty((n_draws, n_in + 1, n_out), np.float32)
    for i in range(n_draws):
        part, factors, biases = kernel, mask[i], bias
        if came_in is not None:
            part, factors = part.take(came_in[i], axis=0), factors[came_in[i]]
        if go_on is not None:
            part, biases = part.take(go_on[i], axis=1), bias[go_on[i]]
        np.multiply(part, factors[:, None], out=kernels[i, :-1])
        kernels[i, -1] = biases
    return kernels


def most_kept(mask: Floats) -> int:
    """The largest number of units that a draw keeps."""
    return int(np.count_nonzero(mask, axis=1).max())


def kept_indices(mask: Floats) -> NDArray[Any]:
    """Indices of the units each draw keeps, filled up with dropped ones."""
    return np.argsort(mask == 0, axis=1, kind="stable")[:, : most_kept(mask)]


def n_thinned(layers: Sequence[Affine], masks: Sequence[Floats | None]) -> int:
    """Number of floats in the thinned weights of all draws."""
    n_floats = 0
    kept = None
    for i, (layer, mask) in enumerate(zip(layers, masks, strict=True)):
        after = masks[i + 1] if i + 1 < len(masks) else None
        if mask is None:
            kept = None
            continue
        if i == 0 and len(layers) > 1:
            kept = most_kept(mask)
        n_in, n_out = layer.kernel.shape
        n_in = n_in if kept is None else kept
        kept = None if after is None else most_kept(after)
        n_floats += n_in * (n_out if kept is None else kept) * len(mask)
    return n_floats

"""
Monte-Carlo draws of a trained dropout MLP.

A draw is a thinned network: one mask for all rows. So its masks are folded into its
weights once, the units it drops are left out, and the draws of a whole chunk of rows
are a few batched matrix products, draws first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Floats = NDArray[np.float32]

#: Largest array of activations that a chunk of rows may need, in floats (16 MB), and
#: largest set of thinned weights that is kept between predictions (64 MB). Larger
#: ones are slower (they leave the cache) and would break the promised memory bound.
CHUNK_FLOATS = 2**22
THINNED_FLOATS = 2**24

#: Several rows are filled up to a multiple of this many: vector code treats the last
#: few elements of an array otherwise than the rest, and a row's last digit would
#: depend on where it stands among the others.
ROW_MULTIPLE = 16


def dropout_masks(
    seed: int,
    n_draws: int,
    widths: Sequence[int],
    rates: Sequence[float],
    sampling: str,
) -> list[Floats]:
    """
    Masks of shape (n_draws, width), one a dropout position: 0 or 1 / (1 - rate).

    "independent": each entry is its own Bernoulli variable. "stratified": so is each
    draw, but a unit's n_draws uniforms fall one into each of n_draws equal strata, in
    random order (a Latin hypercube), so that each unit is kept as often as it should
    be and the mean over draws varies less.
    """
    rng = np.random.RandomState(seed)
    masks = []
    for width, rate in zip(widths, rates, strict=True):
        uniforms = rng.random_sample((width, n_draws))
        if sampling == "stratified":
            strata = rng.random_sample((width, n_draws)).argsort(axis=1)
            uniforms = (strata + uniforms) / n_draws
        keep = rate <= uniforms.T
        masks.append(np.ascontiguousarray(keep / (1 - rate), dtype=np.float32))
    return masks


class Affine(NamedTuple):
    """
    One Dense layer, BatchNormalization folded in: ``activation(x @ kernel + bias)``.

    `rate` is that of the dropout before it.
    """

    kernel: Floats
    bias: Floats
    activation: str
    rate: float


class Chain(NamedTuple):
    """A dropout MLP at inference: ``x * scale + shift``, then the Dense layers."""

    scale: Floats
    shift: Floats
    layers: list[Affine]


def read_chain(network: keras.Sequential) -> Chain:
    """The weights of `network` as plain arrays, BatchNormalization folded away."""
    width = network.input_shape[-1]
    scale, shift = np.ones(width, np.float32), np.zeros(width, np.float32)
    chain: list[Affine] = []
    rate = 0.0
    for layer in network.layers:
        match layer:
            case keras.layers.Dropout():
                rate = float(layer.rate)
            case keras.layers.Dense():
                kernel, bias = (v.numpy() for v in (layer.kernel, layer.bias))
                chain.append(Affine(kernel, bias, layer.activation.__name__, rate))
                rate = 0.0
            case keras.layers.BatchNormalization():
                by, to = _inference_affine(layer)
                if chain:
                    dense = chain.pop()
                    chain.append(
                        dense._replace(
                            kernel=dense.kernel * by, bias=dense.bias * by + to
                        )
                    )
                else:
                    scale, shift = by, to
            case keras.layers.Activation():
                name = layer.activation.__name__
                chain.append(chain.pop()._replace(activation=name))
    return Chain(scale, shift, chain)


def _inference_affine(norm: keras.layers.BatchNormalization) -> tuple[Floats, Floats]:
    gamma, beta, mean, variance = (v.numpy() for v in norm.weights)
    by = gamma / np.sqrt(variance + norm.epsilon)
    return by, beta - mean * by


class Thinned(NamedTuple):
    """
    The draws of a chain, ready to run: tensors, layer by layer.

    Before the first dropout a kernel has shape (n_in, n_out); from there on
    (n_draws, n_in, n_out), its masks multiplied in, or, where that would be too
    large, it keeps its shape and a mask of shape (n_draws, 1, n_in) stands beside it.
    """

    scale: Any
    shift: Any
    kernels: list[Any]
    biases: list[Any]
    masks: list[Any]

    @property
    def row_floats(self) -> int:
        """Largest number of activations that one row needs at a time."""
        n_draws, largest = 1, len(self.scale)
        for kernel, mask in zip(self.kernels, self.masks, strict=True):
            if mask is not None:
                n_draws = len(mask)
                largest = max(largest, n_draws * mask.shape[-1])
            elif len(kernel.shape) == 3:
                n_draws = len(kernel)
            largest = max(largest, n_draws * kernel.shape[-1])
        return int(largest)


def thin(chain: Chain, masks: Sequence[Floats]) -> Thinned:
    """Apply `masks`, one per layer with a positive rate or none, to `chain`."""
    given = iter(masks)
    by_layer = [next(given) if masks and layer.rate else None for layer in chain.layers]
    sizes = [layer.kernel.size for layer in chain.layers]
    first = next((i for i, mask in enumerate(by_layer) if mask is not None), len(sizes))
    n_draws = len(masks[0]) if masks else 1
    if n_draws * sum(sizes[first:]) <= THINNED_FLOATS:
        kernels, biases = _fold(chain.layers, by_layer)
        beside: list[Floats | None] = [None] * len(kernels)
    else:
        kernels = [layer.kernel for layer in chain.layers]
        biases = [layer.bias for layer in chain.layers]
        beside = [None if m is None else m[:, None, :] for m in by_layer]
    return Thinned(
        scale=tf.constant(chain.scale),
        shift=tf.constant(chain.shift),
        kernels=[tf.constant(kernel) for kernel in kernels],
        biases=[tf.constant(bias) for bias in biases],
        masks=[None if mask is None else tf.constant(mask) for mask in beside],
    )


def _fold(
    layers: Sequence[Affine], masks: Sequence[Floats | None]
) -> tuple[list[Floats], list[Floats]]:
    """
    Multiply masks into the kernels they precede; leave out the units they drop.

    How many units are kept differs from draw to draw, so each draw keeps as many as
    the largest needs; the few dropped ones among them have zeros in the next kernel.
    """
    kernels, biases = [], []
    kept: NDArray[np.intp] | None = None  # (n_draws, n_kept): the units that come in
    for layer, mask, after in zip(layers, masks, [*masks[1:], None], strict=True):
        kernel, bias = layer.kernel, layer.bias
        if kept is not None and mask is not None:
            mask = np.take_along_axis(mask, kept, axis=1)
            kernel = kernel[kept]
        if mask is not None:
            kernel = kernel * mask[:, :, None]  # (n_draws, n_in, n_out)
        kept = None
        if kernel.ndim == 3 and after is not None:
            n_kept = np.count_nonzero(after, axis=1).max()
            kept = np.argsort(after == 0, axis=1, kind="stable")[:, :n_kept]
            kernel = np.take_along_axis(kernel, kept[:, None, :], axis=2)
            bias = bias[kept][:, None, :]  # (n_draws, 1, n_kept)
        kernels.append(kernel)
        biases.append(bias)
    return kernels, biases


Wanted = Literal["mean", "draws", "summary"]


class Sampler:
    """
    Draws of one trained network, from masks that depend on `seed` alone.

    The thinned weights of the last call are kept, for as long as the network's
    weights and what is asked for stay as they are.
    """

    def __init__(self, network: keras.Sequential, seed: int) -> None:
        self._network = network
        self._seed = seed
        self._last: tuple[Any, list[Floats], Chain, Thinned] | None = None

    def draw(
        self, X: Floats, n_samples: int, sampling: str, wanted: Wanted
    ) -> tuple[Floats, ...]:
        """
        Draw `n_samples` times for every row of `X`, chunk by chunk.

        "draws": the probabilities (n_draws, n, k). "mean": their mean (n, k).
        "summary": the mean, mean entropy (n,), largest share of votes (n,) and
        standard deviation of the predicted class's probability (n,). With
        `n_samples` 0 the only draw is the network with nothing dropped.
        """
        chain, thinned = self._thinned(n_samples, sampling)
        run = _compiled(
            tuple(layer.activation for layer in chain.layers),
            tuple(kernel.shape.rank for kernel in thinned.kernels),
            tuple(bias.shape.rank for bias in thinned.biases),
            tuple(mask is not None for mask in thinned.masks),
            wanted,
        )
        masks = [mask for mask in thinned.masks if mask is not None]
        n_chunk = CHUNK_FLOATS // thinned.row_floats // ROW_MULTIPLE * ROW_MULTIPLE
        n_chunk = max(n_chunk, ROW_MULTIPLE)
        row_axis = 1 if wanted == "draws" else 0
        results: tuple[Floats, ...] = ()
        for start in range(0, len(X), n_chunk):
            rows = slice(start, min(start + n_chunk, len(X)))
            outputs = run(_filled_up(X[rows]), *thinned[:4], masks)
            outputs = [output.numpy() for output in outputs]
            if not results:
                results = tuple(_for_rows(o, row_axis, len(X)) for o in outputs)
            for result, output in zip(results, outputs, strict=True):
                kept = np.moveaxis(output, row_axis, 0)[: rows.stop - start]
                np.moveaxis(result, row_axis, 0)[rows] = kept
        return results

    def _thinned(self, n_samples: int, sampling: str) -> tuple[Chain, Thinned]:
        asked = (n_samples, sampling)
        weights = [variable.numpy() for variable in self._network.weights]
        if self._last is not None:
            last_asked, last_weights, chain, thinned = self._last
            if asked == last_asked and all(map(np.array_equal, weights, last_weights)):
                return chain, thinned
        chain = read_chain(self._network)
        sampled = [layer for layer in chain.layers if layer.rate and n_samples]
        masks = dropout_masks(
            self._seed,
            n_samples,
            [len(layer.kernel) for layer in sampled],
            [layer.rate for layer in sampled],
            sampling,
        )
        thinned = thin(chain, masks)
        self._last = asked, weights, chain, thinned
        return chain, thinned


def _filled_up(X: Floats) -> Any:
    missing = -len(X) % ROW_MULTIPLE if len(X) > 1 else 0
    return tf.constant(np.pad(X, ((0, missing), (0, 0))) if missing else X)


def _for_rows(chunk: Floats, row_axis: int, n_rows: int) -> Floats:
    shape = list(chunk.shape)
    shape[row_axis] = n_rows
    return np.empty(shape, chunk.dtype)


@cache
def _compiled(
    activations: tuple[str, ...],
    kernel_ranks: tuple[int, ...],
    bias_ranks: tuple[int, ...],
    masked: tuple[bool, ...],
    wanted: Wanted,
) -> Any:
    """The forward pass, compiled once for networks of every width."""
    functions = [keras.activations.get(name) for name in activations]

    def forward(
        x: Any, scale: Any, shift: Any, kernels: Any, biases: Any, masks: Any
    ) -> tuple[Any, ...]:
        h = (x * scale + shift)[None]  # (1 or n_draws, rows, width)
        given = iter(masks)
        for kernel, bias, is_masked, activate in zip(
            kernels, biases, masked, functions, strict=True
        ):
            if is_masked:
                h = h * next(given)
            h = activate(tf.matmul(h, kernel) + bias)
        return _results(h, wanted)

    def spec(rank: int) -> tf.TensorSpec:
        return tf.TensorSpec([None] * rank, tf.float32)

    signature = [
        spec(2),
        spec(1),
        spec(1),
        [spec(rank) for rank in kernel_ranks],
        [spec(rank) for rank in bias_ranks],
        [spec(3)] * sum(masked),
    ]
    function = tf.function(forward, signature, autograph=False)
    return function.get_concrete_function()


def _results(p: Any, wanted: Wanted) -> tuple[Any, ...]:
    """What is wanted of draws (n_draws, rows, classes); formulas: `uncertainty`."""
    if wanted == "draws":
        return (p,)
    mean = tf.reduce_mean(p, axis=0)
    if wanted == "mean":
        return (mean,)
    entropy = -tf.reduce_mean(tf.reduce_sum(tf.math.xlogy(p, p), axis=-1), axis=0)
    n_classes = tf.shape(p)[-1]
    votes = tf.one_hot(tf.argmax(p, axis=-1), n_classes)
    modal_share = tf.reduce_max(tf.reduce_mean(votes, axis=0), axis=-1)
    predicted = tf.one_hot(tf.argmax(mean, axis=-1), n_classes)
    std = tf.math.reduce_std(tf.reduce_sum(p * predicted, axis=-1), axis=0)
    return mean, entropy, modal_share, std

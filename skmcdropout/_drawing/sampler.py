"""Predictions by Monte-Carlo draws, over chunks of rows, draws as a batch axis."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from skmcdropout._drawing.masks import Floats, dropout_masks
from skmcdropout._drawing.progress_bar import RowsBar
from skmcdropout._drawing.thinned import (
    THINNED_FLOATS,
    Chain,
    Draws,
    Structure,
    read_chain,
)
from skmcdropout._drawing.wide import BLOCK_ROWS, WideDraws
from skmcdropout._networks.architecture import Architecture
from skmcdropout._networks.perceptron import build_network
from skmcdropout._utils.interrupts import interrupts_held

#: Largest array of activations that a chunk of rows may need, in floats (16 MB):
#: larger ones leave the cache and would break the promised memory bound.
CHUNK_FLOATS = 2**22

#: Several rows are filled up to a multiple of this many: vector code treats the last
#: few elements of an array otherwise than the rest, and a row's last digit would
#: depend on where it stands among the others.
ROW_MULTIPLE = 16

#: From this many rows on, it pays to thin weights that are too large to be kept.
MANY_ROWS = 128

#: Draws that are added up in single precision.
GROUP_DRAWS = 128

Wanted = Literal["mean", "draws", "summary"]

#: Called with the share that is done.
Tell = Callable[[float], None]


class Sampler:
    """Draws of one trained network, from masks that depend on `seed` alone.

    Its Keras network is built when somebody asks for it, and from then on its
    variables are what counts, since they can be changed. The thinned weights of the
    last call are kept for as long as the weights and what is asked for stay the same.
    Threads may share it.
    """

    def __init__(
        self, arch: Architecture, weights: Sequence[Floats], seed: int
    ) -> None:
        self._arch = arch
        self._weights = weights
        self._seed = seed
        self._network: keras.Sequential | None = None
        self._kept = Kept()
        self._lock = threading.Lock()

    @property
    def network(self) -> keras.Sequential:
        """The trained network."""
        with self._lock:
            if self._network is None:
                rng = np.random.RandomState(self._seed)
                seeds = rng.randint(2**31 - 1, size=2 * len(self._arch.rates)).tolist()
                network = build_network(self._arch, seeds)
                network.set_weights(self._weights)
                self._network = network
        return self._network

    @property
    def weights(self) -> Sequence[Floats]:
        """The weights as they are now, in the order of ``network.get_weights()``."""
        if self._network is not None:
            self._weights = self._network.get_weights()
        return self._weights

    def draw(
        self, X: Any, n_samples: int, sampling: str, wanted: Wanted, show: bool = False
    ) -> tuple[Floats, ...]:
        """Draw `n_samples` times for every row of `X`, chunk by chunk.

        "draws": the probabilities (n_draws, n, k). "mean": their mean (n, k).
        "summary": the mean, its entropy (n,), the mean entropy (n,), the largest share
        of votes (n,) and the predicted class's standard deviation (n,). With
        `n_samples` 0 the only draw is the network with nothing dropped. With `show` a
        bar shows how far a long prediction is.
        """
        return draw_chain(self._draws(n_samples, sampling), X, wanted, show)

    def _draws(self, n_samples: int, sampling: str) -> Draws:
        weights = self.weights

        def draw() -> Draws:
            chain = read_chain(self._arch, weights)
            return sample_chain(chain, self._seed, n_samples, sampling)

        return self._kept.get((n_samples, sampling), weights, draw)


class Kept:
    """What was drawn last, for as long as all that it depends on stays the same."""

    def __init__(self) -> None:
        self._last: tuple[Any, Sequence[Floats], Any] | None = None

    def get(
        self, asked: Any, weights: Sequence[Floats], draw: Callable[[], Any]
    ) -> Any:
        """What ``draw()`` gives, or gave for the same question and equal weights."""
        if self._last is not None:
            last_asked, last_weights, drawn = self._last
            if asked == last_asked and equal(weights, last_weights):
                return drawn
        drawn = draw()
        self._last = asked, weights, drawn
        return drawn


def sample_chain(chain: Chain, seed: int, n_samples: int, sampling: str) -> Draws:
    """The draws of a chain; with `n_samples` 0 the chain with nothing dropped."""
    sampled = [layer for layer in chain.layers if layer.rate and n_samples]
    masks = dropout_masks(
        seed,
        n_samples,
        [len(layer.kernel) for layer in sampled],
        [layer.rate for layer in sampled],
        sampling,
        chain.sources if n_samples else None,
    )
    return Draws(chain, masks)


def draw_chain(
    draws: Draws,
    X: Floats,
    wanted: Wanted,
    show: bool,
    head: Callable[[Any], Any] = lambda rows: rows,
    head_floats: int = 1,
) -> tuple[Floats, ...]:
    """What is wanted of the draws of a chain, whose input is ``head(X)``.

    `head_floats` is the largest number of activations that `head` needs for a row.
    """
    if draws.n_draws * draws.floats <= THINNED_FLOATS or len(X) < MANY_ROWS:
        thinned = draws.thinned
        compiled = compiled_chain(thinned.structure, wanted)
        n_chunk = CHUNK_FLOATS // max(thinned.row_floats, head_floats)
        return over_chunks(
            X,
            n_chunk,
            lambda rows, _: compiled(head(rows), *thinned.tensors),
            wanted,
            show,
        )
    wide = WideDraws(draws)
    n_head = max(1, CHUNK_FLOATS // head_floats)
    reduced = compiled_results(wanted, draws.n_classes)

    def run(rows: Any, tell: Tell) -> Any:
        pieces = [head(rows[i : i + n_head]) for i in range(0, len(rows), n_head)]
        return reduced(wide.probabilities(tf.concat(pieces, axis=0), tell))

    return over_chunks(X, BLOCK_ROWS, run, wanted, show)


def over_chunks(
    X: Floats,
    n_chunk: int,
    run: Callable[[Any, Tell], Sequence[Any]],
    wanted: Wanted,
    show: bool,
) -> tuple[Floats, ...]:
    """Results of `run` on about `n_chunk` rows of `X` at a time, put together.

    `run` may tell which share of its rows is done, for the bar that `show` asks for.
    """
    n_chunk = max(n_chunk // ROW_MULTIPLE * ROW_MULTIPLE, ROW_MULTIPLE)
    row_axis = 1 if wanted == "draws" else 0
    results: tuple[Floats, ...] = ()
    with RowsBar(len(X), show) as bar:
        for start in range(0, len(X), n_chunk):
            rows = slice(start, min(start + n_chunk, len(X)))
            tell = partial(bar.update, start, rows.stop)
            with interrupts_held():
                outputs = [x.numpy() for x in run(_filled_up(X[rows]), tell)]
            if not results:
                results = tuple(_for_rows(o, row_axis, len(X)) for o in outputs)
            for result, output in zip(results, outputs, strict=True):
                kept = np.moveaxis(output, row_axis, 0)[: rows.stop - start]
                np.moveaxis(result, row_axis, 0)[rows] = kept
            tell(1.0)
    return results


def equal(weights: Sequence[Floats], others: Sequence[Floats]) -> bool:
    return weights is others or all(map(np.array_equal, weights, others))


def _filled_up(X: Floats) -> Any:
    missing = -len(X) % ROW_MULTIPLE if len(X) > 1 else 0
    return tf.constant(np.pad(X, ((0, missing), (0, 0))) if missing else X)


def _for_rows(chunk: Floats, row_axis: int, n_rows: int) -> Floats:
    shape = list(chunk.shape)
    shape[row_axis] = n_rows
    return np.empty(shape, chunk.dtype)


@cache
def compiled_chain(structure: Structure, wanted: Wanted) -> Any:
    """The forward pass, compiled once for networks of every width."""
    functions = [keras.activations.get(name) for name in structure.activations]

    def forward(
        x: Any, scale: Any, shift: Any, kernels: Any, biases: Any, masks: Any
    ) -> tuple[Any, ...]:
        h = (x * scale + shift)[None]  # (1 or n_draws, rows, width)
        masks = iter(masks)
        for kernel, bias, is_masked, activate in zip(
            kernels, biases, structure.is_masked, functions, strict=True
        ):
            if is_masked:
                h = h * next(masks)
            h = activate(tf.matmul(h, kernel) + bias)
        return results(h, wanted)

    def spec(rank: int) -> tf.TensorSpec:
        return tf.TensorSpec([None] * rank, tf.float32)

    signature = [
        spec(2),
        spec(1),
        spec(1),
        [spec(rank) for rank in structure.kernel_ranks],
        [spec(rank) for rank in structure.bias_ranks],
        [spec(3)] * sum(structure.is_masked),
    ]
    function = tf.function(forward, signature, autograph=False)
    return function.get_concrete_function()


def results(p: Any, wanted: Wanted) -> tuple[Any, ...]:
    """What is wanted of draws (n_draws, rows, classes); formulas: `uncertainty`."""
    if wanted == "draws":
        return (p,)
    mean = _mean(p)
    if wanted == "mean":
        return (mean,)
    total = -tf.reduce_sum(tf.math.xlogy(mean, mean), axis=-1)
    expected = -_mean(tf.reduce_sum(tf.math.xlogy(p, p), axis=-1))
    n_classes = tf.shape(p)[-1]
    votes = tf.one_hot(tf.argmax(p, axis=-1), n_classes)
    modal_share = tf.reduce_max(_mean(votes), axis=-1)
    predicted = tf.one_hot(tf.argmax(mean, axis=-1), n_classes)
    p_predicted = tf.reduce_sum(p * predicted, axis=-1)
    std = tf.sqrt(_mean(tf.square(p_predicted - _mean(p_predicted))))
    return mean, total, expected, modal_share, std


def _mean(x: Any) -> Any:
    """Mean over draws, the first axis, to the last digit for any number of them.

    A sum of thousands in single precision loses digits: it is made of groups, which
    are added up in double precision.
    """
    shape = tf.shape(x)
    n_grouped = shape[0] // GROUP_DRAWS * GROUP_DRAWS
    groups = tf.reshape(x[:n_grouped], tf.concat([[-1, GROUP_DRAWS], shape[1:]], 0))
    # Not reduce_sum, whose order depends on the number of rows.
    means = tf.cast(tf.reduce_mean(groups, axis=1), tf.float64)
    rest = tf.cast(tf.reduce_mean(x[n_grouped:], axis=0), tf.float64)
    n_rest = tf.cast(shape[0] - n_grouped, tf.float64)
    total = tf.reduce_sum(means, axis=0) * GROUP_DRAWS
    total += tf.math.multiply_no_nan(rest, n_rest)  # there may be none
    return tf.cast(total / tf.cast(shape[0], tf.float64), tf.float32)


@cache
def compiled_results(wanted: Wanted, n_classes: int) -> Any:
    """`results`, compiled."""
    function = tf.function(lambda p: results(p, wanted), autograph=False)
    return function.get_concrete_function(
        tf.TensorSpec([None, None, n_classes], tf.float32)
    )

"""Runs any Keras network with the noise of many draws at once: draws are a batch axis.

A tensor of a network at inference has one row per row of data until the first noise.
There it is fanned out, and from there on has n_draws blocks of rows, one a draw. All
layers work on them as on any batch. Whatever meets a fanned-out tensor is fanned out
too.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from skmcdropout._noise_layers import (
    Law,
    dropout_law,
    has_noise,
    is_noise,
    is_recurrent_cell,
    law_of,
    strength,
)

#: Names of TensorFlow operations that draw at random contain one of these.
RANDOM_OPERATIONS = ("Random", "Multinomial", "TruncatedNormal", "RngRead")


class Pass:
    """One symbolic pass through a network.

    `kept` and `normal` hold the noise, of shapes (n_draws, n_kept) and (n_draws,
    n_normal): each place that draws takes the columns that come next, and `laws` says
    by which law. Without noise it is the network at inference.
    """

    def __init__(self, kept: Any = None, normal: Any = None) -> None:
        self._noise = None if kept is None else {"kept": kept, "normal": normal}
        self._taken = {"kept": 0, "normal": 0}
        self._tensors: dict[int, tuple[Any, bool]] = {}
        self._inside = False
        self._n_rows: Any = None
        self._reached: set[int] = set()
        self.laws: list[Law] = []
        self.n_operations_before_noise: int | None = None

    def run(self, steps: Sequence[Any], inputs: Sequence[Any]) -> Any:
        """What the last of `steps` gives, one after the other; see `per_draw`.

        `inputs` are those of the first, in the order of the network's `inputs`.
        """
        for x in inputs:
            self._note(x, False)
        self._n_rows = tf.shape(inputs[0])[0]
        if len(inputs) > 1:
            (network,) = steps
            return self._run_nodes(network, inputs)
        (x,) = inputs
        for step in steps:
            x = self.call(step, x)
        return x

    def per_draw(self, x: Any) -> Any:
        """Reshape to (n_draws, rows, ...); one draw where nothing was drawn."""
        if not self._is_fanned_out(x):
            return x[None]
        return self._blocks(x)

    def call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        """What a layer or operation gives, its noise drawn."""
        first = args[0] if args else next(iter(kwargs.values()), None)
        if is_noise(operation):
            return self.draw(operation, first)
        if is_sequence(operation):
            for layer in operation.layers:
                first = self.call(layer, first)
            return first
        if is_graph(operation):
            return self._run_graph(operation, first)
        draws = has_noise(operation)
        if getattr(operation, "_call_has_training_arg", False):
            kwargs["training"] = False
        if draws and self._noise is not None:
            self._note_first_noise()
        tensors = [x for x in keras.tree.flatten((args, kwargs)) if self._knows(x)]
        fan_out = any(map(self._is_fanned_out, tensors)) or (
            draws and self._noise is not None
        )
        if fan_out:
            args, kwargs = keras.tree.map_structure(
                lambda x: self.fan_out(x) if self._knows(x) else x, (args, kwargs)
            )
        with self.noise_in(operation) if draws else contextlib.nullcontext():
            outputs = operation(*args, **kwargs)
        for x in keras.tree.flatten(outputs):
            self._note(x, fan_out)
        return outputs

    def draw(self, layer: keras.layers.Layer, x: Any) -> Any:
        """What a noise layer gives for `x`."""
        if self._noise is None or not strength(layer):
            return x
        return self._apply(law_of(layer, _static_shape(x, layer)), x, layer)

    def _apply(self, law: Law, x: Any, layer: Any) -> Any:
        """Add the noise of the next place to `x`, fanning it out if it is not."""
        self._note_first_noise()
        self._reached.add(id(layer))
        x_mask = get_mask(x)
        is_fanned_out = self._is_fanned_out(x)
        n_rows = self._n_rows * (self._n_draws if is_fanned_out else 1)
        x = checked_rows(x, n_rows, layer)
        noise = self._take(law, x.dtype)
        shape, n_entries = x.shape[1:], math.prod(x.shape[1:])
        h = self._blocks(x) if is_fanned_out else x[None]
        h = tf.reshape(h, [tf.shape(h)[0], tf.shape(h)[1], n_entries])

        def spread(of_noise: Callable[[Any], Any]) -> Any:
            values = of_noise(noise)
            if law.size != n_entries:
                values = tf.reshape(values, [-1, *law.shape])
                values = tf.broadcast_to(values, [tf.shape(values)[0], *shape])
            return tf.reshape(values, [-1, 1, n_entries])

        if law.factor is not None:
            h = h * spread(law.factor)
        if law.addend is not None:
            h = h + spread(law.addend)
        h = tf.reshape(h, [-1, *shape])
        if x_mask is not None:
            set_mask(h, x_mask if is_fanned_out else self._repeated(x_mask))
        return self._note(h, True)

    def fan_out(self, x: Any) -> Any:
        """`x`, one block of rows for each draw."""
        if self._is_fanned_out(x) or x.shape.rank == 0 or x.shape[0] is not None:
            return x
        repeated = self._repeated(x)
        mask = get_mask(x)
        if mask is not None:
            set_mask(repeated, self._repeated(mask))
        return self._note(repeated, True)

    def _run_graph(self, network: Any, inputs: Any) -> Any:
        """Run a functional network node by node."""
        flat = keras.tree.flatten(inputs)
        if any(map(self._is_fanned_out, flat)):
            flat = [self.fan_out(x) for x in flat]
        masks = [(get_mask(x), self._is_fanned_out(x)) for x in flat]
        inputs = keras.tree.pack_sequence_as(inputs, flat)
        flat = keras.tree.flatten(network._standardize_inputs(inputs))
        for x, (mask, is_fanned_out) in zip(flat, masks, strict=True):
            self._note(x, is_fanned_out)
            if mask is not None:
                set_mask(x, mask)
        return self._run_nodes(network, flat)

    def _run_nodes(self, network: Any, inputs: Sequence[Any]) -> Any:
        outputs = network._run_through_graph(
            list(inputs),
            operation_fn=lambda operation: functools.partial(self.call, operation),
        )
        flat = keras.tree.flatten(outputs)
        return flat[0] if len(flat) == 1 else outputs

    def _take(self, law: Law, dtype: Any) -> Any:
        assert self._noise is not None
        start = self._taken[law.variable]
        self._taken[law.variable] += law.size
        self.laws.append(law)
        noise = self._noise[law.variable][:, start : start + law.size]
        return tf.ensure_shape(tf.cast(noise, dtype), [None, law.size])

    @property
    def _n_draws(self) -> Any:
        assert self._noise is not None
        return tf.shape(self._noise["kept"])[0]

    def _repeated(self, x: Any) -> Any:
        return tf.tile(x, [self._n_draws, *[1] * (x.shape.rank - 1)])

    def _blocks(self, x: Any) -> Any:
        n_rows = tf.shape(x)[0] // self._n_draws
        return tf.reshape(x, [self._n_draws, n_rows, *x.shape[1:]])

    def _note(self, x: Any, is_fanned_out: bool) -> Any:
        self._tensors[id(x)] = x, is_fanned_out
        return x

    def _knows(self, x: Any) -> bool:
        return id(x) in self._tensors

    def _is_fanned_out(self, x: Any) -> bool:
        return self._inside or self._tensors.get(id(x), (x, False))[1]

    def _note_first_noise(self) -> None:
        if self.n_operations_before_noise is None:
            graph = tf.compat.v1.get_default_graph()
            self.n_operations_before_noise = len(graph.get_operations())

    @contextlib.contextmanager
    def noise_in(self, composite: keras.layers.Layer) -> Iterator[None]:
        """Let the layers within `composite` draw here, for as long as it is called.

        All of its tensors are fanned out. Without noise they rest, and so do layers
        that augment images, even in training mode.
        """
        replaced: list[tuple[Any, str]] = []

        def replace(layer: Any, name: str, function: Callable[..., Any]) -> None:
            vars(layer)[name] = function
            replaced.append((layer, name))

        outside, self._inside = self._inside, self._noise is not None
        try:
            for layer in composite._flatten_layers():
                if is_noise(layer):
                    replace(layer, "call", self._call_of_noise(layer))
                elif is_recurrent_cell(layer):
                    replace(layer, "_create_dropout_mask", self._masks_of_cell(layer))
                elif isinstance(layer, keras.layers.Attention):
                    replace(layer, "_apply_scores", self._scores_of_attention(layer))
                elif _is_augmentation(layer):
                    replace(layer, "call", _in_mode(layer, training=False))
                elif strength_within(layer) and self._noise is not None:
                    replace(layer, "call", _in_mode(layer, training=True))
            yield
            if self._inside:
                self._check_reached(composite)
        finally:
            self._inside = outside
            for layer, name in replaced:
                vars(layer).pop(name, None)

    def _check_reached(self, composite: Any) -> None:
        """Refuse a layer of layers that has noise it does not call at inference."""
        for layer in composite._flatten_layers():
            if strength(layer) > 0 and id(layer) not in self._reached:
                raise ValueError(
                    f"The layer {layer.name!r} within {composite.name!r} must be "
                    "called whatever `training` is (at inference dropout rests by "
                    "itself), so that it can be sampled at prediction. Got a call of "
                    f"{composite.name!r} that leaves it out."
                )

    def _call_of_noise(self, layer: Any) -> Callable[..., Any]:
        return lambda inputs, training=None: self.draw(layer, inputs)

    def _masks_of_cell(self, cell: Any) -> Callable[..., Any]:
        """A recurrent cell's masks: one per draw, the same at every step."""

        def create(step_input: Any, rate: float) -> Any:
            count = getattr(cell, "dropout_mask_count", None)
            law = dropout_law(rate, _static_shape(step_input, cell))
            masks = [tf.ones_like(step_input) for _ in range(count or 1)]
            if self._noise is not None:
                masks = [self._apply(law, ones, cell) for ones in masks]
            return masks if count else masks[0]

        return create

    def _scores_of_attention(self, layer: Any) -> Callable[..., Any]:
        """An attention's weighted sum, with dropout of its weights."""
        without_dropout = layer._apply_scores

        def apply_scores(
            scores: Any, value: Any, scores_mask: Any = None, training: Any = None
        ) -> tuple[Any, Any]:
            result, weights = without_dropout(
                scores, value, scores_mask, training=False
            )
            if self._noise is None or not layer.dropout:
                return result, weights
            law = dropout_law(layer.dropout, _static_shape(weights, layer))
            weights = self._apply(law, weights, layer)
            return tf.matmul(weights, value), weights

        return apply_scores


def strength_within(layer: Any) -> float:
    """Strength of a layer, or of a recurrent layer's cell."""
    cells = getattr(layer, "cell", None)
    cells = getattr(cells, "cells", [cells])
    return max(strength(layer), *map(strength, cells))


def _in_mode(layer: Any, training: bool) -> Callable[..., Any]:
    """A layer's `call` in one mode; cells of recurrent layers use masks in training."""
    call = layer.call
    signature = inspect.signature(call)

    def in_mode(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        if "training" in signature.parameters:
            given.arguments["training"] = training
        return call(*given.args, **given.kwargs)

    return in_mode


def _is_augmentation(layer: Any) -> bool:
    kind = type(layer).__module__
    return kind.startswith("keras.") and ".preprocessing." in kind


def checked_rows(x: Any, n: Any, layer: Any) -> Any:
    """The input `x` of `layer`, of which a graph stops if it has not `n` entries.

    A mask per draw would be shared by what Keras draws separately.
    """
    check = tf.debugging.assert_equal(
        tf.shape(x)[0],
        n,
        f"The input of the layer {layer.name!r} must have one entry per row on its "
        "first axis, for it to be sampled once per draw.",
    )
    with tf.control_dependencies([] if check is None else [check]):
        return tf.identity(x)


def random_operations(function: Any) -> list[str]:
    """Names of operations in a concrete function that draw at random."""
    definition = function.graph.as_graph_def()
    nodes = [*definition.node]
    for inner in definition.library.function:
        nodes += inner.node_def
    return [n.name for n in nodes if any(part in n.op for part in RANDOM_OPERATIONS)]


def is_sequence(network: Any) -> bool:
    """Whether a network is its layers one after the other."""
    return (
        isinstance(network, keras.Sequential)
        and type(network).call is keras.Sequential.call
    )


def is_graph(network: Any) -> bool:
    """Whether a network is its graph of layers, with no `call` of the user's."""
    return hasattr(network, "_run_through_graph") and type(
        network
    ).call.__module__.startswith("keras.")


def _static_shape(x: Any, layer: Any) -> tuple[int, ...]:
    shape = tuple(x.shape[1:])
    if None in shape:
        raise ValueError(
            f"The input of the layer {layer.name!r} must have a known shape for it to "
            f"be sampled once per draw. Got {shape}."
        )
    return shape


def get_mask(x: Any) -> Any:
    """The mask of time steps that Keras keeps with a tensor."""
    return getattr(x, "_keras_mask", None)


def set_mask(x: Any, mask: Any) -> None:
    """Keep a mask with a tensor, as Keras does."""
    x._keras_mask = mask

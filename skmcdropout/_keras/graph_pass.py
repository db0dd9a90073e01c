"""Runs any Keras network with the noise of many draws at once: draws are a batch axis.

A tensor of a network at inference has one row per row of data until the first noise.
There it is fanned out, and from there on has n_draws blocks of rows, one a draw. All
layers work on them as on any batch. Whatever meets a fanned-out tensor is fanned out
too.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from skmcdropout._keras.modes import (
    as_called,
    call_in_mode,
    held_in_inference,
    replaced_methods,
)
from skmcdropout._keras.noise_layers import (
    Law,
    draws_always,
    dropout_law,
    has_noise,
    is_augmentation,
    is_noise,
    is_recurrent_cell,
    law_of,
    strength,
)
from skmcdropout._keras.places import Place
from skmcdropout._keras.private import (
    APPLIES_SCORES,
    DRAWS_CELL_MASKS,
    flat_layers,
    get_mask,
    has_graph,
    run_through_graph,
    set_mask,
    standardized_inputs,
)


class Pass:
    """One symbolic pass through a network.

    `kept` and `normal` hold the noise, of shapes (n_draws, n_kept) and (n_draws,
    n_normal): each place that draws takes the columns that come next, and `places` says
    by which law. Without noise it is the network at inference.

    With `whole` the network is called by Keras, on the rows of all draws, rather than
    taken apart: slower, and right where its layers can't be called one by one. With
    `asked` only those draw that are called in training mode whatever the network is.
    """

    def __init__(
        self,
        kept: Any = None,
        normal: Any = None,
        *,
        whole: bool = False,
        asked: bool = False,
    ) -> None:
        self._noise = None if kept is None else {"kept": kept, "normal": normal}
        self._whole = whole
        self._asked = asked
        self._graph = tf.compat.v1.get_default_graph()
        self._taken = {"kept": 0, "normal": 0}
        self._tensors: dict[int, tuple[Any, bool]] = {}
        self._inside = False
        self._n_rows: Any = None
        self.places: list[Place] = []
        self.n_operations_before_noise: int | None = None

    def run(self, steps: Sequence[Any], inputs: Sequence[Any]) -> Any:
        """What the last of `steps` gives, one after the other; see `per_draw`.

        `inputs` are those of the first, in the order of the network's `inputs`.
        """
        for x in inputs:
            self._note(x, False)
        self._n_rows = tf.shape(inputs[0])[0]
        if self._whole:
            (network,) = steps
            return self._call(network, as_called(network, inputs))
        if len(inputs) > 1:
            (network,) = steps
            return self._run_nodes(network, inputs)
        (x,) = inputs
        for step in steps:
            x = self.call(step, x)
        return x

    def per_draw(self, x: tf.Tensor) -> Any:
        """Reshape to (n_draws, rows, ...); one draw where nothing was drawn."""
        if not self._is_fanned_out(x):
            return x[None]
        return self._blocks(x)

    def call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        """What a layer or operation gives, its noise drawn."""
        first = args[0] if args else next(iter(kwargs.values()), None)
        if is_noise(operation):
            return self.draw(operation, first)
        if is_network(operation):
            given = {k: v for k, v in kwargs.items() if v is not None}
            mask = given.pop("mask", None)
            if len(args) == 1 and not given.keys() - {"training"}:
                return self._run_network(operation, first, mask)
        return self._call(operation, *args, **kwargs)

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        """What Keras gives for a layer or operation, noise within drawn here.

        What draws is called in training mode, all else in inference mode.
        """
        has_any = has_noise(operation)
        draws = has_any and self._noise is not None
        if draws:
            self._note_first_noise()
        tensors = [x for x in keras.tree.flatten((args, kwargs)) if self._knows(x)]
        fan_out = draws or any(map(self._is_fanned_out, tensors))
        if fan_out:
            args, kwargs = keras.tree.map_structure(
                lambda x: self.fan_out(x) if self._knows(x) else x, (args, kwargs)
            )
        with self.noise_in(operation) if has_any else contextlib.nullcontext():
            outputs = call_in_mode(
                operation, draws and not self._asked, *args, **kwargs
            )
        for x in keras.tree.flatten(outputs):
            self._note(x, fan_out)
        return outputs

    def draw(self, layer: keras.layers.Layer, x: tf.Tensor) -> Any:
        """What a noise layer gives for `x`."""
        if self._noise is None or not strength(layer):
            return x
        return self._apply(law_of(layer, _static_shape(x, layer)), x, layer)

    def _apply(self, law: Law, x: tf.Tensor, layer: keras.layers.Layer) -> Any:
        """Add the noise of the next place to `x`, fanning it out if it is not."""
        self._note_first_noise()
        self._check_not_in_a_loop(layer)
        x_mask = get_mask(x)
        is_fanned_out = self._is_fanned_out(x)
        n_rows = self._n_rows * (self._n_draws if is_fanned_out else 1)
        x = checked_rows(x, n_rows, layer)
        noise = self._next_noise(Place(layer, law, x.dtype))
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

    def fan_out(self, x: tf.Tensor) -> Any:
        """`x`, one block of rows for each draw."""
        if self._is_fanned_out(x) or not self._has_rows(x):
            return x
        repeated = self._repeated(x)
        mask = get_mask(x)
        if mask is not None:
            set_mask(repeated, self._repeated(mask))
        return self._note(repeated, True)

    def _run_network(self, network: keras.Model, inputs: Any, mask: tf.Tensor) -> Any:
        """Run a network layer by layer; `mask` is what Keras keeps with its inputs."""
        flat = keras.tree.flatten(inputs)
        masks = [None] * len(flat) if mask is None else keras.tree.flatten(mask)
        if any(self._is_fanned_out(x) for x in (*flat, *masks) if x is not None):
            flat = [self.fan_out(x) for x in flat]
            masks = [m if m is None else self.fan_out(m) for m in masks]
            inputs = keras.tree.pack_sequence_as(inputs, flat)
        for x, m in zip(flat, masks, strict=True):
            if m is not None:
                set_mask(x, m)
        if not is_sequence(network):
            return self._run_graph(network, inputs)
        for layer in network.layers:
            inputs = self.call(layer, inputs)
        return inputs

    def _run_graph(self, network: keras.Model, inputs: Any) -> Any:
        """Run a functional network node by node."""
        flat = keras.tree.flatten(inputs)
        masks = [(get_mask(x), self._is_fanned_out(x)) for x in flat]
        inputs = keras.tree.pack_sequence_as(inputs, flat)
        flat = keras.tree.flatten(standardized_inputs(network, inputs))
        for x, (mask, is_fanned_out) in zip(flat, masks, strict=True):
            self._note(x, is_fanned_out)
            if mask is not None:
                set_mask(x, mask)
        return self._run_nodes(network, flat)

    def _run_nodes(self, network: keras.Model, inputs: Sequence[Any]) -> Any:
        outputs = run_through_graph(
            network, inputs, lambda operation: functools.partial(self.call, operation)
        )
        flat = keras.tree.flatten(outputs)
        return flat[0] if len(flat) == 1 else outputs

    def _next_noise(self, place: Place) -> Any:
        assert self._noise is not None
        law = place.law
        start = self._taken[law.variable]
        self._taken[law.variable] += law.size
        self.places.append(place)
        noise = self._noise[law.variable][:, start : start + law.size]
        return tf.ensure_shape(tf.cast(noise, place.dtype), [None, law.size])

    def _check_not_in_a_loop(self, layer: keras.layers.Layer) -> None:
        """Refuse a draw in a loop of TensorFlow's, where Keras draws at every step."""
        graph = tf.compat.v1.get_default_graph()
        while graph is not self._graph and graph is not None:
            if "Loop" in type(graph).__name__ or "While" in type(graph).__name__:
                raise ValueError(
                    f"The layer {layer.name!r} must not draw inside a loop "
                    "(keras.ops.while_loop, fori_loop, scan, map): Keras draws anew "
                    "at each step there. Got one; unroll the loop in Python."
                )
            graph = getattr(graph, "outer_graph", None)

    @property
    def _n_draws(self) -> Any:
        assert self._noise is not None
        return tf.shape(self._noise["kept"])[0]

    def _repeated(self, x: tf.Tensor) -> Any:
        return tf.tile(x, [self._n_draws, *[1] * (x.shape.rank - 1)])

    def _blocks(self, x: tf.Tensor) -> Any:
        n_rows = tf.shape(x)[0] // self._n_draws
        return tf.reshape(x, [self._n_draws, n_rows, *x.shape[1:]])

    def _note(self, x: tf.Tensor, is_fanned_out: bool) -> Any:
        self._tensors[id(x)] = x, is_fanned_out
        return x

    def _has_rows(self, x: tf.Tensor) -> bool:
        if x.shape.rank and tf.executing_eagerly():
            return bool(x.shape[0] == self._n_rows)
        return bool(x.shape.rank) and x.shape[0] is None

    def _knows(self, x: tf.Tensor) -> bool:
        return id(x) in self._tensors

    def _is_fanned_out(self, x: tf.Tensor) -> bool:
        return self._inside or self._tensors.get(id(x), (x, False))[1]

    def _note_first_noise(self) -> None:
        if self.n_operations_before_noise is None:
            graph = tf.compat.v1.get_default_graph()
            self.n_operations_before_noise = len(graph.get_operations())

    @contextlib.contextmanager
    def noise_in(
        self, composite: keras.layers.Layer, holds: bool = True
    ) -> Iterator[None]:
        """Let the layers within `composite` draw here, for as long as it is called.

        All of its tensors are fanned out. Without noise they rest. What does not draw
        stays in inference mode, whatever `composite` is called with; without `holds`
        only layers that prepare data do.
        """
        within = flat_layers(composite)
        held = within if holds else filter(is_augmentation, within)
        replaced = {}
        for layer in within:
            if is_noise(layer):
                replaced[layer, "call"] = self._call_of_noise(layer)
            elif is_recurrent_cell(layer):
                replaced[layer, DRAWS_CELL_MASKS] = self._masks_of_cell(layer)
            elif isinstance(layer, keras.layers.Attention):
                replaced[layer, APPLIES_SCORES] = self._scores_of_attention(layer)
        outside, self._inside = self._inside, self._noise is not None
        try:
            with held_in_inference(held), replaced_methods(replaced):
                yield
        finally:
            self._inside = outside

    def _call_of_noise(self, layer: keras.layers.Layer) -> Callable[..., Any]:
        with tf.init_scope():
            is_active = draws_always(layer)

        def call(inputs: Any, training: Any = None) -> Any:
            return self.draw(layer, inputs) if training or is_active else inputs

        return call

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

    def _scores_of_attention(self, layer: keras.layers.Layer) -> Callable[..., Any]:
        """An attention's weighted sum, with dropout of its weights."""
        without_dropout = getattr(layer, APPLIES_SCORES)

        def apply_scores(
            scores: Any, value: Any, scores_mask: Any = None, training: Any = None
        ) -> tuple[Any, Any]:
            result, weights = without_dropout(
                scores, value, scores_mask, training=False
            )
            if self._noise is None or not (training and layer.dropout):
                return result, weights
            law = dropout_law(layer.dropout, _static_shape(weights, layer))
            weights = self._apply(law, weights, layer)
            return tf.matmul(weights, value), weights

        return apply_scores


def checked_rows(x: tf.Tensor, n: Any, layer: keras.layers.Layer) -> Any:
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


def is_network(operation: Any) -> bool:
    """Whether an operation is a network that can be taken apart."""
    return is_sequence(operation) or is_graph(operation)


def is_sequence(network: keras.Model) -> bool:
    """Whether a network is its layers one after the other."""
    return (
        isinstance(network, keras.Sequential)
        and type(network).call is keras.Sequential.call
    )


def is_graph(network: keras.Model) -> bool:
    """Whether a network is its graph of layers, with no `call` of the user's."""
    return has_graph(network) and type(network).call.__module__.startswith("keras.")


def _static_shape(x: tf.Tensor, layer: keras.layers.Layer) -> tuple[int, ...]:
    shape = tuple(x.shape[1:])
    if None in shape:
        raise ValueError(
            f"The input of the layer {layer.name!r} must have a known shape for it to "
            f"be sampled once per draw. Got {shape}."
        )
    return shape

"""What Keras itself gives for a network: what a trial compares with.

The network is called as it is, at rest and with everything but its noise held in
inference mode. Keras draws masks row by row; an engine draws them for all rows. So row
i of Keras is compared with row i of draw i, for which the engine is given what Keras
drew for that row.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._keras.blueprint import Blueprint
from skmcdropout._keras.engines import Engine, whole_engine
from skmcdropout._keras.graph_pass import Pass
from skmcdropout._keras.modes import (
    call_in_mode,
    held_in_inference,
    plain_methods,
    replaced_methods,
)
from skmcdropout._keras.noise_layers import (
    draws_unknown,
    has_noise,
    is_ours,
    random_operations,
)
from skmcdropout._keras.places import keras_noise, seeds_restored
from skmcdropout._keras.private import (
    flat_layers,
    has_graph,
    is_eager,
    takes_training,
)

#: Largest difference that `Outputs.are_same` lets pass, and the same for networks that
#: compute in half precision.
TOLERANCE, HALF_TOLERANCE = 1e-4, 2e-2


class DisagreementError(ValueError):
    """An engine's numbers are not Keras's."""


class Reference:
    """A network as Keras runs it, on some rows."""

    def __init__(
        self, network: keras.Model, blueprint: Blueprint, table: NDArray[Any]
    ) -> None:
        self._network = network
        self._blueprint = blueprint
        self._table = table
        self._layers = flat_layers(network)
        is_half = any("16" in str(la.compute_dtype) for la in self._layers)
        self._tolerance = HALF_TOLERANCE if is_half else TOLERANCE

    def at_rest(self, table: NDArray[Any]) -> NDArray[Any]:
        """Values in inference mode, with nothing dropped."""
        plain = plain_methods(self._layers)
        with replaced_methods(plain), Pass().noise_in(self._network, holds=False):
            return self._called(table, training=False)

    def drawn(self) -> NDArray[Any]:
        """Values with all but the noise held in inference mode."""
        with held_in_inference(self._layers):
            return self._called(self._table, training=True)

    def _called(self, table: NDArray[Any], training: bool) -> NDArray[Any]:
        blueprint, network = self._blueprint, self._network
        mode = training and takes_training(network)
        arguments = blueprint.arguments(network, tf.constant(table))
        outputs = call_in_mode(network, mode, arguments)
        return blueprint.graph_outputs.values(outputs).numpy()

    @functools.cached_property
    def resting(self) -> NDArray[Any]:
        """`at_rest` for all rows, with the weights as they are varied."""
        return self.at_rest(self._table)

    def vary_weights(self) -> None:
        """Change the trainable weights a little, if predictions stay finite."""
        rng = np.random.RandomState(0)
        before = [variable.numpy() for variable in self._network.trainable_variables]
        for variable, value in zip(
            self._network.trainable_variables, before, strict=True
        ):
            if value.dtype.kind == "f":
                size = 0.1 * (np.sqrt(np.mean(np.square(value))) or 1.0)
                noise = rng.standard_normal(value.shape).astype(value.dtype)
                variable.assign(value + noise * value.dtype.type(size))
        if not np.isfinite(self.resting).all():
            del self.resting
            for variable, value in zip(
                self._network.trainable_variables, before, strict=True
            ):
                variable.assign(value)

    def check_rows_are_independent(self) -> None:
        """Refuse a network in which rows depend on the company they are in."""
        halves = [self.at_rest(rows) for rows in np.split(self._table, [3])]
        if self._differs(np.concatenate(halves), self.resting):
            raise ValueError(
                "The model must predict each row by itself, so that it does not matter "
                f"which rows share a call. Got {self._network.name!r}, in which what "
                f"{self._first_to_mix_rows()} gives depends on the other rows."
            )

    def check_nothing_else_draws(self) -> None:
        """Refuse randomness that is not known, and other modes within known layers."""
        if not draws_unknown(self._network, self._blueprint.has_code):
            return
        found = random_operations(self._without_noise())
        if found:
            raise ValueError(
                "The model must draw random numbers in layers that are known alone, "
                "Keras's dropout and noise layers or ones derived from them, so that "
                f"they can be sampled once per draw. Got the operations {found}."
            )
        with Pass().noise_in(self._network):
            quiet = self._called(self._table, training=True)
        if self._differs(quiet, self.at_rest(self._table)):
            names = [
                layer.name
                for layer in self._layers
                if has_noise(layer) and not is_ours(type(layer))
            ]
            raise ValueError(
                "Layers that hold dropout must do nothing else in training mode that "
                "they do not do at inference, for all but the dropout rests at "
                f"prediction. Got {self._network.name!r}, where one of {names} does."
            )

    def _without_noise(self) -> Any:
        """The network in training mode with its known noise off, compiled."""
        blueprint, network = self._blueprint, self._network

        def forward(rows: tf.Tensor) -> Any:
            arguments = blueprint.arguments(network, rows)
            with Pass().noise_in(network, holds=False):
                return call_in_mode(network, takes_training(network), arguments)

        spec = tf.TensorSpec([None, self._table.shape[1]], blueprint.table_dtype)
        return tf.function(forward, autograph=False).get_concrete_function(spec)

    def check(self, engine: Engine) -> None:
        """Raise DisagreementError if an engine's numbers differ from Keras's."""
        ((got,),) = engine.draw(
            engine.sample(0, 0, "independent"), self._table, "draws"
        )
        if self._differs(got, self.resting):
            raise DisagreementError(
                "The model must predict with nothing dropped what Keras predicts. "
                f"Got other numbers for {self._network.name!r}."
            )
        with seeds_restored(self._network):
            with seeds_restored(self._network):
                expected = self.drawn()
            noise = engine.with_noise(keras_noise(engine.places, len(self._table)))
        (draws,) = engine.draw(noise, self._table, "draws")
        rows = np.arange(len(self._table))
        if self._differs(draws[rows % len(draws), rows], expected):
            raise DisagreementError(
                "The model must draw with each mask what Keras draws with it. "
                f"Got other numbers for {self._network.name!r}."
            )

    def _differs(self, got: NDArray[Any], expected: NDArray[Any]) -> bool:
        return not self._blueprint.outputs.are_same(got, expected, self._tolerance)

    def _first_to_mix_rows(self) -> str:
        """The first layer or operation whose outputs differ in company and without."""
        parts_of_it = _with_operations(self._layers)
        whole = _Recording(parts_of_it, lambda: self.at_rest(self._table)).outputs
        parts = [
            _Recording(parts_of_it, functools.partial(self.at_rest, rows)).outputs
            for rows in np.split(self._table, [3])
        ]
        for (name, of_all), (_, first), (_, second) in zip(whole, *parts, strict=False):
            halves = np.concatenate([np.atleast_1d(first), np.atleast_1d(second)])
            if halves.shape != of_all.shape:
                halves = first  # it has no rows
            if halves.shape == of_all.shape and _far(halves, of_all):
                return repr(name)
        return "an operation between layers"

    def first_to_differ(self) -> str:
        """Name of the first layer that, called by itself, gives other numbers."""
        blueprint, network = self._blueprint, self._network
        size = len(self._table)
        recordings = []
        for is_whole in (False, True):

            def run(is_whole: bool = is_whole) -> None:
                engine = whole_engine(network, blueprint, blueprint.row_shapes)
                noise = engine.with_noise(keras_noise(engine.places, size))
                inputs = blueprint.unpack(
                    tf.constant(self._table), blueprint.row_shapes
                )
                Pass(*(noise or ()), whole=is_whole).run([network], inputs)

            with seeds_restored(network):
                recordings.append(_Recording(self._layers, run))
        alone, by_keras = recordings
        for (name, x), (_, y) in zip(alone.outputs, by_keras.outputs, strict=False):
            is_fanned_out = x.ndim and len(x) == len(y)
            copies = x if is_fanned_out else np.concatenate([x] * size)
            if copies.shape != y.shape or _far(copies, y):
                return name
        return alone.last_begun


class _Recording:
    """Outputs of layers, in order, while something is run, until it fails."""

    def __init__(self, layers: Sequence[Any], run: Callable[[], Any]) -> None:
        self.outputs: list[tuple[str, NDArray[Any]]] = []
        self.last_begun = layers[0].name
        methods = {(la, "call"): self._recording(la) for la in layers[1:]}
        with replaced_methods(methods), contextlib.suppress(Exception):
            run()

    def _recording(self, layer: keras.layers.Layer) -> Callable[..., Any]:
        call = layer.call

        def record(*args: Any, **kwargs: Any) -> Any:
            self.last_begun = layer.name
            outputs = call(*args, **kwargs)
            for x in keras.tree.flatten(outputs):
                if is_eager(x):
                    self.outputs.append((layer.name, x.numpy()))
            return outputs

        return record


def _with_operations(layers: Sequence[Any]) -> list[Any]:
    """Layers and the operations between them, of networks among them."""
    between = [
        operation
        for network in layers
        if has_graph(network)
        for operation in network.operations
        if not isinstance(operation, keras.layers.Layer)
    ]
    return [*layers, *between]


def _far(x: NDArray[Any], y: NDArray[Any]) -> bool:
    return not np.allclose(x, y, rtol=1e-3, atol=1e-4, equal_nan=True)

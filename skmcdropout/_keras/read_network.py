"""Reads a built Keras network into a `Blueprint`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from types import FunctionType
from typing import Any

import keras

from skmcdropout._keras import configuration
from skmcdropout._keras.blueprint import Here, NotPlainError, not_plain
from skmcdropout._keras.compile_arguments import (
    KeptLoss,
    as_json,
    as_saved,
    compiled_metrics,
    metrics_as_json,
)
from skmcdropout._keras.compiled_loss import compiled_loss
from skmcdropout._keras.configuration import state_of_layers
from skmcdropout._keras.inspection import derives_constants
from skmcdropout._keras.modes import replaced_methods
from skmcdropout._keras.network import KerasNetwork
from skmcdropout._keras.noise_layers import check_samplable, is_ours
from skmcdropout._keras.private import flat_layers
from skmcdropout._perceptron.outputs import Outputs
from skmcdropout._utils.inputs import InputSpec, Shapes


def read_network(
    network: keras.Model,
    row_shapes: Shapes,
    read_outputs: Callable[[keras.Model, Shapes, Any], Outputs],
    maker: Callable[[], keras.Model] | None = None,
) -> KerasNetwork:
    """The blueprint of a built network, checked for all that is asked of it.

    `read_outputs` says what its outputs mean, given also its loss. With `maker`, which
    returns such a network, no configuration is needed.
    """
    check_samplable(network)
    inputs = input_specs(network)
    within = flat_layers(network)
    loss = compiled_loss(network)
    optimizer = network.optimizer if network.compiled else None
    custom = _custom_objects(network, loss, optimizer, *compiled_metrics(network))
    saved_loss = None if loss is None else as_saved(loss, custom)
    config, here = _configurations_of(network, within) if maker is None else ("", None)
    return KerasNetwork(
        config=config,
        trainable=tuple(layer.trainable for layer in within),
        custom_objects=tuple(sorted(custom.items())),
        inputs=inputs,
        row_shapes=row_shapes,
        outputs=read_outputs(network, row_shapes, loss),
        loss=saved_loss,
        optimizer=None if optimizer is None else as_json(optimizer),
        metrics=metrics_as_json(network),
        layer_state=state_of_layers(within),
        has_constants=any(map(derives_constants, within)),
        has_code=maker is not None
        or isinstance(saved_loss, KeptLoss)
        or any(map(_is_code, [*within, *custom.values()])),
        is_float16=any(layer.compute_dtype == "float16" for layer in within),
        maker=maker,
        here=here,
    )


def _configurations_of(
    network: keras.Model, within: list[Any]
) -> tuple[str, Here | None]:
    """What Keras saves of a network, and what builds it in this process.

    The code of a lambda without what it names is all that Keras could save of it, and
    not even that where it closes over other things than numbers.
    """
    found = [value for layer in within for value in vars(layer).values()]
    lambdas = list(filter(_is_lambda, found))
    if not lambdas:
        return _configuration_of(network), None
    named = {f"lambda_{i}": function for i, function in enumerate(lambdas)}
    try:
        for name, function in named.items():
            function.__name__ = name  # else Keras writes its code
        here = Here(_configuration_of(network), tuple(named.items()))
    finally:
        for function in lambdas:
            function.__name__ = "<lambda>"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it is not run elsewhere
            return _configuration_of(network), here
    except NotPlainError:
        return "", here


def _is_lambda(value: Any) -> bool:
    return isinstance(value, FunctionType) and value.__name__ == "<lambda>"


def _configuration_of(network: keras.Model) -> str:
    models = [m for m in flat_layers(network) if isinstance(m, keras.Model)]
    uncompiled = {(m, "get_compile_config"): lambda: None for m in models}
    try:
        with replaced_methods(uncompiled):
            plain = keras.saving.serialize_keras_object(network)
        if isinstance(network, keras.Sequential):
            plain = configuration.for_any_number_of_rows(plain)
        return json.dumps(plain)
    except Exception as error:  # whatever a get_config of the user's may raise
        raise not_plain(network, error) from error


def _is_code(value: Any) -> bool:
    """Whether a layer, class or function is not Keras's or ours, or holds code."""
    kind = value if isinstance(value, (type, FunctionType)) else type(value)
    return not is_ours(kind) or kind is keras.layers.Lambda


def input_specs(network: keras.Model) -> tuple[InputSpec, ...]:
    """What a built network says of its inputs."""
    if not getattr(network, "inputs", None):
        built_for = (network.get_build_config() or {}).get("input_shape")
        shape = built_for[1:] if isinstance(built_for, (tuple, list)) else [None]
        if not all(isinstance(n, int) for n in shape):
            raise ValueError(
                "A model with a call method of its own must take one input of known "
                f"shape. Got {network.name!r}, built for {built_for}."
            )
        return (InputSpec("inputs", tuple(shape), "float32"),)
    is_any_number = isinstance(network, keras.Sequential)  # see `configuration`
    for x in network.inputs:
        if x.shape[0] is not None and not is_any_number:
            raise ValueError(
                f"The model's input {x.name!r} must take any number of rows. "
                f"Got a batch_size of {x.shape[0]}."
            )
        if x.dtype == "string":
            raise ValueError(
                f"The model's input {x.name!r} must take numbers. Got dtype 'string': "
                "leave layers like TextVectorization and StringLookup outside of the "
                "model, as a step before the estimator: make_pipeline("
                "FunctionTransformer(lambda words: layer(words).numpy()), estimator)."
            )
    return tuple(
        InputSpec(x.name, tuple(x.shape[1:]), str(x.dtype)) for x in network.inputs
    )


def _custom_objects(network: keras.Model, *more: Any) -> dict[str, Any]:
    """Classes and functions that are not Keras's, by the names configurations use."""
    found: dict[str, Any] = {}
    layers = flat_layers(network)
    held = [
        value
        for owner in (*layers, *more)
        for name, value in getattr(owner, "__dict__", {}).items()
        if not hasattr(type(owner), name)  # Keras wraps methods
    ]
    for value in [*layers, *held, *more]:
        custom = value if isinstance(value, FunctionType) else type(value)
        is_named = isinstance(value, FunctionType) or hasattr(value, "get_config")
        is_named = is_named and custom.__name__ != "<lambda>"
        if is_named and not custom.__module__.startswith(("keras.", "builtins")):
            for name in (custom.__name__, keras.saving.get_registered_name(custom)):
                if found.setdefault(name, custom) is not custom:
                    raise ValueError(
                        "Custom classes and functions of the model must have different "
                        f"names. Got two that are named {name!r}."
                    )
    return found

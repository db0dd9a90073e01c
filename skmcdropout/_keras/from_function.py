"""From `model`, a function of the user's, to the blueprint and weights of its network.

The function has scikeras's form: ``model(meta, **parameters)``.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import keras
import numpy as np
from numpy.typing import NDArray

from skmcdropout._fit.from_parameters import PREFIX, plan_perceptron
from skmcdropout._fit.labels import LabelledRows
from skmcdropout._fit.parameters import (
    BuiltBy,
    FittedState,
    Parameters,
    Plan,
    Seeds,
    refuse_set,
)
from skmcdropout._keras.blueprint import NotPlainError
from skmcdropout._keras.build import seeded
from skmcdropout._keras.compile_arguments import described, has_own_code, made
from skmcdropout._keras.compiled_network import try_network
from skmcdropout._keras.inspection import ensure_built
from skmcdropout._keras.keras_backend import DTYPE, seeded_generators
from skmcdropout._keras.makers import CallAgain, call_as_text
from skmcdropout._keras.network import KerasNetwork
from skmcdropout._keras.outputs import read_outputs as outputs_of
from skmcdropout._keras.read_network import read_network
from skmcdropout._keras.train import train
from skmcdropout._perceptron.outputs import Outputs
from skmcdropout._utils.arrays import Floats
from skmcdropout._utils.inputs import Rows, Shapes, is_listed

#: Parameters that say what `model` says.
MLP_ONLY = (
    "hidden_layer_sizes",
    "activation",
    "dropout_position",
    "batch_normalization",
    "kernel_initializer",
    "alpha",
    "max_norm",
    "temperature",
)

#: Parameters that say what a compiled model says.
TRAINED_BY = ("optimizer", "learning_rate", "learning_rate_schedule")

BESIDE_MODEL = "has no meaning beside model, which builds all"
BESIDE_COMPILED = (
    "has no meaning beside a model that is compiled with an optimizer (compile it with "
    "another, or not at all)"
)


def plan(
    parameters: Parameters, data: LabelledRows, seeds: Seeds, before: FittedState | None
) -> Plan:
    """What to train: the network of `model`, or a perceptron with parts of Keras."""
    callbacks = _callbacks(parameters.callbacks)
    if parameters.model is None:
        found = _plan_perceptron(parameters, data, seeds, before)
    else:
        found = _plan_from_function(parameters, data, seeds, before)
    has_code = found.spec.custom_objects or has_own_code(found.optimizer)
    return found._replace(
        train=partial(train, callbacks=callbacks) if callbacks else train,
        is_repeatable=not (callbacks or has_code),
    )


def _callbacks(given: Any) -> list[keras.callbacks.Callback]:
    callbacks = list(given) if isinstance(given, (list, tuple)) else [given]
    callbacks = [] if given is None else callbacks
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise ValueError(
                "callbacks must be an instance of keras.callbacks.Callback or a list "
                f"of them. Got {callback!r} instead."
            )
    return callbacks


def _plan_perceptron(
    parameters: Parameters, data: LabelledRows, seeds: Seeds, before: FittedState | None
) -> Plan:
    """A perceptron with an optimizer or initializer of Keras."""
    initializer = parameters.kernel_initializer

    def make_kernel(seed: int, shape: tuple[int, int]) -> Floats:
        kernel = seeded(initializer, seed)(shape, dtype=DTYPE)
        return keras.ops.convert_to_numpy(kernel)

    found = plan_perceptron(
        parameters,
        data,
        seeds,
        before,
        None if isinstance(initializer, str) else make_kernel,
    )
    optimizer = described(parameters.optimizer)
    return found._replace(optimizer=optimizer, train_alike=train)


def _plan_from_function(
    parameters: Parameters, data: LabelledRows, seeds: Seeds, before: FittedState | None
) -> Plan:
    """Build the network of `model`, or go on with the one there was before."""
    optimizer = described(parameters.optimizer)
    new_optimizer = made(optimizer, float(parameters.learning_rate))
    arguments = _arguments(parameters, data, new_optimizer)
    call = BuiltBy(parameters.model, call_as_text(parameters.model, arguments))
    last = None if before is None else before.built_by
    if before is not None and last is None:
        raise ValueError(
            "Going on training (warm_start=True or partial_fit) must keep the network "
            "of the last fit, which model did not build. Clone the estimator to train "
            "another."
        )
    is_same = last == call and last.function is call.function
    if before is not None and is_same:
        blueprint = cast(KerasNetwork, before.spec)
        weights = before.training.weights
    else:
        blueprint, weights = _build(parameters, arguments, data, seeds.initial_weights)
        if before is not None:
            weights = _same_shapes(before.training.weights, weights)
    blueprint.graph_outputs.check_loss(blueprint.make_loss())
    compiled_with = blueprint.make_optimizer()
    has_own_rate = compiled_with is not None and "compile_kwargs" not in arguments
    if compiled_with is not None:
        if has_own_rate:
            refuse_set(parameters, TRAINED_BY, BESIDE_COMPILED)
        optimizer = described(compiled_with)
    if blueprint.is_float16:
        raise ValueError(
            "The model must compute in float32 or bfloat16 to be trained, for losses "
            "are not scaled here as float16 needs it. Got a dtype of 'float16'."
        )
    table, row_shapes = blueprint.pack(data.X)
    spec = blueprint.for_rows(row_shapes)

    def new_weights(seed: int) -> Sequence[NDArray[Any]]:
        return weights  # as `model` built it, which may have trained some

    return Plan(
        spec,
        weights,
        table,
        optimizer,
        new_weights,
        train=train,
        train_alike=train,
        built_by=call,
        has_own_rate=has_own_rate,
    )


def _arguments(
    parameters: Parameters, data: LabelledRows, optimizer: Any
) -> dict[str, Any]:
    """Keyword arguments for `model`: those of its parameters that we can supply."""
    function: Any = parameters.model
    if isinstance(function, keras.Model):
        raise ValueError(
            "model must be a function that returns a new keras.Model, so that each fit "
            f"has its own. Got the model {function.name!r} itself; a trained one "
            f"becomes an estimator by {type(parameters).__name__}.from_keras."
        )
    refuse_set(parameters, MLP_ONLY, BESIDE_MODEL)
    signature = inspect.signature(function).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in signature.values())
    takes = [n for n, p in signature.items() if p.kind is not p.VAR_KEYWORD]
    given = {
        name.removeprefix(PREFIX): value
        for name, value in parameters.get_params(deep=False).items()
        if name.startswith(PREFIX)
    }
    for name in given:
        if name not in takes and not takes_all:
            close = difflib.get_close_matches(name, takes, n=1)
            hint = f" Did you mean {PREFIX}{close[0]}?" if close else ""
            raise ValueError(
                f"{PREFIX}{name} must be a parameter of model, which has {takes}. "
                f"Got {given[name]!r}.{hint}"
            )
    if "dropout_rate" in takes and "dropout_rate" not in given:
        given["dropout_rate"] = parameters.dropout_rate
    else:
        reason = f"is given to model as {PREFIX}dropout_rate already"
        if "dropout_rate" not in given:
            reason = "must be a parameter of model to be set"
        refuse_set(parameters, ("dropout_rate",), reason)
    offered = {
        "meta": _meta(data),
        "compile_kwargs": {"optimizer": optimizer},
    }
    for name, value in offered.items():
        if name in takes or (takes_all and name == "meta"):
            given.setdefault(name, value)
    return given


def _build(
    parameters: Parameters, arguments: dict[str, Any], data: LabelledRows, seed: int
) -> tuple[KerasNetwork, Sequence[NDArray[Any]]]:
    """Call `model`, check what it returns, and try it."""
    row_shapes, function = _row_shapes(data.X), cast(Any, parameters.model)
    with seeded_generators(seed):
        network = function(**arguments)
        if not isinstance(network, keras.Model):
            raise ValueError(
                "model must be a function that returns a keras.Model. "
                f"Got {network!r}, of type {type(network).__name__}."
            )
        ensure_built(network, row_shapes)

    def read_outputs(network: keras.Model, row_shapes: Shapes, loss: Any) -> Outputs:
        asked = data.labels.outputs_of_perceptron()
        return outputs_of(network, row_shapes, asked, function, loss)

    def tried(maker: CallAgain | None) -> KerasNetwork:
        blueprint = read_network(network, row_shapes, read_outputs, maker)
        table, shapes = blueprint.pack(data.X)
        try_network(blueprint.for_rows(shapes), network, table)
        return blueprint

    try:
        blueprint = tried(None)
    except NotPlainError:
        maker = CallAgain(
            function, arguments, parameters.optimizer, float(parameters.learning_rate)
        )
        blueprint = tried(maker)
    return blueprint, network.get_weights()


def _same_shapes(
    before: Sequence[NDArray[Any]], now: Sequence[NDArray[Any]]
) -> Sequence[NDArray[Any]]:
    shapes = [[w.shape for w in weights] for weights in (before, now)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "Going on training (warm_start=True or partial_fit) must keep the network "
            f"of the last fit, with weights of the shapes {shapes[0]}. "
            f"Got {shapes[1]}; clone the estimator to train another."
        )
    return before


def _row_shapes(X: Rows) -> Shapes:
    arrays = [X[n] for n in sorted(X)] if isinstance(X, Mapping) else [X]
    return tuple(array.shape[1:] for array in arrays)


def _meta(data: LabelledRows) -> dict[str, Any]:
    """What scikeras tells a model function of the data."""
    X, meta = data.X, {**data.labels.meta(), "X_dtype_": np.dtype(np.float32)}
    n_rows = len(data.labels) - data.n_held
    if isinstance(X, Mapping):
        shapes = {name: (n_rows, *array.shape[1:]) for name, array in X.items()}
        return meta | {"X_shape_": [*shapes.values()] if is_listed(X) else shapes}
    return meta | {"X_shape_": (n_rows, *X.shape[1:]), "n_features_in_": X.shape[1]}

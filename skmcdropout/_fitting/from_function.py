"""From `model`, a function of the user's, to the blueprint and weights of its network.

The function has scikeras's form: ``model(meta, **parameters)``.
"""

from __future__ import annotations

import difflib
import inspect
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import column_or_1d

from skmcdropout._drawing.compiled_network import CompiledNetwork, compiled_network
from skmcdropout._networks.architecture import Architecture
from skmcdropout._networks.blueprint import (
    Blueprint,
    NotPlainError,
    draw_up,
    ensure_built,
    input_specs,
    not_plain,
    seeded_generators,
)
from skmcdropout._networks.inputs import Rows, Shapes
from skmcdropout._networks.makers import CallAgain, SameNetwork, call_in_words
from skmcdropout._networks.noise_layers import has_noise
from skmcdropout._networks.optimizers import described, made
from skmcdropout._networks.outputs import count_outputs

if TYPE_CHECKING:
    from skmcdropout._classifier import MCDropoutClassifier

PREFIX = "model__"

#: Sizes that a network for inputs of any size is tried with: the first that it takes.
SOME_SIZES = (16, 64, 256)

#: Parameters that say what `model` says.
MLP_ONLY = (
    "hidden_layer_sizes",
    "activation",
    "dropout_position",
    "batch_normalization",
    "kernel_initializer",
    "alpha",
    "max_norm",
)


class Plan(NamedTuple):
    """What to train: a network, its weights before, its rows, with which optimizer."""

    arch: Architecture | Blueprint
    weights: Sequence[NDArray[Any]]
    table: NDArray[np.float32]
    optimizer: Any


def plan(
    estimator: MCDropoutClassifier, X: Rows, y: NDArray[np.int64], going_on: bool
) -> Plan:
    """Build the network of `estimator.model`, or go on with the one there is."""
    optimizer = described(estimator.optimizer)
    new_optimizer = made(optimizer, float(estimator.learning_rate))
    arguments = _arguments(estimator, X, y, new_optimizer)
    function = estimator.model
    built_with = call_in_words(function, arguments)
    if going_on and not isinstance(estimator._arch, Blueprint):
        raise ValueError(
            "Going on training (warm_start=True or partial_fit) must keep the network "
            "of the last fit, which model did not build. Clone the estimator to train "
            "another."
        )
    is_same = function is estimator._built_by if going_on else False
    if is_same and built_with == estimator._built_with:
        blueprint, weights = estimator._arch, estimator._sampler.weights
    else:
        blueprint, weights = _build(estimator, arguments, X)
        if going_on:
            weights = _same_shapes(estimator._sampler.weights, weights)
    blueprint.outputs.check_loss(blueprint.make_loss())
    estimator._built_by, estimator._built_with = function, built_with
    compiled_with = blueprint.make_optimizer()
    if compiled_with is not None:
        if "compile_kwargs" not in arguments:
            _refuse_set(estimator, ("optimizer", "learning_rate"), _COMPILED)
        optimizer = described(compiled_with)
    takes_any_length = blueprint.inputs[0].shape[:1] == (None,)
    if takes_any_length and hasattr(estimator, "n_features_in_"):
        del estimator.n_features_in_
    if blueprint.is_float16:
        raise ValueError(
            "The model must compute in float32 or bfloat16 to be trained, for losses "
            "are not scaled here as float16 needs it. Got a dtype of 'float16'."
        )
    table, row_shapes = blueprint.pack(X)
    return Plan(replace(blueprint, row_shapes=row_shapes), weights, table, optimizer)


_BESIDE_MODEL = "has no meaning beside model, which builds all"
_COMPILED = (
    "has no meaning beside a model that is compiled with an optimizer (compile it with "
    "another, or not at all)"
)


def adopt(
    estimator: MCDropoutClassifier,
    network: Any,
    classes: Any,
    from_logits: bool | None,
) -> tuple[Sequence[NDArray[Any]], CompiledNetwork | None]:
    """Set what there is to know of a trained network, which stays as it is.

    Returned are its weights, and a copy to draw from if it could be tried.
    """
    if not isinstance(network, keras.Model) or not network.built:
        raise ValueError(
            "model must be a trained keras.Model, with weights. "
            f"Got {network!r} instead."
        )
    row_shapes = tuple(
        tuple(n or 1 for n in spec.shape) for spec in input_specs(network)
    )
    n_units = count_outputs(network, row_shapes)
    if classes is None:
        classes = np.arange(2 if n_units == 1 else n_units)
    classes = column_or_1d(classes)
    if len(np.unique(classes)) != len(classes) or len(classes) < 2:
        raise ValueError(
            "classes must hold at least 2 labels, each one once, in the order of the "
            f"model's outputs. Got {classes} instead."
        )
    blueprint = draw_up(network, row_shapes, len(classes), from_logits)
    blueprint.outputs.check_loss(blueprint.make_loss())
    weights = [np.array(weight) for weight in network.get_weights()]
    if not all(np.isfinite(weight).all() for weight in weights):
        raise ValueError("The model's weights must be finite. Got NaN or infinity.")
    _refuse_set(estimator, (*MLP_ONLY, "dropout_rate"), _BESIDE_MODEL)
    if blueprint.optimizer is not None:
        _refuse_set(estimator, ("optimizer", "learning_rate"), _COMPILED)
    estimator.model = SameNetwork(blueprint)
    estimator.classes_ = np.unique(classes)
    estimator._arch = replace(blueprint, outputs=blueprint.outputs.for_classes(classes))
    compiled = _try_trained(network, estimator._arch)
    estimator._built_by = estimator.model
    estimator._built_with = call_in_words(estimator.model, {})
    if len(blueprint.inputs) == 1 and blueprint.inputs[0].shape:
        n_features = blueprint.inputs[0].shape[0]
        if n_features is not None:
            estimator.n_features_in_ = n_features
    return weights, compiled


def refuse_routed(estimator: MCDropoutClassifier) -> None:
    """Refuse parameters for `model` where there is none."""
    for name, value in estimator.get_params(deep=False).items():
        if name.startswith(PREFIX):
            raise ValueError(
                f"{name} must stand beside a function as model, of which it is a "
                f"parameter. Got {name}={value!r} and model=None."
            )


def _arguments(
    estimator: MCDropoutClassifier, X: Rows, y: NDArray[Any], optimizer: Any
) -> dict[str, Any]:
    """What `estimator.model` is called with: what it takes of what there is."""
    function: Any = estimator.model
    if isinstance(function, keras.Model):
        raise ValueError(
            "model must be a function that returns a new keras.Model, so that each fit "
            f"has its own. Got the model {function.name!r} itself; a trained one "
            "becomes a classifier by MCDropoutClassifier.from_keras."
        )
    _refuse_set(estimator, MLP_ONLY, _BESIDE_MODEL)
    parameters = inspect.signature(function).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    takes = [n for n, p in parameters.items() if p.kind is not p.VAR_KEYWORD]
    given = {
        name.removeprefix(PREFIX): value
        for name, value in estimator.get_params(deep=False).items()
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
        given["dropout_rate"] = estimator.dropout_rate
    else:
        reason = f"is given to model as {PREFIX}dropout_rate already"
        if "dropout_rate" not in given:
            reason = "must be a parameter of model to be set"
        _refuse_set(estimator, ("dropout_rate",), reason)
    offered = {
        "meta": _meta(estimator, X, y),
        "compile_kwargs": {"optimizer": optimizer},
    }
    for name, value in offered.items():
        if name in takes or (takes_all and name == "meta"):
            given.setdefault(name, value)
    return given


def _build(
    estimator: MCDropoutClassifier, arguments: dict[str, Any], X: Rows
) -> tuple[Blueprint, Sequence[NDArray[Any]]]:
    """Call `estimator.model`, check what it returns, and try it."""
    row_shapes, function = _row_shapes(X), cast(Any, estimator.model)
    with seeded_generators(estimator._seeds[0]):
        network = function(**arguments)
        if not isinstance(network, keras.Model):
            raise ValueError(
                "model must be a function that returns a keras.Model. "
                f"Got {network!r}, of type {type(network).__name__}."
            )
        ensure_built(network, row_shapes)
    maker = CallAgain(estimator, arguments)
    try:
        blueprint = _tried(estimator, network, row_shapes, X, None)
    except NotPlainError:
        blueprint = _tried(estimator, network, row_shapes, X, maker)
    return blueprint, network.get_weights()


def _tried(
    estimator: MCDropoutClassifier,
    network: keras.Model,
    row_shapes: Shapes,
    X: Rows,
    maker: CallAgain | None,
) -> Blueprint:
    """The blueprint of what `estimator.model` has built, tried with rows of `X`."""
    from_logits = getattr(estimator.model, "from_logits", None)
    n_classes = len(estimator.classes_)
    blueprint = draw_up(network, row_shapes, n_classes, from_logits, maker)
    table, row_shapes = blueprint.pack(X)
    tried = replace(blueprint, row_shapes=row_shapes)
    _try(tried, network, table)
    return blueprint


def _try(
    blueprint: Blueprint, network: keras.Model, table: NDArray[Any] | None = None
) -> CompiledNetwork:
    """Try a network as it will be drawn from; warn if nothing is drawn."""
    weights = network.get_weights()
    try:
        compiled = compiled_network(blueprint, True, weights)
    except Exception as error:
        raise not_plain(network, error) from error
    with compiled.lock:
        compiled.load(weights)
        compiled.try_out(network, table)
        draws = compiled.draws
    if not draws:
        _warn_without_noise(network)
    return compiled


def _try_trained(network: keras.Model, blueprint: Blueprint) -> CompiledNetwork | None:
    """Try a trained network with made rows, if it takes any of `SOME_SIZES`."""
    for size in SOME_SIZES:
        shapes = tuple(tuple(n or size for n in s.shape) for s in blueprint.inputs)
        tried = replace(blueprint, row_shapes=shapes)
        if not blueprint.has_any_length or _takes(network, tried):
            return _try(tried, network)
    if not has_noise(network):  # all else is tried with the first rows
        _warn_without_noise(network)
    return None


def _takes(network: keras.Model, blueprint: Blueprint) -> bool:
    """Whether a network for any length takes rows of the lengths of `blueprint`."""
    n_values = sum(map(math.prod, blueprint.row_shapes))
    table = np.zeros((1, n_values), blueprint.table_dtype)
    try:
        network(blueprint.arguments(network, table), training=False)
    except Exception:  # whatever a layer may say of it
        return False
    return True


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


def _warn_without_noise(network: keras.Model) -> None:
    warnings.warn(
        f"The model {network.name!r} has no dropout or noise layer with a rate above 0 "
        "that is active in training mode: there is nothing to sample, all draws are "
        "the same, and the measures of disagreement are 0.",
        UserWarning,
        stacklevel=2,
    )


def _row_shapes(X: Rows) -> Shapes:
    arrays = [X[n] for n in sorted(X)] if isinstance(X, Mapping) else [X]
    return tuple(array.shape[1:] for array in arrays)


def _meta(estimator: MCDropoutClassifier, X: Rows, y: NDArray[Any]) -> dict[str, Any]:
    """What scikeras tells a model function of the data."""
    n_classes = len(estimator.classes_)
    meta = {
        "classes_": estimator.classes_,
        "n_classes_": n_classes,
        "target_type_": type_of_target(y),
        "n_outputs_": 1,
        "n_outputs_expected_": 1 if n_classes == 2 else n_classes,
        "X_dtype_": np.dtype(np.float32),
    }
    if isinstance(X, Mapping):
        return meta | {"X_shape_": {name: array.shape for name, array in X.items()}}
    return meta | {"X_shape_": X.shape, "n_features_in_": X.shape[1]}


def _refuse_set(
    estimator: MCDropoutClassifier, names: tuple[str, ...], why: str
) -> None:
    """Refuse parameters that are not at their defaults."""
    defaults = inspect.signature(type(estimator)).parameters
    for name in names:
        value, default = getattr(estimator, name), defaults[name].default
        if value is not default and repr(value) != repr(default):
            raise ValueError(f"{name} {why}. Got {name}={value!r}.")

"""The one door to parts of Keras, TensorFlow and scikit-learn that are not public.

Whatever is relied on without being promised is used here and nowhere else, under a
name that says what for. What would be missed silently is looked for by `check_keras`,
all else where it is used. `tests/networks/test_keras_assumptions.py` and
`tests/contracts/test_sklearn_assumptions.py` test what each part does, on the libraries
alone.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any


class PrivatePartError(ImportError):
    """A library does not have a private part that this package relies on."""

    def __init__(self, library: str, part: str) -> None:
        version = getattr(importlib.import_module(library), "__version__", "unknown")
        super().__init__(
            f"skmcdropout must find {part}, a private part of {library} that it relies "
            f"on. Got {library} {version}, which does not have it; install a version "
            "that skmcdropout is tested with."
        )


def _part(holder: Any, name: str) -> Any:
    """An attribute that must be there, of a module, a class or an object."""
    try:
        return getattr(holder, name)
    except AttributeError:
        if isinstance(holder, ModuleType):
            module = kind = holder.__name__
        else:
            cls = holder if isinstance(holder, type) else type(holder)
            module, kind = cls.__module__, cls.__qualname__
        library = module.partition(".")[0]
        library = library if library in ("keras", "tensorflow", "sklearn") else "keras"
        raise PrivatePartError(library, f"{kind}.{name}") from None


def _module(name: str) -> Any:
    """A module that must be there."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise PrivatePartError(name.partition(".")[0], name) from None


# scikit-learn

#: Validates parameters before a method that fits.
fit_context = _part(_module("sklearn.base"), "_fit_context")

#: Scorers that searches call with the estimator; of its hooks `_score`, `_sign`,
#: `_score_func`, `_kwargs` and `_get_metadata_request` are used.
BaseScorer = _part(_module("sklearn.metrics._scorer"), "_BaseScorer")

#: Rows of an array, table or list.
rows_of = _part(_module("sklearn.utils"), "_safe_indexing")

_of_samples = _module("sklearn.utils.validation")
check_sample_weight = _part(_of_samples, "_check_sample_weight")

#: Parameters of `fit`, those of the length of X for some of its rows.
params_of_rows = _part(_of_samples, "_check_method_params")

# What parameters must be, in scikit-learn's words.
_validation = _module("sklearn.utils._param_validation")
HasMethods = _part(_validation, "HasMethods")
Interval = _part(_validation, "Interval")
StrOptions = _part(_validation, "StrOptions")
validate_parameter_constraints = _part(_validation, "validate_parameter_constraints")

__all__ = [
    "BaseScorer",
    "HasMethods",
    "Interval",
    "PrivatePartError",
    "StrOptions",
    "check_sample_weight",
    "fit_context",
    "params_of_rows",
    "rows_of",
    "validate_parameter_constraints",
]


def scale_of_power(transformer: Any) -> Any:
    """What a fitted `PowerTransformer` that standardises divides by."""
    return _part(transformer, "_scaler").scale_


def arguments_of_loss(loss: Any) -> dict[str, Any]:
    """What a loss of Keras that wraps a function gives it; nothing for another."""
    return dict(getattr(loss, "_fn_kwargs", {}))


def callbacks_of(estimator: Any) -> list[Any]:
    """The callbacks that `set_callbacks` of scikit-learn 1.9 has set."""
    _check_callbacks()
    return getattr(estimator, "_skl_callbacks", [])


@functools.cache
def _check_callbacks() -> None:
    """Raise PrivatePartError if callbacks are kept elsewhere, where there are some."""
    if importlib.util.find_spec("sklearn.callback") is None:
        return
    callback = _module("sklearn.callback")
    watched = callback.CallbackSupportMixin().set_callbacks(
        callback.ScoringMonitor(scoring="accuracy")
    )
    _part(watched, "_skl_callbacks")


def callback_context(estimator: Any, max_subtasks: int) -> Any:
    """What tells callbacks of scikit-learn 1.9 how far a fit is."""
    return _part(estimator, "_init_callback_context")(max_subtasks=max_subtasks)


# Keras: layers and networks

#: Method of recurrent cells that draws their dropout.
DRAWS_CELL_MASKS = "_create_dropout_mask"

#: Method of `keras.layers.Attention` that drops its weights and applies them.
APPLIES_SCORES = "_apply_scores"

#: Methods by which a dropout layer chooses the shape of its mask.
CHOOSE_NOISE_SHAPE = ("_get_noise_shape", "_get_concrete_noise_shape")


def check_keras() -> None:
    """Raise PrivatePartError if a part is gone whose absence would change numbers.

    Nothing is computed and no variable made: TensorFlow does not start.
    """
    import keras
    import tensorflow as tf

    layers = keras.layers
    inputs = keras.Input((1,), name="skmcdropout_probe_input")
    outputs = layers.Flatten(name="skmcdropout_probe_layer")(inputs)
    network = keras.Model(inputs, outputs, name="skmcdropout_probe")
    steps = keras.Input((2, 1), name="skmcdropout_probe_steps")
    masked = layers.Masking(name="skmcdropout_probe_mask")(steps)
    cells = [layers.SimpleRNNCell, layers.GRUCell, layers.LSTMCell]
    context = _module(CONTEXT)
    for holder, *parts in (
        *((cell, DRAWS_CELL_MASKS) for cell in cells),
        (layers.Attention, APPLIES_SCORES),
        (layers.SpatialDropout1D, CHOOSE_NOISE_SHAPE[0]),
        (layers.AlphaDropout, CHOOSE_NOISE_SHAPE[1]),
        (masked, "_keras_mask"),
        (network, "_flatten_layers", "_call_has_training_arg"),
        (network, "_run_through_graph", "_nodes_by_depth", "_standardize_inputs"),
        (outputs, "_keras_history"),
        (keras.optimizers.Optimizer, "_all_reduce_sum_gradients"),
        (keras.callbacks.Callback(), "_model"),
        (context, "_context"),
        (_part(context, "Context"), "clear_kernel_cache"),
        (_part(tf, "__internal__"), "EagerTensor"),
    ):
        for part in parts:
            _part(holder, part)


def flat_layers(layer: Any, include_self: bool = True) -> list[Any]:
    """A layer or network and all layers within, however deep."""
    return list(_part(layer, "_flatten_layers")(include_self=include_self))


def takes_training(operation: Any) -> bool:
    """Whether the `call` of a layer takes `training`; operations are no layers."""
    return bool(getattr(operation, "_call_has_training_arg", False))


def has_graph(network: Any) -> bool:
    """Whether a network has a graph of layers, as functional ones have."""
    return hasattr(network, "_run_through_graph")


def run_through_graph(
    network: Any, inputs: Sequence[Any], operation_fn: Callable[[Any], Any]
) -> Any:
    """What a network's graph gives, each operation called as `operation_fn` says."""
    return network._run_through_graph(list(inputs), operation_fn=operation_fn)


def nodes_in_order(network: Any) -> list[list[Any]]:
    """Calls of layers in a network's graph, those of one depth together."""
    by_depth = _part(network, "_nodes_by_depth")
    return [by_depth[depth] for depth in sorted(by_depth, reverse=True)]


def standardized_inputs(network: Any, inputs: Any) -> Any:
    """Inputs as a network's graph wants them: cast, and with all axes."""
    return _part(network, "_standardize_inputs")(inputs)


def operation_of(tensor: Any) -> Any:
    """The operation that gave a symbolic tensor of a network."""
    return _part(tensor, "_keras_history").operation


def get_mask(tensor: Any) -> Any:
    """The mask of time steps that Keras keeps with a tensor; None for none."""
    return getattr(tensor, "_keras_mask", None)


def set_mask(tensor: Any, mask: Any) -> None:
    """Keep a mask with a tensor, as Keras does."""
    tensor._keras_mask = mask


def compiled_with(network: Any) -> Mapping[str, Any]:
    """The arguments a compiled network was compiled with, as they were given."""
    return _part(network, "_compile_config").config


# Keras: variables, optimizers and callbacks


def let_any_length(variable: Any) -> None:
    """Let a Keras vector hold vectors of any length; Keras goes on showing its own."""
    import tensorflow as tf

    held = _part(variable, "_value")
    variable._value = tf.Variable(held, shape=[None], trainable=False)


def show_any_shape(variable: Any) -> None:
    """Let layers believe that a variable's axes have any length."""
    _part(variable, "_shape")
    variable._shape = (None,) * len(variable.shape)


def train_on_one_replica(optimizer: Any) -> None:
    """Spare an optimizer the sum of gradients over replicas, of which there is one.

    To make it, TensorFlow would register a gradient for each graph and never let go of
    either (3 MB).
    """
    _part(optimizer, "_all_reduce_sum_gradients")
    optimizer._all_reduce_sum_gradients = lambda pairs: pairs


def forget_model(callback: Any) -> None:
    """Take its model from a callback; `set_model` is the user's to define."""
    callback._model = None


# TensorFlow

#: The module that holds what has started in this process.
CONTEXT = "tensorflow.python.eager.context"


def tensorflow_has_started() -> bool:
    """Whether TensorFlow has started its threads in this process."""
    module = sys.modules.get(CONTEXT)
    context = _part(module, "_context") if module is not None else None
    return context is not None and bool(_part(context, "_initialized"))


def clear_kernels() -> None:
    """Let TensorFlow forget the kernels of all functions that have run."""
    _part(_module(CONTEXT).context(), "clear_kernel_cache")()


def is_eager(tensor: Any) -> bool:
    """Whether a tensor has a value."""
    import tensorflow as tf

    return isinstance(tensor, _part(tf.__internal__, "EagerTensor"))

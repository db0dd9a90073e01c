"""The loss that a network was compiled with: what it is, and what it is shown.

It is shown what Keras's own `fit` would show it: targets in their own units, and codes
of classes, but for those losses of Keras that compare distributions.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._keras.noise_layers import is_ours
from skmcdropout._keras.private import arguments_of_loss, compiled_with

#: Losses whose best outputs follow every shift and every scale of the targets.
FOLLOWING: tuple[Any, ...] = (
    keras.losses.MeanSquaredError,
    keras.losses.MeanAbsoluteError,
    keras.losses.mean_squared_error,
    keras.losses.mean_absolute_error,
)

#: Errors by which a loss says that it does not take what it is shown.
OF_SHAPES = (ValueError, TypeError, IndexError, tf.errors.InvalidArgumentError)

#: Names by which Keras chooses among its cross-entropies, as we do without a loss.
CROSS_ENTROPY = ("crossentropy", "ce")


#: Makes labels and outputs of a network for a loss.
Example = Callable[[Any], tuple[NDArray[Any], NDArray[Any]]]


class FunctionLoss(keras.losses.Loss):
    """A loss given as a function of the true and predicted values of each row."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        name = getattr(function, "__name__", type(function).__name__)
        super().__init__(name=name.strip("<>"))  # of a lambda
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each row."""
        return self.function(y_true, y_pred)


def compiled_loss(network: keras.Model) -> Any:
    """The loss a model was compiled with, an object or function; None for none."""
    if not network.compiled:
        return None
    given = keras.tree.flatten(network.loss)
    weights = keras.tree.flatten(compiled_with(network).get("loss_weights"))
    if len(given) > 1 or any(weight not in (None, 1) for weight in weights):
        raise ValueError(
            "The model must be compiled with one loss, as it has one output, and no "
            f"loss_weights. Got {network.loss!r} and loss_weights={weights}."
        )
    (loss,) = given or [None]
    if isinstance(loss, str) and loss.lower() in CROSS_ENTROPY:
        return None
    return None if loss is None else keras.losses.get(loss)


def values_of(loss: Any, y: Any, p: Any) -> NDArray[np.float64]:
    """What a loss says of rows, NaN where it does not take such ones."""
    try:
        found = keras.ops.convert_to_numpy(as_loss(loss).call(y, p))
        return np.asarray(found, np.float64)
    except Exception:  # whatever a loss of the user's may raise
        return np.array(np.nan)


def as_loss(loss: Any) -> keras.Loss:
    """A loss object of a loss object or function."""
    return loss if isinstance(loss, keras.Loss) else FunctionLoss(loss)


def name_of(loss: Any) -> str:
    """How to call a loss in a message."""
    return str(getattr(loss, "name", None) or getattr(loss, "__name__", loss))


def function_of(loss: Any) -> Any:
    """The function that a loss wraps; None for a loss of another kind."""
    if isinstance(loss, FunctionLoss):
        loss = loss.function
    elif isinstance(loss, keras.Loss):
        loss = getattr(loss, "fn", None)
    while isinstance(loss, functools.partial):
        loss = loss.func
    return loss


def follows_units(loss: Any) -> bool:
    """Whether a loss of real targets has its optimum where standardised ones have."""
    kind = loss.function if isinstance(loss, FunctionLoss) else type(loss)
    return kind in FOLLOWING


def takes_codes(loss: Any) -> bool:
    """Whether a loss is shown codes of classes: all but Keras's own for distributions.

    One that is derived from a loss of Keras takes what that takes.
    """
    wrapped = [keras.Loss, FunctionLoss, *_wrappers()]
    kinds = [k for k in type(loss).__mro__ if is_ours(k) and issubclass(k, keras.Loss)]
    named = next((kind for kind in kinds if kind not in wrapped), function_of(loss))
    if named is None or not is_ours(_as_named(named)):
        return True
    return "sparse" in named.__name__.lower()


def _wrappers() -> list[type]:
    """The class by which Keras makes a loss of a function."""
    return [k for k in keras.losses.Huber.__mro__[1:] if k is not keras.Loss]


def _as_named(value: Any) -> Any:
    return value if hasattr(value, "__module__") else type(value)


def loss_from_logits(loss: Any) -> bool | None:
    """Whether a loss takes logits; None for a loss that does not know the question."""
    if isinstance(loss, FunctionLoss):
        loss = loss.function
    if isinstance(loss, keras.Loss):
        arguments = {**_config_of(loss), **arguments_of_loss(loss)}
        says = arguments.get("from_logits")
        return None if says is None else bool(says)
    parameter = inspect.signature(loss).parameters.get("from_logits") if loss else None
    return None if parameter is None else bool(parameter.default)


def _config_of(loss: keras.Loss) -> Mapping[str, Any]:
    try:
        return loss.get_config()
    except Exception:  # whatever a configuration of the user's may raise
        return {}


def shown_as(loss: keras.Loss, example: Example) -> tuple[int, ...] | None:
    """Shape, rows apart, in which a loss is shown the labels; None for as they are.

    Keras shows a loss of one's own labels without an axis, and a function those with
    the axis that a single output has. The other shape is what one is shown that takes
    every row by itself with that alone: the first may broadcast.

    Parameters
    ----------
    loss : keras.Loss
        Of the model.
    example : callable
        Makes labels and outputs for a loss, `GraphOutputs.example` of the model's.

    Returns
    -------
    shape : tuple of int or None
        ``()``, ``(1,)`` or None.

    Raises
    ------
    ValueError
        If a loss of the user's takes neither.
    """
    if _is_known(loss):
        return None
    y, p = example(loss)
    shapes: list[tuple[int, ...]] = [y.shape[1:]]
    if p.shape[1] == 1 or y.shape[1:] == (1,):  # one number a row, and no code
        shapes = [(), (1,)]
    if isinstance(loss, FunctionLoss) and p.shape[1] == 1:
        shapes.reverse()
    errors: list[Exception] = []
    taken: list[tuple[int, ...]] = []
    for shape in shapes:
        try:
            if _is_by_row(loss, y.reshape(-1, *shape), p):
                return shape
        except OF_SHAPES as error:
            errors.append(error)
        else:
            taken.append(shape)
    if taken:  # it compares rows with each other, as it may
        return taken[0]
    raise refused(loss, errors[0]) from errors[0]


def _is_known(loss: keras.Loss) -> bool:
    """Whether a loss is one of Keras's or ours, as it is."""
    function = function_of(loss)
    return is_ours(type(loss)) and (function is None or is_ours(_as_named(function)))


def _is_by_row(loss: keras.Loss, y: NDArray[Any], p: NDArray[Any]) -> bool:
    y, p = (np.asarray(x, np.float32) for x in (y, p))

    def mean(rows: slice) -> Any:
        return np.mean(keras.ops.convert_to_numpy(loss.call(y[rows], p[rows])))

    apart = [mean(slice(i, i + 1)) for i in range(len(y))]
    together = mean(slice(None))
    return np.allclose(together, np.mean(apart), rtol=1e-4, atol=1e-6, equal_nan=True)


def refused(loss: Any, error: Exception) -> ValueError:
    """Why a loss can't be trained by: the error that it raised."""
    text = str(error).rpartition("}} ")[2]  # after what TensorFlow calls a place
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return ValueError(
        f"The loss {name_of(loss)!r} that the model is compiled with must take what "
        "Keras's own fit(X, y) would show it, and the model's outputs: real targets in "
        "their own units, or codes 0, 1, ... of classes, of shape (n_rows,). Only "
        "Keras's own losses of distributions, like categorical_crossentropy, are shown "
        "one-hot rows; in yours keras.ops.one_hot(y, n_classes) makes them. "
        f"Got {type(error).__name__}: {said[0] if said else ''}"
    )


def slopes_of_loss(
    loss: Any, y: NDArray[Any], spread_of_outputs: str | None, example: Example
) -> NDArray[np.float64]:
    """How steep a loss is in what is predicted for each target, as far as it says.

    Parameters
    ----------
    loss : keras.Loss
        Of real targets, in their units.
    y : ndarray of shape (n_rows, n_targets)
        Targets.
    spread_of_outputs : {"log_variance", "std"} or None
        What outputs there are beside those of means.
    example : callable
        As of `shown_as`.

    Returns
    -------
    slopes : ndarray of shape (n_constants, n_rows, n_targets)
        Derivatives by the predicted mean, where some quantiles of y are predicted for
        all rows; 1 where there are none that are finite.
    """
    constants = np.quantile(y, (0.0, 0.25, 0.5, 0.75, 1.0), axis=0)
    shape = shown_as(loss, example)
    targets = tf.constant(y if shape is None else y.reshape(-1, *shape), tf.float32)
    logs = np.log(np.maximum(y.var(axis=0), np.finfo(np.float32).tiny))
    spread = {"std": np.exp(logs / 2), "log_variance": logs}.get(
        str(spread_of_outputs), ()
    )
    slopes = []
    for constant in constants:
        p = np.tile(np.hstack([constant, spread]), (len(y), 1))
        p = tf.constant(p, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(p)
            total = tf.reduce_sum(loss.call(targets, p))
        found = tape.gradient(total, p)
        found = np.ones(p.shape) if found is None else found.numpy()
        slopes.append(np.where(np.isfinite(found), found, 1.0)[:, : y.shape[1]])
    return np.stack(slopes)


def is_likelihood(loss: Any, n_units: int, spread: str) -> bool:
    """Whether a loss is that of normal densities with the second outputs' `spread`.

    It is if it is minus their logarithm times a positive number, plus any, at made rows
    of ``n_units // 2`` targets.
    """
    rng = np.random.RandomState(0)
    y, means = rng.normal(size=(2, 16, n_units // 2)).astype(np.float32)
    spreads = rng.uniform(0.5, 1.5, means.shape).astype(np.float32)
    logs = 2 * np.log(spreads) if spread == "std" else spreads
    surprise = (logs + np.square(y - means) * np.exp(-logs)).sum(axis=1)
    p = np.hstack([means, spreads])
    found = [np.mean(values_of(loss, y[i : i + 1], p[i : i + 1])) for i in range(16)]
    if not np.isfinite(found).all() or not np.ptp(found):
        return False
    slope, offset = np.polyfit(surprise, found, 1)
    rest = found - (slope * surprise + offset)
    return bool(slope > 0 and np.abs(rest).max() < 1e-3 * np.ptp(found))


def is_of_targets(loss: Any, n_units: int) -> bool:
    """Whether outputs that equal the targets, one for each, are best to a loss."""
    y = np.random.RandomState(0).uniform(0.5, 2.0, (8, n_units)).astype(np.float32)
    steps = np.vstack([np.eye(n_units), -np.eye(n_units)]).astype(np.float32) / 10
    best = np.mean(values_of(loss, y, y))
    beside = [np.mean(values_of(loss, y, y + step)) for step in steps]
    return bool(np.min(beside) >= best - 1e-6 * abs(best))

"""From parameters and checked data to a fitted state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skmcdropout._fitting.callbacks import FitTask
from skmcdropout._fitting.from_function import plan_from_function
from skmcdropout._fitting.from_parameters import plan_perceptron
from skmcdropout._fitting.held_out import NOTHING_HELD, plan_held_out
from skmcdropout._fitting.labelled_rows import LabelledRows
from skmcdropout._fitting.memory import train_once
from skmcdropout._fitting.parameters import (
    FittedState,
    Parameters,
    Plan,
    Seeds,
)
from skmcdropout._fitting.sizes import batch_size, n_epochs
from skmcdropout._fitting.unlearned import warn_if_unlearned
from skmcdropout._fitting.unscaled import warn_if_unscaled
from skmcdropout._networks.optimizers import has_own_code
from skmcdropout._training.rows import hold_out
from skmcdropout._training.state import (
    NOT_BEGUN,
    Recipe,
    TrainingData,
    TrainingState,
)
from skmcdropout._training.train import train


def fit_network(
    parameters: Parameters,
    data: LabelledRows,
    before: FittedState | None,
    task: FitTask,
    attributes_after: Callable[[FittedState], dict[str, Any]],
    one_epoch: bool = False,
) -> FittedState:
    """Train a new network, or go on from `before`; nothing that is given is changed.

    `attributes_after` makes of a state the attributes of an estimator, for callbacks
    that look at it after an epoch.
    """
    seeds = Seeds.drawn(parameters.random_state) if before is None else before.seeds
    make_plan = plan_perceptron if parameters.model is None else plan_from_function
    plan = make_plan(parameters, data, seeds, before)
    spec, weights, table, optimizer, _, built_by, has_own_rate = plan
    if before is None and not one_epoch:  # which sees a part, of one row maybe
        warn_if_unscaled(spec, table[: table.shape[0] - data.n_held])
    progress = NOT_BEGUN if before is None else before.training.progress
    state = TrainingState(weights, progress)
    counted, validation_rows = data.counted(table, parameters)
    rows, loss_weights = counted
    known = None if before is None else before.spec.outputs
    outputs = data.labels.outputs_for(spec.outputs, counted, known, spec.make_loss())
    spec = spec.with_outputs(outputs)
    y = data.labels.as_trained_on(spec.outputs)
    epochs = n_epochs(parameters.epochs, len(rows), parameters._auto_sizes)
    epochs = 1 if one_epoch else epochs
    task.begin(epochs)
    if parameters.early_stopping and not (one_epoch or data.n_held):
        rows, validation_rows = hold_out(
            rows, y, parameters.validation_fraction, seeds.validation_split
        )
        _check_held(validation_rows, y[rows])
    arrays = TrainingData(table, y, loss_weights, rows, validation_rows)
    recipe = Recipe(
        optimizer=optimizer,
        learning_rate=float(parameters.learning_rate),
        batch_size=batch_size(parameters.batch_size, len(rows), parameters._auto_sizes),
        epochs=epochs,
        n_iter_no_change=parameters.n_iter_no_change,
        seed=seeds.training,
        stops_early=bool(parameters.early_stopping),
        is_annealed=_is_annealed(parameters) and not (one_epoch or has_own_rate),
    )
    calibration = data.labels.calibration(parameters, spec, before, arrays, one_epoch)
    held = NOTHING_HELD
    if calibration.known is None:
        held, arrays = plan_held_out(
            spec, arrays, seeds.validation_split, plan.new_weights
        )
    spec = spec.with_prior_over(len(arrays.rows))
    fitted = FittedState(spec, state, seeds, built_by)
    callbacks, verbose = _callback_list(parameters.callbacks), int(parameters.verbose)
    watcher = task.epochs(
        lambda reached: attributes_after(
            replace(fitted, training=calibration.before(reached))
        )
    )

    def run() -> TrainingState:
        trained = train(spec, state, arrays, recipe, callbacks, verbose, watcher)
        networks = held.networks(spec, trained, arrays, recipe)
        return calibration.calibrated(trained, networks, arrays)

    if not one_epoch and _is_cacheable(parameters, plan, task):
        key = (spec.without_names(), state, arrays, recipe, held, calibration)
        trained = train_once(parameters.memory, run, key)
    else:
        trained = run()
    if before is None and not one_epoch:
        warn_if_unlearned(spec, arrays, trained)
    return replace(fitted, training=trained)


def _callback_list(callbacks: Any) -> list[keras.callbacks.Callback]:
    given = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    given = [] if callbacks is None else list(given)
    for callback in given:
        if not isinstance(callback, keras.callbacks.Callback):
            raise ValueError(
                "callbacks must be an instance of keras.callbacks.Callback or a list "
                f"of them. Got {callback!r} instead."
            )
    return given


def _is_annealed(parameters: Parameters) -> bool:
    """Whether the learning rate falls; an optimizer's own is its own matter."""
    is_named = isinstance(parameters.optimizer, (str, type))
    return is_named and parameters.learning_rate_schedule == "cosine"


def _check_held(validation_rows: NDArray[np.int64], y: NDArray[Any]) -> None:
    if len(validation_rows):
        return
    if y.dtype.kind == "f":
        raise ValueError(
            "early_stopping=True must have two samples to hold out a validation set. "
            f"Got n_samples={len(y)}."
        )
    raise ValueError(
        "early_stopping=True must have two samples of at least one class to hold out a "
        f"validation set. Got n_samples={len(y)} in {len(np.unique(y))} classes."
    )


def _is_cacheable(parameters: Parameters, plan: Plan, task: FitTask) -> bool:
    """Whether the same call could ever come again and would give the same.

    What code a class of the user's will have then can't be known.
    """
    return (
        parameters.memory is not None
        and not plan.spec.custom_objects
        and not has_own_code(plan.optimizer)
        and not (parameters.callbacks or task.needs_epochs)
        and isinstance(parameters.random_state, Integral)
    )

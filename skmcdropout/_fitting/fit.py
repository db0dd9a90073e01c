"""From parameters and checked data to a fitted state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from typing import Any

import keras
import numpy as np

from skmcdropout._fitting.callbacks import FitTask
from skmcdropout._fitting.from_function import plan_from_function
from skmcdropout._fitting.from_parameters import plan_perceptron
from skmcdropout._fitting.memory import train_once
from skmcdropout._fitting.parameters import (
    FittedState,
    LabelledRows,
    Parameters,
    Plan,
    Seeds,
)
from skmcdropout._fitting.sizes import batch_size, n_epochs
from skmcdropout._fitting.temperature import plan_temperature
from skmcdropout._networks.optimizers import has_own_code
from skmcdropout._training.rows import hold_out, training_rows
from skmcdropout._training.state import (
    NOT_BEGUN,
    Progress,
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
    spec, weights, table, optimizer, built_by, has_own_rate = plan
    progress = NOT_BEGUN if before is None else before.training.progress
    state = TrainingState(weights, progress)
    rows, loss_weights = training_rows(
        table, data.y, data.weights, parameters.class_weight, data.classes
    )
    validation_rows = rows[:0]
    if parameters.early_stopping and not one_epoch:
        rows, validation_rows = hold_out(
            rows, data.y, parameters.validation_fraction, seeds.validation_split
        )
        if not len(validation_rows):
            raise ValueError(
                "early_stopping=True must have two samples of at least one class to "
                f"hold out a validation set. Got n_samples={len(rows)} in "
                f"{len(np.unique(data.y[rows]))} classes."
            )
    arrays = TrainingData(table, data.y, loss_weights, rows, validation_rows)
    recipe = Recipe(
        optimizer=optimizer,
        learning_rate=float(parameters.learning_rate),
        batch_size=batch_size(parameters.batch_size, len(rows)),
        epochs=1 if one_epoch else n_epochs(parameters.epochs, len(rows)),
        n_iter_no_change=parameters.n_iter_no_change,
        seed=seeds.training,
        is_annealed=_is_annealed(parameters) and not (one_epoch or has_own_rate),
    )
    temperature, arrays = plan_temperature(
        _known_temperature(parameters, progress, one_epoch or before is not None),
        spec,
        arrays,
        seeds.validation_split,
        parameters.kernel_initializer,
    )
    spec = spec.with_prior_over(len(arrays.rows))
    fitted = FittedState(spec, state, seeds, built_by)
    callbacks, verbose = _callback_list(parameters.callbacks), int(parameters.verbose)
    watcher = task.epochs(
        lambda reached: attributes_after(
            replace(fitted, training=reached.cooled(temperature.known or 1.0))
        )
    )

    def run() -> TrainingState:
        trained = train(spec, state, arrays, recipe, callbacks, verbose, watcher)
        return trained.cooled(temperature.of(spec, trained, arrays, recipe))

    if not one_epoch and _is_cacheable(parameters, plan, task):
        key = (spec.without_names(), state, arrays, recipe, temperature)
        return replace(fitted, training=train_once(parameters.memory, run, key))
    return replace(fitted, training=run())


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


def _known_temperature(
    parameters: Parameters, progress: Progress, goes_on: bool
) -> float | None:
    """As given, or as it was before; None if it is to be found."""
    if not isinstance(parameters.temperature, str):
        return float(parameters.temperature)
    return progress.temperature if goes_on else None


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

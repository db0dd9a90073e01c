"""From parameters and checked data to a fitted state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmcdropout._fit.callbacks import FitTask
from skmcdropout._fit.held_out import NOTHING_HELD, plan_held_out
from skmcdropout._fit.labels import LabelledRows
from skmcdropout._fit.memory import train_once
from skmcdropout._fit.parameters import (
    FittedState,
    Parameters,
    Plan,
    Seeds,
    batch_size,
    n_epochs,
)
from skmcdropout._fit.rows import hold_out
from skmcdropout._perceptron.state import (
    NOT_BEGUN,
    Recipe,
    TrainingData,
    TrainingState,
)


def fit_network(
    parameters: Parameters,
    data: LabelledRows,
    before: FittedState | None,
    task: FitTask,
    attributes_after: Callable[[FittedState], dict[str, Any]],
    make_plan: Callable[..., Plan],
    one_epoch: bool = False,
) -> FittedState:
    """Train a new network, or go on from `before`; nothing that is given is changed.

    `attributes_after` makes of a state the attributes of an estimator, for callbacks
    that look at it after an epoch; `make_plan` says what to train.
    """
    seeds = Seeds.drawn(parameters.random_state) if before is None else before.seeds
    plan = make_plan(parameters, data, seeds, before)
    spec, table = plan.spec, plan.table
    if before is None and not one_epoch:  # which sees a part, of one row maybe
        spec.warn_of_rows(table[: table.shape[0] - data.n_held])
    progress = NOT_BEGUN if before is None else before.training.progress
    state = TrainingState(plan.weights, progress)
    counted, validation_rows = data.counted(table, parameters)
    rows, loss_weights = counted
    known = None if before is None else before.spec.outputs
    outputs = data.labels.outputs_for(spec, counted, known)
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
        optimizer=plan.optimizer,
        learning_rate=float(parameters.learning_rate),
        batch_size=batch_size(parameters.batch_size, len(rows), parameters._auto_sizes),
        epochs=epochs,
        n_iter_no_change=parameters.n_iter_no_change,
        seed=seeds.training,
        stops_early=bool(parameters.early_stopping),
        is_annealed=_is_annealed(parameters) and not (one_epoch or plan.has_own_rate),
    )
    calibration = data.labels.calibration(parameters, spec, before, arrays, one_epoch)
    held = NOTHING_HELD
    if calibration.known is None:
        held, arrays = plan_held_out(
            spec, arrays, seeds.validation_split, plan.new_weights
        )
    spec = spec.with_prior_over(len(arrays.rows))
    fitted = FittedState(spec, state, seeds, plan.built_by)
    verbose = int(parameters.verbose)
    watcher = task.epochs(
        lambda reached: attributes_after(
            replace(fitted, training=calibration.before(reached))
        )
    )

    def run() -> TrainingState:
        trained = plan.train(spec, state, arrays, recipe, verbose, watcher)
        networks = held.networks(spec, trained, arrays, recipe, plan.train_alike)
        return calibration.calibrated(trained, networks, arrays)

    if not one_epoch and _is_cacheable(parameters, plan, task):
        key = (spec.without_names(), state, arrays, recipe, held, calibration)
        trained = train_once(parameters.memory, run, key)
    else:
        trained = run()
    if before is None and not one_epoch:
        spec.warn_if_unlearned(arrays, trained)
    return replace(fitted, training=trained)


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
        and plan.is_repeatable
        and not task.needs_epochs
        and isinstance(parameters.random_state, Integral)
    )

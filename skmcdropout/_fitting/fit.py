"""From an estimator's parameters and its checked data to its fitted attributes."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from skmcdropout._drawing.compiled_network import NetworkSampler
from skmcdropout._drawing.sampler import Sampler
from skmcdropout._fitting.from_function import Plan, adopt, plan, refuse_routed
from skmcdropout._fitting.memory import train_once
from skmcdropout._networks.architecture import Architecture, rates_by_layer
from skmcdropout._networks.blueprint import Blueprint
from skmcdropout._networks.optimizers import described
from skmcdropout._networks.perceptron import initial_weights
from skmcdropout._training.rows import hold_out, training_rows
from skmcdropout._training.train import Recipe, TrainingData, TrainingState, train

if TYPE_CHECKING:
    from skmcdropout._classifier import MCDropoutClassifier
    from skmcdropout._fitting.callbacks import FitTask

MAX_SEED = 2**31 - 1


def fit_network(
    estimator: MCDropoutClassifier,
    X: Any,
    y: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    task: FitTask,
    *,
    going_on: bool,
    one_epoch: bool = False,
) -> None:
    """Train and set the fitted attributes; `y` holds codes into ``classes_``.

    With `going_on` training goes on from the fitted attributes there are.
    """
    if not going_on:
        estimator._seeds = _draw_seeds(estimator.random_state)
    _, training_seed, split_seed, mask_seed = estimator._seeds
    if estimator.model is None:
        arch, weights_before, table, optimizer = _plan_mlp(estimator, X, going_on)
    else:
        arch, weights_before, table, optimizer = plan(estimator, X, y, going_on)
    progress = estimator._progress if going_on else ()
    state = TrainingState(weights_before, *progress)
    rows, loss_weights = training_rows(
        table, y, weights, estimator.class_weight, estimator.classes_
    )
    validation_rows = rows[:0]
    if estimator.early_stopping and not one_epoch:
        rows, validation_rows = hold_out(
            rows, y, estimator.validation_fraction, split_seed
        )
    recipe = Recipe(
        optimizer=optimizer,
        learning_rate=float(estimator.learning_rate),
        batch_size=estimator.batch_size,
        epochs=1 if one_epoch else estimator.epochs,
        n_iter_no_change=estimator.n_iter_no_change,
        seed=training_seed,
    )
    data = TrainingData(table, y, loss_weights, rows, validation_rows)
    callbacks, verbose = _callback_list(estimator.callbacks), int(estimator.verbose)
    watcher = task.epochs(
        lambda state: {**vars(estimator), **_learned(arch, state, mask_seed)}
    )

    def run() -> TrainingState:
        return train(arch, state, data, recipe, callbacks, verbose, watcher)

    if _is_cacheable(estimator, arch, task) and not one_epoch:
        key = arch.without_names() if isinstance(arch, Blueprint) else arch
        trained = train_once(estimator.memory, run, (key, state, data, recipe))
    else:
        trained = run()
    estimator.__dict__.update(_learned(arch, trained, mask_seed))


def _learned(
    arch: Architecture | Blueprint, state: TrainingState, mask_seed: int
) -> dict[str, Any]:
    """The attributes that training sets."""
    return {
        "history_": state.history,
        "n_iter_": state.n_epochs,
        "_progress": (
            state.optimizer,
            state.noise,
            state.history,
            state.optimizer_kind,
            state.learning_rate,
        ),
        "_arch": arch,
        "_sampler": make_sampler(arch, state.weights, mask_seed, trust=True),
    }


def take_over(
    estimator: MCDropoutClassifier,
    network: keras.Model,
    classes: Any,
    from_logits: bool | None,
) -> None:
    """Set the fitted attributes from a trained network."""
    weights, compiled = adopt(estimator, network, classes, from_logits)
    estimator.history_, estimator.n_iter_ = {}, 0
    estimator._progress = ()
    estimator._seeds = _draw_seeds(estimator.random_state)
    *_, mask_seed = estimator._seeds
    estimator._sampler = NetworkSampler(
        estimator._arch, weights, mask_seed, trust=True, compiled=compiled
    )


def make_sampler(
    arch: Architecture | Blueprint,
    weights: Sequence[NDArray[Any]],
    seed: int,
    trust: bool = False,
) -> Sampler | NetworkSampler:
    """What draws from a network of either kind."""
    if isinstance(arch, Blueprint):
        return NetworkSampler(arch, weights, seed, trust)
    return Sampler(arch, weights, seed)


def _plan_mlp(
    estimator: MCDropoutClassifier, X: NDArray[np.float32], going_on: bool
) -> Plan:
    refuse_routed(estimator)
    arch = _architecture(estimator)
    optimizer = described(estimator.optimizer)
    if going_on:
        _check_same_network(estimator._arch, arch)
        return Plan(arch, estimator._sampler.weights, X, optimizer)
    rng = np.random.RandomState(estimator._seeds[0])
    seeds = rng.randint(MAX_SEED, size=2 * len(arch.rates)).tolist()
    weights = initial_weights(arch, seeds, estimator.kernel_initializer)
    return Plan(arch, weights, X, optimizer)


def _architecture(estimator: MCDropoutClassifier) -> Architecture:
    given = estimator.hidden_layer_sizes
    sizes = tuple(given) if np.iterable(given) else (given,)
    is_valid = all(isinstance(n, Integral) and type(n) is not bool for n in sizes)
    if not (sizes and is_valid and min(sizes) > 0):
        raise ValueError(
            "hidden_layer_sizes must hold one positive int per hidden layer. "
            f"Got {given!r} instead."
        )
    return Architecture(
        n_features=estimator.n_features_in_,
        hidden_layer_sizes=tuple(map(int, sizes)),
        n_classes=len(estimator.classes_),
        activation=estimator.activation,
        rates=rates_by_layer(
            estimator.dropout_rate, estimator.dropout_position, len(sizes)
        ),
        batch_normalization=bool(estimator.batch_normalization),
        l2=float(estimator.alpha / (2 * estimator.batch_size)),
        max_norm=None if estimator.max_norm is None else float(estimator.max_norm),
    )


def _draw_seeds(random_state: Any) -> tuple[int, ...]:
    """Seeds for initial weights, training, validation split and masks.

    None means fresh entropy: NumPy's global generator is not ours to advance.
    """
    if random_state is None:
        rng = np.random.RandomState()
    else:
        rng = check_random_state(random_state)
    return tuple(rng.randint(MAX_SEED, size=4).tolist())


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


def _check_same_network(before: Architecture | Blueprint, now: Architecture) -> None:
    """Only rates and penalties may change between one training and the next."""
    if isinstance(before, Blueprint):
        raise ValueError(
            "Going on training (warm_start=True or partial_fit) must keep the network "
            "of the last fit, which was built by model. Got model=None."
        )

    def fixed(arch: Architecture) -> tuple[Any, ...]:
        dropped = tuple(rate is not None for rate in arch.rates)
        widths = (arch.n_features, *arch.hidden_layer_sizes, arch.n_classes)
        return widths, arch.batch_normalization, arch.activation, dropped

    if fixed(before) != fixed(now):
        raise ValueError(
            "Going on training (warm_start=True or partial_fit) must keep the network "
            f"of the last fit, {before}. Got {now}; clone the estimator to train "
            "another."
        )


def _is_cacheable(
    estimator: MCDropoutClassifier, arch: Architecture | Blueprint, task: FitTask
) -> bool:
    """Whether the same call could ever come again and would give the same.

    What code a class of the user's will have then can't be known.
    """
    return (
        estimator.memory is not None
        and not getattr(arch, "custom_objects", ())
        and not (estimator.callbacks or task.needs_epochs)
        and isinstance(estimator.random_state, Integral)
    )

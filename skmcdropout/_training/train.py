"""From arrays and a recipe to trained weights, through scikeras.

scikeras resolves the optimizer and its parameters, the loss and the callbacks, and
calls `GraphTrainer.fit` as it calls the `fit` of any Keras model.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from skmcdropout._networks.architecture import Architecture
from skmcdropout._networks.blueprint import Blueprint
from skmcdropout._networks.modes import undecorate
from skmcdropout._networks.perceptron import build_network, single_precision
from skmcdropout._training.trainer import GraphTrainer, TunableDropout
from skmcdropout._training.variables import assign, is_elementwise
from skmcdropout._utils.caches import Idle
from skmcdropout._utils.interrupts import interrupts_held
from skmcdropout._utils.kernels import forget_what_is_gone, forget_when_gone

if TYPE_CHECKING:
    from skmcdropout._fitting.callbacks import EpochTasks


def _import_scikeras() -> ModuleType:
    """Scikeras without what it changes in Keras's classes when it is imported.

    Its way of pickling them loses optimizers that Keras can't name, Lamb among them.
    """
    patched = (
        keras.Model,
        keras.losses.Loss,
        keras.metrics.Metric,
        keras.optimizers.Optimizer,
    )
    names = ("__reduce__", "__deepcopy__")
    before = {(c, n): vars(c).get(n) for c in patched for n in names}
    was_imported = "scikeras" in sys.modules
    module = importlib.import_module("scikeras.wrappers")
    if was_imported:  # by somebody who may rely on it
        return module
    for (cls, name), method in before.items():
        if method is not None:
            setattr(cls, name, method)
        elif name in vars(cls):
            delattr(cls, name)
    return module


scikeras_wrappers = _import_scikeras()

LOSS = keras.losses.SparseCategoricalCrossentropy

#: Log-losses, in nats, that differ by less are the same to early stopping; `tol` of
#: scikit-learn's `MLPClassifier`.
TOLERANCE = 1e-4

#: Compiled trainers, for the next fit that they can serve.
_idle = Idle()


@dataclass(frozen=True)
class Recipe:
    """How to train: what `MCDropoutClassifier`'s parameters say of it.

    `optimizer` is a name, a class, or a class and the configuration of an instance.
    """

    optimizer: Any
    learning_rate: float
    batch_size: int
    epochs: int
    n_iter_no_change: int
    seed: int


@dataclass(frozen=True)
class TrainingData:
    """What to train on; `rows` and `validation_rows` are indices into the others."""

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    loss_weights: NDArray[np.float32]
    rows: NDArray[np.int64]
    validation_rows: NDArray[np.int64]


@dataclass
class TrainingState:
    """All that training needs to go on from where it was, as plain arrays."""

    weights: Sequence[NDArray[Any]]
    optimizer: list[NDArray[Any]] = field(default_factory=list)
    noise: list[NDArray[Any]] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    optimizer_kind: str = ""
    learning_rate: float | None = None

    @property
    def n_epochs(self) -> int:
        """Epochs trained so far."""
        return len(self.history.get("loss", ()))


def train(
    arch: Architecture | Blueprint,
    state: TrainingState,
    data: TrainingData,
    recipe: Recipe,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
    watcher: EpochTasks | None = None,
) -> TrainingState:
    """Train `recipe.epochs` epochs from `state`; return the state after them."""
    forget_what_is_gone()
    # A user's callback may do what it likes to a trainer.
    is_shared = not callbacks and not getattr(arch, "stands_alone", False)
    built: list[tuple[GraphTrainer, float | None]] = []

    def build(compile_kwargs: dict[str, Any]) -> GraphTrainer:
        optimizer = compile_kwargs["optimizer"]
        trainer = _idle.take(_key(arch, optimizer)) if is_shared else None
        with interrupts_held():
            if trainer is None:
                trainer = _new_trainer(arch, optimizer, is_shared)
                forget_when_gone(trainer)
            _load(trainer, state, arch, optimizer, recipe.seed)
        built.append((trainer, _learning_rate(optimizer)))
        return trainer

    callbacks = list(callbacks)
    if len(data.validation_rows):
        callbacks.append(_EarlyStopping(recipe.n_iter_no_change))
    if watcher is not None:
        # It comes after the history, so that this holds the epoch that it is told of.
        history = keras.callbacks.History()
        callbacks += [history, _EpochHooks(watcher, lambda: _unload(*built[0], state))]
    optimizer, routed = recipe.optimizer, {}
    if isinstance(optimizer, tuple):
        optimizer_class, config = optimizer
        optimizer = optimizer_class.from_config(config)
    else:
        routed["optimizer__learning_rate"] = recipe.learning_rate
    backend = scikeras_wrappers.KerasClassifier(
        model=build,
        optimizer=optimizer,
        loss=LOSS,
        callbacks=callbacks,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        verbose=verbose,
        warm_start=True,
        **routed,
    )
    codes = np.arange(arch.n_classes)
    stand_in = np.zeros((arch.n_classes, 1), np.float32)
    with single_precision():
        backend.initialize(stand_in, codes)
    backend.feature_encoder_ = backend.target_encoder_ = _Unchanged()
    try:
        backend.fit(
            stand_in,
            codes,
            table=data.X,
            labels=data.y,
            loss_weights=data.loss_weights,
            rows=data.rows,
            validation_rows=data.validation_rows,
            shuffle_seed=recipe.seed,
            initial_epoch=state.n_epochs,
        )
    finally:
        for callback in callbacks:
            callback._model = None  # set_model is the user's to define
    ((trainer, learning_rate),) = built
    with interrupts_held():
        trained = _unload(trainer, learning_rate, state)
    if is_shared:
        _idle.give_back(_key(arch, trainer.optimizer), trainer)
    return trained


class _Unchanged:
    """Stands in for scikeras's encoders, which obey scikit-learn's `set_output`."""

    def transform(self, data: Any) -> Any:
        """`data` as it is."""
        return data


class _EarlyStopping(keras.callbacks.Callback):
    """Stops after `patience` epochs in which nothing improved; restores the best.

    Where the validation loss is as low as it was, to within `TOLERANCE`, the training
    loss decides. With few validation rows, or few that weigh anything, the first says
    nothing any more once these are predicted right.
    """

    def __init__(self, patience: int) -> None:
        super().__init__()
        self._patience = patience
        self._lowest = self._lowest_in_training = math.inf
        self._n_waited = 0
        self._best: Sequence[NDArray[Any]] | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loss, in_training = logs["val_loss"], logs["loss"]
        is_lower = loss < self._lowest - TOLERANCE
        is_as_low = loss <= self._lowest + TOLERANCE
        self._lowest = min(self._lowest, loss)  # which may be NaN
        self._n_waited += 1
        if is_lower or (is_as_low and in_training < self._lowest_in_training):
            self._lowest_in_training = in_training
            self._best, self._n_waited = self.model.get_weights(), 0
        if self._n_waited >= self._patience:
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        if self._best is not None:
            self.model.set_weights(self._best)


class _EpochHooks(keras.callbacks.Callback):
    """Tells `watcher` of epochs, and stops training where it says so."""

    def __init__(self, watcher: EpochTasks, state: Callable[[], TrainingState]) -> None:
        super().__init__()
        self._watcher = watcher
        self._state = state

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._watcher.begin()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._watcher.end(self._state):
            self.model.stop_training = True


def _load(
    trainer: GraphTrainer,
    state: TrainingState,
    arch: Architecture | Blueprint,
    optimizer: keras.Optimizer,
    seed: int,
) -> None:
    """Set every variable of `trainer` that an earlier fit may have left otherwise."""
    trainer.set_weights(state.weights)
    variables = trainer.optimizer.variables
    fits = state.optimizer_kind == trainer.optimizer_kind
    if fits and len(state.optimizer) == len(variables):
        _assign(variables, state.optimizer)
    else:
        _assign(variables, trainer.fresh_optimizer())
    learning_rate = _learning_rate(optimizer)
    if learning_rate is not None and not (
        fits and learning_rate == state.learning_rate
    ):
        trainer.optimizer.learning_rate = learning_rate
    seeds = np.random.RandomState(seed).randint(
        2**31 - 1, size=len(trainer.noise_variables)
    )
    fresh = [np.array([seeds[i], 0]) for i in trainer.noise_sources]
    is_same = len(state.noise) == len(fresh)
    _assign(trainer.noise_variables, state.noise if is_same else fresh)
    if isinstance(arch, Architecture):
        rates = (rate for rate in arch.rates if rate is not None)
        for layer in trainer.network.layers:
            if isinstance(layer, TunableDropout):
                layer.rate.assign(next(rates))


def _assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        assign(variable, value)


def _unload(
    trainer: GraphTrainer, learning_rate: float | None, before: TrainingState
) -> TrainingState:
    logs = trainer.history.history
    history = {n: [*before.history.get(n, ()), *logs[n]] for n in logs}
    return TrainingState(
        weights=trainer.get_weights(),
        optimizer=[variable.numpy() for variable in trainer.optimizer.variables],
        noise=[variable.numpy() for variable in trainer.noise_variables],
        history={**before.history, **history},
        optimizer_kind=trainer.optimizer_kind,
        learning_rate=learning_rate,
    )


def _learning_rate(optimizer: keras.Optimizer) -> float | None:
    """The rate an optimizer has now; None for a schedule."""
    rate = optimizer.get_config().get("learning_rate")
    return rate if isinstance(rate, float) else None


def _new_trainer(
    arch: Architecture | Blueprint, optimizer: keras.Optimizer, is_shared: bool
) -> GraphTrainer:
    optimizer = type(optimizer).from_config(optimizer.get_config())
    if isinstance(arch, Blueprint):
        network = arch.build(0, trust=True)
        _check_trained_by_its_loss(network)
        undecorate(network)
        return GraphTrainer(
            network,
            optimizer,
            arch.make_loss(),
            is_free=False,
            read_rows=lambda table: arch.arguments(network, table),
            outputs=arch.outputs,
            metrics=arch.make_metrics(),
            table_dtype=arch.table_dtype,
        )
    seeds = [0] * (2 * len(arch.rates))
    dropout = TunableDropout if is_shared else keras.layers.Dropout
    return GraphTrainer(
        build_network(arch, seeds, dropout=dropout),
        optimizer,
        LOSS(),
        is_free=is_shared and is_elementwise(optimizer),
    )


def _check_trained_by_its_loss(network: keras.Model) -> None:
    """Refuse a model that has another way to train than Keras's own."""
    for name in ("train_step", "compute_loss"):
        if getattr(type(network), name, None) is not getattr(keras.Model, name, None):
            raise ValueError(
                "The model must be trained by its loss alone, for training here does "
                f"not call methods like {name}. Got {network.name!r}, whose class "
                f"{type(network).__name__} has one of its own. (Trained by its own "
                "fit, it becomes a classifier by MCDropoutClassifier.from_keras.)"
            )


def _key(arch: Architecture | Blueprint, optimizer: keras.Optimizer) -> tuple[Any, ...]:
    """What a compiled trainer can't change."""
    fixed: Architecture | Blueprint
    if isinstance(arch, Blueprint):
        fixed = arch.without_names()
    else:
        rates = tuple(None if rate is None else 0.5 for rate in arch.rates)
        fixed = arch = replace(arch, rates=rates)
        if is_elementwise(optimizer):
            fixed = replace(arch, n_features=0, n_classes=0, hidden_layer_sizes=())
    config = {**optimizer.get_config(), "name": None}
    if _learning_rate(optimizer) is not None:
        config["learning_rate"] = None
    return fixed, type(optimizer), json.dumps(config, sort_keys=True, default=repr)

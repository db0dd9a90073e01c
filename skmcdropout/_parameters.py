"""`NetworkParameters`: what all estimators are told of a network and its training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from sklearn.base import BaseEstimator

from skmcdropout._perceptron.activations import ACTIVATIONS
from skmcdropout._utils.constraints import RANDOM_STATE, Number
from skmcdropout._utils.private import HasMethods, StrOptions

if TYPE_CHECKING:
    import keras

Self = TypeVar("Self", bound="NetworkParameters")

KERNEL_INITIALIZERS = {
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
}


class NetworkParameters(BaseEstimator):
    """The parameters that all estimators have, and those routed to `model`."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": [
            "array-like",
            Number(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "model": [callable, None],
        "dropout_rate": [Number(Real, 0, 1, closed="left"), "array-like"],
        "dropout_position": [
            StrOptions({"hidden", "all"}),
            Number(Integral, 1, None, closed="left"),
        ],
        "n_samples": [Number(Integral, 0, None, closed="left")],
        "sampling": [StrOptions({"stratified", "independent"})],
        "batch_normalization": ["boolean"],
        "kernel_initializer": [
            StrOptions(KERNEL_INITIALIZERS),
            HasMethods(["get_config", "from_config"]),
        ],
        "alpha": [Number(Real, 0, None, closed="left")],
        "max_norm": [Number(Real, 0, None, closed="neither"), None],
        "optimizer": [str, HasMethods(["apply", "get_config", "from_config"])],
        "learning_rate": [Number(Real, 0, None, closed="neither")],
        "learning_rate_schedule": [StrOptions({"cosine", "constant"})],
        "batch_size": [
            StrOptions({"auto"}),
            Number(Integral, 1, None, closed="left"),
        ],
        "epochs": [StrOptions({"auto"}), Number(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Number(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Number(Integral, 1, None, closed="left")],
        "callbacks": [list, tuple, HasMethods(["set_model"]), None],
        "warm_start": ["boolean"],
        "memory": [str, HasMethods(["cache"]), None],
        "random_state": RANDOM_STATE,
        "verbose": [Number(Integral, 0, 2, closed="both"), "boolean"],
    }

    def __init__(
        self,
        *,
        hidden_layer_sizes: int | Sequence[int],
        activation: str,
        model: Callable[..., keras.Model] | None,
        dropout_rate: float | Sequence[float],
        dropout_position: str | int,
        n_samples: int,
        sampling: str,
        batch_normalization: bool,
        kernel_initializer: Any,
        alpha: float,
        max_norm: float | None,
        optimizer: Any,
        learning_rate: float,
        learning_rate_schedule: str,
        batch_size: int | str,
        epochs: int | str,
        early_stopping: bool,
        validation_fraction: float,
        n_iter_no_change: int,
        callbacks: Any,
        warm_start: bool,
        memory: Any,
        random_state: int | np.random.RandomState | None,
        verbose: int,
        **model__: Any,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.model = model
        self.dropout_rate = dropout_rate
        self.dropout_position = dropout_position
        self.n_samples = n_samples
        self.sampling = sampling
        self.batch_normalization = batch_normalization
        self.kernel_initializer = kernel_initializer
        self.alpha = alpha
        self.max_norm = max_norm
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose
        for name, value in model__.items():
            if not name.startswith("model__"):
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword "
                    f"argument {name!r}. (A parameter of model is model__{name}.)"
                )
            setattr(self, name, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters, those of `model` included.

        Parameters
        ----------
        deep : bool, default=True
            Without meaning here: no parameter is an estimator.

        Returns
        -------
        params : dict
            Values by name.
        """
        routed = {n: v for n, v in vars(self).items() if n.startswith("model__")}
        return {**super().get_params(deep=False), **routed}

    def set_params(self: Self, **params: Any) -> Self:
        """Set parameters, those of `model` as ``model__name``.

        Parameters
        ----------
        **params : dict
            Values by name.

        Returns
        -------
        self : estimator
            The estimator.
        """
        routed = {n: v for n, v in params.items() if n.startswith("model__")}
        super().set_params(**{n: v for n, v in params.items() if n not in routed})
        for name, value in routed.items():
            setattr(self, name, value)
        return self

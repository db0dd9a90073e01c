"""From an estimator's parameters to the perceptron that they describe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from skmcdropout._fit.labels import LabelledRows
from skmcdropout._fit.parameters import (
    FittedState,
    Parameters,
    Plan,
    Seeds,
)
from skmcdropout._perceptron.initializers import initial_kernel
from skmcdropout._perceptron.optimizers import described
from skmcdropout._perceptron.outputs import Outputs
from skmcdropout._perceptron.perceptron import Perceptron
from skmcdropout._perceptron.training import train
from skmcdropout._utils.arrays import Floats

PREFIX = "model__"

#: Makes the kernel of a hidden layer, of a seed and a shape.
MakeKernel = Callable[[int, tuple[int, int]], Floats]


def needs_keras(parameters: Any) -> bool:
    """Whether parameters ask for more than arrays can do."""
    return (
        parameters.model is not None
        or not isinstance(parameters.kernel_initializer, str)
        or described(parameters.optimizer) is None
        or parameters.callbacks not in (None, [], ())
    )


def plan_perceptron(
    parameters: Parameters,
    data: LabelledRows,
    seeds: Seeds,
    before: FittedState | None,
    make_kernel: MakeKernel | None = None,
) -> Plan:
    """The perceptron to train, with new weights or those there were before.

    `make_kernel` is for initializers that are not known by name.
    """
    assert not isinstance(data.X, dict)
    _refuse_routed(parameters)
    outputs = data.labels.outputs_of_perceptron()
    spec = perceptron_of(parameters, data.X.shape[1], outputs)

    def named_kernel(seed: int, shape: tuple[int, int]) -> Floats:
        return initial_kernel(parameters.kernel_initializer, shape, seed)

    def new(seed: int) -> list[Floats]:
        return spec.initial_weights(seed, make_kernel or named_kernel)

    if before is not None:
        _check_same_network(before.spec, spec)
        weights: Sequence[Any] = before.training.weights
    else:
        weights = new(seeds.initial_weights)
    optimizer = described(parameters.optimizer)
    return Plan(spec, weights, data.X, optimizer, new, train, train)


def perceptron_of(
    parameters: Parameters, n_features: int, outputs: Outputs
) -> Perceptron:
    """The perceptron that parameters describe, for rows of so many features."""
    given = parameters.hidden_layer_sizes
    sizes: Any = tuple(given) if np.iterable(given) else (given,)
    is_valid = all(isinstance(n, Integral) and not isinstance(n, bool) for n in sizes)
    if not (sizes and is_valid and min(sizes) > 0):
        raise ValueError(
            "hidden_layer_sizes must hold one positive int per hidden layer. "
            f"Got {given!r} instead."
        )
    return Perceptron(
        n_features=n_features,
        hidden_layer_sizes=tuple(map(int, sizes)),
        outputs=outputs,
        activation=parameters.activation,
        rates=rates_by_layer(
            parameters.dropout_rate, parameters.dropout_position, len(sizes)
        ),
        batch_normalization=bool(parameters.batch_normalization),
        l2=float(parameters.alpha) / 2,
        max_norm=None if parameters.max_norm is None else float(parameters.max_norm),
    )


def rates_by_layer(
    dropout_rate: float | Sequence[float], dropout_position: str | int, n_hidden: int
) -> tuple[float | None, ...]:
    """Dropout rate before each of the ``n_hidden + 1`` Dense layers, None for none."""
    if dropout_position == "all":
        n_positions = n_hidden + 1
    elif dropout_position == "hidden":
        n_positions = n_hidden
    else:
        n_positions = int(dropout_position)
        if n_positions > n_hidden:
            raise ValueError(
                "dropout_position, an integer, must be at most the number of hidden "
                f"layers, {n_hidden}. Got {dropout_position!r} instead."
            )
    try:
        given = np.asarray(dropout_rate, dtype=float)
        is_valid = given.ndim <= 1 and bool(
            ((given >= 0) & (given.astype(np.float32) < 1)).all()
        )
    except (TypeError, ValueError):
        is_valid = False
    if not is_valid:
        raise ValueError(
            "dropout_rate must be a float in the range [0, 1), in single precision, or "
            f"a sequence of them. Got {dropout_rate!r} instead."
        )
    rates = given.tolist() if given.ndim else [float(given)] * n_positions
    if len(rates) != n_positions:
        raise ValueError(
            "dropout_rate, a sequence, must hold one rate per dropout position: "
            f"{n_positions} for dropout_position={dropout_position!r} and {n_hidden} "
            f"hidden layer(s). Got {len(rates)}: {dropout_rate!r} instead."
        )
    return (None,) * (n_hidden + 1 - n_positions) + tuple(rates)


def _refuse_routed(parameters: Parameters) -> None:
    """Refuse parameters for `model` where there is none."""
    for name, value in parameters.get_params(deep=False).items():
        if name.startswith(PREFIX):
            raise ValueError(
                f"{name} must stand beside a function as model, of which it is a "
                f"parameter. Got {name}={value!r} and model=None."
            )


def _check_same_network(before: Any, now: Perceptron) -> None:
    """Only rates and penalties may change between one training and the next."""
    if not isinstance(before, Perceptron):
        raise ValueError(
            "Going on training (warm_start=True or partial_fit) must keep the network "
            "of the last fit, which was built by model. Got model=None."
        )

    def fixed(spec: Perceptron) -> tuple[Any, ...]:
        dropped = tuple(rate is not None for rate in spec.rates)
        return spec.widths, spec.batch_normalization, spec.activation, dropped

    if fixed(before) != fixed(now):
        raise ValueError(
            "Going on training (warm_start=True or partial_fit) must keep the network "
            f"of the last fit, {_in_words(before)}. Got {_in_words(now)}; clone the "
            "estimator to train another."
        )


def _in_words(spec: Perceptron) -> str:
    """A network by the parameters that describe it."""
    dropped = sum(rate is not None for rate in spec.rates)
    return (
        f"{spec.n_features} features, hidden_layer_sizes={spec.hidden_layer_sizes}, "
        f"activation={spec.activation!r}, dropout at {dropped} position(s), "
        f"batch_normalization={spec.batch_normalization}"
    )

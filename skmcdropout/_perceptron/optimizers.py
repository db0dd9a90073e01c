"""Keras's Adam, AdamW and SGD on one vector, in place."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmcdropout._utils.arrays import Floats

#: Weights at a time: what is computed of them stays in the cache (128 KB an array).
BLOCK = 2**15

#: A name, and the configuration of an instance, or nothing.
Described = tuple[str, dict[str, Any]]

#: What else Keras's optimizers can do; here it must be off.
_OFF: dict[str, Any] = {
    "amsgrad": False,
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "gradient_accumulation_steps": None,
    "loss_scale_factor": None,
    "use_ema": False,
}


class Optimizer(abc.ABC):
    """Changes a vector by a step, given its gradient and the learning rate."""

    def __init__(self, size: int, n_moments: int) -> None:
        self._moments = [np.zeros(size, np.float32) for _ in range(n_moments)]
        self._work = np.empty(min(size, BLOCK), np.float32)
        self.n_steps = 0

    @property
    def state(self) -> list[NDArray[Any]]:
        """A copy of all it remembers of earlier steps."""
        return [np.array(self.n_steps), *(moment.copy() for moment in self._moments)]

    @state.setter
    def state(self, state: Sequence[NDArray[Any]]) -> None:
        n_steps, *moments = state
        self.n_steps = int(n_steps)
        for mine, given in zip(self._moments, moments, strict=True):
            mine[...] = given

    def step(self, vector: Floats, gradient: Floats, learning_rate: float) -> None:
        """Change `vector` by one step, a block that stays in the cache at a time."""
        self.n_steps += 1
        factors = self._factors(learning_rate)
        for start in range(0, len(vector), BLOCK):
            block = slice(start, start + BLOCK)
            moments = [moment[block] for moment in self._moments]
            work = self._work[: len(vector[block])]
            self._change(vector[block], gradient[block], moments, work, factors)

    @abc.abstractmethod
    def _factors(self, learning_rate: float) -> tuple[np.float32, ...]:
        """Numbers of this step."""

    @abc.abstractmethod
    def _change(
        self,
        weights: Floats,
        slopes: Floats,
        moments: Sequence[Floats],
        work: Floats,
        factors: tuple[np.float32, ...],
    ) -> None:
        """Change some of the weights."""


class Adam(Optimizer):
    """Keras's Adam, or with a decay AdamW.

    The moments are kept as sums, their factors 1 - beta left out: two passes fewer.
    """

    def __init__(
        self,
        size: int,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
    ) -> None:
        super().__init__(size, 2)
        # Rounded as they are multiplied by, so that the factors are those of the sums.
        self._beta_1, self._beta_2 = (
            float(np.float32(beta_1)),
            float(np.float32(beta_2)),
        )
        self._epsilon = float(epsilon)
        self._decay = float(weight_decay or 0.0)

    def _factors(self, learning_rate: float) -> tuple[np.float32, ...]:
        root = (1 - self._beta_2) ** 0.5
        factor = (1 - self._beta_1) / root
        factor *= (1 - self._beta_2**self.n_steps) ** 0.5
        factor /= 1 - self._beta_1**self.n_steps
        numbers = (
            learning_rate * factor,
            self._epsilon / root,
            1 - learning_rate * self._decay,
            self._beta_1,
            self._beta_2,
        )
        step, epsilon, kept, beta_1, beta_2 = map(np.float32, numbers)
        return step, epsilon, kept, beta_1, beta_2

    def _change(
        self,
        weights: Floats,
        slopes: Floats,
        moments: Sequence[Floats],
        work: Floats,
        factors: tuple[np.float32, ...],
    ) -> None:
        (first, second), (step, epsilon, kept, beta_1, beta_2) = moments, factors
        if self._decay:
            weights *= kept
        first *= beta_1
        first += slopes
        second *= beta_2
        np.multiply(slopes, slopes, out=work)
        second += work
        np.sqrt(second, out=work)
        work += epsilon
        np.divide(first, work, out=work)
        work *= step
        weights -= work


class AdamW(Adam):
    """Keras's AdamW."""

    def __init__(
        self, size: int, *, weight_decay: float = 0.004, **config: Any
    ) -> None:
        super().__init__(size, weight_decay=weight_decay, **config)


class SGD(Optimizer):
    """Keras's stochastic gradient descent, with a momentum or without."""

    def __init__(
        self, size: int, *, momentum: float = 0.0, nesterov: bool = False
    ) -> None:
        super().__init__(size, 1 if momentum else 0)
        self._momentum, self._nesterov = float(momentum), bool(nesterov)

    def _factors(self, learning_rate: float) -> tuple[np.float32, ...]:
        return np.float32(learning_rate), np.float32(self._momentum)

    def _change(
        self,
        weights: Floats,
        slopes: Floats,
        moments: Sequence[Floats],
        work: Floats,
        factors: tuple[np.float32, ...],
    ) -> None:
        rate, momentum = factors
        np.multiply(slopes, rate, out=work)
        if not moments:
            weights -= work
            return
        (velocity,) = moments
        velocity *= momentum
        velocity -= work
        if self._nesterov:
            weights -= work
            np.multiply(velocity, momentum, out=work)
            weights += work
        else:
            weights += velocity


#: By the names of Keras: the class, and what else of a configuration it knows.
KINDS: Mapping[str, tuple[type[Optimizer], tuple[str, ...]]] = {
    "adam": (Adam, ("beta_1", "beta_2", "epsilon")),
    "adamw": (AdamW, ("beta_1", "beta_2", "epsilon", "weight_decay")),
    "sgd": (SGD, ("momentum", "nesterov")),
}


def described(optimizer: Any) -> Described | None:
    """Name and configuration of an optimizer that is known here; None for others.

    It is a name, a class, an instance, or a class and the configuration of an instance.
    """
    if isinstance(optimizer, str):
        name = optimizer.lower()
        return (name, {}) if name in KINDS else None
    if isinstance(optimizer, type):
        name = _name_of(optimizer)
        return (name, {}) if name else None
    if not isinstance(optimizer, tuple):
        kind, config = type(optimizer), None
    elif len(optimizer) == 2 and isinstance(optimizer[0], type):
        kind, config = optimizer
    else:
        return None
    name = _name_of(kind)
    if not name:
        return None
    config = optimizer.get_config() if config is None else config
    return (name, dict(config)) if _is_plain(name, config) else None


def _name_of(kind: type) -> str:
    """Of one of Keras's own classes; empty for others."""
    name = kind.__name__.lower()
    is_of_keras = kind.__module__.partition(".")[0] == "keras"
    return name if is_of_keras and name in KINDS else ""


def _is_plain(name: str, config: Mapping[str, Any]) -> bool:
    betas = [config.get("beta_1", 0.0), config.get("beta_2", 0.0)]
    has_decay = config.get("weight_decay") is not None
    return (
        isinstance(config.get("learning_rate"), float)
        and np.float32(max(betas)) < 1
        and (name == "adamw") == has_decay
        and all(
            config.get(key) == value for key, value in _OFF.items() if key in config
        )
    )


def optimizer_for(described: Described, size: int) -> Optimizer:
    """A new one for a vector of that size."""
    name, config = described
    kind, known = KINDS[name]
    return kind(size, **{key: config[key] for key in known if key in config})


def own_learning_rate(described: Described) -> float | None:
    """That of an instance; None for a name or class."""
    return described[1].get("learning_rate")

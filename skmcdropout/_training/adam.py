"""Adam on one vector, in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skmcdropout._utils.arrays import Floats

#: What else Keras's Adam can do; here it must be off.
_OFF: dict[str, Any] = {
    "amsgrad": False,
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "gradient_accumulation_steps": None,
    "loss_scale_factor": None,
    "use_ema": False,
    "weight_decay": None,
}


def is_plain_adam(optimizer: keras.Optimizer) -> bool:
    """Whether `Adam` does what this optimizer of Keras does."""
    config = optimizer.get_config()
    return (
        type(optimizer) is keras.optimizers.Adam
        and isinstance(config["learning_rate"], float)
        and all(config.get(name) == value for name, value in _OFF.items())
    )


class Adam:
    """Keras's Adam, its learning rate apart."""

    def __init__(self, optimizer: keras.Optimizer, size: int) -> None:
        config = optimizer.get_config()
        self._beta_1 = float(config["beta_1"])
        self._beta_2 = float(config["beta_2"])
        self._epsilon = np.float32(config["epsilon"])
        self._first = np.zeros(size, np.float32)
        self._second = np.zeros(size, np.float32)
        self._work = np.empty(size, np.float32)
        self.n_steps = 0

    @property
    def state(self) -> list[NDArray[Any]]:
        """A copy of all it remembers of earlier steps."""
        return [np.array(self.n_steps), self._first.copy(), self._second.copy()]

    @state.setter
    def state(self, state: Sequence[NDArray[Any]]) -> None:
        n_steps, first, second = state
        self.n_steps = int(n_steps)
        self._first[...] = first
        self._second[...] = second

    def step(self, vector: Floats, gradient: Floats, learning_rate: float) -> None:
        """Change `vector` by one step."""
        first, second, work = self._first, self._second, self._work
        self.n_steps += 1
        np.subtract(gradient, first, out=work)
        work *= np.float32(1 - self._beta_1)
        first += work
        np.multiply(gradient, gradient, out=work)
        work -= second
        work *= np.float32(1 - self._beta_2)
        second += work
        np.sqrt(second, out=work)
        work += self._epsilon
        np.divide(first, work, out=work)
        corrected = (1 - self._beta_2**self.n_steps) ** 0.5
        corrected /= 1 - self._beta_1**self.n_steps
        work *= np.float32(learning_rate * corrected)
        vector -= work

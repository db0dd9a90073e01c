"""Adam on one vector, in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skmcdropout._utils.arrays import Floats

#: Weights at a time: what is computed of them stays in the cache (128 KB an array).
BLOCK = 2**15

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


def is_plain_adam(optimizer: keras.Optimizer | type) -> bool:
    """Whether `Adam` does what this optimizer of Keras does, or one of this class."""
    if isinstance(optimizer, type):
        return optimizer is keras.optimizers.Adam
    if type(optimizer) is not keras.optimizers.Adam:
        return False
    config = optimizer.get_config()
    return (
        isinstance(config["learning_rate"], float)
        and np.float32(max(config["beta_1"], config["beta_2"])) < 1
        and all(config.get(name) == value for name, value in _OFF.items())
    )


class Adam:
    """Keras's Adam, but for the learning rate, which is given to each step.

    The moments are kept as sums, their factors 1 - beta left out: two passes fewer.
    """

    def __init__(self, optimizer: keras.Optimizer, size: int) -> None:
        config = optimizer.get_config()
        # Rounded as they are multiplied by, so that the factors are those of the sums.
        self._beta_1 = float(np.float32(config["beta_1"]))
        self._beta_2 = float(np.float32(config["beta_2"]))
        self._epsilon = float(config["epsilon"])
        self._first = np.zeros(size, np.float32)
        self._second = np.zeros(size, np.float32)
        self._work = np.empty(min(size, BLOCK), np.float32)
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
        """Change `vector` by one step, a block that stays in the cache at a time."""
        self.n_steps += 1
        root = (1 - self._beta_2) ** 0.5
        factor = (1 - self._beta_1) / root
        factor *= (1 - self._beta_2**self.n_steps) ** 0.5
        factor /= 1 - self._beta_1**self.n_steps
        step, epsilon = (
            np.float32(learning_rate * factor),
            np.float32(self._epsilon / root),
        )
        beta_1, beta_2 = np.float32(self._beta_1), np.float32(self._beta_2)
        for start in range(0, len(vector), BLOCK):
            block = slice(start, start + BLOCK)
            first, second, slopes = (
                self._first[block],
                self._second[block],
                gradient[block],
            )
            work = self._work[: len(slopes)]
            first *= beta_1
            first += slopes
            second *= beta_2
            np.multiply(slopes, slopes, out=work)
            second += work
            np.sqrt(second, out=work)
            work += epsilon
            np.divide(first, work, out=work)
            work *= step
            changed = vector[block]
            changed -= work

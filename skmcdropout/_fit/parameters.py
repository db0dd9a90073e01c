"""What a fit reads of an estimator, and what it gives back; both are only read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from skmcdropout._utils.arrays import Table

if TYPE_CHECKING:
    import keras

    from skmcdropout._perceptron.network import Network
    from skmcdropout._perceptron.state import TrainingState

#: Rows that numbers of epochs are given for; more rows have fewer, by the root.
ROWS = 10_000


class AutoSizes(NamedTuple):
    """What "auto" means: epochs for `ROWS` rows, most epochs, smallest batch."""

    epochs_of_rows: int
    most_epochs: int
    smallest_batch: int


#: Where labels are classes, and where they are real numbers, which a network can come
#: closer to for longer.
OF_CLASSES, OF_TARGETS = AutoSizes(50, 50, 64), AutoSizes(100, 300, 32)

#: Steps of an epoch, where that gives batches between these.
STEPS, LARGEST_BATCH = 32, 256


def n_epochs(given: int | str, n_rows: int, auto: AutoSizes) -> int:
    """Passes over the rows, as given or by their number."""
    if isinstance(given, str):
        n = auto.epochs_of_rows * (ROWS / max(n_rows, 1)) ** 0.5
        return round(min(n, auto.most_epochs)) or 1
    return given


def batch_size(given: int | str, n_rows: int, auto: AutoSizes) -> int:
    """Rows of a step, as given or by their number."""
    if isinstance(given, str):
        return min(max(n_rows // STEPS, auto.smallest_batch), LARGEST_BATCH)
    return given


MAX_SEED = 2**31 - 1


class Parameters(Protocol):
    """The parameters of an estimator that say how to fit it."""

    hidden_layer_sizes: int | Sequence[int]
    activation: str
    model: Callable[..., keras.Model] | None
    dropout_rate: float | Sequence[float]
    dropout_position: str | int
    batch_normalization: bool
    kernel_initializer: Any
    alpha: float
    max_norm: float | None
    optimizer: Any
    learning_rate: float
    learning_rate_schedule: str
    batch_size: int | str
    epochs: int | str
    _auto_sizes: AutoSizes
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    callbacks: Any
    memory: Any
    random_state: int | np.random.RandomState | None
    verbose: int

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name, those of `model` included."""


class Seeds(NamedTuple):
    """Where the random numbers of a fit and of its predictions come from."""

    initial_weights: int
    training: int
    validation_split: int
    masks: int

    @classmethod
    def drawn(cls, random_state: Any) -> Seeds:
        """From an estimator's `random_state`.

        None means fresh entropy: NumPy's global generator is not ours to advance.
        """
        if random_state is None:
            rng = np.random.RandomState()
        else:
            rng = check_random_state(random_state)
        return cls(*rng.randint(MAX_SEED, size=4).tolist())


class BuiltBy(NamedTuple):
    """The call of `model` that built a network."""

    function: Any
    call: str


@dataclass(frozen=True)
class FittedState:
    """All that a fit has learned, for the estimator to set at one stroke."""

    spec: Network
    training: TrainingState
    seeds: Seeds
    built_by: BuiltBy | None = None
    compiled: Any = None

    @property
    def calibrated_spec(self) -> Network:
        """The network, its outputs with the noise that was found."""
        factors = self.training.progress.noise_factors
        return self.spec.with_outputs(self.spec.outputs.with_noise(factors))


class Plan(NamedTuple):
    """What to train: a network, its weights before, its rows, with which optimizer.

    `new_weights` makes those of another network like it, from a seed. `train` is how to
    train it, `train_alike` how to train others like it, which no callback sees.
    `has_own_rate` says that the learning rate is the optimizer's own matter, and
    `is_repeatable` that no code of the user's takes part.
    """

    spec: Any
    weights: Sequence[NDArray[Any]]
    table: Table
    optimizer: Any
    new_weights: Callable[[int], Sequence[NDArray[Any]]]
    train: Callable[..., TrainingState]
    train_alike: Callable[..., TrainingState]
    built_by: BuiltBy | None = None
    has_own_rate: bool = False
    is_repeatable: bool = True


def refuse_set(parameters: Any, names: tuple[str, ...], why: str) -> None:
    """Refuse parameters, of those there are, that are not at their defaults."""
    defaults = inspect.signature(type(parameters)).parameters
    for name in filter(defaults.__contains__, names):
        value, default = getattr(parameters, name), defaults[name].default
        if value is not default and repr(value) != repr(default):
            raise ValueError(f"{name} {why}. Got {name}={value!r}.")

"""The door to all that needs Keras, which is imported when something is asked for.

Perceptrons are trained and drawn from without it. It is needed for `model_`, for
networks of the user's, and for optimizers, initializers and callbacks of Keras.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skmcdropout._keras.process import check_process

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from skmcdropout._fit.labels import LabelledRows
    from skmcdropout._fit.parameters import FittedState, Parameters, Plan, Seeds
    from skmcdropout._keras.from_keras import Adopted
    from skmcdropout._perceptron.network import Sampler


def plan(
    parameters: Parameters, data: LabelledRows, seeds: Seeds, before: FittedState | None
) -> Plan:
    """What to train, with Keras's optimizers, initializers or callbacks."""
    return _opened("from_function").plan(parameters, data, seeds, before)


def network_of(sampler: Sampler) -> keras.Model:
    """The Keras network of what draws."""
    return _opened("build").network_of(sampler)


def adopt_classifier(*asked: Any) -> tuple[Adopted, NDArray[Any]]:
    """What there is to know of a trained classifier, and its sorted classes."""
    return _opened("from_keras").adopt_classifier(*asked)


def adopt_regressor(*asked: Any) -> Adopted:
    """What there is to know of a trained network that predicts real targets."""
    return _opened("from_keras").adopt_regressor(*asked)


def spread_of(network: Any, noise: str | None, spread: str | None) -> str | None:
    """What half of a trained network's outputs say of the noise, if that is so."""
    return _opened("from_keras").spread_of(network, noise, spread)


def _opened(module: str) -> Any:
    """A module behind the door."""
    check_process()
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            "Keras's networks, optimizers, initializers and callbacks, and model_, "
            f"need {', '.join(missing)}, which must be installed. (TensorFlow has "
            "no wheels for the newest Pythons.) Perceptrons are trained and predict "
            "without."
        )
    return importlib.import_module(f"skmcdropout._keras.{module}")


_LIBRARIES: Sequence[str] = ("keras", "tensorflow", "scikeras")

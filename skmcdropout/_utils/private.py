"""The one door to parts of scikit-learn that are not public.

Whatever is relied on without being promised is used here and nowhere else, under a
name that says what for; the same of Keras and TensorFlow is in `_keras.private`.
`tests/contracts/test_sklearn_assumptions.py` tests what each part does, on the library
alone.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from types import ModuleType
from typing import Any


class PrivatePartError(ImportError):
    """A library does not have a private part that this package relies on."""

    def __init__(self, library: str, part: str) -> None:
        version = getattr(importlib.import_module(library), "__version__", "unknown")
        super().__init__(
            f"skmcdropout must find {part}, a private part of {library} that it relies "
            f"on. Got {library} {version}, which does not have it; install a version "
            "that skmcdropout is tested with."
        )


def part_of(holder: Any, name: str) -> Any:
    """An attribute that must be there, of a module, a class or an object."""
    try:
        return getattr(holder, name)
    except AttributeError:
        if isinstance(holder, ModuleType):
            module = kind = holder.__name__
        else:
            cls = holder if isinstance(holder, type) else type(holder)
            module, kind = cls.__module__, cls.__qualname__
        library = module.partition(".")[0]
        library = library if library in ("keras", "tensorflow", "sklearn") else "keras"
        raise PrivatePartError(library, f"{kind}.{name}") from None


def module_named(name: str) -> Any:
    """A module that must be there."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise PrivatePartError(name.partition(".")[0], name) from None


# scikit-learn

#: Validates parameters before a method that fits.
fit_context = part_of(module_named("sklearn.base"), "_fit_context")

#: Scorers that searches call with the estimator; of its hooks `_score`, `_sign`,
#: `_score_func`, `_kwargs` and `_get_metadata_request` are used.
BaseScorer = part_of(module_named("sklearn.metrics._scorer"), "_BaseScorer")

#: Rows of an array, table or list.
rows_of = part_of(module_named("sklearn.utils"), "_safe_indexing")

_of_samples = module_named("sklearn.utils.validation")
check_sample_weight = part_of(_of_samples, "_check_sample_weight")

#: Parameters of `fit`, those of the length of X for some of its rows.
params_of_rows = part_of(_of_samples, "_check_method_params")

# What parameters must be, in scikit-learn's words.
_validation = module_named("sklearn.utils._param_validation")
HasMethods = part_of(_validation, "HasMethods")
Interval = part_of(_validation, "Interval")
StrOptions = part_of(_validation, "StrOptions")
validate_parameter_constraints = part_of(_validation, "validate_parameter_constraints")

__all__ = [
    "BaseScorer",
    "HasMethods",
    "Interval",
    "PrivatePartError",
    "StrOptions",
    "check_sample_weight",
    "fit_context",
    "module_named",
    "params_of_rows",
    "part_of",
    "rows_of",
    "validate_parameter_constraints",
]


def scale_of_power(transformer: Any) -> Any:
    """What a fitted `PowerTransformer` that standardises divides by."""
    return part_of(transformer, "_scaler").scale_


def callbacks_of(estimator: Any) -> list[Any]:
    """The callbacks that `set_callbacks` of scikit-learn 1.9 has set."""
    _check_callbacks()
    return getattr(estimator, "_skl_callbacks", [])


@functools.cache
def _check_callbacks() -> None:
    """Raise PrivatePartError if callbacks are kept elsewhere, where there are some."""
    if importlib.util.find_spec("sklearn.callback") is None:
        return
    callback = module_named("sklearn.callback")
    watched = callback.CallbackSupportMixin().set_callbacks(
        callback.ScoringMonitor(scoring="accuracy")
    )
    part_of(watched, "_skl_callbacks")


def callback_context(estimator: Any, max_subtasks: int) -> Any:
    """What tells callbacks of scikit-learn 1.9 how far a fit is."""
    return part_of(estimator, "_init_callback_context")(max_subtasks=max_subtasks)

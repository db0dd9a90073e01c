"""What scikit-learn's callbacks are told of `fit`; they exist from version 1.9 on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import sklearn

from skmcdropout._utils.private import callback_context, callbacks_of

__all__ = ["CallbackSupportMixin", "FitTask", "MetaFitTask", "fit_within"]

try:
    from sklearn.callback import CallbackSupportMixin, ProgressBar
except ImportError:
    HAS_CALLBACKS = False

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """What stands in for scikit-learn's mixin where that has none."""

        def set_callbacks(self, *callbacks: Any) -> Any:
            """Refuse callbacks.

            Parameters
            ----------
            *callbacks : callback instances
                Callbacks that follow scikit-learn's protocol.

            Raises
            ------
            NotImplementedError
                Always: they need scikit-learn 1.9.
            """
            raise NotImplementedError(
                "set_callbacks needs scikit-learn 1.9 or newer. This is "
                f"{sklearn.__version__}; use verbose=1 or Keras's callbacks instead."
            )
else:
    HAS_CALLBACKS = True

if TYPE_CHECKING:
    from skmcdropout._perceptron.state import TrainingState


class FitTask:
    """A fit, told as a task whose subtasks are epochs."""

    _context: Any = None

    #: Attributes that scikit-learn has given the estimator for the time of the fit.
    noted: Mapping[str, Any] = {}

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        sample_weight: Any,
    ) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._told = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._callbacks = callbacks_of(estimator) if HAS_CALLBACKS else []

    def begin(self, n_subtasks: int) -> None:
        """Tell that a fit of so many subtasks at most begins."""
        if HAS_CALLBACKS:
            held = vars(self._told["estimator"])
            before = set(held)
            self._context = callback_context(self._told["estimator"], n_subtasks)
            self.noted = {name: held[name] for name in held if name not in before}
            self._context.call_on_fit_task_begin(**self._told)

    @property
    def needs_epochs(self) -> bool:
        """Whether a callback may stop training, or look at more than its progress."""
        return any(type(callback) is not ProgressBar for callback in self._callbacks)

    def epochs(
        self, attributes_after: Callable[[TrainingState], dict[str, Any]]
    ) -> EpochTasks | None:
        """The epochs, if somebody wants to know of them.

        `attributes_after` makes of a state of training the attributes of the estimator
        with the weights of that moment.
        """
        if not self._callbacks:
            return None
        return EpochTasks(self._context, self._told, attributes_after)

    def end(self) -> None:
        """Tell that the estimator is fitted."""
        if HAS_CALLBACKS:
            self._context.call_on_fit_task_end(
                **self._told, reconstruction_attributes={}
            )


class MetaFitTask(FitTask):
    """A fit whose subtasks are the fits of other estimators."""

    def subtasks(self, name: str, n_subtasks: int) -> list[Any]:
        """Contexts for `fit_within`, before any of these fits begins."""
        if self._context is None:
            return [None] * n_subtasks
        return [self._context.subcontext(name) for _ in range(n_subtasks)]


def fit_within(
    context: Any, caller: Any, estimator: Any, X: Any, y: Any, params: dict[str, Any]
) -> Any:
    """Fit an estimator as a subtask of the fit of its caller."""
    if context is None:
        return estimator.fit(X, y, **params)
    weights = params.get("sample_weight")
    metadata = None if weights is None else {"sample_weight": weights}
    told = {"estimator": caller, "X": X, "y": y, "metadata": metadata}
    try:
        with context.propagate_callback_context(estimator):
            context.call_on_fit_task_begin(**told)
            return estimator.fit(X, y, **params)
    finally:
        context.call_on_fit_task_end(**told)


class EpochTasks:
    """Epochs, told one after the other as subtasks of a fit."""

    def __init__(
        self,
        fit: Any,
        told: dict[str, Any],
        attributes_after: Callable[[TrainingState], dict[str, Any]],
    ) -> None:
        self._fit = fit
        self._told = told
        self._attributes_after = attributes_after

    def begin(self) -> None:
        """Tell that an epoch begins."""
        self._context = self._fit.subcontext("epoch")
        self._context.call_on_fit_task_begin(**self._told)

    def end(self, state: Callable[[], TrainingState]) -> bool:
        """Tell that an epoch ends in this state; True if training should stop."""
        return bool(
            self._context.call_on_fit_task_end(
                **self._told,
                reconstruction_attributes=lambda: self._attributes_after(state()),
            )
        )

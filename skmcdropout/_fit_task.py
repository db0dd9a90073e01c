"""What scikit-learn's callbacks are told of `fit`; they exist from version 1.9 on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sklearn

__all__ = ["CallbackSupportMixin", "FitTask"]

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
    from skmcdropout._classifier import MCDropoutClassifier
    from skmcdropout._training import TrainingState


class FitTask:
    """A fit, told as a task whose subtasks are epochs.

    `attributes_after` makes the fitted attributes of the estimator from a state of
    training: callbacks may ask for what would be there if the fit had ended.
    """

    attributes_after: Callable[[TrainingState], dict[str, Any]]

    def __init__(
        self,
        estimator: MCDropoutClassifier,
        X: Any,
        y: Any,
        sample_weight: Any,
        n_epochs: int,
    ) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._told = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._callbacks = getattr(estimator, "_skl_callbacks", ())
        if HAS_CALLBACKS:
            self._fit = estimator._init_callback_context(max_subtasks=n_epochs)
            self._fit.call_on_fit_task_begin(**self._told)

    @property
    def is_watched(self) -> bool:
        """Whether anybody wants to know of epochs."""
        return bool(self._callbacks)

    @property
    def may_be_changed(self) -> bool:
        """Whether a callback may stop training, or needs every epoch of it."""
        return any(not isinstance(c, ProgressBar) for c in self._callbacks)

    def begin_epoch(self) -> None:
        """Tell that an epoch begins."""
        self._epoch = self._fit.subcontext("epoch")
        self._epoch.call_on_fit_task_begin(**self._told)

    def end_epoch(self, state: Callable[[], TrainingState]) -> bool:
        """Tell that an epoch ends in this state; return whether training should."""
        return bool(
            self._epoch.call_on_fit_task_end(
                **self._told,
                reconstruction_attributes=lambda: self.attributes_after(state()),
            )
        )

    def end(self) -> None:
        """Tell that the estimator is fitted."""
        if HAS_CALLBACKS:
            self._fit.call_on_fit_task_end(**self._told, reconstruction_attributes={})

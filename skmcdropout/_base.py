"""`MCDropoutBase`: how the estimators fit, draw, and are saved."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skmcdropout._fitting.callbacks import CallbackSupportMixin, FitTask
from skmcdropout._utils.checksum import ChecksumMixin
from skmcdropout._utils.forks import check_process
from skmcdropout._utils.private import validate_parameter_constraints
from skmcdropout._validation import check_numbers, check_rows, forget_features

if TYPE_CHECKING:
    import keras

    from skmcdropout._drawing.results import Wanted
    from skmcdropout._fitting.parameters import FittedState

Self = TypeVar("Self", bound="MCDropoutBase")


class MCDropoutBase(CallbackSupportMixin, ChecksumMixin, BaseEstimator):
    """All of an estimator but its parameters and public methods.

    `fit` works on a copy, the candidate, whose attributes the estimator takes at one
    stroke when all is done.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]]

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

    def _draw(self, X: ArrayLike, wanted: Wanted) -> tuple[NDArray[np.float32], ...]:
        check_is_fitted(self)
        check_process()
        snapshot = copy.copy(self)
        data = check_rows(snapshot, X)
        asked = {"n_samples": snapshot.n_samples, "sampling": snapshot.sampling}
        validate_parameter_constraints(
            {name: self._parameter_constraints[name] for name in asked},
            asked,
            caller_name=type(self).__name__,
        )
        drawn = snapshot._sampler.draw(
            data,
            int(snapshot.n_samples),
            snapshot.sampling,
            wanted,
            show=snapshot.verbose == 1,
        )
        check_numbers(drawn, 1 if wanted == "draws" else 0)
        return drawn

    def _train(
        self,
        rows: tuple[Any, NDArray[np.int64], NDArray[np.float64] | None],
        before: FittedState | None,
        task: FitTask,
        one_epoch: bool = False,
    ) -> None:
        """Fit on checked rows, codes into ``classes_`` and weights."""
        from skmcdropout._fitting.fit import fit_network
        from skmcdropout._fitting.parameters import LabelledRows

        data = LabelledRows(*rows, self.classes_)
        fitted = fit_network(
            self, data, before, task, self._attributes_after, one_epoch=one_epoch
        )
        self._set_fitted(fitted)

    def _set_fitted(self, fitted: FittedState) -> None:
        """Set what a fit has learned."""
        from skmcdropout._drawing.sampler import Sampler

        weights, progress = fitted.training.weights, fitted.training.progress
        self.history_ = {name: [*values] for name, values in progress.history.items()}
        self.n_iter_ = progress.n_epochs
        self._spec, self._progress = fitted.spec, progress
        self.temperature_ = progress.temperature
        self._seeds, self._built_by = fitted.seeds, fitted.built_by
        self._sampler = Sampler(
            fitted.spec, weights, fitted.seeds.masks, True, fitted.compiled
        )
        if fitted.spec.n_features_varies:
            forget_features(self)

    def _fitted_state(self) -> FittedState | None:
        """What was learned, to be trained on as it is now; None before a fit."""
        if not hasattr(self, "_sampler"):
            return None
        from skmcdropout._fitting.parameters import FittedState
        from skmcdropout._training.state import TrainingState

        state = TrainingState(self._sampler.weights, self._progress).to_train()
        return FittedState(self._spec, state, self._seeds, self._built_by)

    def _attributes_after(self, fitted: FittedState) -> dict[str, Any]:
        """All attributes, were the fit over with this state."""
        candidate = copy.copy(self)
        candidate._set_fitted(fitted)
        return candidate.__dict__

    def _commit(self: Self, candidate: Self, task: FitTask) -> Self:
        """Take all attributes of a fitted candidate, at one stroke."""
        before = self.__dict__
        self.__dict__ = candidate.__dict__
        try:
            task.end()
        except BaseException:
            self.__dict__ = before
            raise
        return self

    def __copy__(self: Self) -> Self:
        """A shallow copy, which shares what was learned."""
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    @property
    def model_(self) -> keras.Model:
        """The trained network, with ordinary Dropout layers."""
        if not hasattr(self, "_sampler"):
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute 'model_': it is not "
                "fitted yet."
            )
        check_process()
        return self._sampler.network

    def _saved(self) -> dict[str, Any]:
        """Plain state: parameters, configuration and weights as arrays.

        `memory` is left out: what is loaded shall not read pickles from where a file
        says.
        """
        state = super()._saved()
        state.pop("memory", None)
        if "_sampler" in state:
            state["_sampler"] = list(state["_sampler"].weights)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        memory = vars(self).get("memory")
        super().__setstate__(state)
        self.memory = memory
        if "_sampler" in state:
            from skmcdropout._drawing.sampler import Sampler

            seed = self._seeds.masks
            self._sampler = Sampler(self._spec, state["_sampler"], seed)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """As ever; before it is fitted, it takes its `memory` to other processes."""
        if self.memory is None or hasattr(self, "_sampler"):
            return super().__reduce_ex__(protocol)
        return _with_memory, (type(self), self.memory), self.__getstate__()

    def __deepcopy__(self: Self, memo: dict[int, Any]) -> Self:
        """A copy that shares nothing, `memory` apart."""
        copied = _with_memory(type(self), self.memory)
        memo[id(self)] = copied
        copied.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return copied


def _with_memory(kind: type[Self], memory: Any) -> Self:
    """An estimator to be given a state, which says nothing of `memory`."""
    estimator = kind.__new__(kind)
    estimator.memory = memory
    return estimator

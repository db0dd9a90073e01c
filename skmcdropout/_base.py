"""`MCDropoutBase`: how the estimators fit, draw, and are saved."""

from __future__ import annotations

import abc
import copy
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skmcdropout._fit.callbacks import CallbackSupportMixin, FitTask
from skmcdropout._fit.fit import fit_network
from skmcdropout._fit.from_parameters import needs_keras, plan_perceptron
from skmcdropout._fit.labels import LabelledRows, Labels
from skmcdropout._fit.parameters import AutoSizes, FittedState
from skmcdropout._keras import door
from skmcdropout._parameters import NetworkParameters
from skmcdropout._perceptron.optimizers import described as described_optimizer
from skmcdropout._perceptron.state import TrainingState
from skmcdropout._utils.checksum import ChecksumMixin
from skmcdropout._utils.private import validate_parameter_constraints
from skmcdropout._utils.set_later import described, warn_if_set_later
from skmcdropout._validation import (
    check_numbers,
    check_rows,
    check_training_data,
    check_validation_data,
)

if TYPE_CHECKING:
    import keras

    from skmcdropout._keras.from_keras import Adopted
    from skmcdropout._perceptron.values import Wanted
    from skmcdropout._utils.inputs import Rows

Self = TypeVar("Self", bound="MCDropoutBase")


class MCDropoutBase(CallbackSupportMixin, ChecksumMixin, NetworkParameters):
    """All of an estimator but its parameters and public methods.

    `fit` works on a copy, the candidate, whose attributes the estimator takes at one
    stroke when all is done.
    """

    #: What is drawn, in words.
    _drawn: ClassVar[str]
    #: What "auto" makes of a number of rows.
    _auto_sizes: ClassVar[AutoSizes]

    def __sklearn_tags__(self) -> Any:
        """Tags of scikit-learn: networks that are trained on arrays take sparse `X`."""
        tags = super().__sklearn_tags__()
        is_known = described_optimizer(self.optimizer) is not None
        tags.input_tags.sparse = self.model is None and is_known
        return tags

    def _draw(
        self, X: Any, wanted: Wanted, is_checked: bool = False
    ) -> tuple[NDArray[Any], ...]:
        """What is wanted of the draws for some rows, of one fit whatever others do."""
        check_is_fitted(self)
        snapshot = copy.copy(self)
        data = X if is_checked else check_rows(snapshot, X)
        asked = {"n_samples": snapshot.n_samples, "sampling": snapshot.sampling}
        validate_parameter_constraints(
            {name: snapshot._parameter_constraints[name] for name in asked},
            asked,
            caller_name=type(self).__name__,
        )
        sampler = snapshot._sampler
        warn_if_set_later(snapshot, vars(snapshot).get("_described", {}), sampler)
        n_samples, sampling = int(snapshot.n_samples), snapshot.sampling
        show = snapshot.verbose == 1
        drawn = sampler.draw(data, n_samples, sampling, wanted, show)
        with np.errstate(invalid="ignore"):  # what isn't finite is refused next
            of_rows = drawn[0][0] if wanted == "draws" else drawn[0]
            snapshot._spec.outputs.check_values(of_rows)
        check_numbers(drawn, 1 if wanted == "draws" else 0, self._drawn)
        return snapshot._as_told(drawn)

    def _as_told(self, drawn: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        """What was drawn in the precision in which it is told."""
        return drawn

    def _fit(
        self: Self, X: Any, y: Any, sample_weight: Any, validation: tuple[Any, Any, Any]
    ) -> Self:
        """Train a candidate from the start, or with `warm_start` on; become it.

        `validation` holds rows, labels and weights of a validation set, or None each.
        """
        task = FitTask(self, X, y, sample_weight)
        before = self._fitted_state() if self.warm_start else None
        candidate = copy.copy(self)
        candidate._forget_features()
        data, values, weights = check_training_data(
            candidate, X, y, sample_weight, reset=True
        )
        labels = candidate._labels_to_fit(values, weights is not None, before)
        checked, held = check_validation_data(candidate, *validation), None
        if checked is not None:
            X_val, y_val, weights_val = checked
            held = X_val, candidate._labels_to_validate(y_val, labels), weights_val
        candidate._train(data, labels, weights, before, task, held=held)
        return self._commit(candidate, task)

    def _partial_fit(
        self: Self,
        X: Any,
        y: Any,
        sample_weight: Any,
        classes: Any = None,
    ) -> Self:
        """Train a candidate for an epoch and become it."""
        task = FitTask(self, X, y, sample_weight)
        before = self._fitted_state()
        candidate = copy.copy(self)
        candidate._announce(classes, before)
        is_first = before is None or not self.n_iter_
        if is_first:
            candidate._forget_features()
        data, values, weights = check_training_data(
            candidate, X, y, sample_weight, reset=is_first
        )
        labels = candidate._labels_to_go_on(values, before)
        candidate._train(data, labels, weights, before, task, one_epoch=True)
        return self._commit(candidate, task)

    def _announce(self, classes: Any, before: FittedState | None) -> None:
        """Take note of the classes that are announced to `partial_fit`."""

    @abc.abstractmethod
    def _labels_to_fit(
        self, y: NDArray[Any], is_weighed: bool, before: FittedState | None
    ) -> Labels:
        """Checked labels of a fit, which may go on from another."""

    @abc.abstractmethod
    def _labels_to_validate(self, y: NDArray[Any], labels: Labels) -> Labels:
        """Checked labels of a validation set, beside those of the training set."""

    @abc.abstractmethod
    def _labels_to_go_on(self, y: NDArray[Any], before: FittedState | None) -> Labels:
        """Checked labels of a call of `partial_fit`."""

    def _train(
        self,
        X: Rows,
        labels: Labels,
        weights: NDArray[np.float64] | None,
        before: FittedState | None,
        task: FitTask,
        one_epoch: bool = False,
        held: tuple[Rows, Labels, NDArray[np.float64] | None] | None = None,
    ) -> None:
        """Fit on checked rows, with those of a validation set if `held` has any."""
        data = LabelledRows(X, labels, weights)
        if held is not None:
            data = data.with_validation(*held)
        fitted = fit_network(
            self,
            data,
            before,
            task,
            self._attributes_after,
            door.plan if needs_keras(self) else plan_perceptron,
            one_epoch=one_epoch,
        )
        self._set_fitted(fitted)

    def _set_fitted(self, fitted: FittedState) -> None:
        """Set what a fit has learned."""
        weights, progress = fitted.training.weights, fitted.training.progress
        self.history_ = {name: [*values] for name, values in progress.history.items()}
        self.n_iter_ = progress.n_epochs
        self._spec, self._progress = fitted.calibrated_spec, progress
        self._seeds, self._built_by = fitted.seeds, fitted.built_by
        self._sampler = self._spec.sampler(
            weights, fitted.seeds.masks, trust=True, compiled=fitted.compiled
        )
        self._described = described(self)
        if fitted.spec.n_features_varies:
            self._forget_features()

    def _forget_features(self) -> None:
        """Have no number and names of features."""
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)

    def _adopt(self, adopted: Adopted) -> None:
        """Take a network that was trained already."""
        self.model = adopted.model
        if adopted.n_features is not None:
            self.n_features_in_ = adopted.n_features
        self._set_fitted(adopted.fitted)

    def _fitted_state(self) -> FittedState | None:
        """What was learned, to be trained on as it is now; None before a fit."""
        if not hasattr(self, "_sampler"):
            return None
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
        self.__dict__ = {**candidate.__dict__, **task.noted}
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
        return door.network_of(self._sampler)

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
            self._sampler = self._spec.sampler(state["_sampler"], self._seeds.masks)

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

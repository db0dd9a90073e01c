"""What is learned of each row: its class, or real targets."""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import type_of_target

from skmcdropout._fit.calibration import (
    Noise,
    Temperature,
    best_noise_factors,
    looks_at,
    shares_of_seen,
)
from skmcdropout._fit.held_out import MOST_ROWS, N_SAMPLES
from skmcdropout._fit.parameters import FittedState, Parameters
from skmcdropout._fit.rows import TrainingRows, training_rows, weight_of_class
from skmcdropout._perceptron.network import Network
from skmcdropout._perceptron.outputs import ClassOutputs, Outputs, TargetOutputs
from skmcdropout._perceptron.state import TrainingData
from skmcdropout._utils.arrays import Table
from skmcdropout._utils.inputs import Rows, joined

Doubles = NDArray[np.float64]

#: What a target that is constant is standardised with, in units of the constant.
SHARE_OF_CONSTANT = 1e-3


class Labels(abc.ABC):
    """The labels of some rows, and what is asked of a network for them."""

    @abc.abstractmethod
    def outputs_of_perceptron(self) -> Outputs:
        """What a perceptron's outputs mean, and others' as far as is said here."""

    @abc.abstractmethod
    def meta(self) -> dict[str, Any]:
        """What scikeras tells a model function of labels."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abc.abstractmethod
    def part(self, rows: slice) -> Any:
        """The labels of some of the rows."""

    @abc.abstractmethod
    def followed_by(self, others: Any) -> Any:
        """These and others like them."""

    @abc.abstractmethod
    def rows(
        self,
        table: Table,
        weights: Doubles | None,
        parameters: Parameters,
        trained: tuple[Any, Doubles] | None = None,
    ) -> TrainingRows:
        """Which rows count, in which order and with which weights.

        Classes weigh as they do among the labels and weights that are `trained` on, by
        default these.
        """

    def outputs_for(
        self, network: Network, rows: TrainingRows, before: Outputs | None
    ) -> Outputs:
        """A network's, with what these rows say of them, or what was known before."""
        return network.outputs

    @abc.abstractmethod
    def as_trained_on(self, outputs: Any) -> NDArray[Any]:
        """The labels as a loss compares them with outputs."""

    @abc.abstractmethod
    def calibration(
        self,
        parameters: Parameters,
        spec: Network,
        before: FittedState | None,
        data: TrainingData,
        one_epoch: bool,
    ) -> Any:
        """What is to be found on held-out rows, `Temperature` or `Noise`."""


@dataclass(frozen=True)
class ClassLabels(Labels):
    """Classes of rows, as codes into the sorted `classes`."""

    codes: NDArray[np.int64]
    classes: NDArray[Any]

    def __len__(self) -> int:
        return len(self.codes)

    def outputs_of_perceptron(self) -> ClassOutputs:
        """A probability of each class."""
        return ClassOutputs.of_perceptron(len(self.classes))

    def meta(self) -> dict[str, Any]:
        """What scikeras tells a model function of classes."""
        n_classes = len(self.classes)
        return {
            "classes_": self.classes,
            "n_classes_": n_classes,
            "target_type_": type_of_target(self.codes),
            "n_outputs_": 1,
            "n_outputs_expected_": 1 if n_classes == 2 else n_classes,
        }

    def part(self, rows: slice) -> ClassLabels:
        """The labels of some of the rows."""
        return replace(self, codes=self.codes[rows])

    def followed_by(self, others: ClassLabels) -> ClassLabels:
        """These and others like them."""
        return replace(self, codes=np.concatenate([self.codes, others.codes]))

    def rows(
        self,
        table: Table,
        weights: Doubles | None,
        parameters: Any,
        trained: tuple[Any, Doubles] | None = None,
    ) -> TrainingRows:
        """Which rows count, in which order and with which weights."""
        class_weight = parameters.class_weight
        if class_weight is not None and trained is not None:
            labels, counts = trained
            class_weight = weight_of_class(
                class_weight, self.classes, labels.codes, counts
            )
            if not class_weight[self.codes].any():
                raise ValueError(
                    "class_weight must give some class in y_val a positive weight. "
                    f"Got {parameters.class_weight!r} instead."
                )
        return training_rows(table, self.codes, weights, class_weight, self.classes)

    def as_trained_on(self, outputs: Outputs) -> NDArray[np.int64]:
        """The codes."""
        return self.codes

    def calibration(
        self,
        parameters: Any,
        spec: Network,
        before: FittedState | None,
        data: TrainingData,
        one_epoch: bool,
    ) -> Temperature:
        """The temperature as given, or as it was; not known if it is to be found."""
        if not isinstance(parameters.temperature, str):
            return Temperature(float(parameters.temperature))
        if before is not None:
            return Temperature(before.training.progress.temperature)
        is_found = parameters.model is None and not one_epoch
        return Temperature(None if is_found else 1.0)


@dataclass(frozen=True)
class TargetLabels(Labels):
    """Real targets of rows, (n_rows, n_targets), and how their noise is modelled.

    `are_all` says that these are all there are, and not those of a first `partial_fit`.
    """

    y: Doubles
    noise: str
    are_all: bool = True

    def __len__(self) -> int:
        return len(self.y)

    @property
    def n_targets(self) -> int:
        """Number of targets of a row."""
        return self.y.shape[1]

    def outputs_of_perceptron(self) -> TargetOutputs:
        """A mean of each target, and with varying noise a log-variance."""
        spread = "log_variance" if self.noise == "varying" else None
        return TargetOutputs.standard(self.n_targets, spread)

    def meta(self) -> dict[str, Any]:
        """What scikeras tells a model function of targets."""
        return {
            "target_type_": type_of_target(self.y.squeeze(axis=1))
            if self.n_targets == 1
            else "continuous-multioutput",
            "n_outputs_": self.n_targets,
            "n_outputs_expected_": self.outputs_of_perceptron().n_units,
        }

    def part(self, rows: slice) -> TargetLabels:
        """The labels of some of the rows."""
        return replace(self, y=self.y[rows])

    def followed_by(self, others: TargetLabels) -> TargetLabels:
        """These and others like them."""
        return replace(self, y=np.concatenate([self.y, others.y]))

    def rows(
        self,
        table: Table,
        weights: Doubles | None,
        parameters: Parameters,
        trained: tuple[Any, Doubles] | None = None,
    ) -> TrainingRows:
        """Which rows count, in which order and with which weights."""
        return training_rows(table, self.y, weights)

    def outputs_for(
        self, network: Network, rows: TrainingRows, before: Any
    ) -> TargetOutputs:
        """With mean and standard deviation of these rows' targets, or those before.

        Targets that a loss of the user's does not look at, which it masks, say nothing.
        """
        outputs: TargetOutputs = network.outputs
        if before is not None:
            return outputs.like(before)
        indices, weights = rows
        y, shares = self.y[indices], weights[indices].astype(np.float64)
        slopes = network.slopes_of_loss(y)
        if slopes is None:
            return outputs.fitted(*self._mean_and_scale(y, shares[:, None]), 1.0)
        is_seen = looks_at(slopes)
        mean, scale = self._mean_and_scale(y, is_seen * shares[:, None])
        sizes = np.abs(slopes * scale)[:, is_seen]
        size = float(np.sqrt(np.mean(sizes**2))) if sizes.size else 1.0
        return outputs.fitted(mean, scale, size or 1.0)

    def _mean_and_scale(self, y: Doubles, shares: Doubles) -> tuple[Doubles, Doubles]:
        """Weighted mean and standard deviation of targets.

        What stands for the latter where it is 0 is in proportion to the constant: small
        beside it, or as large if other targets are to come.
        """
        shares = np.broadcast_to(shares, y.shape)
        mean = np.average(y, axis=0, weights=shares)
        scale = np.sqrt(np.average(np.square(y - mean), axis=0, weights=shares))
        is_constant = scale <= 10 * np.finfo(np.float64).eps * np.abs(mean)
        of_constant = np.where(mean == 0, 1.0, np.abs(mean))
        if self.are_all:
            of_constant = of_constant * SHARE_OF_CONSTANT
        return mean, np.where(is_constant, of_constant, scale)

    def as_trained_on(self, outputs: Any) -> NDArray[np.float32]:
        """The targets as the loss needs them."""
        return outputs.labels(self.y)

    def calibration(
        self,
        parameters: Parameters,
        spec: Network,
        before: FittedState | None,
        data: TrainingData,
        one_epoch: bool,
    ) -> Noise:
        """The noise: found on held-out rows in a first fit, kept by a `warm_start`.

        In `partial_fit` it is what the call's rows show, before they are trained on.
        """
        outputs: Any = spec.outputs
        if before is None:
            return Noise((1.0,) * self.n_targets if one_epoch else None, outputs)
        factors = before.training.progress.noise_factors
        if one_epoch:
            rows = data.rows[:MOST_ROWS]  # their order says nothing
            weights = before.training.weights
            values = before.spec.held_values(weights, data.X[rows], N_SAMPLES, 0)
            means, variances = outputs.split(values)
            y, shares = outputs.standardized(data.y[rows]), data.loss_weights[rows]
            shares = shares_of_seen(spec, data.y[rows], shares)
            of_targets = y.var(axis=0, dtype=np.float64)  # if nothing is known
            centre = [f or v or 1.0 for f, v in zip(factors, of_targets, strict=True)]
            factors = best_noise_factors(means, variances, y, shares, centre)
        return Noise(factors, outputs)


class LabelledRows(NamedTuple):
    """Checked training data; the last `n_held` rows are a validation set of its own."""

    X: Rows
    labels: Labels
    weights: Doubles | None
    n_held: int = 0

    def with_validation(
        self, X: Rows, labels: Labels, weights: Doubles | None
    ) -> LabelledRows:
        """The same with the rows of a validation set behind it."""
        sizes = len(self.labels), len(labels)
        both = [
            np.ones(size) if given is None else given
            for given, size in zip((self.weights, weights), sizes, strict=True)
        ]
        return LabelledRows(
            joined(self.X, X),
            self.labels.followed_by(labels),
            np.concatenate(both),
            sizes[1],
        )

    def counted(
        self, table: Table, parameters: Parameters
    ) -> tuple[TrainingRows, NDArray[np.int64]]:
        """Rows to train on, with the weights of all rows, and those to validate on."""
        first = len(self.labels) - self.n_held
        parts = [slice(0, first), slice(first, None)]
        if not self.n_held:
            counted = self.labels.rows(table, self.weights, parameters)
            return counted, counted.rows[:0]
        assert self.weights is not None
        tables = [table[part] for part in parts]
        labels = [self.labels.part(part) for part in parts]
        weights = [self.weights[part] for part in parts]
        train = labels[0].rows(tables[0], weights[0], parameters)
        held = labels[1].rows(
            tables[1], weights[1], parameters, (labels[0], weights[0])
        )
        loss_weights = np.concatenate([train.loss_weights, held.loss_weights])
        return TrainingRows(train.rows, loss_weights), held.rows + first

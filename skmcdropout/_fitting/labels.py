"""What is learned of each row: its class, or real targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import type_of_target

from skmcdropout._fitting.held_out import MOST_ROWS, N_SAMPLES, HeldNetwork
from skmcdropout._fitting.noise import (
    Noise,
    best_noise_factors,
    sampled_values,
    shares_of_seen,
)
from skmcdropout._fitting.parameters import FittedState, Parameters
from skmcdropout._fitting.temperature import Temperature
from skmcdropout._networks.class_outputs import ClassOutputs
from skmcdropout._networks.compiled_loss import looks_at, slopes_of_loss
from skmcdropout._networks.inputs import Shapes
from skmcdropout._networks.outputs import Outputs
from skmcdropout._networks.spec import NetworkSpec
from skmcdropout._networks.target_outputs import TargetOutputs
from skmcdropout._training.rows import TrainingRows, training_rows, weight_of_class
from skmcdropout._training.state import TrainingData, TrainingState
from skmcdropout._utils.arrays import Table

Doubles = NDArray[np.float64]

#: What a target that is constant is standardised with, in units of the constant.
SHARE_OF_CONSTANT = 1e-3


class Calibration(Protocol):
    """What is found on held-out rows after training, `Temperature` or `Noise`."""

    @property
    def known(self) -> Any:
        """It, where no rows are needed to find it; or else None."""

    def before(self, state: TrainingState) -> TrainingState:
        """A state that is not calibrated yet, to be looked at meanwhile."""

    def calibrated(
        self, trained: TrainingState, networks: list[HeldNetwork], data: TrainingData
    ) -> TrainingState:
        """A trained network with what the others show."""


class Labels(Protocol):
    """The labels of some rows, and what is asked of a network for them."""

    def outputs_of_perceptron(self) -> Outputs:
        """What a perceptron's outputs mean."""

    def outputs_of(
        self, network: keras.Model, row_shapes: Shapes, function: Any, loss: Any
    ) -> Outputs:
        """What those of a network mean that `function` built, compiled with `loss`."""

    def meta(self) -> dict[str, Any]:
        """What scikeras tells a model function of labels."""

    def __len__(self) -> int:
        """Number of rows."""

    def part(self, rows: slice) -> Any:
        """The labels of some of the rows."""

    def followed_by(self, others: Any) -> Any:
        """These and others like them."""

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
        self, outputs: Outputs, rows: TrainingRows, before: Outputs | None, loss: Any
    ) -> Outputs:
        """With what these rows say of them, or what was known before."""

    def as_trained_on(self, outputs: Outputs) -> NDArray[Any]:
        """The labels as a loss compares them with outputs."""

    def calibration(
        self,
        parameters: Parameters,
        spec: NetworkSpec,
        before: FittedState | None,
        data: TrainingData,
        one_epoch: bool,
    ) -> Calibration:
        """What is to be found on held-out rows."""


@dataclass(frozen=True)
class ClassLabels:
    """Classes of rows, as codes into the sorted `classes`."""

    codes: NDArray[np.int64]
    classes: NDArray[Any]

    def __len__(self) -> int:
        return len(self.codes)

    def outputs_of_perceptron(self) -> ClassOutputs:
        """A probability of each class."""
        return ClassOutputs.of_perceptron(len(self.classes))

    def outputs_of(
        self, network: keras.Model, row_shapes: Shapes, function: Any, loss: Any
    ) -> ClassOutputs:
        """Probabilities or logits."""
        from_logits = getattr(function, "from_logits", None)
        n_classes = len(self.classes)
        return ClassOutputs.read(network, row_shapes, n_classes, from_logits, loss)

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

    def outputs_for(
        self, outputs: Outputs, rows: TrainingRows, before: Outputs | None, loss: Any
    ) -> Outputs:
        """The same: they do not depend on the rows."""
        return outputs

    def as_trained_on(self, outputs: Outputs) -> NDArray[np.int64]:
        """The codes."""
        return self.codes

    def calibration(
        self,
        parameters: Any,
        spec: NetworkSpec,
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
class TargetLabels:
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

    def outputs_of(
        self, network: keras.Model, row_shapes: Shapes, function: Any, loss: Any
    ) -> TargetOutputs:
        """The same as of a perceptron, or what a network there was gave."""
        spread = self.outputs_of_perceptron().spread
        if spread is not None:
            spread = getattr(function, "spread", None) or spread
        return TargetOutputs.read(
            network, row_shapes, self.n_targets, spread, loss, False
        )

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
        self, outputs: Any, rows: TrainingRows, before: Any, loss: Any
    ) -> TargetOutputs:
        """With mean and standard deviation of these rows' targets, or those before.

        Targets that a loss of the user's does not look at, which it masks, say nothing.
        """
        if before is not None:
            return outputs.like(before)
        indices, weights = rows
        y, shares = self.y[indices], weights[indices].astype(np.float64)
        if outputs.loss_sees == "standard":
            return outputs.fitted(*self._mean_and_scale(y, shares[:, None]), 1.0)
        slopes = slopes_of_loss(loss, y, outputs)
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
        spec: NetworkSpec,
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
            values = sampled_values(before.spec, weights, data.X[rows], N_SAMPLES, 0)
            means, variances = outputs.split(values)
            y, shares = outputs.standardized(data.y[rows]), data.loss_weights[rows]
            shares = shares_of_seen(spec, data.y[rows], shares)
            of_targets = y.var(axis=0, dtype=np.float64)  # if nothing is known
            centre = [f or v or 1.0 for f, v in zip(factors, of_targets, strict=True)]
            factors = best_noise_factors(means, variances, y, shares, centre)
        return Noise(factors, outputs)

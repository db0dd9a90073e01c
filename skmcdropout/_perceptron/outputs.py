"""What a network's outputs mean: `ClassOutputs` and `TargetOutputs` say it."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from skmcdropout._perceptron.chain import Affine
from skmcdropout._utils.arrays import Floats

Doubles = NDArray[np.float64]

#: Largest deviation of a row's probabilities from a sum of 1.
SUM_TOLERANCE = 1e-3


class Outputs(abc.ABC):
    """From the outputs of a network to the values of a draw, in plain values."""

    #: Width of the network's output.
    n_units: Any
    #: Name of the loss that a network without one is trained by.
    loss: Any
    #: What a perceptron's last layer is followed by in a chain.
    activation: Any
    #: Type of the labels, and shape of a row's label.
    label_dtype: ClassVar[Any]
    label_shape: Any = ()
    #: What a difference of 1 between losses in standard units is in those told.
    loss_unit: Any = 1.0
    #: Numbers that a loss in a graph needs, and that compiled code does not know.
    units: Any = ()

    @property
    @abc.abstractmethod
    def n_values(self) -> int:
        """Number of values of a row in a draw."""

    def compile_key(self) -> Outputs:
        """All of them that compiled code depends on."""
        return self

    def with_noise(self, noise: Sequence[float]) -> Outputs:
        """The same with other factors of the noise's variance, if there is noise."""
        return self

    @abc.abstractmethod
    def chained(self, last: Affine) -> Affine | None:
        """The last layer of a chain that gives values; None if it ends otherwise."""

    @abc.abstractmethod
    def are_same(
        self, values: NDArray[Any], others: NDArray[Any], tolerance: float
    ) -> bool:
        """Whether values are equal but for errors of rounding."""

    @abc.abstractmethod
    def check_values(self, values: NDArray[Any] | Floats) -> None:
        """Refuse values (n_rows, n_values) that outputs like these do not have."""


@dataclass(frozen=True)
class ClassOutputs(Outputs):
    """The outputs of a network, and the class each stands for.

    A network has one output for each class, or for two classes a single one, of the
    second. `order` holds the output of each class.
    """

    n_units: int
    from_logits: bool
    is_certain: bool
    order: tuple[int, ...]

    loss = "cross_entropy"
    activation = "softmax"
    label_dtype: ClassVar[Any] = np.int32

    @classmethod
    def of_perceptron(cls, n_classes: int) -> ClassOutputs:
        """A probability for each class."""
        return cls(n_classes, False, True, tuple(range(n_classes)))

    def for_classes(self, classes: Any) -> ClassOutputs:
        """The same outputs, of `classes` as given; the estimator's are sorted."""
        return replace(self, order=tuple(np.argsort(classes).tolist()))

    @property
    def n_values(self) -> int:
        """Number of classes."""
        return len(self.order)

    @property
    def is_in_order(self) -> bool:
        """Whether the outputs stand in the order of the classes."""
        return self.order == tuple(range(len(self.order)))

    def chained(self, last: Affine) -> Affine | None:
        """The last layer of a chain, its outputs in the order of the classes.

        None where it does not end as these outputs do.
        """
        expected = "linear"
        if not self.from_logits:
            expected = "sigmoid" if self.n_units == 1 else "softmax"
        if last.activation != expected:
            return None
        kernel, bias = last.kernel, last.bias
        if self.n_units == 1:  # sigmoid(z) is the second of softmax((0, z))
            kernel = np.hstack([np.zeros_like(kernel), kernel])
            bias = np.hstack([np.zeros_like(bias), bias])
        order = list(self.order)
        kernel = np.ascontiguousarray(kernel[:, order])
        return Affine(kernel, bias[order], "softmax", last.rate)

    def are_same(self, p: NDArray[Any], others: NDArray[Any], tolerance: float) -> bool:
        """Whether probabilities are equal, and logarithms of ones that are not tiny."""
        if not np.allclose(p, others, rtol=0, atol=tolerance, equal_nan=True):
            return False
        known = (others > 1e-20) & (p > 1e-20)
        logs = np.log(p[known]), np.log(others[known])
        return np.allclose(*logs, rtol=10 * tolerance, atol=10 * tolerance)

    def check_values(self, p: NDArray[Any] | Floats) -> None:
        """Refuse what is not a probability distribution; (n_rows, n_classes)."""
        if self.is_certain or self.from_logits:
            return
        sums = p.sum(axis=1)
        if p.min(initial=0) < 0 or abs(sums - 1).max(initial=0) > SUM_TOLERANCE:
            raise ValueError(
                "The model's outputs must be probabilities, from 0 to 1 with a sum of "
                f"1 for every row, as from_logits=False says. Got outputs from "
                f"{p.min():.3g} to {p.max():.3g} with sums from {sums.min():.3g} to "
                f"{sums.max():.3g}."
            )


@dataclass(frozen=True)
class TargetOutputs(Outputs):
    """Outputs of a regression network: a mean for each target, and maybe its noise.

    In standard units, in which a target is what is left of it after `mean` and `scale`
    were taken away; these are 0 and 1 for a network that is trained on targets as they
    are. `spread` says what follows the means: "log_variance" or "std" of the noise of
    each target, or None where nothing does. `noise` multiplies the variance of the
    noise in standard units, which is 1 where `spread` is None.

    `loss_sees` says what the loss compares: targets and outputs in "standard" units, as
    one of our own does; "both", in these to train and in units of the targets to be
    told of, for losses that follow units; or in "units" of the targets alone, as Keras
    shows them. `loss_unit` is the size of such a loss. `is_raw` says that the outputs
    are in units of the targets, and `is_bounded` that log-variances beyond our bounds
    are extrapolations of what was trained here.
    """

    n_targets: int
    spread: str | None
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    noise: tuple[float, ...]
    loss_sees: Literal["standard", "both", "units"] = "standard"
    loss_unit: float = 1.0
    is_raw: bool = False
    is_bounded: bool = True

    label_dtype: ClassVar[Any] = np.float32

    @classmethod
    def standard(cls, n_targets: int, spread: str | None) -> TargetOutputs:
        """Targets that are in standard units."""
        zeros, ones = (0.0,) * n_targets, (1.0,) * n_targets
        return cls(n_targets, spread, zeros, ones, ones)

    @property
    def n_units(self) -> int:
        """Width of the network's output."""
        return self.n_targets * (1 if self.spread is None else 2)

    @property
    def label_shape(self) -> tuple[int, ...]:
        """A number for each target; see `labels`."""
        return (self.n_targets if self.loss_sees == "standard" else 2 * self.n_targets,)

    @property
    def n_values(self) -> int:
        """A mean of each target, or also a variance."""
        return self.n_units

    @property
    def loss(self) -> str:
        """The likelihood, of one variance or of those that are predicted."""
        return "common_variance" if self.spread is None else "gaussian"

    @property
    def activation(self) -> str:
        """What makes values of a perceptron's last layer."""
        if self.spread is None:
            return "linear"
        return f"mean_and_{'' if self.is_bounded else 'any_'}{self.spread}"

    def compile_key(self) -> TargetOutputs:
        """All of them that compiled code depends on."""
        outputs = TargetOutputs.standard(self.n_targets, self.spread)
        return replace(outputs, loss_sees=self.loss_sees, is_bounded=self.is_bounded)

    def like(self, other: TargetOutputs) -> TargetOutputs:
        """The same with the units and noise of others."""
        return replace(
            self,
            mean=other.mean,
            scale=other.scale,
            noise=other.noise,
            loss_unit=other.loss_unit,
        )

    def with_noise(self, noise: Sequence[float]) -> TargetOutputs:
        """The same with other factors of the noise's variance."""
        return replace(self, noise=tuple(noise) or self.noise)

    def fitted(self, mean: Doubles, scale: Doubles, loss_unit: float) -> TargetOutputs:
        """The same for targets of this mean and scale, and a loss of this size."""
        fitted = replace(self, loss_unit=loss_unit)
        if not self.is_raw:
            return replace(
                fitted, mean=tuple(mean.tolist()), scale=tuple(scale.tolist())
            )
        if self.spread is not None:
            return fitted
        return fitted.with_noise(np.square(scale).tolist())

    def labels(self, y: Doubles) -> Floats:
        """Targets (n_rows, n_targets) as a loss needs them.

        In standard units, or as they are and then in standard units.
        """
        standard = (y - np.array(self.mean)) / np.array(self.scale)
        parts = [standard] if self.loss_sees == "standard" else [y, standard]
        return np.hstack(parts).astype(np.float32)

    def standardized(self, labels: Floats) -> Floats:
        """The targets in standard units that labels hold."""
        return labels[:, -self.n_targets :]

    def split(self, values: Floats) -> tuple[Floats, Floats]:
        """Means and variances of the noise, each (..., n_targets), of values."""
        means, variances = np.split(values, [self.n_targets], axis=-1)
        return means, np.ones_like(means) if self.spread is None else variances

    def in_units(self, values: Floats) -> tuple[Doubles, Doubles]:
        """The same in the units of the targets, with the factors of the noise."""
        means, variances = self.split(values)
        scale = np.array(self.scale)
        factors = np.array(self.noise) * np.square(scale)
        return means * scale + np.array(self.mean), variances * factors

    @property
    def units(self) -> tuple[float, ...]:
        """The size of the loss, and what outputs are multiplied by and shifted by."""
        if self.loss_sees == "standard":
            return ()
        factors, shifts = list(self.scale), list(self.mean)
        if self.spread == "std":
            factors, shifts = factors * 2, shifts + [0.0] * self.n_targets
        elif self.spread == "log_variance":
            factors = factors + [1.0] * self.n_targets
            shifts = shifts + (2 * np.log(self.scale)).tolist()
        return (1.0 if self.is_raw else self.loss_unit, *factors, *shifts)

    def chained(self, last: Affine) -> Affine | None:
        """The last layer of a chain; None if it is not linear."""
        if last.activation != "linear":
            return None
        return last._replace(activation=self.activation)

    def are_same(
        self, values: NDArray[Any], others: NDArray[Any], tolerance: float
    ) -> bool:
        """Whether values are equal, as far as they are large among others like them."""
        axes = tuple(range(others.ndim - 1))
        size = np.abs(others).max(axis=axes, initial=np.finfo(np.float32).tiny)
        return np.allclose(values / size, others / size, atol=tolerance, equal_nan=True)

    def check_values(self, values: NDArray[Any] | Floats) -> None:
        """All real numbers are good ones, but for variances."""
        variances = values[:, self.n_targets :]
        if variances.min(initial=1) < 0:
            raise ValueError(
                "The model's outputs for the noise must be positive. "
                f"Got {variances.min():.3g}."
            )

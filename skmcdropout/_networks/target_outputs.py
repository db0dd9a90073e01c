"""Outputs that are real numbers: the mean of each target, or also its noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._networks.compiled_loss import (
    FunctionLoss,
    as_loss,
    follows_units,
    name_of,
)
from skmcdropout._networks.folded_chain import Affine
from skmcdropout._networks.inputs import Shapes
from skmcdropout._networks.last_layer import count_outputs, last_activation
from skmcdropout._networks.losses import (
    LARGEST_LOG_VARIANCE,
    LEAST_LOG_VARIANCE,
    CommonVarianceLoss,
    GaussianLoss,
)
from skmcdropout._networks.noise_layers import is_ours
from skmcdropout._networks.outputs import Comparisons
from skmcdropout._utils.arrays import Floats

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class TargetOutputs:
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

    keras_activation: ClassVar[str] = "linear"
    label_dtype: ClassVar[Any] = np.float32

    @classmethod
    def standard(cls, n_targets: int, spread: str | None) -> TargetOutputs:
        """Targets that are in standard units."""
        zeros, ones = (0.0,) * n_targets, (1.0,) * n_targets
        return cls(n_targets, spread, zeros, ones, ones)

    @classmethod
    def read(
        cls,
        network: keras.Model,
        row_shapes: Shapes,
        n_targets: int,
        spread: str | None,
        loss: Any,
        is_trained: bool,
    ) -> TargetOutputs:
        """Of a user's network that is compiled with `loss`, or with None."""
        outputs = cls.standard(n_targets, spread)
        n_units = count_outputs(network, row_shapes)
        if n_units != outputs.n_units:
            each = "1 output" if spread is None else f"2 outputs (mean and {spread})"
            raise ValueError(
                f"The model must have {each} for each of {n_targets} target(s), "
                f"{outputs.n_units} in all. Got {n_units}: {network.name!r}."
            )
        activation = last_activation(network)
        if is_trained:
            outputs = replace(outputs, is_raw=True, is_bounded=False)
            return outputs if loss is None else replace(outputs, loss_sees="units")
        if loss is None and activation not in ("linear", None):
            raise ValueError(
                "The model must end in the activation 'linear', for it is trained on "
                "targets of mean 0, or be compiled with a loss, which is shown targets "
                f"as they are. Got {activation!r} and no loss: {network.name!r}."
            )
        if loss is None:
            return outputs
        if follows_units(as_loss(loss)) and activation in ("linear", None):
            return replace(outputs, loss_sees="both")
        is_raw = activation != "linear"
        return replace(outputs, loss_sees="units", is_raw=is_raw, is_bounded=not is_raw)

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

    @property
    def final_layers(self) -> tuple[Any, ...]:
        """A layer that gives targets and log-variances in units of y."""
        if not any(self.mean) and set(self.scale) | set(self.noise) == {1.0}:
            return ()
        scale, offset = list(self.scale), list(self.mean)
        if self.spread is not None:
            scale += [1.0] * self.n_targets
            in_units = np.square(self.scale) * np.array(self.noise)
            offset += np.log(in_units).tolist()
        return (keras.layers.Rescaling(scale, offset, dtype="float32"),)

    def compile_key(self, any_shape: bool = False) -> TargetOutputs:
        """All of them that compiled code depends on."""
        outputs = TargetOutputs.standard(
            0 if any_shape else self.n_targets, self.spread
        )
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

    def values(self, outputs: tf.Tensor) -> Any:
        """Means, and variances if there are, in standard units, in a graph."""
        return as_values(tf.cast(outputs, tf.float32), self.activation, axis=-1)

    def chained(self, last: Affine) -> Affine | None:
        """The last layer of a chain; None if it is not linear."""
        if last.activation != "linear":
            return None
        return last._replace(activation=self.activation)

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

    def comparisons(self, labels: Any, p: Any, units: Any, loss: Any) -> Comparisons:
        """What a loss compares: in standard units, in those of the targets, or both."""
        if self.loss_sees == "standard":
            return Comparisons.same((labels, p))
        y, standard = tf.split(labels, 2, axis=1)
        size, factors, shifts = tf.split(units, [1, self.n_units, self.n_units])
        p = tf.cast(p, tf.float32)
        in_units = (y, p * factors + shifts)
        if self.loss_sees == "units":
            return Comparisons.same(in_units, 1 / size[0])
        return Comparisons(
            (standard, p), (standard * factors, p * factors), in_units
        )  # a common shift is nothing to such a loss, but for rounding

    def example(self, loss: Any) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Made targets and outputs, some of which are equal."""
        y, p = np.random.RandomState(0).uniform(0.5, 2, (2, 7, self.n_units))
        return y[:, : self.n_targets].astype(np.float32), p.astype(np.float32)

    def default_loss(self) -> keras.Loss:
        """The likelihood, of one variance or of those that are predicted."""
        return (
            CommonVarianceLoss() if self.spread is None else GaussianLoss(self.spread)
        )

    def scores(self, values: Any, y: Any) -> dict[str, Any]:
        """None besides the loss."""
        return {}

    def check_loss(self, loss: Any) -> None:
        """Refuse a loss of other outputs."""
        if isinstance(loss, (CommonVarianceLoss, GaussianLoss)):
            return
        name = name_of(loss)
        kind = loss.function if isinstance(loss, FunctionLoss) else type(loss)
        is_of_means = self.spread is not None and is_ours(kind)
        if is_of_means or "crossentropy" in name:
            wanted, remedy = "a squared error", ""
            if self.spread is not None:
                wanted = "a likelihood"
                remedy = (
                    f" Each target has two outputs here, a mean and a {self.spread}; "
                    "where each output is a target, say noise='constant'."
                )
            raise ValueError(
                f"The model must be compiled with a loss like {wanted} of its outputs, "
                f"or with none. Got {name!r}.{remedy}"
            )

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


def as_values(outputs: tf.Tensor, activation: str, axis: int) -> Any:
    """Means as they are, and what is said of the noise as variances."""
    if activation == "linear":
        return outputs
    means, spread = tf.split(outputs, 2, axis=axis)
    if activation.endswith("_std"):
        variances = spread * tf.abs(spread)  # negative where no std can be
    elif activation == "mean_and_any_log_variance":
        variances = tf.exp(spread)
    else:
        within = tf.clip_by_value(spread, LEAST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
        variances = tf.exp(within)
    return tf.concat([means, variances], axis=axis)

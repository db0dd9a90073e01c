"""Outputs that are real numbers: the mean of each target, or also its noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._networks.folded_chain import Affine
from skmcdropout._networks.inputs import Shapes
from skmcdropout._networks.last_layer import count_outputs, last_activation
from skmcdropout._networks.losses import (
    LARGEST_LOG_VARIANCE,
    LEAST_LOG_VARIANCE,
    CommonVarianceLoss,
    FunctionLoss,
    GaussianLoss,
)
from skmcdropout._networks.noise_layers import is_ours
from skmcdropout._utils.arrays import Floats

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class TargetOutputs:
    """Outputs of a regression network: a mean for each target, and maybe its noise.

    In standard units. `spread` says what follows the means: "log_variance" or "std" of
    the noise of each target, or None where nothing does. A target is `mean` plus
    `scale` times its standard units. `noise` multiplies the variance of the noise in
    standard units, which is 1 where `spread` is None.
    """

    n_targets: int
    spread: str | None
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    noise: tuple[float, ...]

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
        is_trained: bool,
    ) -> TargetOutputs:
        """Of a user's network."""
        outputs = cls.standard(n_targets, spread)
        n_units = count_outputs(network, row_shapes)
        if n_units != outputs.n_units:
            each = "1 output" if spread is None else f"2 outputs (mean and {spread})"
            raise ValueError(
                f"The model must have {each} for each of {n_targets} target(s), "
                f"{outputs.n_units} in all. Got {n_units}: {network.name!r}."
            )
        activation = last_activation(network)
        if not is_trained and activation not in ("linear", None):
            raise ValueError(
                "The model must end in the activation 'linear', for it is trained on "
                f"targets of mean 0. Got {activation!r}: {network.name!r}."
            )
        return outputs

    @property
    def n_units(self) -> int:
        """Width of the network's output."""
        return self.n_targets * (1 if self.spread is None else 2)

    @property
    def label_shape(self) -> tuple[int, ...]:
        """A number for each target."""
        return (self.n_targets,)

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
        return "linear" if self.spread is None else f"mean_and_{self.spread}"

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
        n_targets = 0 if any_shape else self.n_targets
        return TargetOutputs.standard(n_targets, self.spread)

    def standardizing(self, mean: Doubles, scale: Doubles) -> TargetOutputs:
        """The same of targets with this mean and scale."""
        return replace(self, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))

    def like(self, other: TargetOutputs) -> TargetOutputs:
        """The same with the units and noise of others."""
        return replace(self, mean=other.mean, scale=other.scale, noise=other.noise)

    def with_noise(self, noise: Sequence[float]) -> TargetOutputs:
        """The same with other factors of the noise's variance."""
        return replace(self, noise=tuple(noise) or self.noise)

    def standardized(self, y: Doubles) -> Floats:
        """Targets (n_rows, n_targets) in standard units."""
        standard = (y - np.array(self.mean)) / np.array(self.scale)
        return standard.astype(np.float32)

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

    def targets(self, y: Any, loss: Any) -> Any:
        """The targets."""
        return y

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
        name = str(getattr(loss, "name", ""))
        kind = loss.function if isinstance(loss, FunctionLoss) else type(loss)
        is_of_means = self.spread is not None and is_ours(kind)
        if is_of_means or "crossentropy" in name:
            wanted = "a squared error" if self.spread is None else "a likelihood"
            raise ValueError(
                f"The model must be compiled with a loss like {wanted} of its outputs, "
                f"or with none. Got {name!r}."
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
    if activation == "mean_and_std":
        variances = spread * tf.abs(spread)  # negative where no std can be
    else:
        within = tf.clip_by_value(spread, LEAST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
        variances = tf.exp(within)
    return tf.concat([means, variances], axis=axis)

"""Outputs that are probabilities or logits of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._networks.compiled_loss import (
    loss_from_logits,
    name_of,
    takes_codes,
)
from skmcdropout._networks.folded_chain import Affine
from skmcdropout._networks.inputs import Shapes
from skmcdropout._networks.last_layer import count_outputs, last_activation
from skmcdropout._networks.outputs import Comparisons

#: Largest deviation of a row's probabilities from a sum of 1.
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ClassOutputs:
    """The outputs of a network, and the class each stands for.

    A network has one output for each class, or for two classes a single one, of the
    second. `order` holds the output of each class.
    """

    n_units: int
    from_logits: bool
    is_certain: bool
    order: tuple[int, ...]

    loss: ClassVar[str] = "cross_entropy"
    activation: ClassVar[str] = "softmax"
    keras_activation: ClassVar[str] = "softmax"
    final_layers: ClassVar[tuple[Any, ...]] = ()
    label_dtype: ClassVar[Any] = np.int32
    label_shape: ClassVar[tuple[int, ...]] = ()
    units: ClassVar[tuple[float, ...]] = ()
    loss_unit: ClassVar[float] = 1.0

    @classmethod
    def of_perceptron(cls, n_classes: int) -> ClassOutputs:
        """A probability for each class."""
        return cls(n_classes, False, True, tuple(range(n_classes)))

    @classmethod
    def read(
        cls,
        network: keras.Model,
        row_shapes: Shapes,
        n_classes: int,
        from_logits: bool | None,
        loss: Any,
    ) -> ClassOutputs:
        """As said by `from_logits` or the last activation; never guessed from values.

        What the last activation leaves open, `from_logits` or the loss must say.
        """
        said = from_logits
        n_units = count_outputs(network, row_shapes)
        if n_units != n_classes and (n_units, n_classes) != (1, 2):
            one = "1 or " if n_classes == 2 else ""
            raise ValueError(
                f"The model must have {one}{n_classes} outputs for {n_classes} "
                f"classes. Got {n_units}: {network.name!r}."
            )
        activation = last_activation(network)
        says: dict[str | None, bool] = {
            "linear": True,
            "sigmoid" if n_units == 1 else "softmax": False,
        }
        is_certain = activation in says
        if is_certain:
            if from_logits not in (None, says[activation]):
                raise ValueError(
                    f"from_logits must be {says[activation]} or None for a model that "
                    f"ends in the activation {activation!r}. Got {from_logits}."
                )
            from_logits = says[activation]
        elif activation is not None and from_logits is not False:
            wanted = "sigmoid" if n_units == 1 else "softmax"
            raise ValueError(
                f"The model must end in the activation {wanted!r} or in 'linear' "
                f"(logits), so that its outputs are probabilities over {n_classes} "
                f"classes. Got {activation!r}."
            )
        elif from_logits is None:
            from_logits = loss_from_logits(loss)
        check_classifies(network, n_units, activation, said, loss)
        if from_logits is None:
            raise ValueError(
                "from_logits must be True or False for a model whose last layer, "
                f"{network.layers[-1].name!r}, does not say whether its outputs are "
                "logits. Got None. (A function given as model says so by ending in a "
                "softmax activation, or by compiling with a loss with from_logits.)"
            )
        return cls(n_units, from_logits, is_certain, tuple(range(n_classes)))

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

    def compile_key(self, any_shape: bool = False) -> ClassOutputs:
        """All of them that compiled code depends on."""
        return replace(self, n_units=0, order=()) if any_shape else self

    def with_noise(self, noise: Sequence[float]) -> ClassOutputs:
        """The same: classes have no noise."""
        return self

    def values(self, outputs: tf.Tensor) -> Any:
        """Class probabilities (..., n_classes) from a network's outputs, in a graph."""
        p = tf.cast(outputs, tf.float32)
        if self.n_units == 1 and self.from_logits:
            p = tf.concat([tf.sigmoid(-p), tf.sigmoid(p)], axis=-1)
        elif self.n_units == 1:
            p = tf.concat([1 - p, p], axis=-1)
        elif self.from_logits:
            p = softmax(p, axis=-1)
        if not self.is_in_order:
            p = tf.gather(p, self.order, axis=-1)
        return p

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

    def comparisons(self, labels: Any, p: Any, units: Any, loss: Any) -> Comparisons:
        """What `loss` compares, from codes into the sorted classes."""
        codes = labels
        if not self.is_in_order:
            codes = tf.gather(tf.constant(self.order, tf.int32), labels)
        if self.n_units == 1:
            targets = tf.cast(codes, tf.float32)[:, None]
        elif takes_codes(loss):
            targets = codes
        else:
            targets = tf.one_hot(codes, self.n_units)
        return Comparisons.same((targets, p))

    def example(self, loss: Any) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Made labels and outputs of more rows than there are outputs."""
        n_rows = self.n_units + 2
        outputs = np.random.RandomState(0).uniform(0.2, 0.8, (n_rows, self.n_units))
        if self.n_units > 1:
            outputs /= outputs.sum(axis=1, keepdims=True)
        codes = np.arange(n_rows) % self.n_values
        is_code = self.n_units == 1 or takes_codes(loss)
        labels = codes if is_code else np.eye(self.n_units, dtype=np.float32)[codes]
        return labels, outputs.astype(np.float32)

    def default_loss(self) -> keras.Loss:
        """Cross-entropy."""
        if self.n_units == 1:
            return keras.losses.BinaryCrossentropy(from_logits=self.from_logits)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=self.from_logits)

    def scores(self, values: Any, y: Any) -> dict[str, Any]:
        """Of each row, in a graph: whether the class is predicted right."""
        predicted = tf.argmax(values, axis=-1, output_type=tf.int32)
        return {"accuracy": tf.cast(predicted == y, tf.float32)}

    def check_loss(self, loss: Any) -> None:
        """Refuse a loss that takes logits for probabilities, or the reverse."""
        says = loss_from_logits(loss)
        if says is not None and says != self.from_logits:
            raise ValueError(
                f"The loss {loss.name!r} that the model is compiled with must have "
                f"from_logits={self.from_logits}, as the model's outputs are. "
                f"Got from_logits={says}."
            )

    def are_same(self, p: NDArray[Any], others: NDArray[Any], tolerance: float) -> bool:
        """Whether probabilities are equal, and logarithms of ones that are not tiny."""
        if not np.allclose(p, others, rtol=0, atol=tolerance, equal_nan=True):
            return False
        known = (others > 1e-20) & (p > 1e-20)
        logs = np.log(p[known]), np.log(others[known])
        return np.allclose(*logs, rtol=10 * tolerance, atol=10 * tolerance)

    def check_values(self, p: NDArray[np.float32]) -> None:
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


def softmax(z: tf.Tensor, axis: int) -> Any:
    """Softmax whose last digit does not depend on where a row stands among others.

    TensorFlow's own cuts the rows into blocks, and rounds otherwise at their ends.
    """
    e = tf.exp(z - tf.reduce_max(z, axis, keepdims=True))
    return e / tf.reduce_sum(e, axis, keepdims=True)


def check_classifies(
    network: keras.Model,
    n_units: int,
    activation: str | None,
    said: bool | None,
    loss: Any,
) -> None:
    """Refuse a network that was compiled for regression or for several labels a row."""
    if loss is None or said is not None:
        return
    name = name_of(loss)
    if activation == "linear" and loss_from_logits(loss) is None:
        raise ValueError(
            "The model must be compiled with a loss over class probabilities or "
            "logits, like a cross-entropy, if it ends in the activation 'linear'. Got "
            f"the loss {name!r}, as for regression: {network.name!r}. (Where its "
            "outputs are logits all the same, say from_logits=True.)"
        )
    if activation != "softmax" and n_units != 1 and "binary" in name:
        raise ValueError(
            "The model must be compiled with a loss over classes of which each row has "
            f"one. Got the loss {name!r} over {n_units} outputs, as for several "
            f"labels a row: {network.name!r}."
        )

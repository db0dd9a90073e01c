"""What a network is trained by, and what is told of that."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from skmcdropout._networks.compiled_loss import shown_as
from skmcdropout._networks.outputs import Outputs


class Criterion:
    """A loss in a graph that serves targets of any units; see `Comparisons`."""

    def __init__(self, loss: keras.Loss, outputs: Outputs) -> None:
        self._loss = loss
        self._outputs = outputs
        self._shape = shown_as(loss, outputs)
        self._units = tf.Variable(outputs.units, trainable=False, dtype=tf.float32)

    def use(self, outputs: Outputs) -> None:
        """Compare in the units of other outputs."""
        self._units.assign(outputs.units)

    def losses(self, labels: Any, p: Any, weights: Any) -> tuple[Any, Any]:
        """The loss to train by and the loss to tell of, over the rows of a batch."""
        pairs = self._outputs.comparisons(labels, p, self._units, self._loss)
        told = self._of(pairs.told, weights)
        is_same = pairs.trained is pairs.told
        trained = told if is_same else self._of(pairs.trained, weights)
        return trained if pairs.factor is None else trained * pairs.factor, told

    def measured(self, labels: Any, p: Any) -> tuple[Any, Any]:
        """What metrics compare."""
        units = self._units
        return self._outputs.comparisons(labels, p, units, self._loss).measured

    def _of(self, pair: tuple[Any, Any], weights: Any) -> Any:
        targets, p = pair
        if self._shape is not None:
            targets = tf.reshape(targets, [-1, *self._shape])
        return tf.cast(self._loss(targets, p, sample_weight=weights), tf.float32)

"""Layers whose rates and penalties are variables, for compiled steps that serve all."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class TunableDropout(keras.layers.Layer):
    """Dropout whose rate is a variable."""

    def __init__(self, rate: float, seed: int, dtype: str) -> None:
        super().__init__(dtype=dtype)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.rate = tf.Variable(rate, trainable=False, dtype=tf.float32)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape stays as it is."""
        return input_shape

    def call(self, x: tf.Tensor, training: bool = False) -> Any:
        """Drop units while training."""
        if not training:
            return x
        seed = self.seed_generator.next()
        uniforms = tf.random.stateless_uniform(tf.shape(x), tf.cast(seed, tf.int32))
        mask = tf.cast(uniforms >= self.rate, tf.float32) / (1 - self.rate)
        return x * tf.cast(mask, x.dtype)


class TunableL2(keras.regularizers.Regularizer):
    """L2 penalty whose strength is a variable."""

    def __init__(self, strength: float) -> None:
        self.strength = tf.Variable(strength, trainable=False, dtype=tf.float32)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """The penalty."""
        return self.strength * tf.reduce_sum(tf.square(x))

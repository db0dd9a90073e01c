"""The losses that networks are trained by which were compiled with none."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from skmcdropout._perceptron.losses import FAR, LEAST_VARIANCE, LOG_2_PI
from skmcdropout._perceptron.values import LARGEST_LOG_VARIANCE, LEAST_LOG_VARIANCE


class CommonVarianceLoss(keras.losses.Loss):
    """Minus the logarithm of a normal density, summed over targets, in nats.

    The outputs are means. All rows have the variance that makes a batch most likely,
    its mean squared error: the loss of a batch is that of its logarithm.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each row."""
        squares = tf.square(tf.cast(y_pred, tf.float32) - y_true)
        variance = tf.maximum(tf.reduce_mean(squares, axis=0), LEAST_VARIANCE)
        variance = tf.stop_gradient(variance)
        terms = squares / variance + tf.math.log(variance) + LOG_2_PI
        return tf.reduce_sum(terms, axis=-1) / 2


class GaussianLoss(keras.losses.Loss):
    """Minus the logarithm of a normal density, summed over targets, in nats.

    The outputs are means, and after these `spread`, "log_variance" or "std". By the
    gradient of the likelihood alone a network gives up rows that are hard to predict as
    noisy (Seitzer et al. 2022). Here the means have that of `CommonVarianceLoss`, with
    the mean of a batch's variances, and the log-variances that of the likelihood, to
    which a residual is one of `FAR` standard deviations at most: a row unlike all
    others can have any.
    """

    def __init__(self, spread: str) -> None:
        super().__init__(name="gaussian")
        self._spread = spread

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each row."""
        means, spread = tf.split(tf.cast(y_pred, tf.float32), 2, axis=-1)
        logs = 2 * tf.math.log(spread) if self._spread == "std" else spread
        within = tf.clip_by_value(logs, LEAST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
        within = tf.stop_gradient(within)  # what is beyond can come back
        variances, squares = tf.exp(within), tf.square(y_true - means)
        surprise = tf.stop_gradient(squares / variances)
        of_means = squares / tf.reduce_mean(variances, axis=0) / 2
        of_logs = (1 - tf.minimum(surprise, FAR**2)) / 2 * logs
        trained = of_means + of_logs
        loss = (surprise + within + LOG_2_PI) / 2
        return tf.reduce_sum(loss + trained - tf.stop_gradient(trained), axis=-1)

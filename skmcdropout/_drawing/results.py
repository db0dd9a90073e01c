"""What is wanted of draws, reduced where they are computed."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np
import tensorflow as tf

#: Draws that are added up in single precision.
SUMMED_DRAWS = 16

#: The smallest normal number of single precision, for 0 log 0 = 0.
TINY = np.finfo(np.float32).tiny

#: "draws": the values (n_draws, n, k). "mean": their mean (n, k). "moments": the mean
#: and variance over draws (n, k). "summary", of probabilities: their mean (n, k), its
#: entropy (n,), the mean entropy (n,), the largest share of votes (n,) and the
#: predicted class's standard deviation (n,).
Wanted = Literal["mean", "draws", "moments", "summary"]


def results(p: tf.Tensor, wanted: Wanted) -> tuple[tf.Tensor, ...]:
    """What is wanted of draws (n_draws, n_values, rows); formulas: `uncertainty`.

    Rows come last while draws are computed: values are few, and what is done to each
    number is several times slower where the last axis is short.
    """
    if wanted == "draws":
        return (tf.transpose(p, [0, 2, 1]),)
    mean = _mean(p)  # (n_values, rows)
    by_row = tf.transpose(mean)
    if wanted == "mean":
        return (by_row,)
    if wanted == "moments":
        return by_row, tf.transpose(_mean(tf.square(p - mean)))
    total = _entropy(mean, axis=0)
    expected = _mean(_entropy(p, axis=1))
    n_classes = tf.shape(p)[1]
    votes = tf.one_hot(tf.argmax(p, axis=1), n_classes, axis=1)
    modal_share = tf.reduce_max(_mean(votes), axis=0)
    predicted = tf.one_hot(tf.argmax(mean, axis=0), n_classes, axis=0)
    p_predicted = tf.reduce_sum(p * predicted, axis=1)
    std = tf.sqrt(_mean(tf.square(p_predicted - _mean(p_predicted))))
    return by_row, total, expected, modal_share, std


@cache
def compiled_results(wanted: Wanted, n_values: int) -> Any:
    """`results`, compiled."""
    function = tf.function(lambda p: results(p, wanted), autograph=False)
    return function.get_concrete_function(
        tf.TensorSpec([None, n_values, None], tf.float32)
    )


def _entropy(p: tf.Tensor, axis: int) -> Any:
    """In nats; `xlogy` would do, but takes one number at a time."""
    logs = tf.math.log(tf.maximum(p, TINY))
    return -tf.reduce_sum(p * logs, axis)


def _mean(x: tf.Tensor) -> Any:
    """Mean over draws, the first axis, to the last digit for any number of them.

    A sum of many in single precision loses digits: it is made of groups, which are
    added up in double precision.
    """
    shape = tf.shape(x)
    n_grouped = shape[0] // SUMMED_DRAWS * SUMMED_DRAWS
    groups = tf.reshape(x[:n_grouped], tf.concat([[-1, SUMMED_DRAWS], shape[1:]], 0))
    # reduce_mean: on so few, reduce_sum adds in an order that depends on the rows.
    means = tf.cast(tf.reduce_mean(groups, axis=1), tf.float64)
    rest = tf.cast(tf.reduce_mean(x[n_grouped:], axis=0), tf.float64)
    n_rest = tf.cast(shape[0] - n_grouped, tf.float64)
    total = tf.reduce_sum(means, axis=0) * SUMMED_DRAWS
    total += tf.math.multiply_no_nan(rest, n_rest)  # there may be none
    return tf.cast(total / tf.cast(shape[0], tf.float64), tf.float32)

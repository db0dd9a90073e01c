"""What is wanted of draws, reduced where they are computed."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import tensorflow as tf

#: Draws that are added up in single precision.
GROUP_DRAWS = 128

#: "draws": the probabilities (n_draws, n, k). "mean": their mean (n, k). "summary": the
#: mean, its entropy (n,), the mean entropy (n,), the largest share of votes (n,) and
#: the predicted class's standard deviation (n,).
Wanted = Literal["mean", "draws", "summary"]


def results(p: tf.Tensor, wanted: Wanted) -> tuple[tf.Tensor, ...]:
    """What is wanted of draws (n_draws, rows, classes); formulas: `uncertainty`."""
    if wanted == "draws":
        return (p,)
    mean = _mean(p)
    if wanted == "mean":
        return (mean,)
    total = -tf.reduce_sum(tf.math.xlogy(mean, mean), axis=-1)
    expected = -_mean(tf.reduce_sum(tf.math.xlogy(p, p), axis=-1))
    n_classes = tf.shape(p)[-1]
    votes = tf.one_hot(tf.argmax(p, axis=-1), n_classes)
    modal_share = tf.reduce_max(_mean(votes), axis=-1)
    predicted = tf.one_hot(tf.argmax(mean, axis=-1), n_classes)
    p_predicted = tf.reduce_sum(p * predicted, axis=-1)
    std = tf.sqrt(_mean(tf.square(p_predicted - _mean(p_predicted))))
    return mean, total, expected, modal_share, std


@cache
def compiled_results(wanted: Wanted, n_classes: int) -> Any:
    """`results`, compiled."""
    function = tf.function(lambda p: results(p, wanted), autograph=False)
    return function.get_concrete_function(
        tf.TensorSpec([None, None, n_classes], tf.float32)
    )


def _mean(x: tf.Tensor) -> Any:
    """Mean over draws, the first axis, to the last digit for any number of them.

    A sum of thousands in single precision loses digits: it is made of groups, which
    are added up in double precision.
    """
    shape = tf.shape(x)
    n_grouped = shape[0] // GROUP_DRAWS * GROUP_DRAWS
    groups = tf.reshape(x[:n_grouped], tf.concat([[-1, GROUP_DRAWS], shape[1:]], 0))
    # Not reduce_sum, whose order depends on the number of rows.
    means = tf.cast(tf.reduce_mean(groups, axis=1), tf.float64)
    rest = tf.cast(tf.reduce_mean(x[n_grouped:], axis=0), tf.float64)
    n_rest = tf.cast(shape[0] - n_grouped, tf.float64)
    total = tf.reduce_sum(means, axis=0) * GROUP_DRAWS
    total += tf.math.multiply_no_nan(rest, n_rest)  # there may be none
    return tf.cast(total / tf.cast(shape[0], tf.float64), tf.float32)

"""How far rounding alone may take two computations of one prediction apart."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

#: Relative spacing of numbers in single precision, 1.2e-7.
EPSILON = float(np.finfo(np.float32).eps)


def atol_of_proba(size, temperature=1.0):
    """Largest difference of probabilities that rounding explains: 2 ε · size / T.

    A logit is a sum, of inputs times weights. In single precision it is right to about
    ε times `size`, the sum of the absolute values of its terms, however small their sum
    is; in which order a processor adds them up decides in which direction. A softmax
    passes at most half of the difference of two logits on. So two ways to compute a
    probability differ by about ε · size, and twice that leaves room for the layers
    before, whose own rounding is of the same size once it is multiplied by the weights
    of the last. A temperature divides logits, and with them their differences:
    give the `temperature` where `size` is that of logits before they are divided.
    """
    return 2 * EPSILON * max(size, 1.0) / temperature


@contextlib.contextmanager
def sizes_of_sums(network):
    """A list that grows by the size of the sums of each Dense layer called at once.

    Meant for `atol_of_proba`, as the largest of the list.
    """
    sizes = []
    held = [la for la in network._flatten_layers() if type(la) is keras.layers.Dense]
    for layer in held:
        vars(layer)["call"] = _noting(layer, sizes)
    try:
        yield sizes
    finally:
        for layer in held:
            del vars(layer)["call"]


def size_of_logits(network, X):
    """Size of the sums of the Dense layers of `network` for rows, nothing dropped."""
    with sizes_of_sums(network) as sizes:
        network(X, training=False)
    return max(sizes)


def _noting(layer, sizes):
    call = layer.call

    def noting(x, training=None):
        if isinstance(x, tf.__internal__.EagerTensor):
            sums = _absolute(x) @ _absolute(layer.kernel)
            bias = 0 if layer.bias is None else _absolute(layer.bias)
            sizes.append(float((sums + bias).max()))
        return call(x)

    return noting


def _absolute(x):
    return np.abs(keras.ops.convert_to_numpy(x).astype(np.float32))

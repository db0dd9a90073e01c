"""Keras itself, run the slow way: what draws are compared with.

Masks of draws may be given to Keras. Then it has nothing left to draw, and must give
the numbers of those draws, but for rounding.
"""

import contextlib
import copy
from typing import NamedTuple

import inside
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend import random as keras_random
from keras_networks import as_called, repeated
from rounding import atol_of_proba, sizes_of_sums

#: Layers that do something else in training beside the noise within them.
OTHERWISE_IN_TRAINING = ("BatchNormalization", "SpectralNormalization", "Centred")


@contextlib.contextmanager
def called_by(methods):
    """Give layers another `call`, by layer, for a while."""
    for layer, call in methods.items():
        vars(layer)["call"] = call
    try:
        yield
    finally:
        for layer in methods:
            del vars(layer)["call"]


def call_in_training(network, X):
    """Outputs of `network` in training mode, all but its noise in inference mode.

    No function that TensorFlow has compiled is used, with the noise of another call.
    """
    held = {
        layer: lambda x, call=layer.call, **_: call(x, training=False)
        for layer in network._flatten_layers()
        if type(layer).__name__ in OTHERWISE_IN_TRAINING
    }
    tf.config.run_functions_eagerly(True)
    try:
        with called_by(held):
            return network(as_called(network, X), training=True)
    finally:
        tf.config.run_functions_eagerly(False)


def at_rest(network, X):
    """Outputs of `network` in inference mode, with nothing dropped."""
    held = [
        (layer, name)
        for layer in network._flatten_layers()
        for name in ("rate", "dropout")
        if name in vars(layer) and isinstance(getattr(layer, name), float)
    ]
    before = [getattr(layer, name) for layer, name in held]
    for layer, name in held:
        setattr(layer, name, 0.0)
    try:
        return network(as_called(network, X), training=False)
    finally:
        for (layer, name), value in zip(held, before, strict=True):
            setattr(layer, name, value)


def passes(network, X, n_passes):
    """Outputs of `n_passes` calls in training mode, by Keras's own noise.

    Keras draws for each row: copies of the rows are calls too. Layers begin with a seed
    of their number, so that every run sees the same.
    """
    generators = [v for v in network.variables if v.name == "seed_generator_state"]
    for i, state in enumerate(generators):
        state.assign([i, 0])
    outputs = call_in_training(network, repeated(X, n_passes)).numpy()
    return outputs.reshape(n_passes, -1, outputs.shape[-1])


def class_probabilities(network, outputs):
    """What outputs of a network say of the classes, be they logits or probabilities."""
    outputs = np.asarray(outputs)
    last = getattr(network, "out", network.layers[-1])
    linear = last.activation is keras.activations.linear
    if outputs.shape[-1] == 1:
        p = tf.sigmoid(outputs).numpy() if linear else outputs
        return np.concatenate([1 - p, p], axis=-1)
    return tf.nn.softmax(outputs).numpy() if linear else outputs


class Compared(NamedTuple):
    """Draws of a classifier, and what Keras gives for the same noise."""

    draws: np.ndarray  # of shape (n_draws, n_rows, n_classes)
    by_keras: np.ndarray  # of the same shape
    atol: float  # what rounding explains
    noise: list  # of each place that draws, (n_draws, n_entries)
    rates: list  # of each of them, as Keras has it; None for normal noise


def compared(classifier, network, X, n_draws=60, sampling="independent"):
    """Draw, and let Keras compute all draws with the same noise, in one call."""
    classifier = copy.copy(classifier).set_params(sampling=sampling)
    classifier.set_params(n_samples=1).sample_proba(X)  # so that no noise is kept
    with pytest.MonkeyPatch.context() as monkeypatch:
        noise = inside.noise_drawn(monkeypatch)
        classifier.set_params(n_samples=n_draws)
        draws = classifier.sample_proba(X)
        keras_has = Given(monkeypatch, noise, draws.shape[1], network)
        with sizes_of_sums(network) as sizes:
            outputs = call_in_training(network, repeated(X, n_draws))
    assert len(keras_has.rates) == len(noise)
    by_keras = class_probabilities(network, outputs).reshape(draws.shape)
    atol = atol_of_proba(max(sizes))
    return Compared(draws, by_keras, atol, noise, keras_has.rates)


class _Random:
    """Stands for the functions by which all layers of Keras draw."""

    def __init__(self, monkeypatch):
        self.drawn_by = {}
        for name in ("dropout", "normal", "uniform"):
            self.drawn_by[name] = getattr(keras_random, name)
            monkeypatch.setattr(keras_random, name, getattr(self, name))


class Given(_Random):
    """Layers of Keras get the noise of draws, one array (n_draws, size) a place.

    The rows called are `n_rows` for each draw. `rates` grows by the rate of dropout of
    each place, None where it is normal noise.
    """

    def __init__(self, monkeypatch, noise, n_rows, network):
        super().__init__(monkeypatch)
        self.noise, self.n_rows, self.rates = list(noise), n_rows, []
        self.alpha_rates = {
            layer.rate
            for layer in network._flatten_layers()
            if isinstance(layer, keras.layers.AlphaDropout)
        }

    def _next(self, shape, rate):
        """What Keras would draw, with `shape`, at the place that comes next."""
        noise = self.noise[len(self.rates)].astype(np.float32)
        self.rates.append(rate)
        of_rows = np.repeat(noise, self.n_rows, axis=0)
        assert noise.shape[1] == np.prod(shape[1:])
        assert shape[0] in (1, len(of_rows))
        return of_rows.reshape(-1, *shape[1:])

    def dropout(self, inputs, rate, noise_shape=None, seed=None):
        given = inputs.shape if noise_shape is None else noise_shape
        shape = [
            len_x if n is None else int(n)
            for n, len_x in zip(given, inputs.shape, strict=True)
        ]
        kept = keras.ops.cast(self._next(shape, rate), inputs.dtype)
        return inputs * kept / (1 - rate)

    def normal(self, shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
        return mean + stddev * self._next([int(n) for n in shape], None)

    def uniform(self, shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
        """Of alpha dropout, which keeps what is not below its rate."""
        assert (minval, maxval) == (0.0, 1.0)
        (rate,) = self.alpha_rates
        return self._next([int(n) for n in shape], rate)


class Noted(_Random):
    """Layers of Keras draw by themselves; `noise` grows by what was drawn."""

    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self.noise = []

    def _note(self, drawn):
        is_value = isinstance(drawn, tf.__internal__.EagerTensor)
        self.noise.append(drawn.numpy() if is_value else None)
        return drawn

    def dropout(self, inputs, rate, **given):
        ones = keras.ops.ones_like(inputs)
        return inputs * self._note(self.drawn_by["dropout"](ones, rate, **given))

    def normal(self, *args, **kwargs):
        return self._note(self.drawn_by["normal"](*args, **kwargs))

    def uniform(self, *args, **kwargs):
        return self._note(self.drawn_by["uniform"](*args, **kwargs))

"""`MCDropout`, the layer, on every backend of Keras that is installed."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal
from slow_keras import compared

from skmcdropout import MCDropoutClassifier
from skmcdropout.layers import MCDropout

ONES = np.ones((50, 4, 30), np.float32)


def out(layer, x=ONES, **kwargs):
    return keras.ops.convert_to_numpy(layer(x, **kwargs))


@pytest.mark.parametrize("training", [True, False, None])
def test_it_drops_whatever_the_mode(training):
    dropped = out(MCDropout(0.3, seed=0), training=training)
    assert_allclose(np.unique(dropped), [0, 1 / 0.7], rtol=1e-6)
    assert_allclose(dropped.mean(), 1, atol=0.05)


def test_nothing_is_dropped_at_rate_0():
    assert_array_equal(out(MCDropout(0.0)), ONES)


def test_every_call_draws_anew_and_a_seed_repeats_them():
    first, again = MCDropout(0.5, seed=3), MCDropout(0.5, seed=3)
    calls = [out(first) for _ in range(2)]
    assert abs(calls[0] - calls[1]).max() > 0
    for call in calls:
        assert_array_equal(out(again), call)
    assert abs(out(MCDropout(0.5, seed=4)) - calls[0]).max() > 0


def test_rows_have_masks_of_their_own_or_share_one():
    own = out(MCDropout(0.5, seed=0))
    assert abs(own - own[0]).max() > 0
    shared = out(MCDropout(0.5, seed=0, shared_mask=True))
    assert_array_equal(shared, np.broadcast_to(shared[0], shared.shape))
    assert abs(shared[0] - shared[0, 0]).max() > 0


def test_a_shared_mask_with_a_noise_shape():
    shape = (None, 1, None)
    dropped = out(MCDropout(0.5, noise_shape=shape, seed=0, shared_mask=True))
    assert_array_equal(dropped, np.broadcast_to(dropped[0, 0], dropped.shape))
    assert len(np.unique(dropped[0, 0])) == 2


def network(**kwargs):
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.BatchNormalization(),
            MCDropout(0.4, seed=0, **kwargs),
            layers.Dense(
                3, "softmax", kernel_initializer=keras.initializers.HeNormal(0)
            ),
        ]
    )


def test_batch_normalization_stays_in_inference_mode():
    net = network(shared_mask=True)
    before = net.get_weights()
    X = np.random.RandomState(0).normal(5, 3, size=(40, 5)).astype(np.float32)
    draws = np.stack([net.predict(X, verbose=0, batch_size=40) for _ in range(3)])
    assert draws.std(axis=0).max() > 0.1
    for old, new in zip(before, net.get_weights(), strict=True):
        assert_array_equal(old, new)
    net.layers[1].seed_generator.state.assign([0, 0])
    alone = network(shared_mask=True)
    alone.set_weights(before)
    assert_allclose(alone(X[:7]), out(net, X)[:7], atol=1e-6)


def test_it_is_saved_and_loaded(tmp_path):
    net = network(shared_mask=True, noise_shape=(None, 5))
    net.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert type(loaded.layers[1]) is MCDropout
    config = loaded.layers[1].get_config()
    config["noise_shape"] = tuple(config["noise_shape"])
    assert config == net.layers[1].get_config()
    assert loaded.layers[1].shared_mask
    X = np.eye(5, dtype=np.float32)
    net.layers[1].seed_generator.state.assign([0, 0])
    loaded.layers[1].seed_generator.state.assign([0, 0])
    assert_allclose(net(X), loaded(X), atol=1e-6)


class Around(keras.Model):
    """Layers before and behind, called with or without `training`."""

    def __init__(self, middle):
        super().__init__()
        self.steps = [layers.Dense(8), *middle]

    def call(self, x):
        for step in self.steps:
            x = step(x)
        return x


class AroundInMode(Around):
    def call(self, x, training=None):
        for step in self.steps:
            x = (
                step(x)
                if isinstance(step, layers.Dense)
                else step(x, training=training)
            )
        return x


def middle(first):
    behind = [layers.Dropout(0.5), layers.GaussianNoise(1.0), layers.Dense(2)]
    norms = [layers.BatchNormalization() for _ in range(2)]
    return [norms[0], first, norms[1], *behind]


def functional(first):
    x = keras.Input((5,))
    h = layers.Reshape((4, 2))(layers.Dense(8)(x))
    h = layers.BatchNormalization()(first(h))
    h = layers.MultiHeadAttention(2, 3, dropout=0.5)(h, h)
    return keras.Model(x, layers.Flatten()(layers.Dropout(0.5)(h)))


SURROUNDED = {
    "sequential": lambda first: keras.Sequential([keras.Input((5,)), *middle(first)]),
    "functional": functional,
    "nested": lambda first: keras.Sequential(
        [keras.Input((5,)), keras.Sequential(middle(first)), layers.Dropout(0.5)]
    ),
    "subclassed": lambda first: Around(middle(first)),
    "subclassed with training": lambda first: AroundInMode(middle(first)),
}


def exported(network, path):
    network.export(path, verbose=False)
    loaded = tf.saved_model.load(path)  # its variables live as long
    return lambda x: loaded.serve(x)


CALLS = {
    "call": lambda network, path: network,
    "training=False": lambda network, path: lambda x: network(x, training=False),
    "predict": lambda network, path: lambda x: network.predict(x, verbose=0),
    "tf.function": lambda network, path: tf.function(network),
    "exported": exported,
}


@pytest.mark.parametrize("kind", SURROUNDED)
@pytest.mark.parametrize("call", CALLS)
def test_what_surrounds_it_stays_at_rest(kind, call, tmp_path):
    """At a rate of 0 it is nothing: the network is that with Dropout at rest."""
    X = np.random.RandomState(0).normal(3, 2, (16, 5)).astype("float32")
    ours, plain = SURROUNDED[kind](MCDropout(0.0)), SURROUNDED[kind](layers.Dropout(0))
    for network in (ours, plain):
        network(X)
    weights = [
        w + np.random.RandomState(1).uniform(0, 1, w.shape) for w in plain.get_weights()
    ]
    for network in (ours, plain):
        network.set_weights(
            [w if w.dtype.kind == "u" else v.astype(w.dtype)
             for w, v in zip(network.get_weights(), weights, strict=True)]
        )  # fmt: skip
    before = [np.array(variable) for variable in ours.non_trainable_variables]
    found = np.asarray(CALLS[call](ours, str(tmp_path / "exported"))(X))
    assert_allclose(found, plain(X, training=False), rtol=1e-5, atol=1e-5)
    for variable, value in zip(ours.non_trainable_variables, before, strict=True):
        assert_array_equal(variable, value)


@pytest.mark.parametrize("kind", SURROUNDED)
def test_it_draws_whatever_it_is_told(kind):
    X = np.ones((1, 5), "float32")
    network = SURROUNDED[kind](MCDropout(0.5))
    for mode in ({}, {"training": False}):
        draws = np.stack([network(X, **mode) for _ in range(20)])
        assert draws.std(axis=0).max() > 0


def test_a_rate_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"`rate`.*Received: rate=1.5"):
        MCDropout(1.5)


def test_a_network_with_it_is_trained_and_drawn_from():
    X, y = np.random.RandomState(0).normal(size=(60, 5)), np.arange(60) % 3
    fitted = MCDropoutClassifier(
        model=lambda meta: network(), epochs=2, random_state=0
    ).fit(X, y)
    rows = X[:10].astype(np.float32)
    draws, by_keras, atol, (kept,), rates = compared(fitted, fitted.model_, rows)
    assert_allclose(draws, by_keras, rtol=0, atol=atol)
    assert rates == [0.4]
    assert abs(kept.mean() - 0.6) < 5 * np.sqrt(0.24 / kept.size)


ON_ANY_BACKEND = """
import numpy as np, keras
from skmcdropout.layers import MCDropout
as_array = keras.ops.convert_to_numpy
x = np.ones((6, 3, 200), np.float32)
layer = MCDropout(0.25, seed=0, shared_mask=True)
first, second = as_array(layer(x, training=False)), as_array(layer(x))
assert np.allclose(np.unique(first), [0, 4 / 3]), np.unique(first)
assert abs(first.mean() - 1) < 0.1
assert (first == first[0]).all() and not (first == second).all()
assert (as_array(MCDropout(0.25, seed=0, shared_mask=True)(x)) == first).all()
net = keras.Sequential([keras.Input((3, 200)), MCDropout(0.25), keras.layers.Dense(2)])
assert not np.allclose(net.predict(x, verbose=0), net.predict(x, verbose=0))
net.save("network.keras")
assert type(keras.models.load_model("network.keras").layers[0]) is MCDropout
net.compile("sgd", "mse")
net.fit(x, np.zeros((6, 3, 2)), verbose=0)
norm = keras.layers.BatchNormalization(epsilon=0.5)
net = keras.Sequential([keras.Input((3, 200)), MCDropout(0.5), norm])
for outputs in (net(x), net(x, training=False), net.predict(x, verbose=0)):
    at_rest = [0, 2 / 1.5**0.5]  # mean 0 and variance 1, as at first
    assert np.allclose(np.unique(as_array(outputs)), at_rest), np.unique(outputs)
assert not as_array(norm.moving_mean).any()
print(keras.backend.backend())
"""


def test_on_the_backend_of_this_process(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(ON_ANY_BACKEND, {})
    assert capsys.readouterr().out.split() == [keras.backend.backend()]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_on_other_backends(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    printed = subprocess.run(
        [sys.executable, "-c", ON_ANY_BACKEND],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": backend},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed.split() == [backend]

"""`MCDropout`, the layer, on every backend of Keras that is installed."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal

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


def test_a_rate_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"`rate`.*Received: rate=1.5"):
        MCDropout(1.5)


@pytest.mark.slow
def test_a_network_with_it_is_trained_and_drawn_from():
    X, y = np.random.RandomState(0).normal(size=(60, 5)), np.arange(60) % 3
    fitted = MCDropoutClassifier(
        model=lambda meta: network(), epochs=2, n_samples=500, random_state=0
    ).fit(X, y)
    net, X = fitted.model_, X[:10].astype(np.float32)
    copies = net.predict(np.concatenate([X] * 500), verbose=0)  # a mask for each row
    loop = copies.reshape(500, len(X), -1)
    error = loop.std(axis=0) * np.sqrt(2 / 500)
    assert abs((fitted.predict_proba(X) - loop.mean(axis=0)) / error).max() < 5


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
print(keras.backend.backend())
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_on_every_backend(backend, tmp_path):
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

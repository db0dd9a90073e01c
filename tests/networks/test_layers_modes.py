"""`MCDropout` leaves other layers in the mode that an ordinary Dropout gives them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal

from skmcdropout.layers import MCDropout

ROWS = np.random.RandomState(0).normal(3, 2, size=(32, 5)).astype(np.float32)


class Witness(layers.Layer):
    """Remembers in which modes it was called; None and False are both inference."""

    def __init__(self, remember, **kwargs):
        super().__init__(**kwargs)
        self.remember = remember

    def call(self, x, training=None):
        self.remember(bool(training))
        return x


class Subclassed(keras.Model):
    """Calls one layer after the other, and hands on no mode."""

    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x


class WithTraining(Subclassed):
    """Hands the mode on to each layer."""

    def call(self, x, training=None):
        for part in self.parts:
            x = part(x, training=training)
        return x


class TakesTraining(Subclassed):
    """Has a mode, and leaves it to Keras to hand it on."""

    def call(self, x, training=None):
        return super().call(x)


def sequential(parts):
    return keras.Sequential([keras.Input((5,)), *parts])


def functional(parts):
    x = inputs = keras.Input((5,))
    for part in parts:
        x = part(x)
    return keras.Model(inputs, layers.Add()([x, layers.Dense(5)(x)]))


def around(kind):
    """The layers in a network inside of another, which has a witness and norms too."""

    def build(parts):
        first, *inner, last = parts
        return functional([first, kind(inner), layers.BatchNormalization(), last])

    return build


KINDS = {
    "sequential": sequential,
    "functional": functional,
    "subclassed": Subclassed,
    "with training": WithTraining,
    "takes training": TakesTraining,
    "in a functional network": around(functional),
    "subclassed in a functional network": around(Subclassed),
}

CALLS = {
    "called": lambda network: network(ROWS),
    "training=None": lambda network: network(ROWS, training=None),
    "training=False": lambda network: network(ROWS, training=False),
    "training=True": lambda network: network(ROWS, training=True),
    "predict": lambda network: network.predict(ROWS, verbose=0),
    "predict_on_batch": lambda network: network.predict_on_batch(ROWS),
    "tf.function": lambda network: tf.function(lambda x: network(x))(ROWS),
    "evaluate": lambda network: network.evaluate(ROWS, ROWS, verbose=0),
    "fit": lambda network: network.fit(ROWS, ROWS, epochs=1, verbose=0),
}


def network_of(build, dropout):
    """Layers before and behind `dropout`, and what they tell of the mode."""
    modes = [], [], []
    before, behind, last = (Witness(m.append) for m in modes)
    network = build(
        [
            before,
            layers.BatchNormalization(),
            dropout,
            behind,
            layers.BatchNormalization(),
            layers.Dropout(0.5, seed=0),
            last,
        ]
    )
    network.compile("sgd", "mse")
    network(ROWS[:1], training=False)
    for seen in modes:
        seen.clear()
    return network, modes


def statistics(network):
    """Moving means and variances."""
    return [np.array(v) for v in network.non_trainable_variables if "moving" in v.path]


def moves_means(network, call):
    """Whether a call changes moving means or variances."""
    before = statistics(network)
    call(network)
    pairs = zip(before, statistics(network), strict=True)
    return any((old != new).any() for old, new in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("build", KINDS.values(), ids=KINDS)
def test_all_layers_have_the_mode_that_ordinary_dropout_gives_them(build):
    network, modes = network_of(build, MCDropout(0.3, seed=0))
    ordinary, expected = network_of(build, layers.Dropout(0.3, seed=0))
    for name, call in CALLS.items():
        moved = [moves_means(each, call) for each in (network, ordinary)]
        assert [set(m) for m in modes] == [set(m) for m in expected], name
        assert moved[0] == moved[1], name
        if name not in ("training=True", "fit"):
            assert not moved[0], name
            assert set().union(*modes) == {False}, name
        for seen in (*modes, *expected):
            seen.clear()
    # The last call was fit. Keras tells no mode to a model whose call takes none.
    assert moved[0] == (build is not Subclassed)


def normalised(build):
    """A network whose only noise is `MCDropout`, and what it may give for a one."""
    norm = layers.BatchNormalization(center=False, scale=False, epsilon=1e-3)
    network = build([MCDropout(0.5, seed=0), norm, layers.Dropout(0.9, seed=1)])
    network(np.ones((1, 5), np.float32), training=False)
    norm.moving_mean.assign(np.full(5, 0.25))
    norm.moving_variance.assign(np.full(5, 4.0))
    return network, (np.array([0.0, 2.0]) - 0.25) / np.sqrt(4.001)


@pytest.mark.parametrize("name", [n for n in CALLS if "predict" in n or "call" in n])
@pytest.mark.parametrize("build", [sequential, Subclassed, TakesTraining])
def test_what_follows_is_computed_by_the_formula_of_inference(build, name):
    network, expected = normalised(build)
    ones = np.ones((64, 5), np.float32)
    call = {
        "called": lambda: network(ones),
        "predict": lambda: network.predict(ones, verbose=0),
        "predict_on_batch": lambda: network.predict_on_batch(ones),
    }[name]
    given = np.unique(np.asarray(call()))
    # Two values alone: one for what was dropped, one for what was kept and doubled.
    assert_allclose(given, expected, rtol=1e-5)


class ActiveUnlessTold(layers.Layer):
    """Has a default mode of its own, which Keras uses where no other is known."""

    def call(self, x, training=True):
        return x * (2.0 if training else 1.0)


@pytest.mark.parametrize("mode", [{}, {"training": None}, {"training": False}])
@pytest.mark.parametrize("build", [sequential, Subclassed, TakesTraining])
def test_a_layer_with_a_default_of_its_own_has_the_mode_behind_dropout(build, mode):
    ones = np.ones((64, 5), np.float32)
    ours = build([MCDropout(0.5, seed=0), ActiveUnlessTold()])(ones, **mode)
    theirs = build([layers.Dropout(0.5), ActiveUnlessTold()])(ones, **mode)
    assert len(np.unique(theirs)) == 1
    assert np.max(ours) == 2 * np.max(theirs)


def test_attention_behind_it_does_not_draw():
    class Attends(keras.Model):
        def __init__(self):
            super().__init__()
            self.dropout = MCDropout(0.3, seed=0)
            self.attention = layers.MultiHeadAttention(2, 4, dropout=0.5, seed=0)

        def call(self, x):
            return self.dropout(x), self.attention(x, x)

    network = Attends()
    x = np.random.RandomState(0).normal(size=(3, 4, 5)).astype(np.float32)
    (dropped, first), (again, second) = network(x), network(x)
    assert abs(np.asarray(dropped) - np.asarray(again)).max() > 0
    assert_array_equal(first, second)


def test_an_exported_network_drops_and_leaves_what_follows_at_rest(tmp_path):
    network, expected = normalised(sequential)
    network.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "exported")
    ones = np.ones((64, 5), np.float32)
    calls = [np.asarray(loaded.serve(ones)) for _ in range(2)]
    for call in calls:
        assert_allclose(np.unique(call), expected, rtol=1e-5)
    assert abs(calls[0] - calls[1]).max() > 0


def test_a_saved_network_and_its_copy_leave_what_follows_at_rest(tmp_path):
    network, expected = normalised(sequential)
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    ones = np.ones((64, 5), np.float32)
    for again in (loaded, copy):
        assert_allclose(np.unique(again(ones)), expected, rtol=1e-5)


def test_it_still_drops_alone_and_in_a_network_of_any_mode():
    layer = MCDropout(0.5, seed=0)
    network = keras.Sequential([keras.Input((5,)), layer])
    ones = np.ones((64, 5), np.float32)
    for called in (layer, network):
        for mode in ({}, {"training": None}, {"training": False}, {"training": True}):
            assert_array_equal(np.unique(called(ones, **mode)), [0, 2])

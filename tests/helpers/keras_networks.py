"""Small Keras networks of every kind, with rows for them and random weights."""

import keras
import numpy as np
from keras import layers

from skmcdropout.layers import MCDropout

N_ROWS = 12
N_CLASSES = 3


#: Names of weights of Normalization, of which it holds constants.
ADAPTED = ("mean", "variance", "count")


def rows(*shape):
    return np.random.RandomState(0).normal(size=(N_ROWS, *shape)).astype(np.float32)


def tokens(length):
    given = np.random.RandomState(0).randint(1, 6, size=(N_ROWS, length))
    given[::2, length // 2 :] = 0  # padding
    return given.astype(np.float32)


def softmax():
    return layers.Dense(N_CLASSES, activation="softmax")


def in_line(X, *steps):
    return keras.Sequential([keras.Input(X.shape[1:]), *steps, softmax()]), X


def mlp():
    return in_line(
        rows(5),
        layers.Dense(8, activation="relu"),
        layers.Dropout(0.4),
        layers.Dense(6, activation="tanh", use_bias=False),
        layers.Dropout(0.3),
    )


def textbook_image_net():
    return in_line(
        rows(6, 6),
        layers.Flatten(),
        layers.BatchNormalization(),
        layers.Dropout(0.2),
        layers.Dense(20, use_bias=False),
        layers.BatchNormalization(),
        layers.Activation("elu"),
        layers.Dropout(0.2),
        layers.BatchNormalization(),
        layers.Dense(10),
        layers.BatchNormalization(scale=False, center=False),
        layers.Activation("elu"),
        layers.Dropout(0.2),
    )


def convolutions():
    return in_line(
        rows(10, 10, 1),
        layers.Conv2D(4, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Dropout(0.25),
        layers.Conv2D(6, 3),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.SpatialDropout2D(0.3),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.5),
    )


def convolutions_before_dense_layers():
    return in_line(
        rows(8, 8, 1),
        layers.Conv2D(4, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Dropout(0.25),
        layers.Flatten(),
        layers.Dense(16, activation="relu"),
        layers.Dropout(0.5),
    )


def spatial_dropout_1d():
    return in_line(rows(6, 4), layers.SpatialDropout1D(0.4), layers.Flatten())


def spatial_dropout_3d():
    return in_line(
        rows(4, 4, 4, 2),
        layers.Conv3D(3, 2),
        layers.SpatialDropout3D(0.4),
        layers.GlobalMaxPooling3D(),
    )


def masks_shared_along_an_axis():
    return in_line(
        rows(6, 4), layers.Dropout(0.4, noise_shape=(None, 1, None)), layers.Flatten()
    )


def gaussian_dropout():
    return in_line(
        rows(5), layers.Dense(8, activation="relu"), layers.GaussianDropout(0.3)
    )


def gaussian_noise():
    return in_line(rows(5), layers.GaussianNoise(0.7), layers.Dense(4, "tanh"))


def alpha_dropout():
    return in_line(
        rows(5), layers.Dense(8, activation="selu"), layers.AlphaDropout(0.2)
    )


def residual():
    x = keras.Input((5,))
    before = layers.Dense(8, activation="relu")(x)
    after = layers.Dropout(0.4)(before)
    h = layers.LayerNormalization()(layers.Add()([before, after]))
    h = layers.Concatenate()([h, before, layers.Dropout(0.3)(after)])
    return keras.Model(x, softmax()(h)), rows(5)


def residual_by_operations():
    x = keras.Input((5,))
    before = layers.Dense(8, activation="relu")(x)
    after = layers.Dropout(0.4)(before)
    h = keras.ops.concatenate([before + 2 * after, before * after], axis=-1)
    return keras.Model(x, softmax()(h)), rows(5)


def nested():
    block = keras.Sequential(
        [layers.Dense(6, activation="relu"), layers.Dropout(0.3)], name="block"
    )
    a, b = keras.Input((4,)), keras.Input((6,))
    join = keras.Model([a, b], layers.Dense(5)(layers.Dropout(0.2)(a)) + b[:, :5])
    x = keras.Input((4,))
    h = join([x, block(x)])
    return keras.Model(x, softmax()(h)), rows(4)


def nested_in_line():
    inner = keras.Sequential(
        [keras.Input((5,)), layers.Dense(6, activation="relu"), layers.Dropout(0.3)]
    )
    x = keras.Input((6,))
    outer = keras.Model(x, layers.Dropout(0.2)(layers.Dense(4)(x)))
    return in_line(rows(5), inner, outer)


def one_dropout_layer_called_twice():
    x = keras.Input((5,))
    dropout = layers.Dropout(0.4)
    a = dropout(layers.Dense(6, activation="tanh")(x))
    b = dropout(layers.Dense(6, activation="tanh")(x))
    return keras.Model(x, softmax()(a * b)), rows(5)


def several_inputs():
    a, b = keras.Input((4,), name="numbers"), keras.Input((3, 2), name="pairs")
    h = layers.Concatenate()([layers.Dropout(0.3)(a), layers.Flatten()(b)])
    h = layers.Dropout(0.2)(layers.Dense(6, activation="relu")(h))
    X = {"numbers": rows(4), "pairs": rows(3, 2)}
    return keras.Model([a, b], softmax()(h)), X


def several_inputs_by_name():
    a, b = keras.Input((4,), name="z"), keras.Input((3,), name="b", dtype="int32")
    h = layers.Flatten()(layers.Embedding(6, 2)(b))
    h = layers.Concatenate()([layers.Dropout(0.3)(a), h])
    X = {"b": tokens(3), "z": rows(4)}
    return keras.Model({"z": a, "b": b}, softmax()(h)), X


def embedding_with_padding():
    return in_line(
        tokens(6),
        layers.Embedding(6, 4, mask_zero=True),
        layers.Dropout(0.3),
        layers.LSTM(5),
    )


def padding_kept_in_nested_networks():
    X = tokens(6)
    embed = keras.Sequential([layers.Embedding(6, 4, mask_zero=True)])
    x = keras.Input((6,))
    h = layers.GRU(5, dropout=0.3)(layers.SpatialDropout1D(0.2)(embed(x)))
    return keras.Model(x, softmax()(h)), X


def lstm():
    return in_line(
        rows(6, 4),
        layers.LSTM(5, dropout=0.3, recurrent_dropout=0.2, return_sequences=True),
        layers.LSTM(4, dropout=0.2),
    )


def gru():
    return in_line(rows(6, 4), layers.GRU(5, dropout=0.2, recurrent_dropout=0.3))


def simple_rnn():
    return in_line(rows(6, 4), layers.SimpleRNN(5, dropout=0.2, recurrent_dropout=0.3))


def bidirectional():
    return in_line(rows(6, 4), layers.Bidirectional(layers.GRU(4, dropout=0.3)))


def stacked_cells():
    cells = [layers.LSTMCell(5, dropout=0.3), layers.GRUCell(4, recurrent_dropout=0.2)]
    return in_line(rows(6, 4), layers.RNN(cells))


def convolutional_lstm():
    return in_line(
        rows(3, 5, 5, 2),
        layers.ConvLSTM2D(3, 3, dropout=0.3, recurrent_dropout=0.2),
        layers.GlobalAveragePooling2D(),
    )


def time_distributed():
    steps = keras.Sequential([layers.Dense(5, activation="relu"), layers.Dropout(0.3)])
    return in_line(
        rows(4, 3),
        layers.TimeDistributed(layers.Dropout(0.2)),
        layers.TimeDistributed(steps),
        layers.Flatten(),
    )


def multi_head_attention():
    x = keras.Input((6, 4))
    h = layers.Dense(8)(x)
    h = layers.LayerNormalization()(
        h + layers.MultiHeadAttention(2, 4, dropout=0.3)(h, h)
    )
    return keras.Model(x, softmax()(layers.GlobalAveragePooling1D()(h))), rows(6, 4)


def attention():
    x = keras.Input((6, 4))
    h = layers.Dense(5)(x)
    h = layers.Concatenate()(
        [
            layers.Attention(dropout=0.3)([h, h]),
            layers.AdditiveAttention(dropout=0.2)([h, h]),
        ]
    )
    return keras.Model(x, softmax()(layers.Flatten()(h))), rows(6, 4)


@keras.saving.register_keras_serializable("tests")
class TransformerBlock(layers.Layer):
    """A layer of layers, as in many examples."""

    def __init__(self, width, rate, **kwargs):
        super().__init__(**kwargs)
        self.width, self.rate = width, rate
        self.attention = layers.MultiHeadAttention(2, width // 2, dropout=rate)
        self.dense = layers.Dense(width, activation="relu")
        self.dropout = layers.Dropout(rate)
        self.norm = layers.LayerNormalization()

    def build(self, shape):
        self.attention.build(shape, shape)
        self.dense.build(shape)
        self.norm.build(shape)

    def call(self, x, training=None):
        h = self.attention(x, x, training=training)
        h = self.dropout(self.dense(x + h), training=training)
        return self.norm(x + self.dropout(h, training=training))

    def get_config(self):
        return {**super().get_config(), "width": self.width, "rate": self.rate}


def a_layer_of_layers():
    return in_line(
        rows(5, 4), layers.Dense(6), TransformerBlock(6, 0.3), layers.Flatten()
    )


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A model whose graph can't be read."""

    def __init__(self, width, rate, **kwargs):
        super().__init__(**kwargs)
        self.width, self.rate = width, rate
        self.hidden = layers.Dense(width, activation="relu")
        self.norm = layers.BatchNormalization()
        self.dropout = layers.Dropout(rate)
        self.recurrent = layers.GRU(4, dropout=rate)
        self.out = softmax()

    def call(self, x, training=None):
        h = self.norm(self.hidden(x), training=training)
        h = self.recurrent(self.dropout(h, training=training), training=training)
        return self.out(h)

    def get_config(self):
        return {**super().get_config(), "width": self.width, "rate": self.rate}


def subclassed():
    X = rows(4, 3)
    network = Subclassed(6, 0.3)
    network(X)
    return network, X


@keras.saving.register_keras_serializable("tests")
class AlwaysDropout(layers.Dropout):
    """The textbook's layer."""

    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


def layers_that_are_always_active():
    return in_line(
        rows(5),
        AlwaysDropout(0.2),
        layers.Dense(8, activation="relu"),
        layers.LayerNormalization(),
        MCDropout(0.4),
    )


def dropout_called_in_training_mode():
    x = keras.Input((5,))
    h = layers.Dense(8, activation="relu")(x)
    h = layers.Dropout(0.4)(h, training=True)
    return keras.Model(x, softmax()(h)), rows(5)


def logits():
    X = rows(5)
    steps = [layers.Dense(8, activation="relu"), layers.Dropout(0.4)]
    return keras.Sequential([keras.Input((5,)), *steps, layers.Dense(3)]), X


def one_sigmoid():
    X = rows(5)
    steps = [layers.Dense(8, activation="relu"), layers.Dropout(0.4)]
    out = layers.Dense(1, activation="sigmoid")
    return keras.Sequential([keras.Input((5,)), *steps, out]), X


def one_logit_of_a_graph():
    x = keras.Input((5,))
    h = layers.Dense(8, activation="relu")(x)
    return keras.Model(x, layers.Dense(1)(h + layers.Dropout(0.4)(h))), rows(5)


NETWORKS = {
    build.__name__.replace("_", " "): build
    for build in (
        mlp,
        textbook_image_net,
        convolutions,
        convolutions_before_dense_layers,
        spatial_dropout_1d,
        spatial_dropout_3d,
        masks_shared_along_an_axis,
        gaussian_dropout,
        gaussian_noise,
        alpha_dropout,
        residual,
        residual_by_operations,
        nested,
        nested_in_line,
        one_dropout_layer_called_twice,
        several_inputs,
        several_inputs_by_name,
        embedding_with_padding,
        padding_kept_in_nested_networks,
        lstm,
        gru,
        simple_rnn,
        bidirectional,
        stacked_cells,
        convolutional_lstm,
        time_distributed,
        multi_head_attention,
        attention,
        a_layer_of_layers,
        subclassed,
        layers_that_are_always_active,
        dropout_called_in_training_mode,
        logits,
        one_sigmoid,
        one_logit_of_a_graph,
    )
}


def with_weights(network, scale=0.6):
    """Give `network` weights for which its predictions vary."""
    rng = np.random.RandomState(1)
    for v in network.weights:
        if v.name == "moving_variance":
            v.assign(rng.uniform(0.5, 2, v.shape))
        elif v.name not in ADAPTED:
            v.assign(rng.normal(scale=scale, size=v.shape))
    return network


def repeated(X, n):
    if isinstance(X, dict):
        return {name: repeated(array, n) for name, array in X.items()}
    return np.concatenate([X] * n)


def some(X, indices):
    if isinstance(X, dict):
        return {name: array[indices] for name, array in X.items()}
    return X[indices]


def as_called(network, X):
    """Rows in the structure that the network was built with."""
    if isinstance(X, dict) and isinstance(network.input, list):
        return [X[x.name] for x in network.inputs]
    return X

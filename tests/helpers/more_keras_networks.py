"""More small Keras networks, as people write them.

Blocks of well-known designs, layers and models of one's own, masks, several inputs,
preparation of data, tied weights.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from keras_networks import N_CLASSES, N_ROWS, in_line, rows, softmax, tokens


def mobile_net_block():
    x = keras.Input((6, 6, 4))
    h = layers.Conv2D(12, 1, padding="same", use_bias=False)(x)
    h = layers.ReLU(6.0)(layers.BatchNormalization()(h))
    h = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(h)
    h = layers.ReLU(6.0)(layers.BatchNormalization()(h))
    h = layers.BatchNormalization()(layers.Conv2D(4, 1, use_bias=False)(h))
    h = layers.Add()([x, layers.Dropout(0.3, noise_shape=(None, 1, 1, 1))(h)])
    h = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(h))
    return keras.Model(x, softmax()(h)), rows(6, 6, 4)


def residual_block_with_zero_gamma():
    x = keras.Input((6, 6, 3))
    h = layers.Conv2D(4, 3, padding="same")(x)
    after = layers.ReLU()(layers.BatchNormalization()(h))
    after = layers.SpatialDropout2D(0.3)(after)
    after = layers.Conv2D(4, 3, padding="same")(after)
    after = layers.BatchNormalization(gamma_initializer="zeros")(after)
    h = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Add()([h, after])))
    return keras.Model(x, softmax()(layers.Dropout(0.2)(h))), rows(6, 6, 3)


def dense_net_block():
    h = x = keras.Input((5, 5, 2))
    for _ in range(2):
        new = layers.ReLU()(layers.BatchNormalization()(h))
        new = layers.Dropout(0.2)(layers.Conv2D(3, 3, padding="same")(new))
        h = layers.Concatenate()([h, new])
    h = layers.GlobalMaxPooling2D()(layers.AveragePooling2D(2)(h))
    return keras.Model(x, softmax()(h)), rows(5, 5, 2)


def squeeze_and_excitation():
    x = keras.Input((5, 5, 3))
    h = layers.Conv2D(4, 3, activation="swish")(x)
    s = layers.GlobalAveragePooling2D(keepdims=True)(h)
    s = layers.Dropout(0.3)(layers.Dense(2, activation="relu")(s))
    s = layers.Dense(4, activation="sigmoid")(s)
    h = layers.Multiply()([h, s])
    return keras.Model(x, softmax()(layers.Flatten()(h))), rows(5, 5, 3)


@keras.saving.register_keras_serializable("more")
class LayerScale(layers.Layer):
    def build(self, shape):
        self.gamma = self.add_weight(
            shape=(shape[-1],), initializer=keras.initializers.Constant(1e-3)
        )

    def call(self, x):
        return x * self.gamma


@keras.saving.register_keras_serializable("more")
class DropPath(layers.Dropout):
    """Stochastic depth, by a shape of the mask."""

    def __init__(self, rate, n_axes=2, **kwargs):
        kwargs.setdefault("noise_shape", (None, *[1] * n_axes))
        super().__init__(rate, **kwargs)


def conv_next_block():
    x = keras.Input((6, 6, 4))
    h = layers.DepthwiseConv2D(3, padding="same")(x)
    h = layers.LayerNormalization(epsilon=1e-6)(h)
    h = layers.Dense(8, activation="gelu")(h)
    h = LayerScale()(layers.Dense(4)(h))
    h = x + DropPath(0.3, 3)(h)
    h = layers.LayerNormalization()(layers.GlobalAveragePooling2D()(h))
    return keras.Model(x, softmax()(layers.Dropout(0.2)(h))), rows(6, 6, 4)


def u_net_with_a_head():
    x = keras.Input((8, 8, 1))
    a = layers.Conv2D(3, 3, padding="same", activation="relu")(x)
    b = layers.SpatialDropout2D(0.2)(layers.MaxPooling2D()(a))
    b = layers.Conv2D(4, 3, padding="same", activation="relu")(b)
    up = layers.Conv2DTranspose(3, 2, strides=2)(layers.Dropout(0.2)(b))
    h = layers.Concatenate()([a, up, layers.UpSampling2D()(b)])
    h = layers.Conv2D(3, 1)(h)
    return keras.Model(x, softmax()(layers.GlobalAveragePooling2D()(h))), rows(8, 8, 1)


def inception_branches():
    x = keras.Input((6, 6, 2))
    h = layers.Concatenate()(
        [
            layers.Conv2D(2, 1, activation="relu")(x),
            layers.Dropout(0.2)(layers.Conv2D(2, 3, padding="same")(x)),
            layers.SeparableConv2D(2, 5, padding="same")(layers.Dropout(0.3)(x)),
            layers.MaxPooling2D(3, 1, padding="same")(x),
        ]
    )
    return keras.Model(x, softmax()(layers.GlobalAveragePooling2D()(h))), rows(6, 6, 2)


def siamese_with_one_encoder():
    a, b = keras.Input((5,), name="a"), keras.Input((5,), name="b")
    encoder = keras.Sequential(
        [layers.Dense(8, activation="relu"), layers.Dropout(0.3), layers.Dense(4)]
    )
    left, right = encoder(a), encoder(b)
    distance = ops.abs(left - right)
    cosine = layers.Dot(axes=1, normalize=True)([left, right])
    h = layers.Concatenate()([distance, cosine])
    X = {"a": rows(5), "b": rows(5)[::-1].copy()}
    return keras.Model([a, b], softmax()(h)), X


def wide_and_deep():
    rng = np.random.RandomState(0)
    X = {
        "age": rng.uniform(18, 90, (N_ROWS, 1)).astype(np.float32),
        "income": rng.lognormal(8, 1, (N_ROWS, 2)).astype(np.float32),
        "kind": rng.randint(0, 4, (N_ROWS, 1)).astype(np.float32),
        "zip": rng.randint(0, 10**8, (N_ROWS, 1)).astype(np.float64),
    }
    normalization = layers.Normalization()
    normalization.adapt(X["income"])
    bins = layers.Discretization(num_bins=4, output_mode="one_hot")
    bins.adapt(X["age"])
    age = keras.Input((1,), name="age")
    income = keras.Input((2,), name="income")
    kind = keras.Input((1,), name="kind", dtype="int32")
    code = keras.Input((1,), name="zip", dtype="int64")
    encoded = layers.CategoryEncoding(num_tokens=4, output_mode="one_hot")(kind)
    hashed = layers.Flatten()(layers.Embedding(20, 3)(layers.Hashing(20)(code)))
    wide = layers.Concatenate()([bins(age), encoded])
    deep = layers.Concatenate()([normalization(income), hashed])
    deep = layers.Dropout(0.3)(layers.Dense(8, activation="relu")(deep))
    h = layers.Concatenate()([wide, deep])
    inputs = {"age": age, "income": income, "kind": kind, "zip": code}
    return keras.Model(inputs, softmax()(h)), X


def crossed_features():
    X = {name: rows_of_ids(5, 1) for name in ("first", "second")}
    a, b = (keras.Input((1,), name=name, dtype="int32") for name in X)
    crossed = layers.HashedCrossing(8, output_mode="one_hot")((a, b))
    h = layers.Dropout(0.3)(layers.Dense(6, activation="relu")(crossed))
    return keras.Model({"first": a, "second": b}, softmax()(h)), X


def rows_of_ids(n, *shape):
    given = np.random.RandomState(1).randint(0, n, size=(N_ROWS, *shape))
    return given.astype(np.float32)


@keras.saving.register_keras_serializable("more")
class TokenAndPosition(layers.Layer):
    def __init__(self, length, n_words, width, **kwargs):
        super().__init__(**kwargs)
        self.length, self.n_words, self.width = length, n_words, width
        self.words = layers.Embedding(n_words, width, mask_zero=True)
        self.places = layers.Embedding(length, width)

    def build(self, shape):
        self.words.build(shape)
        self.places.build((self.length,))

    def call(self, x):
        return self.words(x) + self.places(ops.arange(ops.shape(x)[-1]))

    def compute_mask(self, x, mask=None):
        return self.words.compute_mask(x)

    def get_config(self):
        sizes = {"length": self.length, "n_words": self.n_words, "width": self.width}
        return {**super().get_config(), **sizes}


def positions_and_causal_attention():
    X = tokens(6)
    x = keras.Input((6,))
    h = layers.Dropout(0.1)(TokenAndPosition(6, 6, 4)(x))
    attention = layers.MultiHeadAttention(2, 2, dropout=0.2)
    h = layers.LayerNormalization()(h + attention(h, h, use_causal_mask=True))
    h = h + layers.Dropout(0.2)(layers.Dense(4, activation="relu")(h))
    return keras.Model(x, softmax()(layers.GlobalAveragePooling1D()(h))), X


def encoder_and_decoder():
    a, b = keras.Input((5, 4), name="source"), keras.Input((3, 4), name="target")
    encoded = a + layers.MultiHeadAttention(1, 4, dropout=0.2)(a, a)
    h = b + layers.Attention(dropout=0.2)([b, b], use_causal_mask=True)
    cross = layers.GroupQueryAttention(4, 2, 1, dropout=0.3)
    h = layers.LayerNormalization()(h + cross(h, encoded))
    h = layers.Dropout(0.2)(layers.EinsumDense("abc,cd->abd", (3, 4))(h))
    X = {"source": rows(5, 4), "target": rows(3, 4)}
    return keras.Model([a, b], softmax()(layers.Flatten()(h))), X


def masking_and_lstm():
    X = rows(4, 3)
    X[::2, 3:] = 0
    return in_line(
        X,
        layers.Masking(),
        layers.Dropout(0.4),
        layers.LSTM(4, return_sequences=True, recurrent_dropout=0.2),
        layers.GlobalAveragePooling1D(),
    )


def bidirectional_with_masks():
    recurrent = layers.LSTM(3, dropout=0.2, recurrent_dropout=0.2)
    return in_line(
        tokens(4),
        layers.Embedding(6, 4, mask_zero=True),
        layers.SpatialDropout1D(0.2),
        layers.Bidirectional(recurrent, merge_mode="sum"),
    )


@keras.saving.register_keras_serializable("more")
class MinimalCell(layers.Layer):
    """A recurrent cell of one's own."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.to_gate = layers.Dense(units, activation="sigmoid")
        self.to_state = layers.Dense(units, activation="tanh")

    def build(self, shape):
        self.to_gate.build((None, shape[-1] + self.units))
        self.to_state.build((None, shape[-1] + self.units))

    def call(self, x, states, training=False):
        both = ops.concatenate([x, states[0]], axis=-1)
        gate = self.to_gate(both)
        state = (1 - gate) * states[0] + gate * self.to_state(both)
        return state, [state]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def a_cell_of_ones_own():
    return in_line(
        rows(3, 3),
        layers.Dropout(0.2),
        layers.RNN([MinimalCell(4), layers.GRUCell(3, dropout=0.2)]),
    )


def convolutional_lstm_1d():
    return in_line(
        rows(2, 6, 2),
        layers.ConvLSTM1D(3, 3, dropout=0.2, recurrent_dropout=0.2),
        layers.Flatten(),
    )


def one_dimensional_shapes():
    return in_line(
        rows(8, 3),
        layers.ZeroPadding1D(1),
        layers.SeparableConv1D(4, 3, activation="relu"),
        layers.SpatialDropout1D(0.2),
        layers.Conv1DTranspose(3, 2, strides=2),
        layers.Cropping1D(2),
        layers.Permute((2, 1)),
        layers.Dropout(0.2, noise_shape=(None, 1, None)),
        layers.UpSampling1D(2),
        layers.Reshape((-1, 4)),
        layers.DepthwiseConv1D(2),
        layers.GlobalMaxPooling1D(),
        layers.RepeatVector(3),
        layers.Dropout(0.2),
        layers.Flatten(),
    )


def normalizations():
    return in_line(
        rows(6, 4),
        layers.GroupNormalization(2),
        layers.Dropout(0.2),
        layers.Dense(6, activation="leaky_relu"),
        layers.UnitNormalization(),
        layers.RMSNormalization(),
        layers.GaussianNoise(0.2),
        layers.BatchNormalization(),
        layers.PReLU(),
        layers.Flatten(),
    )


def spectral_normalization():
    return in_line(
        rows(5),
        layers.Dropout(0.2),
        layers.SpectralNormalization(layers.Dense(6, activation="relu")),
        layers.Dropout(0.3),
    )


def alpha_dropout_of_whole_steps():
    return in_line(
        rows(4, 5),
        layers.Dense(6, "selu", kernel_initializer="lecun_normal"),
        layers.AlphaDropout(0.2, noise_shape=(None, 4, 1)),
        layers.ActivityRegularization(l2=1e-3),
        layers.Flatten(),
    )


def channels_first():
    return in_line(
        rows(3, 6),
        layers.Permute((2, 1)),
        layers.Conv1D(4, 2),
        layers.Permute((2, 1)),
        layers.Reshape((4, 5, 1)),
        layers.SpatialDropout2D(0.3, data_format="channels_first"),
        layers.Flatten(data_format="channels_first"),
    )


def steps_of_time_with_a_model():
    inner = keras.Input((4, 2))
    h = layers.Dropout(0.3)(layers.Conv1D(3, 2, activation="relu")(inner))
    frame = keras.Model(inner, layers.GlobalAveragePooling1D()(h))
    return in_line(rows(3, 4, 2), layers.TimeDistributed(frame), layers.GRU(4))


def masks_through_nested_sequences():
    inner = keras.Sequential([layers.Dropout(0.2), layers.LSTM(4, dropout=0.2)])
    embed = keras.Sequential([layers.Embedding(6, 4, mask_zero=True)])
    return in_line(tokens(5), keras.Sequential([embed, layers.Dropout(0.1)]), inner)


def a_layer_shared_at_two_depths():
    x = keras.Input((6,))
    dense, dropout = layers.Dense(6, activation="tanh"), layers.Dropout(0.3)
    h = dropout(dense(dropout(dense(x))))
    return keras.Model(x, softmax()(h + dense(x))), rows(6)


def one_seed_three_times():
    x = keras.Input((6,))
    a = layers.Dropout(0.3, seed=1)(x)
    b = layers.Dropout(0.3, seed=1)(layers.Dense(6, activation="relu")(x))
    c = layers.Dropout(0.3, seed=1)(layers.Dense(4, activation="relu")(x))
    return keras.Model(x, softmax()(layers.Concatenate()([a - b, c]))), rows(6)


@keras.saving.register_keras_serializable("more")
def doubled(x):
    return 2 * x


def lambda_layers():
    return in_line(
        rows(5),
        layers.Lambda(doubled),
        layers.Dropout(0.3),
        layers.Lambda(doubled, output_shape=(5,)),
        layers.Dense(4, activation=doubled),
    )


def bfloat16():
    policy = keras.DTypePolicy("mixed_bfloat16")
    steps = [
        layers.Dense(8, activation="relu", dtype=policy),
        layers.Dropout(0.3, dtype=policy),
        layers.Dense(6, activation="relu", dtype=policy),
    ]
    last = layers.Dense(N_CLASSES, activation="softmax", dtype="float32")
    return keras.Sequential([keras.Input((5,)), *steps, last]), rows(5)


def low_rank_adaptation():
    network, X = in_line(
        rows(5), layers.Dense(8, activation="relu"), layers.Dropout(0.3)
    )
    network.layers[0].enable_lora(2)
    network.layers[-1].enable_lora(2)
    return network, X


def one_output_of_several():
    x = keras.Input((5,))
    h = layers.Dropout(0.3)(layers.Dense(8, activation="relu")(x))
    other = layers.Dense(1, name="price")(layers.Dropout(0.2)(h))
    both = keras.Model(x, {"price": other, "kind": softmax()(h)})
    return keras.Model(both.input, both.output["kind"]), rows(5)


def operations_with_several_outputs():
    x = keras.Input((8,))
    a, b = ops.split(layers.Dropout(0.2)(x), 2, axis=-1)
    top, _ = ops.top_k(layers.Dropout(0.2)(layers.Dense(5)(x)), 2)
    h = ops.stack([a, ops.where(b > 0, b, 0 * b)], axis=1)
    h = ops.concatenate([ops.reshape(h, (-1, 8)), top], axis=-1)
    return keras.Model(x, softmax()(h)), rows(8)


@keras.saving.register_keras_serializable("more")
class Block(layers.Layer):
    """A residual block, with a list of layers."""

    def __init__(self, width, rate, **kwargs):
        super().__init__(**kwargs)
        self.width, self.rate = width, rate
        self.steps = [
            layers.Dense(width, activation="relu"),
            layers.Dropout(rate),
            layers.Dense(width),
        ]

    def build(self, shape):
        for step in self.steps:
            step.build(shape)

    def call(self, x, training=None):
        h = x
        for step in self.steps:
            h = step(h, training=training) if step is self.steps[1] else step(h)
        return x + h

    def get_config(self):
        return {**super().get_config(), "width": self.width, "rate": self.rate}


@keras.saving.register_keras_serializable("more")
class OfBlocks(keras.Model):
    """A subclassed model of subclassed blocks."""

    def __init__(self, rate=0.3, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.blocks = [Block(5, rate) for _ in range(2)]
        self.norm = layers.BatchNormalization()
        self.out = softmax()

    def build(self, shape):
        for block in self.blocks:
            block.build(shape)
        self.norm.build(shape)
        self.out.build(shape)
        self.built = True

    def call(self, x, training=False):
        for block in self.blocks:
            x = block(x, training=training)
        return self.out(self.norm(x, training=training))

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


def a_model_of_blocks():
    network = OfBlocks()
    network.build((None, 5))
    return network, rows(5)


@keras.saving.register_keras_serializable("more")
class FrozenBackbone(keras.Model):
    """Calls what it does not train in inference mode."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.backbone = keras.Sequential(
            [
                layers.Dense(8, activation="relu"),
                layers.BatchNormalization(),
                layers.Dropout(0.5),
            ]
        )
        self.backbone.trainable = False
        self.dropout = layers.Dropout(0.2)
        self.out = softmax()

    def call(self, x, training=None):
        return self.out(
            self.dropout(self.backbone(x, training=False), training=training)
        )


def a_frozen_backbone():
    network, X = FrozenBackbone(), rows(5)
    network(X)
    return network, X


@keras.saving.register_keras_serializable("more")
class FromFunctional(keras.Model):
    """A subclass of `keras.Model` made from inputs and outputs."""

    def train_step(self, data):
        return super().train_step(data)


def a_subclass_of_the_functional_model():
    x = keras.Input((5,))
    h = layers.Dropout(0.3)(layers.Dense(6, activation="relu")(x))
    return FromFunctional(
        inputs=x, outputs=softmax()(h + ops.mean(x, 1, keepdims=True))
    ), rows(5)


@keras.saving.register_keras_serializable("more")
class Gated(layers.Layer):
    """Noise within a layer, of a kind of its own each, and a decorated call."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.noise = layers.GaussianDropout(0.2)
        self.more = {"a": layers.GaussianNoise(0.2), "b": layers.AlphaDropout(0.1)}

    @tf.function
    def call(self, x, training=None):
        h = self.noise(x, training=training)
        if tf.reduce_sum(tf.ones(2)) > 3:
            h = 0 * h
        return self.more["a"](h, training=training) * ops.sigmoid(
            self.more["b"](x, training=training)
        )


def noise_within_a_decorated_call():
    return in_line(rows(5), layers.Dense(6), Gated())


@keras.saving.register_keras_serializable("more")
class Conditional(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = layers.Dropout(0.3)

    def call(self, x, training=None):
        x = ops.cond(ops.sum(ops.ones(2)) > 1, lambda: 2.0 * x, lambda: x)
        return ops.vectorized_map(ops.tanh, self.dropout(x, training=training))


def conditions_and_maps():
    return in_line(rows(5), layers.Dense(6), Conditional())


@keras.saving.register_keras_serializable("more")
class Centred(layers.Layer):
    """Keeps a mean of what it saw in training."""

    def build(self, shape):
        self.mean = self.add_weight(shape=(shape[-1],), trainable=False)

    def call(self, x, training=None):
        if training:
            self.mean.assign(0.9 * self.mean + 0.1 * ops.mean(x, axis=0))
        return x - self.mean


def a_variable_updated_in_training():
    return in_line(rows(5), Centred(), layers.Dense(6, "relu"), layers.Dropout(0.3))


@keras.saving.register_keras_serializable("more")
class Tied(keras.Model):
    """An autoencoder whose decoder has the encoder's weights, with a classifier."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.encoder = layers.Dense(4, activation="tanh")
        self.dropout = layers.Dropout(0.3)
        self.out = softmax()

    def call(self, x, training=None):
        code = self.dropout(self.encoder(x), training=training)
        again = code @ ops.transpose(self.encoder.kernel)
        return self.out(ops.concatenate([code, x - again], axis=-1))


def tied_weights():
    network, X = Tied(), rows(5)
    network(X)
    return network, X


@keras.saving.register_keras_serializable("more")
class WithoutTraining(layers.Layer):
    """Leaves it to Keras what mode the layer within is called in."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = layers.Dropout(0.4)

    def call(self, x):
        return self.dropout(x)


def a_mode_by_context():
    return in_line(rows(5), layers.Dense(6), WithoutTraining())


@keras.saving.register_keras_serializable("more")
class AlwaysWithin(keras.Model):
    """Asks for dropout whatever mode it is called in, several times."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden = layers.Dense(8, activation="relu")
        self.dropout = layers.Dropout(0.4)
        self.out = softmax()

    def call(self, x, training=None):
        h = self.hidden(x)
        h = self.dropout(h, training=True) + self.dropout(h, training=True)
        return self.out(h)


def a_model_that_always_drops():
    network, X = AlwaysWithin(), rows(5)
    network(X)
    return network, X


@keras.saving.register_keras_serializable("more")
class AlwaysWithoutMode(AlwaysWithin):
    def call(self, x):
        return self.out(self.dropout(self.hidden(x), training=True))


def a_model_that_knows_no_mode_and_always_drops():
    network, X = AlwaysWithoutMode(), rows(5)
    network(X)
    return network, X


@keras.saving.register_keras_serializable("more")
class AlwaysInALayer(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = layers.Dropout(0.4)
        self.recurrent = layers.GRU(4, dropout=0.2)

    def build(self, shape):
        self.recurrent.build(shape)

    def call(self, x):
        return self.recurrent(self.dropout(x, training=True), training=True)


def a_layer_that_always_drops():
    return in_line(rows(3, 4), layers.Dense(6), AlwaysInALayer())


def yes_and_no():
    x = keras.Input((5,), dtype="bool")
    h = layers.Dense(6, activation="relu")(ops.cast(x, "float32"))
    X = (rows(5) > 0).astype(np.float32)
    return keras.Model(x, softmax()(layers.Dropout(0.3)(h))), X


MORE_NETWORKS = {
    build.__name__.replace("_", " "): build
    for build in (
        mobile_net_block,
        residual_block_with_zero_gamma,
        dense_net_block,
        squeeze_and_excitation,
        conv_next_block,
        u_net_with_a_head,
        inception_branches,
        siamese_with_one_encoder,
        wide_and_deep,
        crossed_features,
        positions_and_causal_attention,
        encoder_and_decoder,
        masking_and_lstm,
        bidirectional_with_masks,
        a_cell_of_ones_own,
        convolutional_lstm_1d,
        one_dimensional_shapes,
        normalizations,
        spectral_normalization,
        alpha_dropout_of_whole_steps,
        channels_first,
        steps_of_time_with_a_model,
        masks_through_nested_sequences,
        a_layer_shared_at_two_depths,
        one_seed_three_times,
        lambda_layers,
        bfloat16,
        low_rank_adaptation,
        one_output_of_several,
        operations_with_several_outputs,
        a_model_of_blocks,
        a_frozen_backbone,
        a_subclass_of_the_functional_model,
        noise_within_a_decorated_call,
        conditions_and_maps,
        a_variable_updated_in_training,
        tied_weights,
        a_mode_by_context,
        a_model_that_always_drops,
        a_model_that_knows_no_mode_and_always_drops,
        a_layer_that_always_drops,
        yes_and_no,
    )
}

#: What older versions of Keras get wrong themselves, and since when they don't.
NEEDS_KERAS = {
    "wide and deep": ("3.10", "one-hot layers infer a wrong shape"),
    "positions and causal attention": ("3.10", "attention warns of its own masks"),
    "normalizations": ("3.10", "there is no RMSNormalization"),
    "a layer shared at two depths": ("3.10", "it can't be built from its config"),
}

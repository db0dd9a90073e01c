"""Networks and rows that can't be used: errors that say what was expected and got."""

import copy

import keras
import numpy as np
import pytest
from keras import layers
from keras_networks import NETWORKS
from lanes import fast
from numpy.testing import assert_array_equal
from sklearn.utils._param_validation import InvalidParameterError

from skmcdropout import MCDropoutClassifier

X = np.random.RandomState(0).normal(size=(30, 4)).astype(np.float32)
Y = np.repeat([0, 1, 2], 10)


def network(*last, n_in=4, rate=0.2):
    steps = [layers.Dense(5, activation="relu"), layers.Dropout(rate), *last]
    return keras.Sequential([keras.Input((n_in,)), *steps])


def good(meta, units=5, dropout_rate=0.2):
    return network(layers.Dense(3, activation="softmax"), rate=dropout_rate)


def without_rate(meta):
    return network(layers.Dense(3, activation="softmax"))


def compiled(meta):
    model = network(layers.Dense(3, activation="softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def compiled_with(loss, *last):
    def model(meta):
        built = network(*last)
        built.compile("sgd", loss)
        return built

    return model


def returns(value):
    return lambda meta: value


def ends_in(units, activation=None):
    return lambda meta: network(layers.Dense(units, activation=activation))


def two_outputs(meta):
    x = keras.Input((4,))
    h = layers.Dropout(0.2)(x)
    return keras.Model(x, [layers.Dense(3)(h), layers.Dense(3)(h)])


def stateful(meta):
    x = keras.Input(batch_shape=(1, 4, 1))
    h = layers.LSTM(3, stateful=True, name="memory", dropout=0.2)(x)
    return keras.Model(x, layers.Dense(3, activation="softmax")(h))


class OwnNoise(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(0)

    def call(self, x, training=None):
        return x + keras.random.normal(keras.ops.shape(x), seed=self.generator)


def own_noise(meta):
    return network(OwnNoise(name="mine"), layers.Dense(3, activation="softmax"))


class NoSeedNoise(layers.Layer):
    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x))


class WithoutConfig(layers.Layer):
    def __init__(self, array):
        super().__init__()
        self.array = array

    def call(self, x):
        return x


class OwnSteps(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


def own_steps(meta):
    x = keras.Input((4,))
    return OwnSteps(x, layers.Dense(3, "softmax")(layers.Dropout(0.2)(x)))


BAD_FITS = {
    "no model": ({"model": returns(None)}, "must be a function that returns a ker"),
    "a layer": ({"model": returns(layers.Dense(3))}, "Got <Dense"),
    "the model itself": (
        {"model": network(layers.Dense(3))},
        "model must be a function.*Got the model 'sequential.*from_keras",
    ),
    "too few outputs": (
        {"model": ends_in(2, "softmax")},
        "must have 3 outputs for 3 classes. Got 2",
    ),
    "one output": ({"model": ends_in(1, "sigmoid")}, "must have 3 outputs.*Got 1"),
    "relu": ({"model": ends_in(3, "relu")}, "activation 'softmax' or.*'relu"),
    "sigmoids": ({"model": ends_in(3, "sigmoid")}, "'softmax' or.*Got 'sigmoid'"),
    "two outputs": ({"model": two_outputs}, r"one output of shape \(n_rows, n_outputs"),
    "of sequences": (
        {"model": lambda meta: network(layers.Reshape((5, 1)), layers.Dense(3))},
        r"one output of shape.*Got \(None, 5, 3\)",
    ),
    "other rows": (
        {"model": lambda meta: network(layers.Dense(3, "softmax"), n_in=7)},
        r"rows of shape \(7,\) for the network's input.*array of shape \(30, 4\)",
    ),
    "unsaid": (
        {"model": lambda meta: network(layers.Dense(3), layers.Reshape((3,)))},
        "from_logits must be True or False for a model whose last layer, 'reshape",
    ),
    "logits for probabilities": (
        {"model": compiled_with("sparse_categorical_crossentropy", layers.Dense(3))},
        "must have from_logits=True.*Got from_logits=False",
    ),
    "probabilities for logits": (
        {
            "model": compiled_with(
                keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                layers.Dense(3, activation="softmax"),
            )
        },
        "must have from_logits=False.*Got from_logits=True",
    ),
    "a loss of one-hot rows": (
        {"model": compiled_with(lambda y, p: y * p, layers.Dense(3, "softmax"))},
        "loss 'lambda'.*must take what Keras's own fit",
    ),
    "stateful": ({"model": stateful}, "'memory' must not be stateful"),
    "noise of its own": ({"model": own_noise}, "layers that are known alone.*mine"),
    "steps of its own": (
        {"model": own_steps},
        "trained by its loss alone.*like train_step.*class OwnSteps.*from_keras",
    ),
    "an unknown parameter": (
        {"model": good, "model__unit": 3},
        r"model__unit must be a parameter of model.*Did you mean model__units\?",
    ),
    "a parameter without model": ({"model__units": 3}, "model__units must stand besid"),
    "a rate not taken": (
        {"model": without_rate, "dropout_rate": 0.3},
        "dropout_rate must be a parameter of model to be set. Got dropout_rate=0.3",
    ),
    "two rates": (
        {"model": good, "dropout_rate": 0.3, "model__dropout_rate": 0.4},
        "dropout_rate is given to model as model__dropout_rate already",
    ),
    "optimizer": ({"model": compiled, "optimizer": "sgd"}, "optimizer has no meaning"),
    "learning rate": (
        {"model": compiled, "learning_rate": 0.1},
        "learning_rate has no meaning beside a model that is compiled",
    ),
    "hidden layers": ({"model": good, "hidden_layer_sizes": (3,)}, "has no meaning"),
    "activation": ({"model": good, "activation": "tanh"}, "activation has no meaning"),
    "position": ({"model": good, "dropout_position": "all"}, "has no meaning"),
    "normalization": (
        {"model": good, "batch_normalization": False},
        "batch_normalization has no meaning beside model.*batch_normalization=False",
    ),
    "initializer": ({"model": good, "kernel_initializer": "orthogonal"}, "has no"),
    "penalty": ({"model": good, "alpha": 0.0}, "alpha has no meaning beside model"),
    "norm": ({"model": good, "max_norm": 2.0}, "max_norm has no meaning beside model"),
}  # fmt: skip


@pytest.fixture(scope="module")
def fitted():
    return MCDropoutClassifier(model=good, epochs=1, n_samples=7).fit(X, Y)


@pytest.mark.filterwarnings("ignore:.* was set after fit:UserWarning")
@pytest.mark.parametrize(
    "name", fast("too few outputs", "an unknown parameter", among=BAD_FITS)
)
def test_bad_models(fitted, name):
    """One that is fitted predicts as before."""
    parameters, message = BAD_FITS[name]
    before = fitted.predict_proba(X)
    bad = copy.copy(fitted) if "model" in parameters else MCDropoutClassifier(epochs=1)
    bad.set_params(**parameters)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        bad.fit(X, Y)
    if "model" in parameters:
        assert_array_equal(bad.predict_proba(X), before)


def test_a_bad_model_leaves_what_is_not_fitted_without_a_network():
    parameters, message = BAD_FITS["too few outputs"]
    fresh = MCDropoutClassifier(epochs=1, **parameters)
    with pytest.raises(ValueError, match=message):
        fresh.fit(X, Y)
    assert not [name for name in vars(fresh) if name.endswith("_")]


def test_sequences_of_any_length_are_tried():
    def any_length(meta, kernel=1):
        return keras.Sequential(
            [
                keras.Input((None, 2)),
                NoSeedNoise(),
                layers.Conv1D(3, kernel),
                layers.GlobalAveragePooling1D(),
                layers.Dropout(0.5),
                layers.Dense(3, activation="softmax"),
            ]
        )

    sequences = np.resize(X, (len(X), 320, 2))
    with pytest.raises(ValueError, match=r"draw random numbers in layers.*operations"):
        MCDropoutClassifier(model=any_length, epochs=1).fit(sequences, Y)
    with pytest.raises(ValueError, match=r"draw random numbers in layers.*operations"):
        MCDropoutClassifier.from_keras(any_length(None))
    # One that needs long sequences is tried when they come.
    classifier = MCDropoutClassifier.from_keras(any_length(None, kernel=300))
    with pytest.raises(ValueError, match=r"draw random numbers in layers.*operations"):
        classifier.predict_proba(sequences)


def test_random_operations_outside_of_known_layers_are_refused():
    model = network(NoSeedNoise(), layers.Dense(3, activation="softmax"))
    with pytest.raises(ValueError, match=r"draw random numbers in layers.*operations"):
        MCDropoutClassifier.from_keras(model)


class StochasticDepth(layers.Layer):
    def call(self, x, training=None):
        return x * keras.random.uniform((1,)) if training else x


class MoreThanNoise(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = layers.Dropout(0.3, name="inner")

    def call(self, x, training=None):
        return self.dropout(x, training=training) * (2 if training else 1)


class InALoop(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = layers.Dropout(0.3, name="inner")

    def call(self, x, training=None):
        def step(i, h):
            return i + 1, self.dropout(h, training=training)

        return keras.ops.while_loop(lambda i, h: i < 3, step, (0, x))[1]


class AcrossRows(layers.Layer):
    def call(self, x):
        return x - keras.ops.mean(x, axis=0)


class ShiftedDropout(layers.Dropout):
    def call(self, x, training=False):
        return super().call(x, training=training) + 1


class RowDropout(layers.SpatialDropout1D):
    def _get_noise_shape(self, inputs):
        return (keras.ops.shape(inputs)[0], inputs.shape[1], 1)


class DropConnect(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = layers.Dropout(0.3, name="of_weights")

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 5), initializer="ones")

    def call(self, x, training=None):
        return x @ self.dropout(self.kernel, training=training)


class CellWithDropout(layers.SimpleRNNCell):
    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.inner = layers.Dropout(0.3, name="at_each_step")

    def call(self, x, states, training=False):
        return super().call(self.inner(x, training=training), states)


class Forgetful(layers.Layer):
    def __init__(self, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, x):
        return x * self.scale


def forgetful():
    layer = Forgetful()
    layer.scale = 5.0  # not in its configuration
    return layer


def two_of_one_name():
    def make(k):
        def activation(x):
            return k * x

        return activation

    return [layers.Dense(4, activation=make(k)) for k in (1, -3)]


UNSAMPLABLE = {
    "random depth": (lambda: [StochasticDepth()], "known alone.*random_uniform"),
    "more than noise": (
        lambda: [MoreThanNoise(name="outer")],
        r"must do nothing else in training mode.*one of \['outer'\] does",
    ),
    "in a loop": (lambda: [InALoop()], "'inner' must not draw inside a loop"),
    "rows together": (
        lambda: [layers.Dense(5, name="first"), AcrossRows(name="across")],
        "each row by itself.*'across' gives depends on the other rows",
    ),
    "no configuration": (
        lambda: [WithoutConfig(np.ones(5))],
        "from its configuration.*\nGot the layer 'without_config.*of type WithoutCo",
    ),
    "another law": (
        lambda: [ShiftedDropout(0.3, name="mine")],
        "'mine' of type ShiftedDropout must do what the layer of Keras",
    ),
    "another shape": (
        lambda: [layers.Reshape((5, 1)), RowDropout(0.3), layers.Flatten()],
        "of type RowDropout must do what",
    ),
    "weights": (
        lambda: [DropConnect()],
        "input of the layer 'of_weights' must have one",
    ),
    "each step": (
        lambda: [layers.Reshape((5, 1)), layers.RNN(CellWithDropout(4))],
        "must not hold dropout layers.*'at_each_step'",
    ),
    "rebuilt otherwise": (lambda: [forgetful()], "built again predicts otherwise"),
    "one name for two": (two_of_one_name, "different names.*two that are named 'activ"),
}


@pytest.mark.parametrize("name", UNSAMPLABLE)
def test_networks_that_would_be_drawn_from_wrongly_are_refused(name):
    make, message = UNSAMPLABLE[name]
    model = network(*make(), layers.Dense(3, activation="softmax"))
    with pytest.raises(ValueError, match=f"(?s){message}"):
        MCDropoutClassifier.from_keras(model)


def test_rows_folded_into_another_axis_are_refused():
    x = keras.Input((6, 4))
    h = keras.ops.reshape(x, (-1, 4))  # six rows of each
    h = keras.ops.reshape(layers.Dropout(0.3, name="shared")(h), (-1, 24))
    model = keras.Model(x, layers.Dense(3, activation="softmax")(h))
    with pytest.raises(
        ValueError, match="input of the layer 'shared' must have one en"
    ):
        MCDropoutClassifier.from_keras(model)


def test_an_operation_across_rows_is_named():
    x = keras.Input((4,))
    h = layers.Dense(5)(x)
    h = h - keras.ops.mean(h, axis=0)
    model = keras.Model(x, layers.Dense(3, "softmax")(layers.Dropout(0.2)(h)))
    with pytest.raises(ValueError, match=r"what 'mean\w*' gives depends on the other"):
        MCDropoutClassifier.from_keras(model)


def test_a_fixed_number_of_rows_is_refused():
    x = keras.Input((4,), batch_size=5)
    h = layers.Dense(3, activation="softmax")(layers.Dropout(0.2)(x))
    with pytest.raises(ValueError, match=r"any number of rows. Got a batch_size of 5"):
        MCDropoutClassifier.from_keras(keras.Model(x, h))


def test_float16_is_not_trained():
    policy = keras.DTypePolicy("mixed_float16")

    def model(meta):
        steps = [layers.Dense(5, dtype=policy), layers.Dropout(0.2, dtype=policy)]
        softmax = layers.Dense(3, activation="softmax", dtype="float32")
        return keras.Sequential([keras.Input((4,)), *steps, softmax])

    with pytest.raises(ValueError, match="must compute in float32 or bfloat16"):
        MCDropoutClassifier(model=model).fit(X, Y)
    proba = MCDropoutClassifier.from_keras(model({})).predict_proba(X)
    assert abs(proba.sum(axis=1) - 1).max() < 1e-5


def test_nothing_to_sample_is_warned_of():
    model = network(layers.Dense(3, activation="softmax"), rate=0)
    with pytest.warns(UserWarning, match="no dropout or noise layer.*nothing to sampl"):
        classifier = MCDropoutClassifier.from_keras(model)
    assert classifier.predict_uncertainty(X, "mutual_information").max() == 0
    with pytest.warns(UserWarning, match="nothing to sample"):
        MCDropoutClassifier(model=good, dropout_rate=0.0, epochs=1).fit(X, Y)


def test_other_types_of_model():
    with pytest.raises(InvalidParameterError, match=r"'model' parameter.*callable"):
        MCDropoutClassifier(model="mlp").fit(X, Y)
    with pytest.raises(
        TypeError, match=r"unexpected keyword argument 'units'.*model__u"
    ):
        MCDropoutClassifier(model=good, units=3)
    with pytest.raises(ValueError, match="Invalid parameter 'units'"):
        MCDropoutClassifier(model=good).set_params(units=3)


def test_errors_of_the_function_come_through():
    def broken(meta):
        raise RuntimeError("no network today")

    with pytest.raises(RuntimeError, match="no network today"):
        MCDropoutClassifier(model=broken).fit(X, Y)


def with_nan():
    model = network(layers.Dense(3, activation="softmax"))
    model.set_weights([w * np.nan for w in model.get_weights()])
    return model


MODELS = {
    "not a model": (good, {}, r"must be a trained keras.Model.*<function g"),
    "not built": (keras.Sequential([layers.Dense(3)]), {}, "must be a trained k"),
    "too few classes": (good({}), {"classes": ["a", "b"]}, "must have 1 or 2 outp"),
    "too many classes": (good({}), {"classes": list("abcd")}, "must have 4 outputs"),
    "a class twice": (good({}), {"classes": list("aba")}, "each one once.*'a' 'b' 'a'"),
    "a table of classes": (good({}), {"classes": np.eye(3)}, "should be a 1d array"),
    "said otherwise": (
        good({}), {"from_logits": True}, "from_logits must be False or None.*'softmax'",
    ),
    "nan": (with_nan(), {}, "weights must be finite"),
    "bad parameter": (good({}), {"n_samples": -1}, "'n_samples' parameter.*Got -1"),
    "network parameter": (
        good({}), {"hidden_layer_sizes": (3,)}, "hidden_layer_sizes must be left alone",
    ),
    "another model": (good({}), {"batch_size": 0}, "'batch_size' parameter.*Got 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_bad_trained_models(name):
    model, parameters, message = MODELS[name]
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        MCDropoutClassifier.from_keras(model, **parameters)


BAD_ROWS = {
    "features": (X[:, :3], "X has 3 features, but .* is expecting 4 features"),
    "axes": (X[:, :, None, None], r"rows of shape \(4,\).*shape \(30, 4, 1, 1\)"),
    "1-d": (X[0], "Expected 2D array, got 1D array"),
    "nan": (X * np.nan, "Input X contains NaN"),
    "strings": (X.astype(str).astype(object) + "a", "could not convert string"),
    "dict": ({"a": X}, r"X must be one array.*dict of \['a'\]"),
    "none": (X[:0], r"Found array with 0 sample\(s\)"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_for_a_network(fitted, name):
    rows, message = BAD_ROWS[name]
    before = fitted.predict_proba(X)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        fitted.predict_proba(rows)
    assert_array_equal(fitted.predict_proba(X), before)


def test_images_of_another_size():
    def model(meta):
        steps = [layers.Flatten(), layers.Dropout(0.2), layers.Dense(3, "softmax")]
        return keras.Sequential([keras.Input((4, 5)), *steps])

    images = np.ones((30, 4, 5))
    fitted = MCDropoutClassifier(model=model, epochs=1).fit(images, Y)
    with pytest.raises(ValueError, match=r"rows of shape \(4, 5\).*\(30, 4, 6\)"):
        fitted.predict(np.ones((30, 4, 6)))
    with pytest.raises(ValueError, match=r"rows of shape \(4, 5\).*\(30, 4\)"):
        fitted.predict(np.ones((30, 4)))


def test_bad_rows_for_several_inputs():
    model, rows = NETWORKS["several inputs by name"]()
    classifier = MCDropoutClassifier.from_keras(model)
    for wrong, message in (
        ({"z": rows["z"]}, r"each of the network's inputs, \['b', 'z'\].*Got \['z'\]"),
        ({**rows, "b": rows["b"] + 0.5}, "integers for the network's input 'b'"),
        ({**rows, "b": rows["b"][:5]}, "inconsistent numbers of samples"),
        ({**rows, "z": rows["z"] * np.nan}, r"Input X\['z'\] contains NaN"),
        ({}, "must hold an array for each input"),
        (np.ones((3, 9)), r"one after the other.*Got an array of shape \(3, 9\)"),
    ):
        with pytest.raises(ValueError, match=f"(?s){message}"):
            classifier.predict_proba(wrong)
    assert classifier.predict_proba(rows).shape == (len(rows["z"]), 3)


def test_going_on_with_another_network():
    fitted = MCDropoutClassifier(model=good, epochs=1, warm_start=True).fit(X, Y)
    before = fitted.predict_proba(X)

    def another(meta, dropout_rate):
        return wider(meta)

    def wider(meta):
        steps = [layers.Dense(9), layers.Dropout(0.1), layers.Dense(3, "softmax")]
        return keras.Sequential([keras.Input((4,)), *steps])

    for parameters, message in (
        ({"model": wider}, r"must keep the network of the last fit.*Got \[\(4, 9\)"),
        ({"model": another}, "must keep the network of the last fit"),
        ({"model": None}, "must keep the network of the last fit"),
    ):
        with pytest.raises(ValueError, match=f"(?s){message}"):
            fitted.set_params(**parameters).fit(X, Y)
        assert_array_equal(fitted.set_params(model=good).predict_proba(X), before)
    mlp = MCDropoutClassifier((3,), epochs=1, warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="must keep the network of the last fit"):
        mlp.set_params(model=good, hidden_layer_sizes=(128, 128)).fit(X, Y)


class Scaled(layers.Layer):
    """Its factor is missing from its configuration."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.factor = 1.0

    def call(self, x):
        return x * self.factor


@pytest.mark.slow
def test_state_outside_of_the_configuration_is_found_in_every_network_of_a_kind():
    for factor in (1.0, -3.0):
        layer = Scaled()
        layer.factor = factor
        last = layers.Dense(3, activation="softmax")
        model = network(layers.Dropout(0.5), layers.Dense(3), layer, last)
        if factor == 1.0:
            MCDropoutClassifier.from_keras(model)
    with pytest.raises(ValueError, match="the one built again predicts otherwise"):
        MCDropoutClassifier.from_keras(model)

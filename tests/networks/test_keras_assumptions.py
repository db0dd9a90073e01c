"""What we rely on in Keras, tested on Keras alone, so that an upgrade that breaks it
says so."""

import itertools
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

X = np.random.RandomState(0).normal(size=(64, 5)).astype(np.float32)


def network(seed=0):
    layers, he = keras.layers, keras.initializers.HeNormal
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.BatchNormalization(),
            layers.Dropout(0.5, seed=seed),
            layers.Dense(4, activation="relu", kernel_initializer=he(seed)),
            layers.Dense(3, activation="softmax", kernel_initializer=he(seed)),
        ]
    )


def test_dropout_is_inverted():
    out = keras.layers.Dropout(0.75, seed=0)(np.ones((100, 100)), training=True)
    assert_allclose(np.unique(out), [0, 4])
    assert_allclose(np.mean(out), 1, atol=0.05)


def test_dropout_does_nothing_at_inference():
    assert_array_equal(keras.layers.Dropout(0.5, seed=0)(X, training=False), X)


def test_batch_normalization_in_inference_mode_is_affine():
    norm = keras.layers.BatchNormalization(epsilon=0.01)
    norm.build((None, 5))
    rng = np.random.RandomState(1)
    gamma, beta, mean = rng.normal(size=(3, 5))
    variance = rng.uniform(1, 2, size=5)
    norm.set_weights([gamma, beta, mean, variance])
    expected = gamma * (X - mean) / np.sqrt(variance + 0.01) + beta
    assert_allclose(norm(X, training=False), expected, atol=1e-5)


def test_seeded_networks_are_equal_and_no_global_generator_is_read():
    state = random.getstate(), str(np.random.get_state())
    first, second = network(), network()
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        assert_array_equal(a, b)
    assert (random.getstate(), str(np.random.get_state())) == state


def test_an_initializer_without_a_seed_reads_pythons_generator():
    """Why every initializer gets one; if this fails, `_seeded` may be needless."""
    state = random.getstate()
    keras.initializers.HeNormal()
    assert random.getstate() != state
    random.setstate(state)


def test_seed_generator_state_is_found_by_name_and_counts_steps():
    net = network(seed=9)
    states = [
        v for v in net.non_trainable_variables if v.name == "seed_generator_state"
    ]
    assert [v.numpy().tolist() for v in states] == [[9, 0]]
    net(X, training=True)
    assert [v.numpy().tolist() for v in states] == [[9, 1]]


def test_get_weights_leaves_seeds_out():
    assert len(network().get_weights()) == 4 + 2 + 2


def test_stateless_call_takes_weights_and_returns_updates_and_penalties():
    penalty = keras.regularizers.L2(0.5)
    dense = keras.layers.Dense(3, kernel_regularizer=penalty)
    net = keras.Sequential([keras.Input((5,)), dense])
    kernel = dense.kernel.numpy() * 2
    trainable = [v.value * 2 for v in net.trainable_variables]
    out, updates, penalties = net.stateless_call(
        trainable, net.non_trainable_variables, X, training=True, return_losses=True
    )
    assert out.shape == (64, 3)
    assert len(updates) == len(net.non_trainable_variables)
    assert_allclose(penalties, [0.5 * (kernel**2).sum()], rtol=1e-5)


def test_loss_uses_logits_where_the_softmax_saturates():
    """In a graph the loss sees through the softmax, so it is exact at p = 0."""
    loss = keras.losses.SparseCategoricalCrossentropy()

    @tf.function
    def compiled(z):
        return loss(tf.constant([1]), keras.activations.softmax(z))

    assert_allclose(compiled(tf.constant([[100.0, 0.0]])), 100, rtol=1e-5)


def test_loss_is_the_weighted_sum_over_the_number_of_rows():
    p = np.array([[0.5, 0.5], [0.2, 0.8]])
    loss = keras.losses.SparseCategoricalCrossentropy()
    value = loss(np.array([0, 1]), p, sample_weight=np.array([1.0, 3.0]))
    assert_allclose(value, -(np.log(0.5) + 3 * np.log(0.8)) / 2, rtol=1e-5)


def test_early_stopping_restores_the_best_weights_at_the_end():
    net = network()
    stopper = keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True)
    stopper.set_model(net)
    stopper.on_train_begin()
    best = net.get_weights()
    stopper.on_epoch_end(0, {"val_loss": 1.0})
    net.set_weights([w + 1 for w in best])
    stopper.on_epoch_end(1, {"val_loss": 2.0})
    assert net.stop_training
    stopper.on_train_end()
    for a, b in zip(best, net.get_weights(), strict=True):
        assert_array_equal(a, b)


def test_max_norm_bounds_columns():
    constraint = keras.constraints.MaxNorm(1.0, axis=0)
    assert_allclose(np.linalg.norm(constraint(X * 10), axis=0), 1, rtol=1e-5)


def test_an_executor_can_be_chosen():
    doubled = tf.function(lambda x: x * 2)
    with tf.experimental.function_executor_type("SINGLE_THREADED_EXECUTOR"):
        assert float(doubled(tf.constant(2.0))) == 4


def test_a_graph_is_run_with_any_function_for_its_operations():
    """Private; `Pass` runs networks so."""
    x = keras.Input((5,))
    h = keras.layers.Dense(4)(x)
    net = keras.Model(x, keras.layers.Add()([h, 2 * h]))
    called = []

    def instead(operation):
        called.append(type(operation).__name__)
        return operation

    out = net._run_through_graph([tf.constant(X)], operation_fn=instead)
    assert_allclose(keras.tree.flatten(out)[0], net(X), atol=1e-6)
    assert sorted(called) == ["Add", "Dense", "Multiply"]
    standard = keras.tree.flatten(net._standardize_inputs(tf.constant(X)))
    assert_array_equal(standard[0], X)


def test_a_sequence_is_its_layers():
    out = X
    for layer in network().layers:
        out = layer(out, training=False)
    assert_allclose(out, network()(X), atol=1e-6)


def test_nodes_of_a_graph_tell_what_feeds_them():
    """Private; `in_line` looks at them."""
    net = network()._functional
    depths = sorted(net._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in net._nodes_by_depth[depth]]
    assert nodes[0].is_input
    for before, node in itertools.pairwise(nodes):
        assert node.arguments.args[0] is before.outputs[0]
    assert nodes[-1].outputs[0] is net.outputs[0]


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_recurrent_cells_make_their_masks_in_one_method(kind):
    """Private; `Pass` replaces it. With masks of one a layer drops nothing."""
    make = getattr(keras.layers, kind)
    layer = make(3, dropout=0.4, recurrent_dropout=0.3)
    x = X[:, :, None]
    expected = layer(x, training=False)
    calls = []

    def ones(step_input, rate):
        calls.append(rate)
        count = getattr(layer.cell, "dropout_mask_count", None)
        return [tf.ones_like(step_input)] * count if count else tf.ones_like(step_input)

    layer.cell._create_dropout_mask = ones
    assert_allclose(layer(x, training=True), expected, atol=1e-6)
    assert calls == [0.4, 0.3]


def test_attention_weights_come_from_one_method():
    """Private; `Pass` replaces it."""
    layer = keras.layers.Attention(dropout=0.4)
    q = tf.constant(X[:, :, None])
    layer([q, q])
    scores = layer._calculate_scores(query=q, key=q)
    result, weights = layer._apply_scores(scores, q, None, training=False)
    assert_allclose(tf.matmul(weights, q), result, atol=1e-5)
    assert_allclose(tf.reduce_sum(weights, axis=-1), 1, atol=1e-5)
    assert_allclose(layer([q, q], training=False), result, atol=1e-5)


def test_the_mask_of_time_steps_is_kept_with_a_tensor():
    """Private; `Pass` repeats it with the tensor."""
    embedded = keras.layers.Embedding(3, 2, mask_zero=True)(np.array([[1, 0]]))
    assert_array_equal(embedded._keras_mask, [[True, False]])
    assert_array_equal(keras.layers.Dropout(0.5)(embedded)._keras_mask, [[True, False]])


def test_a_call_set_on_a_layer_is_the_one_called():
    dense = keras.layers.Dense(2)
    dense.build((None, 5))
    vars(dense)["call"] = lambda x, training=None: x
    assert_array_equal(dense(X), X)
    del vars(dense)["call"]
    assert dense(X).shape == (64, 2)


def test_networks_are_built_again_from_their_configuration():
    net = network()
    plain = keras.saving.serialize_keras_object(net)
    again = keras.saving.deserialize_keras_object(plain)
    again.set_weights(net.get_weights())
    assert_allclose(again(X), net(X), atol=1e-6)


def test_a_layer_drops_what_keras_random_drops_for_its_seed():
    """So the trial knows what Keras drew: by the layer's own generator."""
    x = np.random.RandomState(0).normal(size=(5, 6, 3)).astype(np.float32)
    for kind in (keras.layers.Dropout, keras.layers.SpatialDropout1D):
        layer = kind(0.4, seed=3)
        dropped = layer(x, training=True)
        shape = (5, 1, 3) if kind is keras.layers.SpatialDropout1D else x.shape
        generator = keras.random.SeedGenerator(3)
        ones = keras.random.dropout(np.ones(shape, np.float32), 0.4, seed=generator)
        assert_allclose(dropped, x * ones, rtol=1e-6)
        assert layer.seed_generator.state.numpy().tolist() == [3, 1]


def test_private_parts_of_keras_are_there():
    """Without these the trial, metrics or the memory of optimizers would go wrong."""
    net = network()
    net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert net._compile_config.config["metrics"] == ["accuracy"]
    assert net._call_has_training_arg
    assert not keras.layers.Flatten()._call_has_training_arg
    assert callable(net.optimizer._all_reduce_sum_gradients)
    assert callable(keras.layers.GRUCell(3)._create_dropout_mask)
    assert callable(keras.layers.Attention()._apply_scores)


def test_private_parts_of_tensorflow_are_there():
    from tensorflow.python.eager import context

    tf.constant(1)
    assert context._context is context.context()
    assert context._context._initialized
    assert callable(context.context().clear_kernel_cache)


def test_flat_layers_are_a_network_and_all_within_it():
    inner = keras.Sequential([keras.Input((5,)), keras.layers.Dense(5)])
    net = keras.Sequential([keras.Input((5,)), inner, keras.layers.Dropout(0.5)])
    flat = net._flatten_layers()
    assert flat[0] is net
    assert {type(layer).__name__ for layer in flat} >= {
        "Sequential",
        "Dense",
        "Dropout",
    }
    assert inner in flat
    assert net not in net._flatten_layers(include_self=False)


def test_a_symbolic_output_knows_its_operation():
    x = keras.Input((5,))
    softmax = keras.layers.Softmax()
    assert softmax(x)._keras_history.operation is softmax


def test_a_dropout_layer_chooses_the_shape_of_its_mask_in_a_method_of_its_class():
    """Why a class that has another is not sampled by the law of its base."""
    layer = keras.layers.SpatialDropout1D
    assert "_get_noise_shape" in vars(layer) or "_get_noise_shape" in vars(
        layer.__mro__[1]
    )


def test_a_callback_holds_its_model_where_it_can_be_taken_away():
    callback = keras.callbacks.Callback()
    net = network()
    callback.set_model(net)
    assert callback._model is net
    callback._model = None
    assert callback.model is None


def test_tensors_with_a_value_are_eager_tensors():
    found = []

    @tf.function(autograph=False)
    def note(x):
        found.append(isinstance(x, tf.__internal__.EagerTensor))
        return x

    note(tf.constant(1.0))
    assert found == [False]
    assert isinstance(tf.constant(1.0), tf.__internal__.EagerTensor)


def test_without_the_sum_over_replicas_an_optimizer_does_the_same():
    weights = []
    for is_replaced in (False, True):
        variable = keras.Variable(X[:3].copy())
        optimizer = keras.optimizers.Adam(0.1)
        optimizer.build([variable])
        if is_replaced:
            optimizer._all_reduce_sum_gradients = lambda pairs: pairs
        optimizer.apply([tf.constant(X[3:6])], [variable])
        weights.append(variable.numpy())
    assert_array_equal(*weights)

"""`GraphTrainer`: trains any network, many batches a call, compiled once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._networks.outputs import Outputs
from skmcdropout._networks.spec import NetworkSpec
from skmcdropout._training.criterion import Criterion
from skmcdropout._training.one_thread import OnOneThread
from skmcdropout._training.state import TrainingState
from skmcdropout._training.trainer import Call, Trainer, fixed_learning_rate
from skmcdropout._training.variables import FreeVariables, OwnVariables, assign
from skmcdropout._utils.private import takes_training, train_on_one_replica


class GraphTrainer(Trainer):
    """Trains `network`, with Keras's optimizer, loss and callbacks.

    `network` is one of `spec`. With `any_shape` it trains weights of any shapes, for
    networks with layers like those of `network` (see `FreeVariables`).
    """

    #: Rows trained a call: a few tenths of a second between two interrupts.
    unwatched_rows = 20_000

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.Optimizer,
        spec: NetworkSpec,
        any_shape: bool,
    ) -> None:
        super().__init__(network, optimizer, spec)
        train_on_one_replica(optimizer)
        self._spec = spec
        self._criterion = Criterion(spec.make_loss(), spec.outputs)
        label_shape, label_dtype = spec.outputs.label_shape, spec.outputs.label_dtype
        if self._has_metrics:  # their variables are made at the first call
            p = tf.zeros((1, spec.outputs.n_units))
            labels = tf.zeros((1, *label_shape), label_dtype)
            self.compute_metrics(None, *self._criterion.measured(labels, p))
        kind = FreeVariables if any_shape else OwnVariables
        self._variables = kind(network, optimizer)
        self._initial_optimizer = [v.numpy() for v in optimizer.variables]
        self._noise_variables = [
            held
            for variable, held in zip(
                network.non_trainable_variables, self._variables.others, strict=True
            )
            if variable.name == "seed_generator_state"
        ]
        states = [variable.numpy().tolist() for variable in self._noise_variables]
        #: Of each the first with the same seed: layers of one seed drop the same.
        self._noise_sources = [states.index(state) for state in states]
        data = [
            tf.TensorSpec([None, None], spec.table_dtype),
            tf.TensorSpec([None, *(None for _ in label_shape)], label_dtype),
            tf.TensorSpec([None], tf.float32),
        ]
        shapes = [
            tf.TensorSpec([len(variable.shape)], tf.int32)
            for variable in network.trainable_variables
            if any_shape
        ]
        count = tf.TensorSpec([], tf.int64)
        order = tf.TensorSpec([None, None], tf.int64)
        counts = [count] * 5
        self._train_batches = OnOneThread(
            self._train_batches_in_graph, [shapes, *data, order, *counts]
        )
        self._evaluate = OnOneThread(
            self._evaluate_in_graph, [shapes, *data, tf.TensorSpec([None], tf.int64)]
        )

    def get_weights(self) -> list[NDArray[Any]]:
        """The weights that are trained, as the network orders them."""
        return self._variables.get()

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set the weights that are trained."""
        self._variables.set(weights)

    def use(self, outputs: Outputs) -> None:
        """Compare in the units of these outputs, of those that the trainer serves."""
        self._criterion.use(outputs)

    @property
    def optimizer_kind(self) -> str:
        """What the state of the optimizer fits, apart from the weights' shapes."""
        kind = type(self.optimizer)
        layout = type(self._variables).__name__
        return f"{kind.__module__}.{kind.__qualname__} of {layout}"

    def _fresh_optimizer(self) -> Sequence[NDArray[Any]]:
        """The optimizer's state before any training of the weights there are."""
        return self._variables.resized(self._initial_optimizer)

    def load(self, state: TrainingState, optimizer: keras.Optimizer, seed: int) -> None:
        """Set every variable that an earlier fit may have left otherwise."""
        progress = state.progress
        self.set_weights(state.weights)
        variables = self.optimizer.variables
        goes_on = progress.optimizer_kind == self.optimizer_kind
        goes_on = goes_on and len(progress.optimizer) == len(variables)
        before = progress.optimizer if goes_on else self._fresh_optimizer()
        _assign_all(variables, before)
        learning_rate = fixed_learning_rate(optimizer)
        if learning_rate is not None and not (
            goes_on and learning_rate == progress.learning_rate
        ):
            self.optimizer.learning_rate = learning_rate
        seeds = np.random.RandomState(seed).randint(
            2**31 - 1, size=len(self._noise_variables)
        )
        fresh = [np.array([seeds[i], 0]) for i in self._noise_sources]
        is_same = len(progress.noise) == len(fresh)
        _assign_all(self._noise_variables, progress.noise if is_same else fresh)

    def _optimizer_state(self) -> list[NDArray[Any]]:
        return [variable.numpy() for variable in self.optimizer.variables]

    def _noise_state(self) -> list[NDArray[Any]]:
        return [variable.numpy() for variable in self._noise_variables]

    def _begin(self, call: Call) -> None:
        data = (
            list(self._variables.shapes),
            tf.constant(call.table),
            tf.constant(call.labels, self._spec.outputs.label_dtype),
            tf.constant(call.loss_weights),
        )
        self._call, self._data = call, data
        #: The epochs that were shuffled last, and their rows.
        self._order_of: tuple[range, Any] = (range(0), None)
        self._held = tf.constant(call.validation_rows)

    def _train_epochs(self, epochs: range) -> list[float]:
        n_batches = self._call.n_batches
        losses = self._train(epochs, 0, n_batches * len(epochs))
        return losses.reshape(len(epochs), n_batches).sum(axis=1).tolist()

    def _train_batch(self, epoch: int, batch: int) -> float:
        return float(self._train(range(epoch, epoch + 1), batch, batch + 1)[0])

    def _train(self, epochs: range, first: int, last: int) -> NDArray[np.float32]:
        """Train batches, counted through some epochs; sum over rows of the loss."""
        call = self._call
        if self._order_of[0] != epochs:
            orders = [
                np.random.RandomState([call.seed, epoch]).permutation(call.rows)
                for epoch in epochs
            ]
            self._order_of = (epochs, tf.constant(np.stack(orders)))
        n_before = (epochs.start - call.initial_epoch) * call.n_batches
        counts = (call.n_annealed, n_before, call.n_batches, first, last)
        losses = self._train_batches(
            *self._data,
            self._order_of[1],
            *(tf.constant(count, tf.int64) for count in counts),
        )
        return losses.numpy()

    def _evaluate_held(self) -> dict[str, float]:
        found = self._evaluate(*self._data, self._held)
        return {name: float(value) for name, value in found.items()}

    def _end(self) -> None:
        if self.optimizer.use_ema:
            self.optimizer.finalize_variable_values(self.network.trainable_variables)

    def _train_batches_in_graph(
        self,
        shapes: Any,
        x: tf.Tensor,
        y: Any,
        w: Any,
        orders: Any,
        n_annealed: Any,
        n_before: Any,
        n_batches: Any,
        first: Any,
        last: Any,
    ) -> Any:
        """One optimizer step for each of the batches first, ..., last - 1.

        `orders` holds the rows of an epoch in each line; batches are counted through.
        Returned is the sum over rows of the loss, batch by batch. The learning rate
        that callbacks see and set is that of the first of `n_annealed` steps, of which
        `n_before` were in earlier calls; it stays as it is where there are none.
        """
        variables = self._variables
        rate = self.optimizer.learning_rate
        is_fixed = hasattr(rate, "assign")  # a variable, and not what a schedule says
        base = tf.identity(rate.value) if is_fixed else None
        n_rows = tf.shape(orders, out_type=tf.int64)[1]

        def step(batch: Any, losses: Any) -> tuple[Any, Any]:
            epoch, i = batch // n_batches, batch % n_batches
            if is_fixed:
                rate.assign(base * _annealed(n_before + batch, n_annealed))
            rows = orders[
                epoch, i * n_rows // n_batches : (i + 1) * n_rows // n_batches
            ]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                values = [tf.convert_to_tensor(slot.value) for slot in variables.slots]
                tape.watch(values)
                p, updated, penalties = self.network.stateless_call(
                    variables.split(values, shapes),
                    [tf.convert_to_tensor(other) for other in variables.others],
                    self._spec.arguments(self.network, tf.gather(x, rows)),
                    return_losses=True,
                    **self._mode(training=True),
                )
                labels, factors = tf.gather(y, rows), tf.gather(w, rows)
                loss, told = self._criterion.losses(labels, p, factors)
                parts = [tf.cast(part, tf.float32) for part in penalties]
                loss = tf.add_n([loss, *parts])
            self.optimizer.apply(tape.gradient(loss, values), variables.slots)
            self._measure(labels, p, factors)
            variables.constrain(shapes)
            for variable, value in zip(variables.others, updated, strict=True):
                assign(variable, value)
            told = tf.add_n([told, *parts])
            loss_sum = told * tf.cast(tf.size(rows), told.dtype)
            return batch + 1, losses.write(tf.cast(batch - first, tf.int32), loss_sum)

        losses = tf.TensorArray(tf.float32, tf.cast(last - first, tf.int32))
        _, losses = tf.while_loop(lambda batch, _: batch < last, step, (first, losses))
        losses = losses.stack()
        if is_fixed:
            with tf.control_dependencies([losses]):
                rate.assign(base)
        return losses

    def _measure(self, labels: Any, p: tf.Tensor, factors: Any) -> None:
        """Let the metrics see a batch."""
        if self._has_metrics:
            compared = self._criterion.measured(labels, p)
            self.compute_metrics(None, *compared, sample_weight=factors)

    def _mode(self, training: bool) -> dict[str, bool]:
        """`training`, for a network whose `call` takes it."""
        return {"training": training} if takes_training(self.network) else {}

    def _evaluate_in_graph(
        self, shapes: Any, x: tf.Tensor, y: Any, w: Any, rows: tf.Tensor
    ) -> dict[str, Any]:
        """Weighted mean loss and scores over `rows`, dropout off."""
        variables = self._variables
        p, _ = self.network.stateless_call(
            variables.split([slot.value for slot in variables.slots], shapes),
            [tf.convert_to_tensor(other) for other in variables.others],
            self._spec.arguments(self.network, tf.gather(x, rows)),
            **self._mode(training=False),
        )
        labels, factors = tf.gather(y, rows), tf.gather(w, rows)
        factors = tf.math.divide_no_nan(factors, tf.reduce_mean(factors))
        self._measure(labels, p, factors)
        _, loss = self._criterion.losses(labels, p, factors)
        outputs = self._spec.outputs
        scores = outputs.scores(outputs.values(p), labels)
        means = {name: tf.reduce_mean(s * factors) for name, s in scores.items()}
        return {"loss": loss, **means}


def _annealed(step: tf.Tensor, n_steps: tf.Tensor) -> tf.Tensor:
    """Share of the learning rate at a step: half a cosine from 1 to 0, or 1."""
    share = tf.math.divide_no_nan(
        tf.cast(step, tf.float32), tf.cast(n_steps, "float32")
    )
    return (1 + tf.cos(np.pi * share)) / 2


def _assign_all(variables: Sequence[Any], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        assign(variable, value)

"""`GraphTrainer`: a Keras model whose `fit` runs many batches a call, compiled once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._networks.keras_backend import DTYPE
from skmcdropout._networks.spec import NetworkSpec
from skmcdropout._training.one_thread import OnOneThread
from skmcdropout._training.scikeras_backend import SCIKERAS_LOSS
from skmcdropout._training.variables import FreeVariables, OwnVariables, assign
from skmcdropout._utils.interrupts import interrupts_held
from skmcdropout._utils.private import takes_training, train_on_one_replica

#: Rows that several epochs together may train in one call: some tenths of a second.
UNWATCHED_ROWS = 20_000

BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
)


class GraphTrainer(keras.Model):
    """Trains `network`, with Keras's optimizer, loss and callbacks.

    `network` is one of `spec`. With `any_shape` it trains weights of any shapes, for
    networks with layers like those of `network` (see `FreeVariables`). Callbacks see a
    model like any other.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.Optimizer,
        spec: NetworkSpec,
        any_shape: bool,
    ) -> None:
        super().__init__(dtype=DTYPE)  # whatever Keras's global policy is
        self.network = network
        self.outputs = [network.name]  # scikeras counts them
        metrics = spec.make_metrics()
        self.compile(optimizer, SCIKERAS_LOSS(), **metrics)
        train_on_one_replica(optimizer)
        self._spec = spec
        self._loss_fn = spec.make_loss()
        self._has_metrics = bool(metrics)
        if self._has_metrics:  # their variables are made at the first call
            p = tf.zeros((1, spec.outputs.n_units))
            self.compute_metrics(None, self._targets(tf.zeros(1, tf.int32)), p)
        kind = FreeVariables if any_shape else OwnVariables
        self._variables = kind(network, optimizer)
        self._initial_optimizer = [v.numpy() for v in optimizer.variables]
        self.noise_variables = [
            held
            for variable, held in zip(
                network.non_trainable_variables, self._variables.others, strict=True
            )
            if variable.name == "seed_generator_state"
        ]
        states = [variable.numpy().tolist() for variable in self.noise_variables]
        #: Of each the first with the same seed: layers of one seed drop the same.
        self.noise_sources = [states.index(state) for state in states]
        data = [
            tf.TensorSpec([None, None], spec.table_dtype),
            tf.TensorSpec([None], tf.int32),
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
            self._train_batches_eagerly, [shapes, *data, order, *counts]
        )
        self._evaluate = OnOneThread(
            self._evaluate_eagerly, [shapes, *data, tf.TensorSpec([None], tf.int64)]
        )

    def call(self, x: tf.Tensor, training: bool = False) -> Any:
        """Call the network."""
        return self.network(x, training=training)

    def get_weights(self) -> list[NDArray[Any]]:
        """The weights that are trained, as the network orders them."""
        return self._variables.get()

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set the weights that are trained."""
        self._variables.set(weights)

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Load the network's weights."""
        self.network.load_weights(filepath, *args, **kwargs)

    @property
    def optimizer_kind(self) -> str:
        """What the state of the optimizer fits, apart from the weights' shapes."""
        kind = type(self.optimizer)
        layout = type(self._variables).__name__
        return f"{kind.__module__}.{kind.__qualname__} of {layout}"

    def fresh_optimizer(self) -> Sequence[NDArray[Any]]:
        """The optimizer's state before any training of the weights there are."""
        return self._variables.resized(self._initial_optimizer)

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Save the network, without what trained it."""
        self.network.save(filepath, *args, **kwargs)

    def save_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Save the network's weights."""
        self.network.save_weights(filepath, *args, **kwargs)

    def fit(
        self,
        x: NDArray[np.float32],
        y: NDArray[Any],
        *,
        table: NDArray[np.float32],
        labels: NDArray[np.int64],
        loss_weights: NDArray[np.float32],
        rows: NDArray[np.int64],
        validation_rows: NDArray[np.int64],
        shuffle_seed: int,
        is_annealed: bool,
        batch_size: int,
        epochs: int,
        initial_epoch: int,
        callbacks: Sequence[keras.callbacks.Callback],
        verbose: int,
        **unused: Any,
    ) -> keras.callbacks.History:
        """Train on `rows` of `table`, shuffled anew each epoch, in even batches.

        `x` and `y` are what scikeras made of a stand-in. Where nobody watches, several
        short epochs are one call.
        """
        n_batches = -(-len(rows) // batch_size)
        n_annealed = (epochs - initial_epoch) * n_batches if is_annealed else 0
        hooks = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            model=self,
            verbose=verbose,
            epochs=epochs,
            steps=n_batches,
        )
        is_watched = bool(callbacks) or verbose != 0
        by_batch = verbose == 1 or any(map(_hooks_batches, callbacks))
        is_watched = is_watched or self._has_metrics
        n_together = 1 if is_watched else max(1, UNWATCHED_ROWS // len(rows))
        with interrupts_held():
            data = (
                list(self._variables.shapes),
                tf.constant(table),
                tf.constant(labels, tf.int32),
                tf.constant(loss_weights),
            )
            held = tf.constant(validation_rows)
        self.stop_training = False
        hooks.on_train_begin()
        logs: dict[str, float] = {}
        for start in range(initial_epoch, epochs, n_together):
            together = range(start, min(start + n_together, epochs))
            hooks.on_epoch_begin(start)
            orders = [
                np.random.RandomState([shuffle_seed, epoch]).permutation(rows)
                for epoch in together
            ]
            with interrupts_held():
                self._forget_measured()
                n_before = (start - initial_epoch) * n_batches
                train = functools.partial(
                    self._train_batches,
                    *data,
                    tf.constant(np.stack(orders)),
                    *_int64(n_annealed, n_before, n_batches),
                )
                if not by_batch:
                    losses = train(*_int64(0, n_batches * len(together)))
                    sums = losses.numpy().reshape(len(together), n_batches).sum(axis=1)
            if by_batch:
                sums = [self._train_by_batch(train, n_batches, len(rows), hooks)]
            for epoch, loss in zip(together, sums, strict=True):
                with interrupts_held():
                    logs = {"loss": float(loss) / len(rows), **self._measured()}
                    _check_finite(logs["loss"], epoch)
                    if len(validation_rows):
                        logs |= self._validated(data, held)
                hooks.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        if self.optimizer.use_ema:
            self.optimizer.finalize_variable_values(self.network.trainable_variables)
        hooks.on_train_end(logs)
        if not all(np.isfinite(weight).all() for weight in self.get_weights()):
            _check_finite(np.nan, self.history.epoch[-1])
        return self.history

    def _validated(self, data: Sequence[Any], held: Any) -> dict[str, float]:
        """Loss, accuracy and metrics of the rows that are held out."""
        self._forget_measured()
        loss, accuracy = self._evaluate(*data, held)
        found = {"val_loss": float(loss), "val_accuracy": float(accuracy)}
        return found | {f"val_{k}": v for k, v in self._measured().items()}

    def _forget_measured(self) -> None:
        """Let the metrics begin anew."""
        if self._has_metrics:
            self.reset_metrics()

    def _measured(self) -> dict[str, float]:
        """Values of the metrics that the network was compiled with, since the reset."""
        if not self._has_metrics:
            return {}
        found = {k: float(v) for k, v in self.get_metrics_result().items()}
        return {name: value for name, value in found.items() if name != "loss"}

    def _train_by_batch(
        self,
        train: Callable[..., Any],
        n_batches: int,
        n_rows: int,
        hooks: keras.callbacks.CallbackList,
    ) -> float:
        """Train an epoch and tell `hooks` of each batch and the mean loss so far."""
        total = 0.0
        for batch in range(n_batches):
            hooks.on_train_batch_begin(batch)
            with interrupts_held():
                total += float(train(*_int64(batch, batch + 1))[0])
                n_seen = (batch + 1) * n_rows // n_batches
                logs = {"loss": total / n_seen, **self._measured()}
            hooks.on_train_batch_end(batch, logs)
            if self.stop_training:
                return total * n_rows / n_seen
        return total

    def _train_batches_eagerly(
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
                targets, factors = self._targets(tf.gather(y, rows)), tf.gather(w, rows)
                loss = self._loss_fn(targets, p, sample_weight=factors)
                parts = [tf.cast(part, tf.float32) for part in (loss, *penalties)]
                loss = tf.add_n(parts)
            self.optimizer.apply(tape.gradient(loss, values), variables.slots)
            self._measure(targets, p, factors)
            variables.constrain(shapes)
            for variable, value in zip(variables.others, updated, strict=True):
                assign(variable, value)
            loss_sum = loss * tf.cast(tf.size(rows), loss.dtype)
            return batch + 1, losses.write(tf.cast(batch - first, tf.int32), loss_sum)

        losses = tf.TensorArray(tf.float32, tf.cast(last - first, tf.int32))
        _, losses = tf.while_loop(lambda batch, _: batch < last, step, (first, losses))
        losses = losses.stack()
        if is_fixed:
            with tf.control_dependencies([losses]):
                rate.assign(base)
        return losses

    def _measure(self, targets: Any, p: tf.Tensor, factors: Any) -> None:
        """Let the metrics see a batch."""
        if self._has_metrics:
            self.compute_metrics(None, targets, p, sample_weight=factors)

    def _mode(self, training: bool) -> dict[str, bool]:
        """`training`, for a network whose `call` takes it."""
        return {"training": training} if takes_training(self.network) else {}

    def _targets(self, y: Any) -> Any:
        return self._spec.outputs.targets(y, self._loss_fn)

    def _evaluate_eagerly(
        self, shapes: Any, x: tf.Tensor, y: Any, w: Any, rows: tf.Tensor
    ) -> tuple[Any, Any]:
        """Weighted mean loss and accuracy over `rows`, dropout off."""
        variables = self._variables
        p, _ = self.network.stateless_call(
            variables.split([slot.value for slot in variables.slots], shapes),
            [tf.convert_to_tensor(other) for other in variables.others],
            self._spec.arguments(self.network, tf.gather(x, rows)),
            **self._mode(training=False),
        )
        labels, factors = tf.gather(y, rows), tf.gather(w, rows)
        factors = tf.math.divide_no_nan(factors, tf.reduce_mean(factors))
        self._measure(self._targets(labels), p, factors)
        loss = self._loss_fn(self._targets(labels), p, sample_weight=factors)
        p = self._spec.outputs.probabilities(p)
        hits = tf.cast(tf.argmax(p, axis=-1, output_type=tf.int32) == labels, p.dtype)
        return loss, tf.reduce_mean(hits * factors)


def _annealed(step: tf.Tensor, n_steps: tf.Tensor) -> tf.Tensor:
    """Share of the learning rate at a step: half a cosine from 1 to 0, or 1."""
    share = tf.math.divide_no_nan(
        tf.cast(step, tf.float32), tf.cast(n_steps, "float32")
    )
    return (1 + tf.cos(np.pi * share)) / 2


def _int64(*values: int) -> list[Any]:
    return [tf.constant(value, tf.int64) for value in values]


def _hooks_batches(callback: keras.callbacks.Callback) -> bool:
    base = keras.callbacks.Callback
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(base, hook)
        for hook in BATCH_HOOKS
    )


def _check_finite(loss: float, epoch: int) -> None:
    if not np.isfinite(loss):
        raise ValueError(
            f"The training loss became {loss} in epoch {epoch + 1}. Scale the features "
            "(StandardScaler), lower learning_rate or let the optimizer clip the "
            "gradients (optimizer=keras.optimizers.Adam(clipnorm=1.0))."
        )

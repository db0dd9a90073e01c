"""`GraphTrainer`: trains any network, many batches a call, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._keras.build import InGraphs
from skmcdropout._keras.compiled_loss import shown_as
from skmcdropout._keras.inspection import set_weights
from skmcdropout._keras.private import takes_training, train_on_one_replica
from skmcdropout._keras.shown_model import ShownModel
from skmcdropout._perceptron.epochs import ADVICE, Course, Trainer
from skmcdropout._perceptron.outputs import Outputs
from skmcdropout._perceptron.state import TrainingState
from skmcdropout._utils.interrupts import interrupts_held

#: Operations of TensorFlow that run one of several functions.
CONDITIONALS = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})


class OnOneThread:
    """A function compiled at its first call, whose operations run on one thread.

    They are small and depend on each other: handing them from thread to thread costs
    more than it wins. The matrix products within them still use all cores. A graph with
    conditionals runs as TensorFlow runs any other, for on one thread these wait for
    ever.
    """

    def __init__(self, function: Callable[..., Any], signature: list[Any]) -> None:
        self._function = function
        self._signature = signature
        self._compiled: Callable[..., Any] | None = None
        self._executor = "SINGLE_THREADED_EXECUTOR"

    def __call__(self, *args: Any) -> Any:
        if self._compiled is None:
            self._compiled = self._compile()
            if _has_conditionals(self._compiled):
                self._executor = "DEFAULT"
                self._compiled = self._compile()
        with tf.experimental.function_executor_type(self._executor):
            return self._compiled(*args)

    def _compile(self) -> Any:
        """Compile for the executor, which decides how loops are written too."""
        function = tf.function(self._function, self._signature, autograph=False)
        with tf.experimental.function_executor_type(self._executor):
            return function.get_concrete_function()


def _has_conditionals(function: Any) -> bool:
    definition = function.graph.as_graph_def()
    nodes = [*definition.node]
    for inner in definition.library.function:
        nodes += inner.node_def
    return any(node.op in CONDITIONALS for node in nodes)


#: What helps networks with a loss of their own against losses that are not finite.
ADVICE_TO_COMPILED = (
    "The loss that the model is compiled with must be finite for all values of y, in "
    "their own units, and whatever the model predicts (no logarithm or quotient of "
    "what may be 0 or below); or scale the features (StandardScaler), or compile with "
    "a lower learning rate or with gradients that are clipped (clipnorm=1.0)."
)


class Criterion:
    """A loss in a graph that serves targets of any units; see `Comparisons`."""

    def __init__(self, spec: InGraphs) -> None:
        self._loss = spec.make_loss()
        self._outputs = spec.graph_outputs
        self._shape = shown_as(self._loss, self._outputs.example)
        units = spec.outputs.units
        self._units = tf.Variable(units, trainable=False, dtype=tf.float32)

    def use(self, outputs: Outputs) -> None:
        """Compare in the units of other outputs."""
        self._units.assign(outputs.units)

    def losses(self, labels: Any, p: Any, weights: Any) -> tuple[Any, Any]:
        """The loss to train by and the loss to tell of, over the rows of a batch."""
        pairs = self._outputs.comparisons(labels, p, self._units, self._loss)
        told = self._of(pairs.told, weights)
        is_same = pairs.trained is pairs.told
        trained = told if is_same else self._of(pairs.trained, weights)
        return trained if pairs.factor is None else trained * pairs.factor, told

    def measured(self, labels: Any, p: Any) -> tuple[Any, Any]:
        """What metrics compare."""
        units = self._units
        return self._outputs.comparisons(labels, p, units, self._loss).measured

    def _of(self, pair: tuple[Any, Any], weights: Any) -> Any:
        targets, p = pair
        if self._shape is not None:
            targets = tf.reshape(targets, [-1, *self._shape])
        return tf.cast(self._loss(targets, p, sample_weight=weights), tf.float32)


class GraphTrainer(Trainer):
    """Trains `network`, one of `spec`, with Keras's optimizer and loss."""

    def __init__(
        self, network: keras.Model, optimizer: keras.Optimizer, spec: InGraphs
    ) -> None:
        self.network: Any = network
        self.optimizer = optimizer
        metrics = spec.make_metrics()
        self.has_metrics = bool(metrics)
        self.advice = ADVICE_TO_COMPILED if spec.is_compiled else ADVICE
        self.model = ShownModel(self, network, optimizer, metrics)
        train_on_one_replica(optimizer)
        self._spec = spec
        self._criterion = Criterion(spec)
        label_shape, label_dtype = spec.outputs.label_shape, spec.outputs.label_dtype
        if metrics:  # their variables are made at the first call
            p = tf.zeros((1, spec.outputs.n_units))
            labels = tf.zeros((1, *label_shape), label_dtype)
            self.model.compute_metrics(None, *self._criterion.measured(labels, p))
        self._trained = network.trainable_variables
        self._others = network.non_trainable_variables
        optimizer.build(self._trained)
        self._fresh_optimizer = [v.numpy() for v in optimizer.variables]
        self._noise_variables = [
            variable
            for variable in self._others
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
        order, counts = tf.TensorSpec([None, None], tf.int64), [_COUNT] * 5
        self._train_batches = OnOneThread(
            self._train_batches_in_graph, [*data, order, *counts]
        )
        self._evaluate = OnOneThread(
            self._evaluate_in_graph, [*data, tf.TensorSpec([None], tf.int64)]
        )

    def get_weights(self) -> list[NDArray[Any]]:
        """The weights that are trained, as the network orders them."""
        return self.network.get_weights()

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set the weights that are trained."""
        set_weights(self.network, weights)

    def use(self, outputs: Outputs) -> None:
        """Compare in the units of these outputs, of those that the trainer serves."""
        self._criterion.use(outputs)

    @property
    def optimizer_kind(self) -> str:
        """What the state of the optimizer fits, apart from the weights' shapes."""
        kind = type(self.optimizer)
        return f"{kind.__module__}.{kind.__qualname__}"

    def load(self, state: TrainingState, asked_rate: float | None, seed: int) -> None:
        """Set every variable that an earlier fit may have left otherwise.

        `asked_rate` is the learning rate that is asked for, if it is no schedule.
        """
        progress = state.progress
        self.set_weights(state.weights)
        variables = self.optimizer.variables
        goes_on = progress.optimizer_kind == self.optimizer_kind
        goes_on = goes_on and len(progress.optimizer) == len(variables)
        _assign_all(variables, progress.optimizer if goes_on else self._fresh_optimizer)
        if asked_rate is not None and not (
            goes_on and asked_rate == progress.learning_rate
        ):
            self.optimizer.learning_rate = asked_rate
        seeds = np.random.RandomState(seed).randint(
            2**31 - 1, size=len(self._noise_variables)
        )
        fresh = [np.array([seeds[i], 0]) for i in self._noise_sources]
        is_same = len(progress.noise) == len(fresh)
        _assign_all(self._noise_variables, progress.noise if is_same else fresh)

    def optimizer_state(self) -> list[NDArray[Any]]:
        """Its variables."""
        return [variable.numpy() for variable in self.optimizer.variables]

    def noise_state(self) -> list[NDArray[Any]]:
        """The states of the layers' generators."""
        return [variable.numpy() for variable in self._noise_variables]

    def begin(self, course: Course) -> None:
        """Make tensors of the data."""
        data, outputs = course.data, self._spec.outputs
        self._course = course
        with interrupts_held():
            self._data = (
                tf.constant(data.X, self._spec.table_dtype),
                tf.constant(data.y, outputs.label_dtype),
                tf.constant(data.loss_weights),
            )
            self._held = tf.constant(data.validation_rows)
        #: Epochs that were shuffled last, and their rows.
        self._order_of: tuple[range, Any] = (range(0), None)

    def train_epochs(self, epochs: range) -> list[float]:
        """Train epochs; return of each the sum over rows of the loss."""
        n_batches = self._course.n_batches
        losses = self._train(epochs, 0, n_batches * len(epochs))
        return losses.reshape(len(epochs), n_batches).sum(axis=1).tolist()

    def train_batch(self, epoch: int, batch: int) -> float:
        """Train one batch of an epoch; return the sum over its rows of the loss."""
        return float(self._train(range(epoch, epoch + 1), batch, batch + 1)[0])

    def _train(self, epochs: range, first: int, last: int) -> NDArray[np.float32]:
        """Train batches, counted through some epochs; sum over rows of the loss."""
        course = self._course
        if self._order_of[0] != epochs:
            orders = [
                np.random.RandomState([course.seed, epoch]).permutation(
                    course.data.rows
                )
                for epoch in epochs
            ]
            self._order_of = (epochs, tf.constant(np.stack(orders)))
        n_before = (epochs.start - course.first_epoch) * course.n_batches
        counts = (course.n_annealed, n_before, course.n_batches, first, last)
        with interrupts_held():
            losses = self._train_batches(
                *self._data,
                self._order_of[1],
                *(tf.constant(count, tf.int64) for count in counts),
            )
            return losses.numpy()

    def evaluate_held(self) -> dict[str, float]:
        """Loss of the validation rows, accuracy of classes, and metrics."""
        self.forget_measured()
        with interrupts_held():
            found = self._evaluate(*self._data, self._held)
            scores = {name: float(value) for name, value in found.items()}
        return {**scores, **self.measured()}

    def forget_measured(self) -> None:
        """Let the metrics begin anew."""
        if self.has_metrics:
            with interrupts_held():
                self.model.reset_metrics()

    def measured(self) -> dict[str, float]:
        """Values of the metrics that the network was compiled with, since then."""
        if not self.has_metrics:
            return {}
        with interrupts_held():
            results = self.model.get_metrics_result()
            found = {name: float(value) for name, value in results.items()}
        return {name: value for name, value in found.items() if name != "loss"}

    def end(self) -> None:
        """Take averages for weights where the optimizer makes some."""
        if self.optimizer.use_ema:
            self.optimizer.finalize_variable_values(self._trained)

    def _train_batches_in_graph(
        self,
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
        trained, others = self._trained, self._others
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
                values = [tf.convert_to_tensor(each.value) for each in trained]
                tape.watch(values)
                p, updated, penalties = self.network.stateless_call(
                    values,
                    [tf.convert_to_tensor(each) for each in others],
                    self._spec.arguments(self.network, tf.gather(x, rows)),
                    return_losses=True,
                    **self._mode(training=True),
                )
                labels, factors = tf.gather(y, rows), tf.gather(w, rows)
                loss, told = self._criterion.losses(labels, p, factors)
                parts = [tf.cast(part, tf.float32) for part in penalties]
                loss = tf.add_n([loss, *parts])
            self.optimizer.apply(tape.gradient(loss, values), trained)
            self._measure(labels, p, factors)
            _assign_all(others, updated)
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
        if self.has_metrics:
            compared = self._criterion.measured(labels, p)
            self.model.compute_metrics(None, *compared, sample_weight=factors)

    def _mode(self, training: bool) -> dict[str, bool]:
        """`training`, for a network whose `call` takes it."""
        return {"training": training} if takes_training(self.network) else {}

    def _evaluate_in_graph(
        self, x: tf.Tensor, y: Any, w: Any, rows: tf.Tensor
    ) -> dict[str, Any]:
        """Weighted mean loss and scores over `rows`, dropout off."""
        p, _ = self.network.stateless_call(
            [each.value for each in self._trained],
            [tf.convert_to_tensor(each) for each in self._others],
            self._spec.arguments(self.network, tf.gather(x, rows)),
            **self._mode(training=False),
        )
        labels, factors = tf.gather(y, rows), tf.gather(w, rows)
        factors = tf.math.divide_no_nan(factors, tf.reduce_mean(factors))
        self._measure(labels, p, factors)
        _, loss = self._criterion.losses(labels, p, factors)
        outputs = self._spec.graph_outputs
        scores = outputs.scores(outputs.values(p), labels)
        means = {name: tf.reduce_mean(s * factors) for name, s in scores.items()}
        return {"loss": loss, **means}


_COUNT = tf.TensorSpec([], tf.int64)


def _annealed(step: tf.Tensor, n_steps: tf.Tensor) -> tf.Tensor:
    """Share of the learning rate at a step: half a cosine from 1 to 0, or 1."""
    share = tf.math.divide_no_nan(
        tf.cast(step, tf.float32), tf.cast(n_steps, "float32")
    )
    return (1 + tf.cos(np.pi * share)) / 2


def _assign_all(variables: Sequence[Any], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        held = variable if isinstance(variable, tf.Variable) else variable.value
        held.assign(value)

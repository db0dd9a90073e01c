"""What a Keras network's outputs mean, and what becomes of them in graphs."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._keras.compiled_loss import (
    FunctionLoss,
    as_loss,
    follows_units,
    loss_from_logits,
    name_of,
    takes_codes,
)
from skmcdropout._keras.inspection import count_outputs, last_activation
from skmcdropout._keras.losses import CommonVarianceLoss, GaussianLoss
from skmcdropout._keras.noise_layers import is_ours
from skmcdropout._perceptron.outputs import ClassOutputs, Outputs, TargetOutputs
from skmcdropout._perceptron.values import LARGEST_LOG_VARIANCE, LEAST_LOG_VARIANCE
from skmcdropout._utils.inputs import Shapes


class Comparisons(NamedTuple):
    """Pairs of targets and predictions: what a loss and metrics compare, in a graph.

    The network is trained by the loss of `trained`, times `factor`; what is told is
    that of `told`, and what metrics say of `measured`.
    """

    trained: tuple[Any, Any]
    told: tuple[Any, Any]
    measured: tuple[Any, Any]
    factor: Any = None

    @classmethod
    def same(cls, pair: tuple[Any, Any], factor: Any = None) -> Comparisons:
        """One pair for all."""
        return cls(pair, pair, pair, factor)


class GraphOutputs(abc.ABC):
    """Outputs in graphs of TensorFlow."""

    #: The activation of a perceptron's last layer as a Keras network.
    keras_activation: str

    @property
    def final_layers(self) -> Sequence[Any]:
        """Layers that follow it in a Keras network that predicts, without weights."""
        return ()

    @abc.abstractmethod
    def values(self, outputs: Any) -> Any:
        """Values (..., n_values) from a network's outputs."""

    @abc.abstractmethod
    def comparisons(self, labels: Any, p: Any, units: Any, loss: Any) -> Comparisons:
        """What `loss` and metrics compare, from labels and a network's outputs."""

    @abc.abstractmethod
    def example(self, loss: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Made labels, as `loss` is shown them, and outputs to try it with."""

    @abc.abstractmethod
    def default_loss(self) -> keras.Loss:
        """The loss of a network that was compiled with none."""

    @abc.abstractmethod
    def check_loss(self, loss: Any) -> None:
        """Refuse a loss that these outputs are not for."""

    def scores(self, values: Any, y: Any) -> dict[str, Any]:
        """Scores of each row, by name, besides the loss."""
        return {}


class GraphClassOutputs(GraphOutputs):
    """Probabilities or logits of classes."""

    keras_activation = "softmax"

    def __init__(self, outputs: ClassOutputs) -> None:
        self._outputs = outputs

    def values(self, outputs: Any) -> Any:
        """Class probabilities (..., n_classes)."""
        plain, p = self._outputs, tf.cast(outputs, tf.float32)
        if plain.n_units == 1 and plain.from_logits:
            p = tf.concat([tf.sigmoid(-p), tf.sigmoid(p)], axis=-1)
        elif plain.n_units == 1:
            p = tf.concat([1 - p, p], axis=-1)
        elif plain.from_logits:
            p = softmax(p, axis=-1)
        if not plain.is_in_order:
            p = tf.gather(p, plain.order, axis=-1)
        return p

    def comparisons(self, labels: Any, p: Any, units: Any, loss: Any) -> Comparisons:
        """What `loss` compares, from codes into the sorted classes."""
        codes = labels
        if not self._outputs.is_in_order:
            codes = tf.gather(tf.constant(self._outputs.order, tf.int32), labels)
        if self._outputs.n_units == 1:
            targets = tf.cast(codes, tf.float32)[:, None]
        elif takes_codes(loss):
            targets = codes
        else:
            targets = tf.one_hot(codes, self._outputs.n_units)
        return Comparisons.same((targets, p))

    def example(self, loss: Any) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Made labels and outputs of more rows than there are outputs."""
        n_units = self._outputs.n_units
        n_rows = n_units + 2
        outputs = np.random.RandomState(0).uniform(0.2, 0.8, (n_rows, n_units))
        if n_units > 1:
            outputs /= outputs.sum(axis=1, keepdims=True)
        codes = np.arange(n_rows) % self._outputs.n_values
        is_code = n_units == 1 or takes_codes(loss)
        labels = codes if is_code else np.eye(n_units, dtype=np.float32)[codes]
        return labels, outputs.astype(np.float32)

    def default_loss(self) -> keras.Loss:
        """Cross-entropy."""
        from_logits = self._outputs.from_logits
        if self._outputs.n_units == 1:
            return keras.losses.BinaryCrossentropy(from_logits=from_logits)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)

    def scores(self, values: Any, y: Any) -> dict[str, Any]:
        """Of each row: whether the class is predicted right."""
        predicted = tf.argmax(values, axis=-1, output_type=tf.int32)
        return {"accuracy": tf.cast(predicted == y, tf.float32)}

    def check_loss(self, loss: Any) -> None:
        """Refuse a loss that takes logits for probabilities, or the reverse."""
        says = loss_from_logits(loss)
        if says is not None and says != self._outputs.from_logits:
            raise ValueError(
                f"The loss {loss.name!r} that the model is compiled with must have "
                f"from_logits={self._outputs.from_logits}, as the model's outputs are. "
                f"Got from_logits={says}."
            )


class GraphTargetOutputs(GraphOutputs):
    """Means of targets, or also their noise."""

    keras_activation = "linear"

    def __init__(self, outputs: TargetOutputs) -> None:
        self._outputs = outputs

    @property
    def final_layers(self) -> Sequence[Any]:
        """A layer that gives targets and log-variances in units of y."""
        plain = self._outputs
        if not any(plain.mean) and set(plain.scale) | set(plain.noise) == {1.0}:
            return ()
        scale, offset = list(plain.scale), list(plain.mean)
        if plain.spread is not None:
            scale += [1.0] * plain.n_targets
            in_units = np.square(plain.scale) * np.array(plain.noise)
            offset += np.log(in_units).tolist()
        return (keras.layers.Rescaling(scale, offset, dtype="float32"),)

    def values(self, outputs: Any) -> Any:
        """Means, and variances if there are, in standard units."""
        p, activation = tf.cast(outputs, tf.float32), self._outputs.activation
        if activation == "linear":
            return p
        means, spread = tf.split(p, 2, axis=-1)
        if activation.endswith("_std"):
            variances = spread * tf.abs(spread)  # negative where no std can be
        elif activation == "mean_and_any_log_variance":
            variances = tf.exp(spread)
        else:
            within = tf.clip_by_value(spread, LEAST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
            variances = tf.exp(within)
        return tf.concat([means, variances], axis=-1)

    def comparisons(self, labels: Any, p: Any, units: Any, loss: Any) -> Comparisons:
        """What a loss compares: in standard units, in those of the targets, or both."""
        plain = self._outputs
        if plain.loss_sees == "standard":
            return Comparisons.same((labels, p))
        y, standard = tf.split(labels, 2, axis=1)
        size, factors, shifts = tf.split(units, [1, plain.n_units, plain.n_units])
        p = tf.cast(p, tf.float32)
        in_units = (y, p * factors + shifts)
        if plain.loss_sees == "units":
            return Comparisons.same(in_units, 1 / size[0])
        return Comparisons(
            (standard, p), (standard * factors, p * factors), in_units
        )  # a common shift is nothing to such a loss, but for rounding

    def example(self, loss: Any) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Made targets and outputs, some of which are equal."""
        shape = (2, 7, self._outputs.n_units)
        y, p = np.random.RandomState(0).uniform(0.5, 2, shape)
        return y[:, : self._outputs.n_targets].astype(np.float32), p.astype(np.float32)

    def default_loss(self) -> keras.Loss:
        """The likelihood, of one variance or of those that are predicted."""
        spread = self._outputs.spread
        return CommonVarianceLoss() if spread is None else GaussianLoss(spread)

    def check_loss(self, loss: Any) -> None:
        """Refuse a loss of other outputs."""
        if isinstance(loss, (CommonVarianceLoss, GaussianLoss)):
            return
        name, spread = name_of(loss), self._outputs.spread
        kind = loss.function if isinstance(loss, FunctionLoss) else type(loss)
        is_of_means = spread is not None and is_ours(kind)
        if is_of_means or "crossentropy" in name:
            wanted, remedy = "a squared error", ""
            if spread is not None:
                wanted = "a likelihood"
                remedy = (
                    f" Each target has two outputs here, a mean and a {spread}; "
                    "where each output is a target, say noise='constant'."
                )
            raise ValueError(
                f"The model must be compiled with a loss like {wanted} of its outputs, "
                f"or with none. Got {name!r}.{remedy}"
            )


def in_graphs(outputs: Outputs) -> GraphOutputs:
    """What becomes of outputs in graphs."""
    if isinstance(outputs, ClassOutputs):
        return GraphClassOutputs(outputs)
    return GraphTargetOutputs(cast(TargetOutputs, outputs))


def softmax(z: Any, axis: int) -> Any:
    """Softmax whose last digit does not depend on where a row stands among others.

    TensorFlow's own cuts the rows into blocks, and rounds otherwise at their ends.
    """
    e = tf.exp(z - tf.reduce_max(z, axis, keepdims=True))
    return e / tf.reduce_sum(e, axis, keepdims=True)


# What the outputs of a user's network are


def read_outputs(
    network: keras.Model, row_shapes: Shapes, asked: Outputs, function: Any, loss: Any
) -> Outputs:
    """Of a network that `function` built, for the labels that `asked` is for.

    It is compiled with `loss`, or with None.
    """
    if isinstance(asked, ClassOutputs):
        from_logits = getattr(function, "from_logits", None)
        return read_classes(network, row_shapes, asked.n_values, from_logits, loss)
    asked = cast(TargetOutputs, asked)
    spread = asked.spread
    if spread is not None:
        spread = getattr(function, "spread", None) or spread
    return read_targets(network, row_shapes, asked.n_targets, spread, loss, False)


def read_classes(
    network: keras.Model,
    row_shapes: Shapes,
    n_classes: int,
    from_logits: bool | None,
    loss: Any,
) -> ClassOutputs:
    """As said by `from_logits` or the last activation; never guessed from values.

    What the last activation leaves open, `from_logits` or the loss must say.
    """
    said = from_logits
    n_units = count_outputs(network, row_shapes)
    if n_units != n_classes and (n_units, n_classes) != (1, 2):
        one = "1 or " if n_classes == 2 else ""
        raise ValueError(
            f"The model must have {one}{n_classes} outputs for {n_classes} "
            f"classes. Got {n_units}: {network.name!r}."
        )
    activation = last_activation(network)
    says: dict[str | None, bool] = {
        "linear": True,
        "sigmoid" if n_units == 1 else "softmax": False,
    }
    is_certain = activation in says
    if is_certain:
        if from_logits not in (None, says[activation]):
            raise ValueError(
                f"from_logits must be {says[activation]} or None for a model that "
                f"ends in the activation {activation!r}. Got {from_logits}."
            )
        from_logits = says[activation]
    elif activation is not None and from_logits is not False:
        wanted = "sigmoid" if n_units == 1 else "softmax"
        raise ValueError(
            f"The model must end in the activation {wanted!r} or in 'linear' "
            f"(logits), so that its outputs are probabilities over {n_classes} "
            f"classes. Got {activation!r}."
        )
    elif from_logits is None:
        from_logits = loss_from_logits(loss)
    _check_classifies(network, n_units, activation, said, loss)
    if from_logits is None:
        raise ValueError(
            "from_logits must be True or False for a model whose last layer, "
            f"{network.layers[-1].name!r}, does not say whether its outputs are "
            "logits. Got None. (A function given as model says so by ending in a "
            "softmax activation, or by compiling with a loss with from_logits.)"
        )
    return ClassOutputs(n_units, from_logits, is_certain, tuple(range(n_classes)))


def _check_classifies(
    network: keras.Model,
    n_units: int,
    activation: str | None,
    said: bool | None,
    loss: Any,
) -> None:
    """Refuse a network that was compiled for regression or for several labels a row."""
    if loss is None or said is not None:
        return
    name = name_of(loss)
    if activation == "linear" and loss_from_logits(loss) is None:
        raise ValueError(
            "The model must be compiled with a loss over class probabilities or "
            "logits, like a cross-entropy, if it ends in the activation 'linear'. Got "
            f"the loss {name!r}, as for regression: {network.name!r}. (Where its "
            "outputs are logits all the same, say from_logits=True.)"
        )
    if activation != "softmax" and n_units != 1 and "binary" in name:
        raise ValueError(
            "The model must be compiled with a loss over classes of which each row has "
            f"one. Got the loss {name!r} over {n_units} outputs, as for several "
            f"labels a row: {network.name!r}."
        )


def read_targets(
    network: keras.Model,
    row_shapes: Shapes,
    n_targets: int,
    spread: str | None,
    loss: Any,
    is_trained: bool,
) -> TargetOutputs:
    """Means of targets, or with `spread` also their noise."""
    outputs = TargetOutputs.standard(n_targets, spread)
    n_units = count_outputs(network, row_shapes)
    if n_units != outputs.n_units:
        each = "1 output" if spread is None else f"2 outputs (mean and {spread})"
        raise ValueError(
            f"The model must have {each} for each of {n_targets} target(s), "
            f"{outputs.n_units} in all. Got {n_units}: {network.name!r}."
        )
    activation = last_activation(network)
    if is_trained:
        outputs = replace(outputs, is_raw=True, is_bounded=False)
        return outputs if loss is None else replace(outputs, loss_sees="units")
    if loss is None and activation not in ("linear", None):
        raise ValueError(
            "The model must end in the activation 'linear', for it is trained on "
            "targets of mean 0, or be compiled with a loss, which is shown targets "
            f"as they are. Got {activation!r} and no loss: {network.name!r}."
        )
    if loss is None:
        return outputs
    if follows_units(as_loss(loss)) and activation in ("linear", None):
        return replace(outputs, loss_sees="both")
    is_raw = activation != "linear"
    return replace(outputs, loss_sees="units", is_raw=is_raw, is_bounded=not is_raw)

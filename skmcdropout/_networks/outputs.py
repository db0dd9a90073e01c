"""What a network's outputs mean: probabilities or logits, of which classes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._networks.inputs import Shapes
from skmcdropout._utils.private import has_graph, operation_of

#: Largest deviation of a row's probabilities from a sum of 1.
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Outputs:
    """The outputs of a network, and the class each stands for.

    A network has one output for each class, or for two classes a single one, of the
    second. `order` holds the output of each class.
    """

    n_units: int
    from_logits: bool
    is_certain: bool
    order: tuple[int, ...]

    @classmethod
    def read(
        cls,
        network: keras.Model,
        row_shapes: Shapes,
        n_classes: int,
        from_logits: bool | None,
        loss: Any,
    ) -> Outputs:
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
        check_classifies(network, n_units, activation, said, loss)
        if from_logits is None:
            raise ValueError(
                "from_logits must be True or False for a model whose last layer, "
                f"{network.layers[-1].name!r}, does not say whether its outputs are "
                "logits. Got None. (A function given as model says so by ending in a "
                "softmax activation, or by compiling with a loss with from_logits.)"
            )
        return cls(n_units, from_logits, is_certain, tuple(range(n_classes)))

    def for_classes(self, classes: Any) -> Outputs:
        """The same outputs, of `classes` as given; the estimator's are sorted."""
        return replace(self, order=tuple(np.argsort(classes).tolist()))

    @property
    def is_in_order(self) -> bool:
        """Whether the outputs stand in the order of the classes."""
        return self.order == tuple(range(len(self.order)))

    def probabilities(self, outputs: tf.Tensor) -> Any:
        """Class probabilities (..., n_classes) from a network's outputs, in a graph."""
        p = tf.cast(outputs, tf.float32)
        if self.n_units == 1 and self.from_logits:
            p = tf.concat([tf.sigmoid(-p), tf.sigmoid(p)], axis=-1)
        elif self.n_units == 1:
            p = tf.concat([1 - p, p], axis=-1)
        elif self.from_logits:
            p = softmax(p, axis=-1)
        if not self.is_in_order:
            p = tf.gather(p, self.order, axis=-1)
        return p

    def targets(self, y: Any, loss: Any) -> Any:
        """What `loss` compares with the outputs, from codes into the sorted classes."""
        units = y
        if not self.is_in_order:
            units = tf.gather(tf.constant(self.order, tf.int32), y)
        if self.n_units == 1:
            return tf.cast(units, tf.float32)[:, None]
        if _takes_codes(loss):
            return units
        return tf.one_hot(units, self.n_units)

    def default_loss(self) -> keras.Loss:
        """Cross-entropy."""
        if self.n_units == 1:
            return keras.losses.BinaryCrossentropy(from_logits=self.from_logits)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=self.from_logits)

    def check_loss(self, loss: Any) -> None:
        """Refuse a loss that takes logits for probabilities, or the reverse."""
        says = loss_from_logits(loss)
        if says is not None and says != self.from_logits:
            raise ValueError(
                f"The loss {loss.name!r} that the model is compiled with must have "
                f"from_logits={self.from_logits}, as the model's outputs are. "
                f"Got from_logits={says}."
            )

    def check_probabilities(self, p: NDArray[np.float32]) -> None:
        """Refuse what is not a probability distribution; (n_rows, n_classes)."""
        if self.is_certain or self.from_logits:
            return
        sums = p.sum(axis=1)
        if p.min(initial=0) < 0 or abs(sums - 1).max(initial=0) > SUM_TOLERANCE:
            raise ValueError(
                "The model's outputs must be probabilities, from 0 to 1 with a sum of "
                f"1 for every row, as from_logits=False says. Got outputs from "
                f"{p.min():.3g} to {p.max():.3g} with sums from {sums.min():.3g} to "
                f"{sums.max():.3g}."
            )


def softmax(z: tf.Tensor, axis: int) -> Any:
    """Softmax whose last digit does not depend on where a row stands among others.

    TensorFlow's own cuts the rows into blocks, and rounds otherwise at their ends.
    """
    e = tf.exp(z - tf.reduce_max(z, axis, keepdims=True))
    return e / tf.reduce_sum(e, axis, keepdims=True)


def last_activation(network: keras.Model) -> str | None:
    """Name of the activation a network ends in; None if its last layer does not say."""
    if isinstance(network, keras.Sequential):
        return last_activation(network.layers[-1])
    if has_graph(network):
        return last_activation(operation_of(network.outputs[0]))
    if isinstance(network, keras.layers.Softmax) or type(network).__name__ == "Softmax":
        return "softmax"
    if type(network).__name__ == "Sigmoid":
        return "sigmoid"
    activation = getattr(network, "activation", None)
    if isinstance(network, keras.layers.Layer) and callable(activation):
        return getattr(activation, "__name__", None)
    return None


def check_classifies(
    network: keras.Model,
    n_units: int,
    activation: str | None,
    said: bool | None,
    loss: Any,
) -> None:
    """Refuse a network that was compiled for regression or for several labels a row."""
    if loss is None or said is not None:
        return
    name = str(getattr(loss, "name", None) or getattr(loss, "__name__", ""))
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


class FunctionLoss(keras.losses.Loss):
    """A loss given as a function of the true and predicted values of each row."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__(name=function.__name__)
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each row."""
        return self.function(y_true, y_pred)


def compiled_loss(network: keras.Model) -> Any:
    """The loss a model was compiled with, an object or function; None for none.

    Several losses and lambdas are refused.
    """
    given = network.loss if network.compiled else None
    if isinstance(given, (list, tuple, dict)):
        raise ValueError(
            "The model must be compiled with one loss, as it has one output. "
            f"Got {given!r}."
        )
    loss = None if given is None else keras.losses.get(given)
    if getattr(loss, "__name__", "") == "<lambda>":
        raise ValueError(
            "The loss that the model is compiled with must have a name, by which it "
            "can be found again. Got a lambda."
        )
    return loss


def _takes_codes(loss: Any) -> bool:
    """Whether a loss compares codes of classes; one of the user's says so by its name.

    All others are given one-hot labels.
    """
    names = [parent.__name__ for parent in type(loss).__mro__]
    if isinstance(loss, FunctionLoss):
        names = [loss.function.__name__]
    return any("sparse" in name.lower() for name in names)


def loss_from_logits(loss: Any) -> bool | None:
    """Whether a loss takes logits; None for a loss that does not know the question."""
    if isinstance(loss, FunctionLoss):
        loss = loss.function
    if isinstance(loss, keras.Loss):
        says = loss.get_config().get("from_logits")
        return None if says is None else bool(says)
    parameter = inspect.signature(loss).parameters.get("from_logits") if loss else None
    return None if parameter is None else bool(parameter.default)


def count_outputs(network: keras.Model, row_shapes: Shapes) -> int:
    """Width of the one output of a network."""
    if has_graph(network) or isinstance(network, keras.Sequential):
        shape = network.output_shape
    else:
        (row_shape,) = row_shapes
        zeros = np.zeros((1, *row_shape), np.float32)
        shape = keras.tree.map_structure(
            lambda x: (None, *x.shape[1:]), network(zeros, training=False)
        )
    if not (isinstance(shape, tuple) and len(shape) == 2 and shape[1] is not None):
        raise ValueError(
            "The model must have one output of shape (n_rows, n_classes). "
            f"Got {shape}: {network.name!r}."
        )
    return int(shape[1])

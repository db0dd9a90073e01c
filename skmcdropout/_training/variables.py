"""What a trainer trains: a network's own variables, or weights of any shape.

A network's variables have fixed shapes, and so has all that is compiled for them.
`FreeVariables` has variables without, so that what is compiled once trains networks of
every width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skmcdropout._networks.weights import set_weights
from skmcdropout._utils import private

#: Optimizers that treat each weight by itself: all weights can be one vector to them.
ELEMENTWISE = frozenset(
    {
        keras.optimizers.SGD,
        keras.optimizers.RMSprop,
        keras.optimizers.Adam,
        keras.optimizers.AdamW,
        keras.optimizers.Adamax,
        keras.optimizers.Nadam,
        keras.optimizers.Adagrad,
        keras.optimizers.Adadelta,
        keras.optimizers.Lion,
    }
)

#: Shape in which a vector is shown to Keras; no weight of an optimizer has it.
_SHOWN = (7,)


def is_elementwise(optimizer: keras.Optimizer) -> bool:
    """Whether `optimizer` does to a vector what it does to its parts."""
    return (
        type(optimizer) in ELEMENTWISE
        and optimizer.clipnorm is None
        and not optimizer.gradient_accumulation_steps
        and not optimizer.use_ema
    )


class OwnVariables:
    """The variables of a network, as they are."""

    shapes: tuple[Any, ...] = ()

    def __init__(self, network: keras.Model, optimizer: keras.Optimizer) -> None:
        self._network = network
        self.slots = network.trainable_variables
        self.others = network.non_trainable_variables
        optimizer.build(self.slots)

    def get(self) -> list[NDArray[Any]]:
        """The weights, in the order of ``network.get_weights()``."""
        return self._network.get_weights()

    def set(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set them."""
        set_weights(self._network, weights)

    def split(self, values: Sequence[Any], shapes: Any) -> Sequence[Any]:
        """The value of each trainable variable, from those of the slots."""
        return values

    def constrain(self, shapes: Any) -> None:
        """Apply constraints: the optimizer has, for it sees the variables."""

    def resized(self, state: Sequence[NDArray[Any]]) -> Sequence[NDArray[Any]]:
        """The state of an optimizer that was built for other shapes."""
        return state


class FreeVariables:
    """Weights of any shapes, for networks with layers like those of `network`.

    All trainable ones are one vector, updated at one stroke with a tenth of the
    operations.
    """

    def __init__(self, network: keras.Model, optimizer: keras.Optimizer) -> None:
        trainable = network.trainable_variables
        self._constraints = [variable.constraint for variable in trainable]
        self._vector = keras.Variable(np.zeros(_SHOWN), dtype="float32")
        private.let_any_length(self._vector)
        self.slots = [self._vector]
        for variable in network.weights:  # of which only the layers' code is used
            private.show_any_shape(variable)
        self.others = [
            tf.Variable(variable.value, shape=variable.shape, trainable=False)
            for variable in network.non_trainable_variables
        ]
        place = {id(v): i for i, v in enumerate(trainable)}
        rest = {id(v): i for i, v in enumerate(network.non_trainable_variables)}
        #: For each weight, whether it is trainable and its index among those.
        self._places = [
            (True, place[id(v)]) if id(v) in place else (False, rest[id(v)])
            for v in network.weights
        ]
        self.shapes: tuple[Any, ...] = ()
        optimizer.build(self.slots)
        for variable in optimizer.variables:
            if tuple(variable.shape) == _SHOWN:
                private.let_any_length(variable)

    def get(self) -> list[NDArray[Any]]:
        """The weights, in the order of ``network.get_weights()``."""
        parts = self.split([self._vector.value], self.shapes)
        return [
            (parts if is_trainable else self.others)[i].numpy()
            for is_trainable, i in self._places
        ]

    def set(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set them, of whatever shapes."""
        parts: dict[int, NDArray[Any]] = {}
        for weight, (is_trainable, i) in zip(weights, self._places, strict=True):
            if is_trainable:
                parts[i] = weight
            else:
                self.others[i].assign(weight)
        ordered = [parts[i] for i in range(len(parts))]
        self.shapes = tuple(tf.constant(np.shape(part), tf.int32) for part in ordered)
        self._vector.value.assign(np.concatenate([np.ravel(p) for p in ordered]))

    def split(self, values: Sequence[Any], shapes: Any) -> Sequence[Any]:
        """The value of each trainable variable, from that of the vector."""
        sizes = tf.stack([tf.reduce_prod(shape) for shape in shapes])
        parts = tf.split(values[0], sizes, num=len(shapes))
        return [tf.reshape(p, s) for p, s in zip(parts, shapes, strict=True)]

    def constrain(self, shapes: Any) -> None:
        """Apply the constraints of the network's variables, where there are any."""
        if any(self._constraints):
            parts = self.split([self._vector.value], shapes)
            kept = [
                constraint(part) if constraint else part
                for part, constraint in zip(parts, self._constraints, strict=True)
            ]
            flat = tf.concat([tf.reshape(part, [-1]) for part in kept], axis=0)
            self._vector.value.assign(flat)

    def resized(self, state: Sequence[NDArray[Any]]) -> Sequence[NDArray[Any]]:
        """The state of an optimizer that was built for other shapes."""
        size = sum(int(np.prod(shape)) for shape in self.shapes)
        return [
            np.full(size, value[0]) if value.shape == _SHOWN else value
            for value in state
        ]


def assign(variable: Any, value: Any) -> None:
    """Assign to a variable of Keras or TensorFlow, whatever shape Keras shows."""
    if not isinstance(variable, tf.Variable):
        variable = variable.value
    variable.assign(value)

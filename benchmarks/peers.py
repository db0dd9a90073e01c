"""What people use instead, over the very weights that are compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scikeras.wrappers import KerasClassifier

Array = NDArray[np.float32]

#: What scikit-learn's MLP and a textbook network of Keras do as well.
PLAIN = {"batch_normalization": False, "alpha": 0.0, "temperature": 1.0}


class AlwaysDropout(keras.layers.Dropout):
    """The textbook's layer: dropout at prediction too."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop units, whatever `training` says."""
        return super().call(inputs, training=True)


def network(
    n_in: int, hidden: tuple[int, ...], n_out: int, rate: float, dropout: Any
) -> keras.Sequential:
    """An MLP with `dropout` after each hidden layer."""
    layers = [keras.Input((n_in,))]
    for width in hidden:
        layers.append(
            keras.layers.Dense(width, activation="relu", kernel_initializer="he_normal")
        )
        layers.append(dropout(rate))
    return keras.Sequential([*layers, keras.layers.Dense(n_out, activation="softmax")])


def textbook(model: keras.Sequential, rate: float) -> Callable[[Array, int], Array]:
    """The loop of `model.predict` with dropout layers that never rest."""
    weights = model.get_weights()
    hidden = tuple(len(bias) for bias in weights[1:-1:2])
    always = network(len(weights[0]), hidden, len(weights[-1]), rate, AlwaysDropout)
    always.set_weights(weights)
    return lambda X, n: np.stack([always.predict(X, verbose=0) for _ in range(n)])


def compiled_loop(model: keras.Sequential) -> Callable[[Array, int], Array]:
    """A loop over a compiled `model(x, training=True)`."""
    one = tf.function(lambda x: model(x, training=True))
    return lambda X, n: np.stack([one(tf.constant(X)).numpy() for _ in range(n)])


def torch_loop(
    model: keras.Sequential, rate: float
) -> Callable[[Array, int], Array] | None:
    """A loop over a PyTorch network in training mode; None without PyTorch."""
    try:
        import torch
    except ImportError:
        return None
    weights = model.get_weights()
    layers: list[Any] = []
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        linear = torch.nn.Linear(*kernel.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(kernel.T.copy()))
            linear.bias.copy_(torch.from_numpy(bias))
        layers += [linear, torch.nn.ReLU(), torch.nn.Dropout(rate)]
    module = torch.nn.Sequential(*layers[:-2], torch.nn.Softmax(dim=1)).train()

    def draws(X: Array, n: int) -> Array:
        with torch.no_grad():
            x = torch.from_numpy(X)
            return torch.stack([module(x) for _ in range(n)]).numpy()

    return draws


def scikeras_classifier(
    hidden: tuple[int, ...],
    kind: type[KerasClassifier] = KerasClassifier,
    dropout: Any = keras.layers.Dropout,
    **parameters: Any,
) -> KerasClassifier:
    """The same network behind scikeras."""

    def build(meta: dict[str, Any], dropout_rate: float = 0.2) -> keras.Sequential:
        return network(
            meta["n_features_in_"], hidden, meta["n_classes_"], dropout_rate, dropout
        )

    return kind(
        model=build,
        loss="sparse_categorical_crossentropy",
        optimizer="adam",
        verbose=0,
        **parameters,
    )


class LoopingClassifier(KerasClassifier):
    """The subclass of the blog posts: draws in a loop of `model.predict`."""

    def __init__(self, n_samples: int = 100, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.n_samples = n_samples

    def predict_proba(self, X: Any, **unused: Any) -> Array:
        """Mean of `n_samples` predictions of a network that drops units always."""
        x = np.asarray(X, np.float32)
        passes = [self.model_.predict(x, verbose=0) for _ in range(self.n_samples)]
        return np.mean(passes, axis=0)

    def predict(self, X: Any, **unused: Any) -> Any:
        """Labels of the largest mean."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

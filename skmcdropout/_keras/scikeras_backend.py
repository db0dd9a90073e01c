"""The only module that uses scikeras, the back end that resolves users' parameters.

It makes an optimizer of a name or class and its `learning_rate`, checks the callbacks
and calls `fit` of the model that `build` returns. It is fed a stand-in of two rows
of two classes, for it would copy and encode the data; the model's `fit` has these,
whatever their labels are. Its encoders are taken away, which obey
scikit-learn's `set_output`, and so is what importing it changes in Keras's classes.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from skmcdropout._keras.keras_backend import single_precision


@contextlib.contextmanager
def scikeras_without_patches() -> Iterator[None]:
    """Undo what importing scikeras within changes in Keras's classes.

    Its way of pickling them loses optimizers that Keras can't name, Lamb among them.
    Where somebody imported it before, who may rely on it, nothing changes.
    """
    patched = (
        keras.Model,
        keras.losses.Loss,
        keras.metrics.Metric,
        keras.optimizers.Optimizer,
    )
    names = ("__reduce__", "__deepcopy__")
    before = {(c, n): vars(c).get(n) for c in patched for n in names}
    was_imported = "scikeras" in sys.modules
    yield
    for (kind, name), method in () if was_imported else before.items():
        if method is not None:
            setattr(kind, name, method)
        elif name in vars(kind):
            delattr(kind, name)


with scikeras_without_patches():
    from scikeras.wrappers import KerasClassifier

#: scikeras checks that the model is compiled with this loss; what is trained by is the
#: trainer's own.
SCIKERAS_LOSS = keras.losses.SparseCategoricalCrossentropy


def fit_with_scikeras(
    build: Callable[[keras.Optimizer], keras.Model],
    optimizer: Any,
    learning_rate: float,
    callbacks: Sequence[keras.callbacks.Callback],
    batch_size: int,
    epochs: int,
) -> None:
    """Call ``build(optimizer).fit(...)`` with all parameters resolved.

    `optimizer` is a name, a class, or a class and the configuration of an instance,
    which has a learning rate of its own.
    """
    routed = {}
    if isinstance(optimizer, tuple):
        kind, config = optimizer
        optimizer = kind.from_config(dict(config))  # Keras changes it
    else:
        routed["optimizer__learning_rate"] = learning_rate
    backend = KerasClassifier(
        model=lambda compile_kwargs: build(compile_kwargs["optimizer"]),
        optimizer=optimizer,
        loss=SCIKERAS_LOSS,
        callbacks=list(callbacks),
        batch_size=batch_size,
        epochs=epochs,
        verbose=0,
        warm_start=True,  # do not build anew what `initialize` has built
        **routed,
    )
    codes = np.arange(2)
    stand_in = np.zeros((2, 1), np.float32)
    with single_precision():
        backend.initialize(stand_in, codes)
    backend.feature_encoder_ = backend.target_encoder_ = _NoEncoder()
    backend.fit(stand_in, codes)


class _NoEncoder:
    """Stands in for scikeras's encoders."""

    def transform(self, data: Any) -> Any:
        """`data` as it is."""
        return data

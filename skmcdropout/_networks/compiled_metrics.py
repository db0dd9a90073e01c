"""The metrics that a model was compiled with, as plain text."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from typing import Any

import keras

from skmcdropout._utils.private import compiled_with

#: Arguments of `keras.Model.compile` that hold metrics.
KEYS = ("metrics", "weighted_metrics")


def metrics_as_json(network: keras.Model) -> str | None:
    """The metrics of a compiled model as Keras saves them; None for none.

    Ones that can't be saved are left out, with a warning.
    """
    if not network.compiled:
        return None
    saved = {}
    for key, metrics in _given(network).items():
        kept = []
        for metric in metrics:
            try:
                text = json.dumps(keras.saving.serialize_keras_object(metric))
            except Exception:  # whatever a get_config of the user's may raise
                text = "__lambda__"
            if "__lambda__" in text:
                warnings.warn(
                    f"The metric {metric!r} that the model {network.name!r} is "
                    "compiled with can't be saved by Keras, so that history_ will not "
                    "hold it.",
                    UserWarning,
                    stacklevel=2,
                )
            else:
                kept.append(json.loads(text))
        if kept:
            saved[key] = kept
    return json.dumps(saved) if saved else None


def metrics_from_json(text: str | None) -> dict[str, Any]:
    """New metrics, as arguments of `keras.Model.compile`."""
    saved = {} if text is None else json.loads(text)
    return {
        key: [keras.saving.deserialize_keras_object(metric) for metric in metrics]
        for key, metrics in saved.items()
    }


def compiled_metrics(network: keras.Model) -> Iterable[Any]:
    """The metrics of a model, as they were given."""
    if network.compiled:
        for metrics in _given(network).values():
            yield from metrics


def _given(network: keras.Model) -> dict[str, list[Any]]:
    config = compiled_with(network)
    return {key: keras.tree.flatten(config.get(key) or []) for key in KEYS}

"""What layers hold beside weights and configuration, as plain text.

Keras saves it by methods of the layer, into arrays (`save_own_variables`) and files
(`save_assets`): the vocabulary of an adapted lookup, for instance.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from skmcdropout._networks.noise_layers import is_ours


def state_of_layers(flat_layers: Sequence[Any]) -> str:
    """All that layers hold of their own, as JSON."""
    held = {i: _saved(layer) for i, layer in enumerate(flat_layers) if _saves(layer)}
    return json.dumps(held, sort_keys=True)


def restore_layers(flat_layers: Sequence[Any], state: str) -> None:
    """Give layers built anew what `state_of_layers` found."""
    for i, saved in json.loads(state).items():
        layer = flat_layers[int(i)]
        if saved["variables"]:
            layer.load_own_variables(
                {name: _array(x) for name, x in saved["variables"].items()}
            )
        if saved["assets"]:
            with tempfile.TemporaryDirectory() as folder:
                for name, text in saved["assets"].items():
                    path = Path(folder, name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(base64.b64decode(text))
                layer.load_assets(folder)


def _saves(layer: keras.layers.Layer) -> bool:
    """Whether a layer saves more than the weights Keras knows of."""
    kind, base = type(layer), keras.layers.Layer
    is_custom = kind.save_own_variables is not base.save_own_variables
    return hasattr(layer, "save_assets") or (is_custom and not is_ours(kind))


def _saved(layer: keras.layers.Layer) -> dict[str, dict[str, Any]]:
    variables: dict[str, Any] = {}
    layer.save_own_variables(variables)
    with tempfile.TemporaryDirectory() as folder:
        if hasattr(layer, "save_assets"):
            layer.save_assets(folder)
        assets = {
            path.relative_to(folder).as_posix(): _text(path.read_bytes())
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file()
        }
    arrays = {name: np.asarray(value) for name, value in variables.items()}
    return {
        "variables": {
            name: [str(x.dtype), x.shape, _text(x.tobytes())]
            for name, x in arrays.items()
        },
        "assets": assets,
    }


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _array(saved: Sequence[Any]) -> Any:
    dtype, shape, text = saved
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)

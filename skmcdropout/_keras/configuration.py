"""What Keras saves of networks: configurations, and what layers hold besides."""

from __future__ import annotations

import base64
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from skmcdropout._keras.noise_layers import is_ours


def check_origins(config: str, custom_objects: Mapping[str, Any]) -> None:
    """Refuse a configuration that would import what is neither Keras's nor ours.

    Older versions of Keras import whatever function or class a file names.
    """
    for named in objects_in(json.loads(config)):
        if not _is_known(named, custom_objects):
            is_function = named["class_name"] == "function"
            what = named.get("config") if is_function else named["class_name"]
            raise ValueError(
                "The model's configuration must name classes and functions of "
                "Keras, registered ones or custom ones that were saved with it. "
                f"Got {what!r} of {named.get('module')!r}."
            )


def _is_known(named: dict[str, Any], custom_objects: Mapping[str, Any]) -> bool:
    """Whether Keras finds a class or function without importing it."""
    module, class_name = named.get("module"), str(named["class_name"])
    if module is None or class_name.startswith("__"):  # Keras's own kinds of values
        return True
    is_function = class_name == "function"
    key = named.get("config" if is_function else "registered_name")
    if (
        isinstance(key, str)
        and keras.saving.get_registered_object(key, dict(custom_objects)) is not None
    ):
        return True
    if is_function and module == "builtins":  # so it says of its own, and, before
        # 3.15, of registered ones, whose package it leaves out
        homes = (keras.activations, keras.initializers, keras.losses, keras.metrics)
        registered = keras.saving.get_custom_objects()
        return any(hasattr(home, str(key)) for home in homes) or any(
            name.endswith(f">{key}") for name in registered
        )
    return str(module).partition(".")[0] == "keras"


def without_names(config: str) -> str:
    """The same for networks that differ in the names of their layers alone."""
    names: dict[str, str] = {}

    def rename(value: Any) -> Any:
        if isinstance(value, dict):
            renamed = {k: rename(v) for k, v in value.items() if k != "name"}
            if "name" in value:
                renamed["name"] = names.get(value["name"], value["name"])
            return renamed
        if isinstance(value, list):
            if [type(part) for part in value] == [str, int, int]:
                return [names.get(value[0], value[0]), *value[1:]]
            return [rename(v) for v in value]
        return value

    plain = json.loads(config)
    for number, name in enumerate(_names_by_class(plain)):
        names.setdefault(name, f"name {number}")
    return json.dumps(rename(plain), sort_keys=True)


def for_any_number_of_rows(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a Sequential network that its first batch has built.

    Keras notes the size of that batch, which binds nobody.
    """
    inner = config["config"]
    inputs = [
        layer["config"]
        for layer in inner.get("layers", ())
        if layer["class_name"] == "InputLayer"
    ]
    for noted, key in (
        *((one, "batch_shape") for one in inputs),
        (inner, "build_input_shape"),
        (config.get("build_config") or {}, "input_shape"),
    ):
        if isinstance(noted.get(key), (list, tuple)):
            noted[key] = [None, *noted[key][1:]]
    return config


def objects_in(config: Any) -> Iterator[dict[str, Any]]:
    """Whatever in a configuration names a class, outermost first."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from objects_in(part)


def _names_by_class(config: Any) -> Iterator[str]:
    """Names that end in that of the class, as Keras numbers them: dense_7, lstm_1."""
    for named in objects_in(config):
        inner = named.get("config")
        name = inner.get("name") if isinstance(inner, dict) else None
        stem = re.sub(r"_\d+$", "", name or "").replace("_", "")
        if name and stem.endswith(str(named["class_name"]).lower()):
            yield name


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

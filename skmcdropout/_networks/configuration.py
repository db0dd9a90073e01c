"""Reads the configurations that Keras saves networks in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras


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

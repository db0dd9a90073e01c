"""Where the names of other projects are explained: links of Sphinx's intersphinx.

Inventories of NumPy, SciPy, pandas and matplotlib come from the network. Where there is
none they have an empty file to fall back on, so that the site is built without these
links and without a warning. Those of scikit-learn and Keras are written here: the pages
of scikit-learn are named after its public names, which it lists itself, and Keras
publishes no inventory.
"""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path
from typing import Any

FOLDER = Path(tempfile.mkdtemp(prefix="inventories"))

KERAS = {
    "keras.Model": "models/model/",
    "keras.Sequential": "models/sequential/",
    "keras.models.load_model": "models/model_saving_apis/model_saving_and_loading/",
    "keras.optimizers.Optimizer": "optimizers/",
    "keras.callbacks.Callback": "callbacks/base_callback/",
    "keras.Initializer": "layers/initializers/",
    "keras.layers.Dropout": "layers/regularization_layers/dropout/",
    "keras.saving.register_keras_serializable": (
        "models/model_saving_apis/serialization_utils/"
    ),
}


def mapping() -> dict[str, tuple[str, Any]]:
    """What `intersphinx_mapping` is set to."""
    empty = _written("empty", {})
    return {
        "python": ("https://docs.python.org/3", (None, empty)),
        "numpy": ("https://numpy.org/doc/stable", (None, empty)),
        "scipy": ("https://docs.scipy.org/doc/scipy", (None, empty)),
        "pandas": ("https://pandas.pydata.org/docs", (None, empty)),
        "matplotlib": ("https://matplotlib.org/stable", (None, empty)),
        "sklearn": ("https://scikit-learn.org/stable", _written("sklearn", _sklearn())),
        "keras": ("https://keras.io/api", _written("keras", KERAS)),
    }


def _sklearn() -> dict[str, str]:
    """Pages of public classes and functions, by their full and by their short names.

    Short names of one small word ("scale") stand for parameters in our pages.
    """
    from sklearn.utils.discovery import all_displays, all_estimators, all_functions

    pages = {"sklearn.base.BaseEstimator": "sklearn.base.BaseEstimator"}
    for name, member in [*all_estimators(), *all_displays(), *all_functions()]:
        parts = member.__module__.split(".")
        public = [part for part in parts if not part.startswith("_")]
        full = ".".join([*public, name])
        pages[full] = full
        if len(public) > 1 and (name != name.lower() or "_" in name):
            pages[name] = full
    return {name: f"modules/generated/{full}.html" for name, full in pages.items()}


def _written(project: str, pages: dict[str, str]) -> str:
    """The path of an inventory, in Sphinx's format, of pages by name."""
    lines = [f"{name} py:class 1 {page} -\n" for name, page in pages.items()]
    head = (
        "# Sphinx inventory version 2\n"
        f"# Project: {project}\n"
        "# Version: \n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    path = FOLDER / f"{project}.inv"
    path.write_bytes(head.encode() + zlib.compress("".join(lines).encode()))
    return str(path)

"""The house: which folder may know which, no circles, one door to private parts."""

import ast
import runpy
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import keras
import pytest
import sklearn.base
import tensorflow as tf
from keras import KerasTensor
from tensorflow.python.eager import context

import skmcdropout
from skmcdropout._utils import private

ROOT = Path(skmcdropout.__file__).parent

#: Of each folder or file at the top, those that it may import.
MAY_IMPORT = {
    "_version": set(),
    "_utils": set(),
    "_networks": {"_utils"},
    "_training": {"_networks", "_utils"},
    "_drawing": {"_networks", "_utils", "uncertainty"},
    "_fitting": {"_drawing", "_networks", "_training", "_utils", "_version"},
    "_validation": {"_networks", "_utils"},
    "_parameters": {"_networks", "_utils"},
    "_base": {"_drawing", "_fitting", "_networks", "_training", "_utils"}
    | {"_parameters", "_validation"},
    "_classifier": {"_base", "_fitting", "_parameters", "_utils"}
    | {"_validation", "uncertainty"},
    "_regressor": {"_base", "_fitting", "_networks", "_parameters", "_utils"}
    | {"_validation", "uncertainty"},
    "_meta_estimators": {"_base", "_classifier", "_regressor", "_utils"}
    | {"_validation", "uncertainty"},
    "_rejecting": {"_fitting", "_folds", "_thresholds", "_utils", "metrics"}
    | {"uncertainty"},
    "_folds": {"_fitting", "_utils", "metrics"},
    "_thresholds": {"metrics"},
    "layers": set(),
    "metrics": {"_meta_estimators", "_utils", "uncertainty"},
    "plotting": {"_meta_estimators", "metrics", "uncertainty"},
    "uncertainty": set(),
    "__init__": {"_classifier", "_meta_estimators", "_regressor", "_rejecting"}
    | {"_version"}
    | {"metrics", "uncertainty"},
}


def modules():
    """Every module of the package, with its syntax tree."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if len(parts) > 1 and "__init__" in parts else parts)
        found[name] = ast.parse(path.read_text())
    return found


MODULES = modules()


def imported(tree):
    """Modules of the package that a module imports anywhere, for types too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            inner = name.removeprefix("skmcdropout.")
            if inner == name and name != "skmcdropout":
                continue
            yield inner if inner in MODULES else inner.rpartition(".")[0] or "__init__"


def test_every_module_has_its_place():
    assert {name.partition(".")[0] for name in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down_the_floors(name):
    own = name.partition(".")[0]
    others = {other.partition(".")[0] for other in imported(MODULES[name])}
    assert others - {own} <= MAY_IMPORT[own]


def test_floors_and_modules_have_no_circles():
    list(TopologicalSorter(MAY_IMPORT).static_order())  # raises CycleError
    graph = {name: set(imported(tree)) - {name} for name, tree in MODULES.items()}
    list(TopologicalSorter(graph).static_order())


#: Names that objects of ours have, whose private attributes are ours too.
OURS = {"self", "cls", "candidate", "snapshot", "estimator", "parameters", "display"}
OURS |= {"NetworkParameters", "inner"}

#: Files that may set attributes of estimators.
WRITERS = {"_base", "_classifier", "_regressor", "_parameters", "_rejecting"}


def attributes_written(tree):
    """Attributes of estimators that a module sets or deletes, of others than `self`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            if getattr(node.value, "id", "") in OURS - {"self", "cls"}:
                yield node.attr
        elif isinstance(node, ast.Call) and node.args:
            writes = getattr(node.func, "id", "") in ("setattr", "delattr", "vars")
            if writes and getattr(node.args[0], "id", "") in OURS - {"self", "cls"}:
                yield ast.unparse(node)


@pytest.mark.parametrize("name", sorted(set(MODULES) - WRITERS))
def test_only_estimators_set_their_attributes(name):
    assert list(attributes_written(MODULES[name])) == []


def test_writing_is_seen():
    assert len(list(attributes_written(MODULES["_rejecting"]))) > 0


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name != "_"


def own_private_names():
    """Names that the package itself defines, as methods, attributes or else."""
    names = {part for name in MODULES for part in name.split(".")}
    for tree in MODULES.values():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if isinstance(node.value, ast.Name) and node.value.id == "self":
                    names.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    return names


def is_ours(node):
    if isinstance(node, ast.Call):
        return ast.unparse(node) in ("super()", "copy.copy(self)")
    return getattr(node, "attr", getattr(node, "id", "")) in OURS


def foreign_private_names(tree, own):
    """Private names of other libraries that a module uses."""
    for node in ast.walk(tree):
        used = []
        if isinstance(node, ast.Attribute):
            if not is_ours(node.value):
                used = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            used = [*node.module.split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "getattr",
            "hasattr",
            "setattr",
            "_part",
        ):
            used = [a.value for a in node.args if isinstance(a, ast.Constant)]
        may_be_own = not isinstance(node, ast.Attribute)
        for name in used:
            is_known = name in PROMISED or (may_be_own and name in own)
            if isinstance(name, str) and is_private(name) and not is_known:
                yield name


#: Documented, whatever they look like: of named tuples, and of scikit-learn for those
#: who write estimators and scorers.
PROMISED = {
    "_replace",
    "_parameter_constraints",
    "_validate_params",
    "_sign",
    "_score_func",
    "_kwargs",
}


def test_private_parts_of_other_libraries_are_used_in_one_module():
    own = own_private_names()
    found = {
        name: sorted(foreign_private_names(tree, own)) for name, tree in MODULES.items()
    }
    door = found.pop("_utils.private")
    assert {name: used for name, used in found.items() if used} == {}
    assert len(set(door)) > 10  # so that this looks at something


def _holder(path):
    holder = keras
    for part in path.split("."):
        holder = getattr(holder, part)
    return holder


@pytest.mark.parametrize(
    ("holder", "part"),
    [
        ("layers.GRUCell", private.DRAWS_CELL_MASKS),
        ("layers.LSTMCell", private.DRAWS_CELL_MASKS),
        ("layers.SimpleRNNCell", private.DRAWS_CELL_MASKS),
        ("layers.Attention", private.APPLIES_SCORES),
        ("layers.SpatialDropout1D", private.CHOOSE_NOISE_SHAPE[0]),
        ("layers.AlphaDropout", private.CHOOSE_NOISE_SHAPE[1]),
        ("layers.Layer", "_flatten_layers"),
        ("models.Model", "_standardize_inputs"),
        ("optimizers.Optimizer", "_all_reduce_sum_gradients"),
    ],
)
def test_a_part_that_is_gone_is_told_by_name(holder, part, monkeypatch):
    inputs = keras.Input((2,))
    network = keras.Model(inputs, keras.layers.Flatten()(inputs))
    kind = type(network) if holder == "models.Model" else _holder(holder)
    owner = next(parent for parent in kind.__mro__ if part in vars(parent))
    private.check_keras()
    monkeypatch.delattr(owner, part)
    with pytest.raises(private.PrivatePartError, match=rf"{part}, a private part of"):
        private.check_keras()


@pytest.mark.parametrize(
    ("owner", "part"),
    [
        (context.Context, "clear_kernel_cache"),
        (tf.__internal__, "EagerTensor"),
        (KerasTensor, "_keras_mask"),
    ],
)
def test_what_hides_behind_tensors_and_contexts_is_told_by_name(
    owner, part, monkeypatch
):
    if owner is KerasTensor:
        monkeypatch.setattr(owner, part, Unset(), raising=False)
    else:
        monkeypatch.delattr(owner, part)
    with pytest.raises(private.PrivatePartError, match=rf"{part}, a private part of"):
        private.check_keras()


class Unset:
    """A descriptor of an attribute that can be set and is never there."""

    def __get__(self, holder, kind=None):
        raise AttributeError

    def __set__(self, holder, value):
        pass


@pytest.mark.skipif(
    find_spec("sklearn.callback") is None, reason="scikit-learn has no callbacks"
)
def test_callbacks_that_are_kept_elsewhere_are_told_by_name(monkeypatch):
    from sklearn.callback import CallbackSupportMixin

    monkeypatch.setattr(CallbackSupportMixin, "set_callbacks", lambda self, *_: self)
    private._check_callbacks.cache_clear()
    with pytest.raises(private.PrivatePartError, match="_skl_callbacks, a private"):
        private.callbacks_of(CallbackSupportMixin())


def test_a_private_import_that_is_gone_is_told_by_name(monkeypatch):
    monkeypatch.delattr(sklearn.base, "_fit_context")
    with pytest.raises(ImportError, match=r"find sklearn\.base\._fit_context, a priv"):
        runpy.run_path(private.__file__)


def test_what_is_missing_where_it_is_used_is_told_by_name():
    with pytest.raises(private.PrivatePartError, match=r"object\._value"):
        private.let_any_length(object())


def test_the_check_makes_no_variables():
    """It runs when Keras is first needed, maybe in a process that forks later."""
    script = (
        "from skmcdropout._utils import private\n"
        "private.check_keras()\n"
        "assert not private.tensorflow_has_started()\n"
    )

    subprocess.run([sys.executable, "-c", script], check=True)

"""The house: which folder may know which, no circles, one door to private parts.

The modules are read, and one table says what each may import. It follows the house.
"""

import ast
import inspect
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from sklearn.base import BaseEstimator

import skmcdropout
from skmcdropout import MCDropoutClassifier, MCDropoutRegressor, RejectingClassifier

ROOT = Path(skmcdropout.__file__).parent

#: Of each folder or file at the top, those that it may import.
MAY_IMPORT = {
    "_version": set(),
    "_utils": set(),
    "_perceptron": {"_utils"},
    "_fit": {"_perceptron", "_utils", "_version"},
    "_keras": {"_fit", "_perceptron", "_utils"},
    "_validation": {"_utils"},
    "_parameters": {"_perceptron", "_utils"},
    "_base": {"_fit", "_keras", "_perceptron", "_utils"}
    | {"_parameters", "_validation"},
    "_classifier": {"_base", "_fit", "_keras", "_parameters", "_utils"}
    | {"_validation", "uncertainty"},
    "_regressor": {"_base", "_fit", "_keras", "_parameters", "_perceptron", "_utils"}
    | {"_validation", "uncertainty"},
    "_meta_estimators": {"_base", "_classifier", "_regressor", "_utils"}
    | {"_validation", "uncertainty"},
    "_rejecting": {"_fit", "_folds", "_utils", "_validation", "metrics"}
    | {"uncertainty"},
    "_folds": {"_fit", "_utils", "_validation", "metrics"},
    "layers": set(),
    "metrics": {"_meta_estimators", "_utils", "uncertainty"},
    "plotting": {"_meta_estimators", "metrics", "uncertainty"},
    "uncertainty": set(),
    "__init__": {"_classifier", "_meta_estimators", "_regressor", "_rejecting"}
    | {"_version"}
    | {"metrics", "uncertainty"},
}

#: Libraries of Keras, which one folder and the public layers may import.
OF_KERAS = {"keras", "tensorflow", "scikeras"}


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


def libraries(tree):
    """Libraries that a module imports when it runs, in functions too."""
    for node in ast.walk(without_types(tree)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.partition(".")[0]


def without_types(tree):
    """A module without what is imported for types alone."""

    class Strip(ast.NodeTransformer):
        def visit_If(self, node):
            return None if ast.unparse(node.test) == "TYPE_CHECKING" else node

    return Strip().visit(ast.parse(ast.unparse(tree)))


@pytest.mark.parametrize("name", MODULES)
def test_one_folder_and_the_public_layers_import_keras(name):
    used = OF_KERAS & set(libraries(MODULES[name]))
    assert not used or name.partition(".")[0] in ("_keras", "layers")


@pytest.mark.parametrize("name", MODULES)
def test_the_folder_of_keras_is_entered_by_its_door(name):
    own = name.partition(".")[0]
    entered = {
        other
        for other in imported(without_types(MODULES[name]))
        if other.partition(".")[0] == "_keras"
    }
    assert own == "_keras" or entered <= {"_keras.door"}


def test_floors_and_modules_have_no_circles():
    list(TopologicalSorter(MAY_IMPORT).static_order())  # raises CycleError
    graph = {name: set(imported(tree)) - {name} for name, tree in MODULES.items()}
    list(TopologicalSorter(graph).static_order())


# Who sets the attributes of estimators


def watched(kind, seen):
    """A kind of estimator that notes which file sets which of its attributes."""

    def note(self, name, value):
        seen.append((name, sys._getframe(1).f_code.co_filename))
        super(kind, self).__setattr__(name, value)

    return type(kind.__name__, (kind,), {"__setattr__": note})


def files_of(kind):
    """Files of the package in which a class and its bases stand."""
    files = {inspect.getfile(base) for base in kind.__mro__ if base is not object}
    return {file for file in files if Path(file).is_relative_to(ROOT)}


@pytest.mark.parametrize(
    ("kind", "calls"),
    [
        (MCDropoutClassifier, ("fit", "partial_fit", "predict", "predict_proba")),
        (MCDropoutRegressor, ("fit", "partial_fit", "predict", "sample_predictions")),
        (RejectingClassifier, ("fit", "predict", "accept")),
    ],
)
def test_only_estimators_set_their_attributes(kind, calls, blobs):
    seen = []
    estimator = (
        watched(kind, seen)(epochs=1)
        if kind is not RejectingClassifier
        else (watched(kind, seen)(MCDropoutClassifier(epochs=1, temperature=1.0), cv=2))
    )
    for name in calls:
        arguments = blobs if name.endswith("fit") else blobs[:1]
        getattr(estimator, name)(*arguments)
    fitted = {name for name in vars(estimator) if name not in estimator.get_params()}
    assert fitted - {name for name, _ in seen} == set()
    ours = {file for _, file in seen if Path(file).is_relative_to(ROOT)}
    assert ours <= files_of(kind)


# Private parts of other libraries


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
                names.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    return names


#: Whose private parts a name of ours may be taken for.
FOREIGN = [
    *(keras.Layer, keras.Model, keras.Sequential, keras.Optimizer, keras.Loss),
    *(keras.Metric, keras.Variable, keras.KerasTensor, keras.callbacks.Callback),
    *(tf.Tensor, tf.Variable, BaseEstimator),
]

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


def is_own(node):
    """Whether it is `self`, `cls` or `super()`."""
    return ast.unparse(node) in ("self", "cls", "super()")


def foreign_private_names(tree, own, of_both):
    """Private names of other libraries that a module uses.

    A name that we have too is theirs on every object that is not `self`.
    """
    for node in ast.walk(tree):
        used = []
        if isinstance(node, ast.Attribute):
            if not is_own(node.value):
                used = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            used = [*node.module.split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "getattr",
            "hasattr",
            "setattr",
            "part_of",
        ):
            used = [a.value for a in node.args if isinstance(a, ast.Constant)]
        for name in used:
            may_be_theirs = name not in own or name in of_both
            if is_private(str(name)) and name not in PROMISED and may_be_theirs:
                yield name


def test_private_parts_of_other_libraries_are_used_in_two_modules():
    own = own_private_names()
    of_both = own & {name for kind in FOREIGN for name in dir(kind)}
    found = {
        name: sorted(foreign_private_names(tree, own, of_both))
        for name, tree in MODULES.items()
    }
    doors = [name for name in found if name.endswith(".private")]
    assert [door.partition(".")[0] for door in doors] == ["_keras", "_utils"]
    for door in doors:
        assert len(set(found.pop(door))) > 3  # so that this looks at something
    assert {name: used for name, used in found.items() if used} == {}

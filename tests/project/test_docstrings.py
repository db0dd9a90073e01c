"""Every public docstring is numpydoc, complete by numpydoc's own validation."""

import inspect
from importlib import import_module

import pytest

numpydoc = pytest.importorskip("numpydoc", reason="numpydoc is not installed")

from numpydoc.docscrape import get_doc_object  # noqa: E402
from numpydoc.validate import validate  # noqa: E402

MODULES = ["", ".layers", ".metrics", ".plotting", ".uncertainty"]

#: Not asked for: an extended summary, a See Also, and results without names
#: (scikit-learn names them, too).
NOT_ASKED = {"ES01", "SA01", "RT02"}


def public():
    """Full names and objects; methods of metadata routing are scikit-learn's."""
    for module in (import_module(f"skmcdropout{name}") for name in MODULES):
        for name in module.__all__:
            member = getattr(module, name)
            if callable(member):
                yield f"{module.__name__}.{name}", member
            if inspect.isclass(member):
                for method in vars(member):
                    if not method.startswith("_") and not method.endswith("_request"):
                        yield (
                            f"{module.__name__}.{name}.{method}",
                            getattr(member, method),
                        )


PUBLIC = dict(public())
OF_MODULES = [name for name in PUBLIC if name.rpartition(".")[0] not in PUBLIC]


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_are_complete(name):
    not_asked = NOT_ASKED if name in OF_MODULES else {*NOT_ASKED, "EX01"}
    errors = [error for error in validate(name)["errors"] if error[0] not in not_asked]
    assert errors == []


@pytest.mark.parametrize("name", PUBLIC)
def test_arrays_have_a_shape(name):
    if isinstance(PUBLIC[name], property):
        pytest.skip("a property has no parameters")
    doc = get_doc_object(PUBLIC[name])
    for entry in [*doc["Parameters"], *doc["Returns"]]:
        if "array" in entry.type:
            assert "of shape (" in entry.type or "array-like of " in entry.type, entry


def test_the_public_names_are_found():
    assert len(OF_MODULES) > 20
    assert "skmcdropout.MCDropoutClassifier.fit" in PUBLIC

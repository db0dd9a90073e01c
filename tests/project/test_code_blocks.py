"""All code of the guide, the README and docstrings is Python that compiles.

Code with prompts is run elsewhere, as doctests, if nothing in it is skipped. What needs
a cluster or another library stands without prompts.
"""

import ast
import doctest
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PAGES = [
    *sorted((ROOT / "docs").rglob("*.rst")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "skmcdropout").rglob("*.py")),
    *sorted((ROOT / "examples").rglob("*.py")),
]

DIRECTIVE = re.compile(
    r"^(?P<margin>[ \t]*)\.\. (?:code-block|code|sourcecode):: *"
    r"(?:python3?|pycon)[ \t]*\n"
    r"(?P<body>(?:[ \t]*\n|(?P=margin)[ \t]+\S.*\n?)*)",
    re.MULTILINE,
)
FENCE = re.compile(
    r"^(?P<margin>[ \t]*)(?P<fence>```+|~~~+) *(?:python3?|py|pycon)\b.*\n"
    r"(?P<body>(?:.*\n)*?)(?P=margin)(?P=fence)[ \t]*$",
    re.MULTILINE,
)
OPTION = re.compile(r"^[ \t]+:[\w-]+:.*\n", re.MULTILINE)


def texts(path):
    """The text of a page, or the docstrings of a module."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return [text]
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, documented)]
    return [doc for doc in map(ast.get_docstring, nodes) if doc]


def blocks(text):
    """Blocks of Python of a text in reStructuredText or Markdown, without prompts."""
    for found in DIRECTIVE.finditer(text):
        yield textwrap.dedent(OPTION.sub("", found["body"]))
    for found in FENCE.finditer(text):
        yield textwrap.dedent(found["body"])


def compile_all(text, name):
    """Compile blocks and prompts of a text; how many there are of each."""
    bare = [block for block in blocks(text) if ">>>" not in block]
    for block in bare:
        compile(block, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    examples = doctest.DocTestParser().get_examples(text, name)
    for example in examples:
        compile(example.source, f"{name}, line {example.lineno + 1}", "single")
    return len(bare), len(examples)


@pytest.mark.parametrize(
    "path", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES]
)
def test_all_code_compiles(path):
    for text in texts(path):
        compile_all(text, path.name)


def test_no_block_is_overlooked():
    """A block that the patterns do not know would be compiled by nobody."""
    pages = [path for path in PAGES if path.suffix != ".py"]
    for path in pages:
        text = path.read_text(encoding="utf-8")
        directives = len(re.findall(r"\.\. [a-z-]+:: *(?:python|pycon)", text))
        fences = len(re.findall(r"^[ \t]*(?:```|~~~) *py", text, re.MULTILINE))
        found = list(blocks(text))
        assert len(found) == directives + fences, path.name
        assert all(block.strip() for block in found), path.name
    counts = [compile_all(path.read_text("utf-8"), path.name) for path in pages]
    assert sum(n_blocks for n_blocks, _ in counts) >= 10
    assert sum(n_prompts for _, n_prompts in counts) >= 100
    modules = [path for path in PAGES if path.suffix == ".py"]
    prompts = [compile_all(t, path.name)[1] for path in modules for t in texts(path)]
    assert sum(prompts) >= 100


SLIPS = {
    "a line further in": ".. code-block:: python\n\n    import a\n\n        b = a.c\n",
    "a line further out": ".. code-block:: python\n\n        x = 1\n    y = 2\n",
    "with options": ".. code-block:: python\n   :caption: x\n\n   def f(:\n",
    "in a list": "- text\n\n  .. code-block:: python\n\n     if x\n\n  more\n",
    "a fence": "```python\nfor x in y\n    pass\n```\n",
    "a fence in a list": "- text\n  ```python\n  x = = 1\n  ```\n",
    "a prompt": ">>> for x in y:\n... pass\n",
    "a prompt in a fence": "```python\n>>> f(\n```\n",
}


@pytest.mark.parametrize("text", SLIPS.values(), ids=SLIPS)
def test_a_slip_is_found(text):
    with pytest.raises(SyntaxError):
        compile_all(text, "text")


RIGHT = {
    "two statements": (
        ".. code-block:: python\n\n   x = 1\n\n   y = 2\n\nText.\n",
        1,
        0,
    ),
    "another language": (
        ".. code-block:: bash\n\n   if x; then\n\n```bash\nif x\n```\n",
        0,
        0,
    ),
    "options": (".. code-block:: python\n   :caption: x y\n\n   x = 1\n", 1, 0),
    "prompts": ("```python\n>>> if True:\n...     x = 1\n>>> x\n1\n```\n", 0, 2),
    "two fences": ("```python\nx = 1\n```\ntext (\n```python\ny = 2\n```\n", 2, 0),
}


@pytest.mark.parametrize(("text", "n_blocks", "n_prompts"), RIGHT.values(), ids=RIGHT)
def test_what_is_right_is_compiled(text, n_blocks, n_prompts):
    assert compile_all(text, "text") == (n_blocks, n_prompts)

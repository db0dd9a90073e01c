"""Small faults that can be made in the sources of the package, for `mutants.py`."""

from __future__ import annotations

import ast
import contextlib
import itertools
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = "skmcdropout"

#: Source files of each area, below the package.
AREAS = {
    "masks": "_perceptron/masks _keras/places",
    "chain": "_perceptron/draws _perceptron/thinning _perceptron/tiles "
    "_perceptron/values _perceptron/chain _perceptron/perceptron _keras/tail "
    "_keras/chain_engine",
    "rows": "_fit/rows _perceptron/sparse_product _utils/sparse_tables",
    "calibration": "_fit/calibration _fit/held_out _perceptron/outputs",
    "training": "_perceptron/backpropagation _perceptron/layers _perceptron/losses "
    "_perceptron/optimizers _perceptron/activations _perceptron/epochs "
    "_perceptron/training",
    "metrics": "metrics/_calibration metrics/_regression metrics/_scorers "
    "metrics/_selective _utils/gaussian_mixture",
    "risk-control": "metrics/_risk_control _rejecting",
    "measures": "uncertainty/_classification uncertainty/_regression",
    "meta-estimators": "_meta_estimators/classifiers _meta_estimators/cross_val "
    "_meta_estimators/functions _meta_estimators/parts _meta_estimators/regressors "
    "_folds",
}

OPERATORS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
OPERATORS |= {"is not": "is", "is": "is not", "not in": "in", "in": "not in"}
OPERATORS |= {"and": "or", "or": "and", "+": "-", "-": "+", "*": "/", "/": "*"}
OPERATORS |= {"//": "*", "%": "*", "**": "*"}
LONGEST_FIRST = sorted(map(re.escape, OPERATORS), key=len, reverse=True)
OPERATOR = re.compile("|".join(LONGEST_FIRST).encode())

#: Without faults: texts, types, ...
FIELDS_LEFT_OUT = {"annotation", "returns", "decorator_list", "bases", "exc", "cause"}
KEYWORDS_LEFT_OUT = {"axis", "stacklevel", "strict"}  # axis is replaced as a whole


class Fault(NamedTuple):
    """A change of a source file, from byte `begin` to byte `end`."""

    file: str
    line: int
    begin: int
    end: int
    old: str
    new: str
    kind: str
    #: First and last line of what tests execute that could notice it.
    reach: tuple[int, int]

    @property
    def name(self) -> str:
        """Tells it apart from all others of the same sources."""
        return f"{self.file}:{self.line}:{self.begin} {self.old!r} -> {self.new!r}"

    def applied(self, source: bytes) -> bytes:
        """The source with the fault."""
        return source[: self.begin] + self.new.encode() + source[self.end :]


def faults_of(file: str, source: bytes) -> Iterator[Fault]:
    """All faults that can be made in a file."""
    starts = [0, *itertools.accumulate(map(len, source.splitlines(keepends=True)))]

    def span(node: Any) -> tuple[int, int]:
        end = starts[node.end_lineno - 1] + node.end_col_offset
        return starts[node.lineno - 1] + node.col_offset, end

    def text(node: ast.expr) -> str:
        return source[slice(*span(node))].decode()

    def operators(*operands: ast.expr) -> Iterator[Any]:
        for left, right in itertools.pairwise(operands):
            if found := OPERATOR.search(source, span(left)[1], span(right)[0]):
                yield "operator", found.span(), OPERATORS[found[0].decode()]

    def changes(node: Any) -> Iterator[tuple[str, tuple[int, int], str]]:
        match node:
            case ast.Compare():
                yield from operators(node.left, *node.comparators)
            case ast.BoolOp():
                yield from operators(*node.values)
            case ast.BinOp() if is_number(node):
                yield from operators(node.left, node.right)
            case ast.UnaryOp(op=ast.Not()):
                yield "operator", span(node), f"({text(node.operand)})"
            case ast.If() | ast.IfExp():
                yield "condition", span(node.test), f"not ({text(node.test)})"
            case ast.Constant(value=bool(value)):
                yield "constant", span(node), str(not value)
            case ast.Constant(value=int(value)):
                yield "number", span(node), str(value + 1)
            case ast.Constant(value=float(value)):
                yield "number", span(node), repr(value * 1.5 or 1.0)
            case ast.keyword(arg="axis", value=axis) if is_literal(axis):
                yield "axis", span(axis), "-1" if text(axis) == "0" else "0"
            case ast.Slice():
                for bound in filter(None, (node.lower, node.upper)):
                    if not is_literal(bound):
                        yield "slice", span(bound), f"({text(bound)}) + 1"
            case ast.Return(value=ast.BinOp() | ast.Call() as value):
                if text(value).startswith("np.") or is_number(value):
                    yield "return", span(value), f"-({text(value)})"
            case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise():
                yield "removed", span(node), "pass"
            case ast.Assign(targets=[ast.Subscript()]):
                yield "removed", span(node), "pass"

    def walk(node: Any, reach: tuple[int, int], owner: Any) -> Iterator[Fault]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            owner, reach = node, (node.lineno, node.end_lineno)
        elif isinstance(node, ast.stmt) and isinstance(owner, ast.FunctionDef):
            inner = [
                child.lineno
                for child in ast.iter_child_nodes(node)
                if isinstance(child, ast.stmt | ast.ExceptHandler)
            ]
            last = min(inner) - 1 if inner else node.end_lineno
            reach = node.lineno, max(node.lineno, last)
        for kind, (begin, end), new in changes(node):
            line, old = source.count(b"\n", 0, begin) + 1, source[begin:end].decode()
            yield Fault(file, line, begin, end, old, new, kind, reach)
        for field, value in ast.iter_fields(node):
            if field not in FIELDS_LEFT_OUT and not is_left_out(node):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        yield from walk(child, reach, owner)

    # What runs at import is known to no test: all tests of its file or class count.
    tree = ast.parse(source)
    yield from walk(tree, (1, len(starts)), tree)


def is_literal(node: ast.expr) -> bool:
    """Whether it is an integer as it stands, or such with a sign."""
    node = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def is_number(node: ast.expr) -> bool:
    """Whether it computes with what is not seen to be texts or lists."""
    others = ast.JoinedStr | ast.List | ast.Tuple | ast.ListComp
    return isinstance(node, ast.BinOp) and not any(
        isinstance(n, others)
        or (isinstance(n, ast.Constant) and isinstance(n.value, str))
        for n in ast.walk(node)
    )


def is_left_out(node: ast.AST) -> bool:
    """Whether what stands within a node stays as it is."""
    match node:
        case ast.keyword(arg=name):
            return name in KEYWORDS_LEFT_OUT
        case (
            ast.JoinedStr()
            | ast.Call(func=ast.Attribute(attr="warn"))
            | ast.If(test=ast.Name(id="TYPE_CHECKING"))
            | ast.Assign(targets=[ast.Name(id="__all__")])
        ):
            return True
    return False


def chosen(root: Path, areas: list[str], n: int, seed: int) -> list[tuple[str, Fault]]:
    """About `n` mutants and their areas, spread over areas, files and lines."""
    found = []
    for i, area in enumerate(areas):
        files = [f"{PACKAGE}/{name}.py" for name in AREAS[area].split()]
        random.Random(f"{seed} {area}").shuffle(files)
        orders = [in_order(file, (root / file).read_bytes(), seed) for file in files]
        turns = itertools.chain.from_iterable(itertools.zip_longest(*orders))
        n_here = n // len(areas) + (i < n % len(areas))
        faults = itertools.islice(filter(None, turns), n_here)
        found += [(area, fault) for fault in faults]
    return found


def in_order(file: str, source: bytes, seed: int) -> Iterator[Fault]:
    """The faults of a file in random order, but first one of each line."""
    faults = list(faults_of(file, source))
    random.Random(f"{seed} {file}").shuffle(faults)
    turns: Counter[int] = Counter()
    turn = {}
    for fault in faults:
        turns[fault.line] += 1
        turn[fault] = turns[fault.line]
    for fault in sorted(faults, key=lambda fault: turn[fault]):
        with contextlib.suppress(SyntaxError):
            ast.parse(fault.applied(source))
            yield fault

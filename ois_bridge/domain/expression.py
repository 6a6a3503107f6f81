"""A small language of conditions and sums over named values, for rules that a department writes itself.

It is the part of Python's expressions without calls, attributes, indices and loops: numbers, texts,
`+ - * /`, comparisons, `and or not`, `a if c else b`, and the functions `min`, `max`, `abs`. It is read
into a tree and walked here; nothing of it is ever executed as Python.
"""

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from common.errors import BadInput
from common.text import _

LONGEST = 400
Value = float | int | str | bool

_SUMS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_SIGNS: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
FUNCTIONS: Mapping[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs}


def names(text: str) -> frozenset[str]:
    """The named values that an expression asks for. Raises BadInput for one that cannot be read."""
    return frozenset(
        node.id for node in _nodes(_tree(text)) if isinstance(node, ast.Name) and node.id not in FUNCTIONS
    )


def evaluate(text: str, values: Mapping[str, Value]) -> Value:
    """The value of an expression. Raises BadInput: unreadable, an unknown name, a sum that has no value."""
    try:
        found: Value = _walk(_tree(text).body, values)
    except (TypeError, ArithmeticError, ValueError) as why:
        raise BadInput(_("“{text}” has no value here: {why}.").format(text=text, why=why)) from why
    if isinstance(found, float) and not math.isfinite(found):
        raise BadInput(_("“{text}” has no finite value here.").format(text=text))
    return found


def _tree(text: str) -> ast.Expression:
    if len(text) > LONGEST:
        raise BadInput(_("A rule has at most {n} characters.").format(n=LONGEST))
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as why:
        raise BadInput(_("“{text}” cannot be read as a rule.").format(text=text)) from why
    for node in _nodes(tree):
        _allowed(node, text)
    return tree


def _nodes(tree: ast.Expression) -> Iterator[ast.AST]:
    return ast.walk(tree.body)


def _allowed(node: ast.AST, text: str) -> None:
    """Refuse every part of the tree that the language does not have."""
    good = (
        isinstance(node, ast.Name | ast.Compare | ast.BoolOp | ast.IfExp | ast.boolop | ast.expr_context)
        or (isinstance(node, ast.BinOp) and type(node.op) in _SUMS)
        or (isinstance(node, ast.UnaryOp) and type(node.op) in _SIGNS)
        or (isinstance(node, ast.Constant) and isinstance(node.value, int | float | str))
        or (isinstance(node, ast.Call) and _known(node))
        or type(node) in _SUMS
        or type(node) in _SIGNS
        or type(node) in _COMPARISONS
    )
    if not good:
        raise BadInput(
            _(
                "“{text}”: a rule has names, numbers, texts, + - * /, comparisons, and, or, not, {all}."
            ).format(text=text, all=", ".join(FUNCTIONS))
        )


def _known(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS and not node.keywords


def _walk(node: ast.expr, values: Mapping[str, Value]) -> Any:
    way = _WAYS.get(type(node))
    if way is None:
        raise TypeError(type(node).__name__)
    return way(node, values)


def _name(node: Any, values: Mapping[str, Value]) -> Value:
    if node.id not in values:
        raise BadInput(
            _("“{name}” is no named value here; there are {all}.").format(
                name=node.id, all=", ".join(sorted(values)) or _("none")
            )
        )
    return values[node.id]


def _both(node: Any, values: Mapping[str, Value]) -> bool:
    join = all if isinstance(node.op, ast.And) else any
    return join(_walk(part, values) for part in node.values)


def _compare(node: Any, values: Mapping[str, Value]) -> bool:
    row = [_walk(part, values) for part in (node.left, *node.comparators)]
    return all(
        _COMPARISONS[type(sign)](one, two) for sign, one, two in zip(node.ops, row[:-1], row[1:], strict=True)
    )


_WAYS: Mapping[type[ast.expr], Callable[[Any, Mapping[str, Value]], Any]] = {
    ast.Constant: lambda node, _values: node.value,
    ast.Name: _name,
    ast.UnaryOp: lambda node, values: _SIGNS[type(node.op)](_walk(node.operand, values)),
    ast.BinOp: lambda node, values: _sum(
        _SUMS[type(node.op)], _walk(node.left, values), _walk(node.right, values)
    ),
    ast.BoolOp: _both,
    ast.IfExp: lambda node, values: _walk(node.body if _walk(node.test, values) else node.orelse, values),
    ast.Call: lambda node, values: FUNCTIONS[node.func.id](*(_walk(part, values) for part in node.args)),
    ast.Compare: _compare,
}


def _sum(act: Callable[[Any, Any], Any], one: Any, two: Any) -> Any:
    # a text times a number would be a text of any length
    if isinstance(one, str) or isinstance(two, str):
        raise TypeError(_("texts cannot be added or multiplied"))
    return act(one, two)

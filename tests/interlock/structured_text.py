"""Runs Structured Text: the parser is blark's, this only gives its tree the meaning of the standard.

BOOL, INT, DWORD, TIME, arrays, IF, FOR, assignment, TON; time is in ticks. Anything else in the tree
is refused.
"""

from collections.abc import Iterator
from typing import Any

import blark
from blark import transform as tree

from common.clock import ticks

_BINARY = {"AND": "&", "OR": "|", "XOR": "^", "+": "+", "=": "==", "<>": "!=", ">": ">", ">=": ">=", "<": "<"}


class Ton:
    """On-delay timer: Q after IN has been true for PT."""

    def __init__(self) -> None:
        self.since: int | None = None
        self.Q = False

    def __call__(self, now: int, wanted: bool, delay: int) -> None:
        if not wanted:
            self.since, self.Q = None, False
            return
        self.since = now if self.since is None else self.since
        self.Q = now - self.since >= delay


class FunctionBlock:
    """An instance: set inputs in `memory`, call with the tick, read outputs from `memory`."""

    def __init__(self, text: str) -> None:
        parsed = blark.parse_source_code(text)
        if parsed.exception is not None:
            raise parsed.exception
        (block,) = parsed.transform().items
        assert isinstance(block, tree.FunctionBlock)
        self.name = str(block.name)
        self.memory: dict[str, Any] = {}
        self.inputs = self._declare(block, tree.InputDeclarations)
        self.outputs = self._declare(block, tree.OutputDeclarations)
        self._declare(block, tree.VariableDeclarations)
        lines = ["def scan(v, now):", *_statements(block.body.statements, 1)]
        space: dict[str, Any] = {}
        exec("\n".join(lines), space)
        self._scan = space["scan"]

    def __call__(self, tick: int) -> None:
        self._scan(self.memory, tick)

    def _declare(self, block: Any, section: type) -> list[str]:
        names = []
        for part in block.declarations:
            for item in part.items if isinstance(part, section) else ():
                (declared,) = item.variables
                names.append(str(declared.variable.name))
                assert names[-1] not in self.memory, names[-1]
                self.memory[names[-1]] = _initial(item.init)
        return names


def _initial(init: Any) -> Any:
    """A variable's first value; an array is a dict from its first index."""
    if isinstance(init, tree.ArrayTypeInitialization):
        (span,) = init.spec.subranges
        places = range(int(span.start.value), int(span.stop.value) + 1)
        if init.value is None:
            return {place: _zero(str(init.spec.type.type_name)) for place in places}
        values = list(_elements(init.value))
        assert len(values) == len(places)
        return dict(zip(places, values, strict=True))
    return _zero(str(init.spec.type)) if init.value is None else eval(_value(init.value))


def _zero(kind: str) -> Any:
    return {"BOOL": bool, "INT": int, "DWORD": int, "TON": Ton}[kind]()


def _elements(part: Any) -> Iterator[Any]:
    """Array elements are nested in the parse tree; a count repeats what it belongs to."""
    if isinstance(part, tree.ArrayInitialization):
        for element in part.elements:
            yield from _elements(element)
    elif isinstance(part, tree.ArrayInitialElement):
        times = int(part.count.value) if part.count is not None else 1
        yield from list(_elements(part.element)) * times
    else:
        yield eval(_value(part))


def _statements(statements: Any, depth: int) -> list[str]:
    pad = " " * depth
    lines: list[str] = []
    for one in statements:
        if isinstance(one, tree.AssignmentStatement):
            (target,) = one.variables
            lines.append(f"{pad}{_value(target)} = {_value(one.expression)}")
        elif isinstance(one, tree.ForStatement):
            assert one.step is None
            span = f"range({_value(one.from_)}, {_value(one.to)} + 1)"
            lines += [f"{pad}for {_value(one.control)} in {span}:", *_block(one.statements, depth)]
        elif isinstance(one, tree.IfStatement):
            lines += [f"{pad}if {_value(one.if_expression)}:", *_block(one.statements, depth)]
            for other in one.else_ifs:
                lines += [f"{pad}elif {_value(other.if_expression)}:", *_block(other.statements, depth)]
            if one.else_clause is not None:
                lines += [f"{pad}else:", *_block(one.else_clause.statements, depth)]
        elif isinstance(one, tree.FunctionCallStatement | tree.FunctionCall):
            given = {str(part.name): _value(part.value) for part in one.parameters}
            assert set(given) == {"IN", "PT"}
            lines.append(f"{pad}{_value(one.name)}(now, {given['IN']}, {given['PT']})")
        else:
            raise TypeError(f"no meaning for {type(one).__name__}: {one}")
    return lines


def _block(statements: Any, depth: int) -> list[str]:
    return _statements(statements.statements if statements else (), depth + 1) or [" " * (depth + 1) + "pass"]


def _value(node: Any) -> str:
    if isinstance(node, tree.BinaryOperation):
        return f"({_value(node.left)} {_BINARY[str(node.op).upper()]} {_value(node.right)})"
    if isinstance(node, tree.UnaryOperation):
        assert str(node.op).upper() == "NOT"
        return f"(not {_value(node.expr)})"
    if isinstance(node, tree.ParenthesizedExpression):
        return f"({_value(node.expr)})"
    if isinstance(node, tree.SimpleVariable):
        return f"v[{str(node.name)!r}]"
    if isinstance(node, tree.MultiElementVariable):
        return _value(node.name) + "".join(map(_element, node.elements))
    if isinstance(node, tree.Boolean):
        return str(str(node.value).upper() == "TRUE")
    if isinstance(node, tree.HexInteger):
        return str(int(str(node.value), 16))
    if isinstance(node, tree.Integer):
        return str(int(node.value))
    if isinstance(node, tree.Duration):
        return str(_ticks(node))
    raise TypeError(f"no meaning for {type(node).__name__}: {node}")


def _element(part: Any) -> str:
    if isinstance(part, tree.SubscriptList):
        (subscript,) = part.subscripts
        return f"[{_value(subscript)}]"
    assert isinstance(part, tree.FieldSelector)
    return f".{part.field.name}"


def _ticks(node: Any) -> int:
    units = {"days": 86400.0, "hours": 3600.0, "minutes": 60.0, "seconds": 1.0, "milliseconds": 1e-3}
    return ticks(sum(float(getattr(node, unit) or 0) * size for unit, size in units.items()))

"""Many expressions at once: those of one shape share a program whose operands are columns.

A truth is 1, 0, or NaN for unknown (Kleene's logic); a number that nobody knows, or that is not finite,
is NaN. So `and` with something false is false whatever the rest is, and unknown otherwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from device_servers.services.alarms.expression import TRUTH, Input, Node, Number, Op, Word, kind_of
from device_servers.services.alarms.inputs import NO_WORD, Flags, Floats, Indices, Inputs, Words

Binary = Callable[[Floats, Floats], Floats]


def _known(compare: Callable[[Floats, Floats], Flags]) -> Binary:
    def decide(a: Floats, b: Floats) -> Floats:
        return np.where(np.isnan(a) | np.isnan(b), np.nan, compare(a, b))

    return decide


def _both(a: Floats, b: Floats) -> Floats:
    return np.where((a == 0) | (b == 0), 0.0, a * b)


def _either(a: Floats, b: Floats) -> Floats:
    return np.where((a == 1) | (b == 1), 1.0, np.maximum(a, b))


BINARY: dict[str, Binary] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "min": np.minimum,
    "max": np.maximum,
    "and": _both,
    "or": _either,
    "<": _known(np.less),
    "<=": _known(np.less_equal),
    ">": _known(np.greater),
    ">=": _known(np.greater_equal),
    "==": _known(np.equal),
    "!=": _known(np.not_equal),
}
UNARY: dict[str, Callable[[Floats], Floats]] = {
    "neg": np.negative,
    "abs": np.abs,
    "not": lambda a: 1.0 - a,
    "truth": lambda a: np.where(np.isnan(a), np.nan, (a != 0).astype(float)),
}


@dataclass
class Shape:
    """Expressions alike but for their inputs and constants. `steps` run on a stack of columns."""

    steps: tuple[str, ...]
    inputs: list[list[int]] = field(default_factory=list)
    constants: list[list[float]] = field(default_factory=list)

    def freeze(self) -> "Columns":
        """The operands as columns."""
        count = len(self.inputs)
        inputs = np.array(self.inputs, dtype=np.intp).reshape(count, -1).T
        return Columns(
            self.steps, np.ascontiguousarray(inputs), np.array(self.constants).reshape(count, -1).T
        )


@dataclass(frozen=True)
class Columns:
    """A shape's operands: inputs (k, n) and constants (c, n) of its n expressions."""

    steps: tuple[str, ...]
    inputs: Indices
    constants: Floats

    def run(self, some: Indices, read: Indices, values: Inputs) -> Floats:
        """The results of some of the expressions, NaN where unknown; `read`: their inputs (k, n)."""
        stack: list[Floats] = []
        inputs, constants = iter(read), iter(self.constants[:, some])
        for step in self.steps:
            if step == "input":
                stack.append(values.numbers[next(inputs)])
            elif step == "number":
                stack.append(next(constants))
            elif step == "is":
                words = values.words[next(inputs)]
                stack.append(np.where(words == NO_WORD, np.nan, words == next(constants)))
            elif step == "quality":
                stack.append((values.qualities[next(inputs)] == next(constants)).astype(float))
            elif step == "unknown":
                place = next(inputs)
                known = np.isfinite(values.numbers[place]) | (values.words[place] != NO_WORD)
                stack.append((~known).astype(float))
            elif step in UNARY:
                stack.append(UNARY[step](stack.pop()))
            else:
                right = stack.pop()
                stack.append(BINARY[step](stack.pop(), right))
        result = stack.pop()
        return np.where(np.isfinite(result), result, np.nan)


class Programs:
    """All expressions of a set of rules, each different one once, ordered by shape."""

    def __init__(self, nodes: Sequence[Node], inputs: Inputs, words: Words) -> None:
        """`nodes`: different expressions, whose inputs are all in `inputs`."""
        shapes: dict[tuple[str, ...], Shape] = {}
        members: dict[tuple[str, ...], list[int]] = {}
        for number, node in enumerate(nodes):
            steps, places, constants = _compiled(node, inputs, words)
            shape = shapes.setdefault(steps, Shape(steps))
            shape.inputs.append(places)
            shape.constants.append(constants)
            members.setdefault(steps, []).append(number)
        self.columns = [shape.freeze() for shape in shapes.values()]
        order = [number for some in members.values() for number in some]
        self.place = np.empty(len(nodes), dtype=np.intp)
        """Place of each of `nodes` in the order of evaluation."""
        self.place[order] = np.arange(len(nodes))
        sizes = [len(some) for some in members.values()]
        self._starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.intp)
        self.results = np.full(len(nodes), np.nan)
        self.lost = np.zeros(len(nodes), dtype=bool)
        """Whether an input of it belongs to a server that does not answer."""
        self.times = np.zeros(len(nodes))
        """When what decided the result was measured, s since the epoch."""

    def users(self) -> tuple[Indices, Indices]:
        """Pairs (input, place of an expression that reads it)."""
        pairs = [
            (columns.inputs.ravel(), np.tile(np.arange(start, end), len(columns.inputs)))
            for columns, start, end in zip(self.columns, self._starts[:-1], self._starts[1:], strict=True)
        ]
        empty = np.empty(0, dtype=np.intp)
        return np.concatenate([empty, *(a for a, _b in pairs)]), np.concatenate(
            [empty, *(b for _a, b in pairs)]
        )

    def run(self, places: Indices, values: Inputs) -> Indices:
        """Evaluate the expressions at `places` (sorted); those whose result or loss changed."""
        changed: list[Indices] = []
        bounds = np.searchsorted(places, self._starts)
        with np.errstate(all="ignore"):
            for columns, start, low, high in zip(
                self.columns, self._starts[:-1], bounds[:-1], bounds[1:], strict=True
            ):
                if low < high:
                    changed.append(self._run_shape(columns, int(start), places[low:high], values))
        return np.concatenate([np.empty(0, dtype=np.intp), *changed])

    def _run_shape(self, columns: Columns, start: int, places: Indices, values: Inputs) -> Indices:
        some = places - start
        read = columns.inputs[:, some]
        results = columns.run(some, read, values)
        lost = np.zeros(len(places), dtype=bool)
        if values.lost.any():
            lost = np.any(values.lost[read], axis=0, out=lost)
        before = self.results[places]
        same = (results == before) | (np.isnan(results) & np.isnan(before))
        same &= lost == self.lost[places]
        self.results[places], self.lost[places] = results, lost
        if len(read):
            self.times[places] = np.maximum.reduce([values.times[row] for row in read])
        return places[~same]


def _compiled(node: Node, inputs: Inputs, words: Words) -> tuple[tuple[str, ...], list[int], list[float]]:
    steps: list[str] = []
    places: list[int] = []
    constants: list[float] = []

    def write(part: Node) -> None:
        if isinstance(part, Number):
            constants.append(part.value)
            steps.append("number")
        elif isinstance(part, Input):
            places.append(inputs.index[part.name])
            steps.append("input")
        elif isinstance(part, Op):
            write_op(part)

    def write_op(op: Op) -> None:
        if op.name in ("is", "unknown"):
            read, *word = op.parts
            quality = isinstance(read, Op)
            named = read.parts[0] if isinstance(read, Op) else read
            assert isinstance(named, Input)
            places.append(inputs.index[named.name])
            if op.name == "is":
                (wanted,) = word
                assert isinstance(wanted, Word)
                constants.append(float(words.number(wanted.text)))
            steps.append("quality" if quality else op.name)
            return
        for part in op.parts:
            write(part)
            if op.name in ("and", "or", "not") and kind_of(part) != TRUTH:
                steps.append("truth")
        steps.append(op.name)

    write(node)
    return tuple(steps), places, constants

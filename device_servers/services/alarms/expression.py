"""Expressions of alarm rules: text to a typed tree. No Python is evaluated.

    "acs/water/ring-circuit/Flow" < 60 and acs/magnet/ring-dipole/State == ON

Names are device/attribute (three slashes). Words (ON, CLINICAL) stand beside `==`, `!=` and `in (A, B)`
only. Functions: abs, min, max; unknown(NAME): whether nobody knows it; quality(NAME) == VALID, WARNING,
ALARM or INVALID. `and`, `or`, `not` follow Kleene: what is unknown stays unknown unless the rest decides.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from common.errors import BadConfig

LONGEST = 2000
"""Characters of an expression."""
DEEPEST = 40
"""Brackets within brackets."""

NUMBER, TRUTH = "number", "truth"
ARITHMETIC = ("+", "-", "*", "/", "abs", "min", "max", "neg")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
FUNCTIONS = {"abs": 1, "min": 2, "max": 2, "unknown": 1, "quality": 1}
"""Function -> least number of arguments; min and max take more."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<name>[A-Za-z][\w.\-]*(?:/[\w.\-]+){2}/[A-Za-z_]\w*)
    | (?P<quoted>"[^"]*"|'[^']*')
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<sign><=|>=|==|!=|[-+*/<>(),])
    )""",
    re.VERBOSE,
)
_NAME = re.compile(r"[^/\s]+(?:/[^/\s]+){3}")


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True)
class Input:
    """The value of device/attribute."""

    name: str


@dataclass(frozen=True)
class Word:
    """A State or another text."""

    text: str


@dataclass(frozen=True)
class Op:
    """An operation on parts."""

    name: str
    parts: tuple["Node", ...]


Node = Number | Input | Word | Op


def kind_of(node: Node) -> str:
    """`number` or `truth`. Raises BadConfig where the parts of an operation do not fit it."""
    if isinstance(node, Number | Input):
        return NUMBER
    if isinstance(node, Word):
        raise BadConfig(f"word {node.text} stands alone: compare it, as in device/State == {node.text}")
    kinds = [] if node.name in ("is", "quality", "unknown") else [kind_of(part) for part in node.parts]
    if node.name in (*ARITHMETIC, *COMPARISONS) and TRUTH in kinds:
        raise BadConfig(f"{node.name} takes numbers, not the answer of a comparison")
    return NUMBER if node.name in ARITHMETIC else TRUTH


def parse(text: str) -> Node:
    """The tree of an expression. Raises BadConfig saying where it cannot be read."""
    if len(text) > LONGEST:
        raise BadConfig(f"expression of {len(text)} characters: allowed are {LONGEST}")
    reader = _Reader(text)
    node = reader.either()
    if reader.kind != "end":
        raise reader.bad("an operator")
    kind_of(node)
    return node


def parse_truth(text: str) -> Node:
    """As `parse`; a number counts as true where it is not 0."""
    node = parse(text)
    return node if kind_of(node) == TRUTH else Op("truth", (node,))


def names(node: Node) -> Iterator[str]:
    """The inputs of an expression, in order, as often as they stand there."""
    if isinstance(node, Input):
        yield node.name
    elif isinstance(node, Op):
        for part in node.parts:
            yield from names(part)


def _attribute(text: str) -> str:
    device, _slash, attribute = text.rpartition("/")
    return f"{device.lower()}/{attribute}"


class _Tokens:
    """The tokens of a text, one at a time: `kind` and `part` of the next one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.kind, self.part = "end", ""
        self._at, self._next, self._depth = 0, 0, 0
        self.advance()

    def bad(self, wanted: str) -> BadConfig:
        """The error of something else where `wanted` belongs."""
        found = repr(self.part) if self.part else "the end"
        return BadConfig(f"expression {self.text!r}: {found} at {self._at} where {wanted} belongs")

    def advance(self) -> str:
        """Go on; the token that was next."""
        token = self.part
        self._at = self._next
        if not self.text[self._at :].strip():
            self.kind, self.part = "end", ""
            return token
        found = _TOKEN.match(self.text, self._at)
        if found is None:
            self.part = self.text[self._at :].strip()[0]
            raise self.bad("a name, number or operator")
        self._next, self.kind = found.end(), str(found.lastgroup)
        self.part = found[self.kind]
        return token

    def takes(self, *tokens: str) -> bool:
        """Go on if one of these words or signs is next; whether it was."""
        if self.kind in ("sign", "word") and self.part.lower() in tokens:
            self.advance()
            return True
        return False

    def is_sign(self, *signs: str) -> bool:
        """Whether one of these signs is next."""
        return self.kind == "sign" and self.part in signs

    def require(self, sign: str) -> None:
        """Go on over a sign. Raises BadConfig for anything else."""
        if not self.takes(sign):
            raise self.bad(sign)

    def deeper(self, read: Callable[[], Node]) -> Node:
        """Read something inside of something. Raises BadConfig beyond DEEPEST."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise BadConfig(f"expression nested deeper than {DEEPEST}")
        node = read()
        self._depth -= 1
        return node


class _Reader(_Tokens):
    """Recursive descent over the tokens; one level of precedence a method."""

    def either(self) -> Node:
        """`or`, the weakest."""
        node = self._both()
        while self.takes("or"):
            node = Op("or", (node, self._both()))
        return node

    def _both(self) -> Node:
        node = self._negated()
        while self.takes("and"):
            node = Op("and", (node, self._negated()))
        return node

    def _negated(self) -> Node:
        if self.takes("not"):
            return Op("not", (self.deeper(self._negated),))
        return self._compared()

    def _compared(self) -> Node:
        left = self._sum()
        if self.takes("in"):
            return self._one_of(left)
        if self.is_sign(*COMPARISONS):
            node = self._comparison(left, self.advance())
            if self.is_sign(*COMPARISONS):
                raise self.bad("`and` (write a < b and b < c)")
            return node
        return left

    def _comparison(self, left: Node, sign: str) -> Node:
        right = self._sum()
        if isinstance(left, Word):
            left, right = right, left
        if isinstance(right, Word) or (isinstance(left, Op) and left.name == "quality"):
            return self._word_comparison(left, sign, right)
        return Op(sign, (left, right))

    def _word_comparison(self, left: Node, sign: str, right: Node) -> Node:
        fits = isinstance(left, Input) or (isinstance(left, Op) and left.name == "quality")
        if not fits or not isinstance(right, Word) or sign not in ("==", "!="):
            raise BadConfig(
                f"expression {self.text!r}: words are compared as in device/State == ON, with == or !="
            )
        same = Op("is", (left, right))
        return same if sign == "==" else Op("not", (same,))

    def _one_of(self, left: Node) -> Node:
        self.require("(")
        node = self._word_comparison(left, "==", self._word())
        while self.takes(","):
            node = Op("or", (node, self._word_comparison(left, "==", self._word())))
        self.require(")")
        return node

    def _word(self) -> Word:
        if self.kind not in ("word", "quoted"):
            raise self.bad("a word")
        return Word(self.advance().strip("\"'"))

    def _sum(self) -> Node:
        node = self._product()
        while self.is_sign("+", "-"):
            node = Op(self.advance(), (node, self._product()))
        return node

    def _product(self) -> Node:
        node = self._signed()
        while self.is_sign("*", "/"):
            node = Op(self.advance(), (node, self._signed()))
        return node

    def _signed(self) -> Node:
        if self.takes("-"):
            return Op("neg", (self.deeper(self._signed),))
        return self._atom()

    def _atom(self) -> Node:
        if self.takes("("):
            node = self.deeper(self.either)
            self.require(")")
            return node
        kind, token = self.kind, self.part
        if kind == "word" and token.lower() in ("and", "or", "not", "in"):
            raise self.bad("a value")
        if kind not in ("name", "quoted", "number", "word"):
            raise self.bad("a value")
        self.advance()
        if kind == "number":
            return Number(float(token))
        if kind == "word":
            if token.lower() in ("true", "false"):
                return Number(float(token.lower() == "true"))
            return self._call(token) if self.is_sign("(") else Word(token)
        text = token.strip("\"'")
        return Input(_attribute(text)) if kind == "name" or _NAME.fullmatch(text) else Word(text)

    def _call(self, name: str) -> Node:
        if name not in FUNCTIONS:
            raise BadConfig(f"no function {name}: allowed are {', '.join(FUNCTIONS)}")
        self.require("(")
        parts = [self.deeper(self.either)]
        while self.takes(","):
            parts.append(self.either())
        self.require(")")
        least, most = FUNCTIONS[name], len(parts) if name in ("min", "max") else 1
        if not least <= len(parts) <= most:
            raise BadConfig(f"{name} takes {least} argument(s), not {len(parts)}")
        if name in ("unknown", "quality") and not isinstance(parts[0], Input):
            raise BadConfig(f"{name} takes a device/attribute")
        node = parts[0]
        for part in parts[1:]:
            node = Op(name, (node, part))
        return Op(name, (node,)) if len(parts) == 1 else node

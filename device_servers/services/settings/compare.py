"""Two sets of readings side by side: what differs by more than its tolerance, the farthest first."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from device_servers.services.settings.configuration import Row
from device_servers.services.settings.reading import Reading, apart, kind_of, unreadable

NOT_THERE = unreadable("not in this one", 0.0)


class Kind(StrEnum):
    """Why two readings differ."""

    VALUE = "value"
    TYPE = "type"
    """One is a number, the other a word, for instance."""
    UNKNOWN = "unknown"
    """One of them is not known."""


RANK = {Kind.TYPE: 2, Kind.UNKNOWN: 1, Kind.VALUE: 0}


@dataclass(frozen=True)
class Difference:
    """apart: in tolerances, infinite for what has none."""

    name: str
    kind: Kind
    left: Reading
    right: Reading
    apart: float
    tolerance: float

    def row(self) -> dict[str, Any]:
        """As JSON values."""
        far = self.apart if math.isfinite(self.apart) else None
        words = {"left_why": self.left.why, "right_why": self.right.why}
        return {
            "name": self.name,
            "kind": self.kind.value,
            "left": self.left.value,
            "right": self.right.value,
            "apart": far,
            "tolerance": self.tolerance,
            **{key: text for key, text in words.items() if text},
        }


@dataclass(frozen=True)
class Comparison:
    """differences: farthest first. unknown: attributes that neither side knows."""

    differences: tuple[Difference, ...]
    same: int
    unknown: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        rows = [difference.row() for difference in self.differences]
        return {"differences": rows, "same": self.same, "unknown": list(self.unknown)}


def compare(rows: Iterable[Row], left: Mapping[str, Reading], right: Mapping[str, Reading]) -> Comparison:
    """Compare by the tolerances of `rows`; `left` is the reference of relative ones.

    An attribute that one side does not have differs as one that it does not know.
    """
    differences: list[Difference] = []
    unknown: list[str] = []
    same = 0
    for row in rows:
        a, b = left.get(row.name, NOT_THERE), right.get(row.name, NOT_THERE)
        if a.value is None and b.value is None:
            unknown.append(row.name)
            continue
        kind, far = _judged(row, a, b)
        if far <= 1.0:
            same += 1
            continue
        differences.append(Difference(row.name, kind, a, b, far, tolerance(row, a)))
    differences.sort(key=lambda found: (-found.apart, -RANK[found.kind], found.name))
    return Comparison(tuple(differences), same, tuple(unknown))


def same(row: Row, left: Reading, right: Reading) -> bool:
    """Whether both are known and within the tolerance of `row`."""
    return left.known and right.known and _judged(row, left, right)[1] <= 1.0


def tolerance(row: Row, reference: Reading) -> float:
    """How far from a reference counts as the same, in the attribute's unit."""
    if kind_of(reference.value) != "number":
        return row.absolute
    assert isinstance(reference.value, int | float)
    return max(row.absolute, row.relative * abs(reference.value))


def _judged(row: Row, a: Reading, b: Reading) -> tuple[Kind, float]:
    if a.value is None or b.value is None:
        return Kind.UNKNOWN, math.inf
    if kind_of(a.value) != kind_of(b.value):
        return Kind.TYPE, math.inf
    return Kind.VALUE, apart(a.value, b.value, row.absolute, row.relative)

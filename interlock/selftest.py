"""The self-test: every input dropped alone has to give exactly the table's effects.

What is expected is read from the rows of the table; what happens is asked of `Observe`: a shadow copy of
the compiled rules (`shadow`), or the hardware itself with its outputs held off.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from interlock import rules
from interlock.table import Input, Latch, Matrix


class Seen(NamedTuple):
    """What dropping an input did: outputs lost (bits), and rows latched when it is good again (bits)."""

    lost: int
    latched: int


Observe = Callable[[int, int, int], Seen]
"""(first channels, second channels, rows that differ for too long) from a calm start -> what it did."""


@dataclass(frozen=True)
class Case:
    """One input (and channel: 0 both, 1 or 2) dropped, with its room isolated or not."""

    input: str
    channel: int
    isolated: bool

    def __str__(self) -> str:
        channel = f" channel {self.channel}" if self.channel else ""
        return f"{self.input}{channel}{' (room isolated)' if self.isolated else ''}"


@dataclass(frozen=True)
class TestRecord:
    """The result of a self-test. `failures` names the cases; `until_tick` is the end of its validity."""

    __test__ = False  # no test class, whatever its name says

    tick: int
    user: str
    cases: int
    failures: tuple[str, ...]
    until_tick: int

    @property
    def passed(self) -> bool:
        """Whether every case gave exactly the table's effects."""
        return not self.failures

    def valid(self, tick: int) -> bool:
        """Whether it still counts at a tick."""
        return self.passed and self.tick <= tick < self.until_tick


def cases(matrix: Matrix) -> Iterator[Case]:
    """Every input alone; each channel of a pair alone; rows of a room also while it is isolated."""
    for row in matrix.inputs:
        for channel in (0, 1, 2) if row.paired else (0,):
            yield Case(row.name, channel, False)
            if row.room:
                yield Case(row.name, channel, True)


def expected(matrix: Matrix, row: Input, case: Case) -> Seen:
    """What the table says of a case, with everything else good and beam requested."""
    rooms = {output.name: output.room for output in matrix.outputs}
    lost = {name for name in row.cuts if not case.isolated or rooms[name] == row.room}
    latches = row.latch is Latch.ALWAYS or (row.latch is Latch.ARMED and not case.isolated)
    if case.channel:
        latches = True
    place = matrix.input_names.index(row.name)
    bits = sum(1 << i for i, name in enumerate(matrix.output_names) if name in lost)
    return Seen(bits, 1 << place if latches else 0)


def shadow(compiled: rules.Rows) -> Observe:
    """A copy of the rules in a state of its own; the interlock in operation is not touched."""

    def observe(first: int, second: int, overdue: int) -> Seen:
        good = rules.agreed(compiled, first, second)
        calm = rules.State(0, 0, 0)
        bad = rules.advance(compiled, calm, good, overdue, rules.either_int)
        spared = rules.isolated(compiled, bad, good, rules.either_int)
        stops = rules.blocking(compiled, bad, good)
        cut = (bool(rules.cutting(compiled, stops, spared, k)) for k in range(len(compiled.bound)))
        lost = sum(1 << k for k, gone in enumerate(cut) if gone)
        again = rules.advance(compiled, bad, compiled.full, 0, rules.either_int)
        return Seen(lost, again.latched)

    return observe


def failures(matrix: Matrix, observe: Observe) -> Iterator[str]:
    """Every case whose effects differ from the table's, with both."""
    bits = {name: 1 << i for i, name in enumerate(matrix.input_names)}
    full = (1 << len(matrix.inputs)) - 1
    for case in cases(matrix):
        row = matrix.input(case.input)
        key = matrix.isolation_keys.get(row.room, "")
        calm = full if case.isolated or not key else full & ~bits[key]
        bit = bits[case.input]
        first = calm & ~bit if case.channel != 2 else calm
        second = calm & ~bit if case.channel != 1 else calm
        seen = observe(first, second, bit if case.channel else 0)
        wanted = expected(matrix, row, case)
        if seen != wanted:
            yield f"{case}: lost {_names(matrix, seen)}, expected {_names(matrix, wanted)}"


def _names(matrix: Matrix, seen: Seen) -> str:
    lost = ", ".join(n for i, n in enumerate(matrix.output_names) if seen.lost >> i & 1) or "nothing"
    latched = ", ".join(n for i, n in enumerate(matrix.input_names) if seen.latched >> i & 1)
    return f"{lost}; latched {latched or 'nothing'}"

"""The rules of latch, mask, isolation, reset and permit on bit vectors: bit i is row i of the matrix.

The same code runs on Python integers in the interlock and on z3 bit vectors in the proofs, so what
is proved is what runs. `Bits` therefore is an int or a z3 expression, and a branch on bits is
written with `either(bits, yes, no)`: `yes` where any bit is set, else `no`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from interlock.table import Family, Input, Latch, Matrix, Output

Bits = Any
Either = Callable[[Bits, Bits, Bits], Bits]


@dataclass(frozen=True)
class Rows:
    """A matrix as bit vectors.

    One vector an output: `bound` (rows that always cut it), `spared` (rows that cut it unless they are
    isolated). `rooms`: (isolation key, rows of the room) for each room with a key. One vector a role:
    `reset_by`, `mask_by`.
    """

    full: int
    always: int
    armed: int
    pairs: int
    maskable: int
    arming: int
    key: int
    bound: tuple[int, ...]
    spared: tuple[int, ...]
    rooms: tuple[tuple[int, int], ...]
    reset_by: Mapping[str, int]
    mask_by: Mapping[str, int]


class State(NamedTuple):
    """What the interlock remembers. `armed`: rows for which beam was requested at the last step."""

    latched: Bits
    masked: Bits
    armed: Bits


def compile_rows(matrix: Matrix) -> Rows:
    """The bit vectors of a matrix."""

    def where(wanted: Callable[[Input], bool]) -> int:
        return sum(1 << i for i, row in enumerate(matrix.inputs) if wanted(row))

    def by_role(table: Mapping[Family, frozenset[str]]) -> dict[str, int]:
        def right(role: str) -> int:
            return where(lambda row: role in table.get(row.family, frozenset()))

        return {role: right(role) for role in sorted(frozenset().union(*table.values()))}

    def of_room(room: str, key: str) -> tuple[int, int]:
        return where(lambda row: row.name == key), where(lambda row: row.room == room)

    def bound(output: Output) -> int:
        return where(lambda row: output.name in row.cuts and row.room in ("", output.room))

    def spared(output: Output) -> int:
        return where(lambda row: output.name in row.cuts and row.room not in ("", output.room))

    return Rows(
        full=(1 << len(matrix.inputs)) - 1,
        always=where(lambda row: row.latch is Latch.ALWAYS),
        armed=where(lambda row: row.latch is Latch.ARMED),
        pairs=where(lambda row: row.paired),
        maskable=where(lambda row: row.maskable and row.family not in matrix.unmaskable),
        arming=where(lambda row: row.name in matrix.arming),
        key=where(lambda row: row.name == matrix.service_key),
        bound=tuple(bound(output) for output in matrix.outputs),
        spared=tuple(spared(output) for output in matrix.outputs),
        rooms=tuple(of_room(room, key) for room, key in matrix.isolation_keys.items()),
        reset_by=by_role(matrix.reset_roles),
        mask_by=by_role(matrix.mask_roles),
    )


def agreed(rows: Rows, first: Bits, second: Bits) -> Bits:
    """The good rows: both channels of a row with two, the only one of the others."""
    return first & (second | (rows.full & ~rows.pairs))


def differing(rows: Rows, first: Bits, second: Bits) -> Bits:
    """The rows whose two channels do not agree."""
    return (first ^ second) & rows.pairs


def isolated(rows: Rows, state: State, good: Bits, either: Either) -> Bits:
    """The rows of rooms whose isolation key is good, known, and not latched."""
    spared = 0
    for key, room in rows.rooms:
        spared = spared | either(good & ~state.latched & key, room, 0)
    return spared


def advance(rows: Rows, state: State, good: Bits, overdue: Bits, either: Either) -> State:
    """The state after a step with these good inputs; `overdue` channels have differed for too long.

    Without the service key no mask exists. An input that is bad and not masked latches: always, or
    if beam is requested now or was at the step before, and its room is not isolated. Channels that
    differ for too long latch in any case.
    """
    state = state._replace(latched=state.latched | (overdue & rows.pairs))
    masked = either(good & ~state.latched & rows.key, state.masked & rows.maskable, 0)
    asked = either(good & rows.arming, rows.full, 0)
    armed = asked & ~isolated(rows, state, good, either) & rows.full
    latching = rows.always | (rows.armed & (armed | state.armed))
    return State(state.latched | (~good & rows.full & ~masked & latching), masked, armed)


def blocking(rows: Rows, state: State, good: Bits) -> Bits:
    """The inputs that withhold a permit: bad or latched, and not masked."""
    return (~good | state.latched) & ~state.masked & rows.full


def cutting(rows: Rows, stops: Bits, spared: Bits, output: int) -> Bits:
    """The blocking rows `stops` that take the permit of an output, with `spared` rows isolated."""
    return stops & (rows.bound[output] | (rows.spared[output] & ~spared))


def held_off(every: Bits, untested: Bits, late: Bits, either: Either) -> Bits:
    """The outputs that are off whatever the inputs say: all without a self-test, else those of beam-off."""
    return late | either(untested, every, 0)


def clearable(state: State, good: Bits, may_reset: Bits) -> Bits:
    """The latches that a reset takes away: cause gone, and within the rights `may_reset`."""
    return state.latched & good & may_reset


def may_be_masked(rows: Rows, good: Bits, may_mask: Bits, either: Either) -> Bits:
    """The inputs that a mask may be put on now, by somebody with the rights `may_mask`."""
    return either(good & rows.key, rows.maskable & may_mask, 0)


def either_int(bits: int, yes: int, no: int) -> int:
    """The branch on plain integers."""
    return yes if bits else no


def rights(by_role: Mapping[str, int], roles: Iterable[str]) -> int:
    """The inputs that any of these roles has the right to."""
    bits = 0
    for role in roles:
        bits |= by_role.get(role, 0)
    return bits

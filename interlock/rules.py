"""The rules of latch, mask, reset and permit on bit vectors: bit i is row i of the matrix.

The same code runs on Python integers in the interlock and on z3 bit vectors in the proofs, so what
is proved is what runs. `Bits` therefore is an int or a z3 expression, and a branch on bits is
written with `either(bits, yes, no)`: `yes` where any bit is set, else `no`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from interlock.matrix import Family, Input, Latch, Matrix

Bits = Any
Either = Callable[[Bits, Bits, Bits], Bits]


@dataclass(frozen=True)
class Rows:
    """A matrix as bit vectors; `cuts` holds one vector an output, `reset_by` one a role."""

    full: int
    always: int
    armed: int
    maskable: int
    arming: int
    key: int
    cuts: tuple[int, ...]
    reset_by: Mapping[str, int]
    mask_by: Mapping[str, int]


class State(NamedTuple):
    """What the interlock remembers. `armed` is `full` or 0: beam was requested at the last step."""

    latched: Bits
    masked: Bits
    armed: Bits


def compile_rows(matrix: Matrix) -> Rows:
    """The bit vectors of a matrix."""

    def where(wanted: Callable[[Input], bool]) -> int:
        return sum(1 << i for i, row in enumerate(matrix.inputs) if wanted(row))

    def cut(output: str) -> int:
        return where(lambda row: output in row.cuts)

    def by_role(table: Mapping[Family, frozenset[str]]) -> dict[str, int]:
        def right(role: str) -> int:
            return where(lambda row: role in table.get(row.family, frozenset()))

        return {role: right(role) for role in sorted(frozenset().union(*table.values()))}

    return Rows(
        full=(1 << len(matrix.inputs)) - 1,
        always=where(lambda row: row.latch is Latch.ALWAYS),
        armed=where(lambda row: row.latch is Latch.ARMED),
        maskable=where(lambda row: row.maskable and row.family not in matrix.unmaskable),
        arming=where(lambda row: row.name in matrix.arming),
        key=where(lambda row: row.name == matrix.service_key),
        cuts=tuple(cut(name) for name in matrix.output_names),
        reset_by=by_role(matrix.reset_roles),
        mask_by=by_role(matrix.mask_roles),
    )


def advance(rows: Rows, state: State, good: Bits, either: Either) -> State:
    """The state after a step with these good inputs.

    Without the service key no mask exists. An input that is bad and not masked latches: always, or
    if beam is requested now or was at the step before.
    """
    masked = either(good & rows.key, state.masked & rows.maskable, 0)
    armed = either(good & rows.arming, rows.full, 0)
    latching = rows.always | (rows.armed & (armed | state.armed))
    return State(state.latched | (~good & rows.full & ~masked & latching), masked, armed)


def blocking(rows: Rows, state: State, good: Bits) -> Bits:
    """The inputs that withhold a permit: bad or latched, and not masked."""
    return (~good | state.latched) & ~state.masked & rows.full


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

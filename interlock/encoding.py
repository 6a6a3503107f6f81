"""One step, one reset and one mask of a table over unknowns, in the terms of the solver z3."""

from collections.abc import Mapping
from typing import Any

import z3

from common.authority import ROLES
from interlock import rules
from interlock.table import Input, Matrix

Bool = Any


class Encoding:
    """One step, one reset and one mask of a matrix over unknowns.

    `present`: the input arrived with a value; `value`: that value. Missing and None are not present.
    `overdue`: channels that have differed for too long; `late`: outputs that the beam-off sequence holds;
    `untested`: a self-test is missing; `first`, `second`: the channels of rows.
    """

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        self.rows = rules.compile_rows(matrix)
        size = len(matrix.inputs)
        self._places = {name: i for i, name in enumerate(matrix.input_names)}
        self.present, self.value = z3.BitVecs("present value", size)
        self.overdue = z3.BitVec("overdue", size)
        self.before = rules.State(*z3.BitVecs("latched masked armed", size))
        self.roles = {role: z3.Bool(f"role_{role}") for role in ROLES}
        self.good = self.present & self.value
        self.after = rules.State(*(_sized(b, size) for b in self._advance()))
        self.spared = _sized(rules.isolated(self.rows, self.after, self.good, either_z3), size)
        self.blocking = rules.blocking(self.rows, self.after, self.good)
        self.late = z3.BitVec("late", len(matrix.outputs))
        self.untested = z3.BitVec("untested", 1)
        every = (1 << len(matrix.outputs)) - 1
        off = rules.held_off(every, self.untested, self.late, either_z3)
        self.permits = {
            name: z3.And(
                rules.cutting(self.rows, self.blocking, self.spared, k) == 0, z3.Extract(k, k, off) == 0
            )
            for k, name in enumerate(matrix.output_names)
        }
        self.first, self.second = z3.BitVecs("first second", size)
        self.both = rules.agreed(self.rows, self.first, self.second)
        self.differing = rules.differing(self.rows, self.first, self.second)
        self.cleared = rules.clearable(self.before, self.good, self._rights(self.rows.reset_by))
        may_mask = self._rights(self.rows.mask_by)
        self.new_mask = rules.may_be_masked(self.rows, self.good & ~self.after.latched, may_mask, either_z3)

    def bit(self, vector: Any, row: Input) -> Bool:
        """The bit of a row in a vector."""
        index = self._places[row.name]
        return z3.Extract(index, index, vector) == 1

    def held(self, roles: frozenset[str]) -> Bool:
        """Somebody with one of these roles acts."""
        return z3.Or([self.roles[role] for role in sorted(roles)])

    def granted(self, name: str) -> Bool:
        """A key is present, good, and not latched."""
        row = self.matrix.input(name)
        good = z3.And(self.bit(self.present, row), self.bit(self.value, row))
        return z3.And(good, z3.Not(self.bit(self.after.latched, row)))

    def key(self, room: str) -> Bool:
        """A room's isolation key is granted."""
        return self.granted(self.matrix.isolation_keys[room])

    def requested(self) -> Bool:
        """Beam is requested now."""
        rows = [row for row in self.matrix.inputs if row.name in self.matrix.arming]
        return z3.Or([self.bit(self.good, row) for row in rows])

    def evaluate(self, good: int, before: rules.State) -> tuple[rules.State, dict[str, bool]]:
        """One step on known bits, computed by the encoding alone: the state after it, the permits."""
        unknowns = (self.present, self.value, self.overdue, self.late, self.untested, *self.before)
        known = (self.rows.full, good, 0, 0, 0, *before)
        pairs = [(u, z3.BitVecVal(k, u.size())) for u, k in zip(unknowns, known, strict=True)]

        def at(expression: Any) -> Any:
            return z3.simplify(z3.substitute(expression, *pairs))

        state = rules.State(*(at(vector).as_long() for vector in self.after))
        return state, {name: z3.is_true(at(permit)) for name, permit in self.permits.items()}

    def _advance(self) -> rules.State:
        return rules.advance(self.rows, self.before, self.good, self.overdue, either_z3)

    def _rights(self, by_role: Mapping[str, int]) -> Any:
        bits: Any = z3.BitVecVal(0, len(self.matrix.inputs))
        for role, vector in by_role.items():
            bits |= z3.If(self.roles[role], z3.BitVecVal(vector, bits.size()), z3.BitVecVal(0, bits.size()))
        return bits


def either_z3(bits: Any, yes: Any, no: Any) -> Any:
    """The branch on bit vectors."""
    size = next((part.size() for part in (yes, no) if not isinstance(part, int)), bits.size())
    size = max(size, *(part.bit_length() for part in (yes, no) if isinstance(part, int)), 1)
    return z3.If(bits != 0, _sized(yes, size), _sized(no, size))


def _sized(value: Any, size: int) -> Any:
    return z3.BitVecVal(value, size) if isinstance(value, int) else value

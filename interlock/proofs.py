"""Proofs about a site's real table, with the solver z3 (extra `proofs`).

The rules that the interlock runs (interlock/rules.py) are run here on bit vectors of unknowns: any
inputs, any memory, any roles. Each property below is stated row by row from the matrix, and z3 looks
for a case that breaks it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import z3

from common.authority import ROLES
from interlock import rules
from interlock.table import Family, Input, Kind, Latch, Matrix

FORBIDDEN = frozenset({Family.PATIENT, Family.PERSONNEL})
"""Families that no site may mask, whatever its table says."""

Bool = Any


@dataclass(frozen=True)
class Proof:
    """One property. `counterexample` shows the unknowns of a case that breaks it."""

    name: str
    holds: bool
    counterexample: Mapping[str, str] = field(default_factory=dict)


class Encoding:
    """One step, one reset and one mask of a matrix over unknowns.

    `present`: the input arrived with a value; `value`: that value. Missing and None are not present.
    """

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        self.rows = rules.compile_rows(matrix)
        size = len(matrix.inputs)
        self.present, self.value = z3.BitVecs("present value", size)
        self.overdue = z3.BitVec("overdue", size)
        self.before = rules.State(*z3.BitVecs("latched masked armed", size))
        self.roles = {role: z3.Bool(f"role_{role}") for role in ROLES}
        self.good = self.present & self.value
        self.after = rules.State(*(_sized(b, size) for b in self._advance()))
        self.spared = rules.isolated(self.rows, self.after, self.good, either_z3)
        self.blocking = rules.blocking(self.rows, self.after, self.good)
        self.permits = {
            name: rules.cutting(self.rows, self.blocking, self.spared, k) == 0
            for k, name in enumerate(matrix.output_names)
        }
        self.cleared = rules.clearable(self.before, self.good, self._rights(self.rows.reset_by))
        may_mask = self._rights(self.rows.mask_by)
        self.new_mask = rules.may_be_masked(self.rows, self.good, may_mask, either_z3)

    def bit(self, vector: Any, row: Input) -> Bool:
        """The bit of a row in a vector."""
        index = self.matrix.inputs.index(row)
        return z3.Extract(index, index, vector) == 1

    def held(self, roles: frozenset[str]) -> Bool:
        """Somebody with one of these roles acts."""
        return z3.Or([self.roles[role] for role in sorted(roles)])

    def requested(self) -> Bool:
        """Beam is requested now."""
        rows = [row for row in self.matrix.inputs if row.name in self.matrix.arming]
        return z3.Or([self.bit(self.good, row) for row in rows])

    def evaluate(self, good: int, before: rules.State) -> tuple[rules.State, dict[str, bool]]:
        """One step on known bits, computed by the encoding alone: the state after it, the permits."""
        size = len(self.matrix.inputs)
        unknowns = (self.present, self.value, self.overdue, *self.before)
        known = (self.rows.full, good, 0, *before)
        pairs = [(u, z3.BitVecVal(k, size)) for u, k in zip(unknowns, known, strict=True)]

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
    size = bits.size()
    return z3.If(bits != 0, _sized(yes, size), _sized(no, size))


def _sized(value: Any, size: int) -> Any:
    return z3.BitVecVal(value, size) if isinstance(value, int) else value


def permit_needs_good_inputs(e: Encoding) -> Iterator[Bool]:
    """No permit with an unmasked input of it that is bad or missing, or latched."""
    for row in e.matrix.inputs:
        sound = z3.And(e.bit(e.present, row), e.bit(e.value, row), z3.Not(e.bit(e.after.latched, row)))
        for output in sorted(row.cuts):
            yield z3.Implies(e.permits[output], z3.Or(sound, e.bit(e.after.masked, row)))


def permit_follows_from_good_inputs(e: Encoding) -> Iterator[Bool]:
    """With every input good and nothing latched, every permit is given."""
    calm = z3.And(e.good == e.rows.full, e.before.latched == 0)
    yield from (z3.Implies(calm, permit) for permit in e.permits.values())


def faults_stop_the_beam(e: Encoding) -> Iterator[Bool]:
    """An unmasked fault of any row takes the permit of the fast actuator."""
    for row in e.matrix.inputs:
        if row.kind is Kind.FAULT:
            bad = z3.Not(z3.And(e.bit(e.good, row)))
            stops = z3.And(bad, z3.Not(e.bit(e.after.masked, row)))
            yield z3.Implies(stops, z3.Not(e.permits[e.matrix.fast_output]))


def nothing_forbidden_is_masked(e: Encoding) -> Iterator[Bool]:
    """A mask acts, and can be put on, only on maskable equipment inputs, in service mode, by right."""
    key = e.bit(e.good, e.matrix.input(e.matrix.service_key))
    for row in e.matrix.inputs:
        possible = row.maskable and row.family not in FORBIDDEN
        right = e.held(e.matrix.mask_roles.get(row.family, frozenset()))
        yield z3.Implies(e.bit(e.after.masked, row), z3.And(possible, key, e.bit(e.before.masked, row)))
        yield z3.Implies(e.bit(e.new_mask, row), z3.And(possible, key, right))


def reset_needs_cause_gone_and_authority(e: Encoding) -> Iterator[Bool]:
    """A reset takes away a latch only where the input is good again and a role of its family acts."""
    for row in e.matrix.inputs:
        right = e.held(e.matrix.reset_roles.get(row.family, frozenset()))
        gone = z3.And(e.bit(e.present, row), e.bit(e.value, row))
        yield z3.Implies(e.bit(e.cleared, row), z3.And(e.bit(e.before.latched, row), gone, right))


def latches_hold(e: Encoding) -> Iterator[Bool]:
    """A latch stays through every step, and is set where the row says so."""
    for row in e.matrix.inputs:
        set_now = e.bit(e.after.latched, row)
        yield z3.Implies(e.bit(e.before.latched, row), set_now)
        bad = z3.And(z3.Not(e.bit(e.good, row)), z3.Not(e.bit(e.after.masked, row)))
        if row.latch is Latch.ALWAYS:
            yield z3.Implies(bad, set_now)
        if row.latch is Latch.ARMED:
            asked = z3.Or(e.requested(), e.bit(e.before.armed, row))
            yield z3.Implies(z3.And(bad, asked), set_now)
        if row.latch is Latch.NEVER:
            yield z3.Implies(set_now, e.bit(e.before.latched, row))


PROPERTIES: tuple[Callable[[Encoding], Iterator[Bool]], ...] = (
    permit_needs_good_inputs,
    permit_follows_from_good_inputs,
    faults_stop_the_beam,
    nothing_forbidden_is_masked,
    reset_needs_cause_gone_and_authority,
    latches_hold,
)


def prove(matrix: Matrix) -> list[Proof]:
    """Every property on this table."""
    encoding = Encoding(matrix)
    return [_prove(encoding, statement) for statement in PROPERTIES]


def _prove(encoding: Encoding, statement: Callable[[Encoding], Iterator[Bool]]) -> Proof:
    solver = z3.Solver()
    solver.add(z3.Not(z3.And(list(statement(encoding)))))
    if solver.check() == z3.unsat:
        return Proof(statement.__name__, holds=True)
    model = solver.model()
    return Proof(statement.__name__, False, {str(unknown): str(model[unknown]) for unknown in model})

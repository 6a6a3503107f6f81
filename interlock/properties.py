"""What is proved of a table, stated row by row from the table; `proofs.py` looks for a counterexample."""

from collections.abc import Callable, Iterator
from typing import Any

import z3

from interlock import rules, selftest
from interlock.beam_off import BeamOff, OffEvent, OffState, apply, event, held, stage_masks
from interlock.encoding import Bool, Encoding
from interlock.table import Family, Kind, Latch, Matrix

FORBIDDEN = frozenset({Family.PATIENT, Family.PERSONNEL})
"""Families that no site may mask, whatever its table says."""


def permit_needs_good_inputs(e: Encoding) -> Iterator[Bool]:
    """No permit with an unmasked input of it that is bad or missing, or latched.

    The one exception is the row of a room that is isolated, for an output that is not that room's.
    """
    rooms = {output.name: output.room for output in e.matrix.outputs}
    for row in e.matrix.inputs:
        sound = z3.And(e.bit(e.present, row), e.bit(e.value, row), z3.Not(e.bit(e.after.latched, row)))
        passes = z3.Or(sound, e.bit(e.after.masked, row))
        for output in sorted(row.cuts):
            spares = bool(row.room) and rooms[output] != row.room
            yield z3.Implies(e.permits[output], z3.Or(passes, e.key(row.room)) if spares else passes)


def permit_follows_from_good_inputs(e: Encoding) -> Iterator[Bool]:
    """With every input good, nothing latched and nothing held off, every permit is given."""
    calm = z3.And(e.good == e.rows.full, e.before.latched == 0, e.overdue == 0, e.late == 0, e.untested == 0)
    yield from (z3.Implies(calm, permit) for permit in e.permits.values())


def faults_stop_the_beam(e: Encoding) -> Iterator[Bool]:
    """An unmasked fault of any row takes the permit of the fast actuator, unless its room is isolated."""
    for row in e.matrix.inputs:
        if row.kind is Kind.FAULT:
            stops = z3.And(z3.Not(e.bit(e.good, row)), z3.Not(e.bit(e.after.masked, row)))
            stops = z3.And(stops, z3.Not(e.key(row.room))) if row.room else stops
            yield z3.Implies(stops, z3.Not(e.permits[e.matrix.fast_output]))


def nothing_forbidden_is_masked(e: Encoding) -> Iterator[Bool]:
    """A mask acts, and can be put on, only on maskable equipment inputs, in service mode, by right."""
    key = e.granted(e.matrix.service_key)
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
            asked = z3.And(e.requested(), z3.Not(e.key(row.room))) if row.room else e.requested()
            yield z3.Implies(z3.And(bad, z3.Or(asked, e.bit(e.before.armed, row))), set_now)
        if row.latch is Latch.NEVER:
            late = e.bit(e.overdue, row) if row.paired else z3.BoolVal(False)
            yield z3.Implies(set_now, z3.Or(e.bit(e.before.latched, row), late))


def discrepancies_latch(e: Encoding) -> Iterator[Bool]:
    """Channels that differ for too long latch in any case, and no row with one channel does so."""
    for row in e.matrix.inputs:
        late = e.bit(e.overdue, row)
        if row.paired:
            yield z3.Implies(late, e.bit(e.after.latched, row))
            one = z3.Xor(e.bit(e.first, row), e.bit(e.second, row))
            yield e.bit(e.differing, row) == one
            yield z3.Implies(one, z3.Not(e.bit(e.both, row)))
        else:
            yield z3.Not(e.bit(e.differing, row))


def isolation_is_never_granted_by_unknown(e: Encoding) -> Iterator[Bool]:
    """A row is spared only if its room's key is present, good and not latched; no other row ever is."""
    for row in e.matrix.inputs:
        spared = e.bit(e.spared, row)
        yield (spared == e.key(row.room)) if row.room else z3.Not(spared)


def no_permit_without_a_valid_self_test(e: Encoding) -> Iterator[Bool]:
    """While a self-test is missing, no output has its permit, whatever the inputs are."""
    yield from (z3.Implies(e.untested != 0, z3.Not(permit)) for permit in e.permits.values())


def an_output_that_is_held_has_no_permit(e: Encoding) -> Iterator[Bool]:
    """What the beam-off sequence holds off stays off, whatever the inputs are."""
    for k, permit in enumerate(e.permits.values()):
        yield z3.Implies(z3.Extract(k, k, e.late) == 1, z3.Not(permit))


PROPERTIES: tuple[Callable[[Encoding], Iterator[Bool]], ...] = (
    permit_needs_good_inputs,
    permit_follows_from_good_inputs,
    faults_stop_the_beam,
    nothing_forbidden_is_masked,
    reset_needs_cause_gone_and_authority,
    latches_hold,
    discrepancies_latch,
    isolation_is_never_granted_by_unknown,
    no_permit_without_a_valid_self_test,
    an_output_that_is_held_has_no_permit,
)


def escalation_ends_with_every_output_down(matrix: Matrix) -> Iterator[str]:
    """From every state, without confirmation, every output ends off; on the way held outputs only grow.

    Complete: of a tick only its side of the deadline counts, so each state is tried with both sides, each
    confirmation and each permit.
    """
    stages, masks = matrix.beam_off, stage_masks(matrix)
    every = (1 << len(matrix.outputs)) - 1
    for level in range(len(stages)):
        now = BeamOff(OffState.AWAITING, level, 10)
        for permitted in (False, True):
            for step in range(len(stages) - level):
                after = _late(stages, now._replace(until=10), permitted)
                if held(masks, now, every) & ~held(masks, after, every):
                    yield f"level {level + step}: a held output comes back"
                now = after
            if now.state is not OffState.DOWN or held(masks, now, every) != every:
                yield f"from level {level}: ends in {now.state} with outputs left on"
            now = BeamOff(OffState.AWAITING, level, 10)
        for seen in range(1 << len(stages)):
            what = event(len(stages), now, 10, True, seen)
            if (what is not None) != bool(seen >> level & 1):
                yield f"level {level}: confirmations {seen:b} are taken for its own"
    for now in (BeamOff(OffState.HELD, len(stages) - 1), BeamOff(OffState.DOWN, len(stages) - 1)):
        for permitted in (False, True):
            for seen in range(1 << len(stages)) if stages else ():
                if event(len(stages), now, 99, permitted, seen) is not None:
                    yield f"{now.state} ends without a reset"


def _late(stages: Any, now: BeamOff, permitted: bool) -> BeamOff:
    what = event(len(stages), now, now.until + 1, permitted, 0)
    return now if what is None or what is OffEvent.RESET else apply(stages, now, what, now.until + 1)


def each_cause_alone_gives_exactly_the_tables_effects(matrix: Matrix) -> Iterator[str]:
    """Every input, and each channel, dropped alone: every output and every latch as the table says."""
    yield from selftest.failures(matrix, selftest.shadow(rules.compile_rows(matrix)))


WALKS: tuple[Callable[[Matrix], Iterator[str]], ...] = (
    escalation_ends_with_every_output_down,
    each_cause_alone_gives_exactly_the_tables_effects,
)
"""Finite cases that are all gone through; each complaint is a counterexample."""

"""The interlock: inputs in, permits out, with latch, first fault, reset and masks. Time is in ticks."""

from collections.abc import Iterable, Mapping

from common.errors import Refused, Unauthorised
from common.text import _
from interlock import selftest
from interlock.beam_off import BeamOff
from interlock.bits import Names, Value, plain
from interlock.engine import Engine
from interlock.outcome import Entry, FirstFault, InputState, Outputs, Verdict
from interlock.rules import agreed, clearable, differing, rights
from interlock.selftest import TestRecord
from interlock.table import Family, Matrix

__all__ = ["Entry", "FirstFault", "InputState", "Interlock", "Outputs", "TestRecord", "Value", "Verdict"]

NOTHING_CONFIRMED: Mapping[str, bool | None] = {}


class Interlock(Engine):
    """The matrix in operation. Not thread-safe: one owner steps it.

    Only the value True is good: None, a missing name, and any other value are bad; a row with two
    signals needs the pair of both. A name that is no row withholds every permit for that step.
    """

    def __init__(self, matrix: Matrix) -> None:
        super().__init__(matrix)
        self._columns = Names(matrix.output_names)
        self._seen: Mapping[str, Value] | None = None
        self._last: tuple[Verdict, Outputs] | None = None

    def step(
        self,
        tick: int,
        inputs: Mapping[str, Value],
        confirmed: Mapping[str, bool | None] = NOTHING_CONFIRMED,
    ) -> Outputs:
        """Judge the inputs at a tick; `confirmed`: beam-off confirmations by name, where only True counts.

        Raises ValueError if ticks run backwards.
        """
        first, second = self.names.gather(inputs)
        known = self.names.bit.keys()
        strays = () if inputs.keys() <= known else tuple(sorted(set(inputs) - known))
        stages = enumerate(self.matrix.beam_off)
        seen = sum(1 << k for k, stage in stages if confirmed.get(stage.confirm) is True)
        verdict = self.step_bits(tick, first, second, seen, strays)
        self._seen = dict(inputs)
        return self.outputs(verdict)

    def outputs(self, verdict: Verdict) -> Outputs:
        """The last step's verdict, with names."""
        if self._last is not None and self._last[0] is verdict:
            return self._last[1]
        permits = {name: bool(verdict.permits & bit) for name, bit in self._columns.bit.items()}
        names = (*self.names.of(verdict.stops), *verdict.strays, *self._hold.reasons)
        shown = Outputs(permits, self.names.of(verdict.latched), self._first, names, verdict.notes)
        self._last = (verdict, shown)
        return shown

    def reset(self, user: str, roles: Iterable[str], inputs: Mapping[str, Value]) -> Entry:
        """Clear every latch whose cause is gone from `inputs` and that these roles may clear.

        A beam-off that escalated is ended too, if its first stage is confirmed and the roles may reset
        the patient family. Raises Refused when causes are still there, or Unauthorised when the roles
        lack the right, and nothing could be cleared.
        """
        return self.reset_bits(user, roles, *self.names.gather(inputs))

    def reset_bits(self, user: str, roles: Iterable[str], first: int, second: int = 0) -> Entry:
        """`reset` by inputs given as bits (see `step_bits`)."""
        held = frozenset(roles)
        good = agreed(self._rows, first, second)
        cleared = clearable(self._state, good, rights(self._rows.reset_by, held))
        trusted = bool(held & self.matrix.reset_roles.get(Family.PATIENT, frozenset()))
        ends = trusted and self._hold.may_reset(self._known[2])
        if not cleared and not ends:
            self._refuse_reset(user, self._state.latched & good, trusted)
        self._state = self._state._replace(latched=self._state.latched & ~cleared)
        if ends:
            self._hold.reset(self._tick)
        if not self._state.latched:
            self._first = None
        self._verdict = None
        return Entry("reset", self._tick, user, tuple(sorted(held)), self.names.of(cleared))

    def mask(self, name: str, user: str, roles: Iterable[str], reason: str, until_tick: int) -> Entry:
        """Let a bad input pass until a tick. It judges by the service key as of the last step.

        Raises Refused (unknown or forbidden input, clinical mode, no reason, time too long or past)
        or Unauthorised.
        """
        asked = Entry(
            "mask", self._tick, user, tuple(sorted(set(roles))), (name,), reason.strip(), until_tick
        )
        self._masks.add(asked, self.granted)
        self._set_masked(self._state.masked | self.names.bit[name])
        return asked

    def unmask(self, name: str, user: str, roles: Iterable[str]) -> Entry:
        """End a mask. Everybody may: it is the safe direction. Raises Refused if there is none."""
        self._masks.drop(name)
        self._set_masked(self._state.masked & ~self.names.bit[name])
        return Entry("unmask", self._tick, user, tuple(sorted(set(roles))), (name,))

    def self_test(
        self, user: str, roles: Iterable[str], observe: selftest.Observe | None = None
    ) -> TestRecord:
        """Drop each input alone on a shadow copy (or on what `observe` asks), and keep the record.

        Raises Refused while beam is requested, or Unauthorised for who may not reset equipment.
        """
        if self.good & self._rows.arming:
            raise Refused(_("no self-test while beam is requested; end the request first"))
        _check_tester(self.matrix, user, roles)
        found = tuple(selftest.failures(self.matrix, observe or selftest.shadow(self._rows)))
        number = sum(1 for _case in selftest.cases(self.matrix))
        self._hold.record = TestRecord(
            self._tick, user, number, found, self._tick + self.matrix.self_test_ticks
        )
        self.counts.tests_failed += bool(found)
        self.counts.tests_passed += not found
        self._verdict = None
        return self._hold.record

    @property
    def self_tested(self) -> TestRecord | None:
        """The record of the last self-test, whether it passed or not."""
        return self._hold.record

    @property
    def switching_off(self) -> BeamOff:
        """Where the beam-off sequence is."""
        return self._hold.sequence

    def classify_false(self, name: str, user: str, roles: Iterable[str], reason: str) -> Entry:
        """Declare one trip of a cause false. Raises Refused or Unauthorised."""
        return self.counts.classify_false(self._tick, name, user, roles, reason)

    def states(self) -> dict[str, InputState]:
        """Every input as of the last step, in row order."""
        good, seen = self.good, self._seen
        apart = differing(self._rows, self._known[0], self._known[1])
        return {
            name: InputState(
                ok=bool(good & bit) if seen is None else plain(seen.get(name)),
                latched=bool(self._state.latched & bit),
                masked=bool(self._state.masked & bit),
                differs=bool(apart & bit),
            )
            for name, bit in self.names.bit.items()
        }

    def _refuse_reset(self, user: str, gone: int, trusted: bool) -> None:
        if self._hold.sequence.escalated and not gone and trusted:
            raise Refused(_("not reset: beam is not confirmed gone; find out where it is first"))
        if not self._state.latched and not self._hold.sequence.escalated:
            return
        names = ", ".join(self.names.of(gone or self._state.latched)) or "beam_off"
        if gone or not self._state.latched:
            raise Unauthorised(
                _("{user} may not reset {names}; ask somebody who may").format(user=user, names=names)
            )
        raise Refused(
            _("not reset: the cause is still there for {names}; remove it first").format(names=names)
        )


def _check_tester(matrix: Matrix, user: str, roles: Iterable[str]) -> None:
    allowed = matrix.reset_roles.get(Family.EQUIPMENT, frozenset())
    if not allowed & frozenset(roles):
        raise Unauthorised(
            _("{user} may not run the self-test: allowed are {roles}").format(
                user=user, roles=", ".join(sorted(allowed)) or _("nobody")
            )
        )

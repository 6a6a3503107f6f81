"""What an interlock keeps when its process ends: latches, first fault, escalation, self-test, counts."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from interlock.beam_off import BeamOff, OffState
from interlock.latch import Interlock
from interlock.outcome import Entry, FirstFault
from interlock.selftest import TestRecord

COUNTERS = ("trips", "confirmed", "escalations", "false")


class KeptInterlock(Interlock):
    """An interlock that can be kept and taken up again. Masks are not kept: they end with the process."""

    def memory(self) -> dict[str, Any]:
        """As plain JSON values."""
        first, record, off = self._first, self._hold.record, self._hold.sequence
        return {
            "latched": list(self.names.of(self._state.latched)),
            "first": first and {"input": first.input, "tick": first.tick, "together": list(first.together)},
            "escalated": _escalated(off),
            "level": off.level,
            "self_test": record
            and {
                "tick": record.tick,
                "user": record.user,
                "cases": record.cases,
                "failures": list(record.failures),
                "until_tick": record.until_tick,
            },
            "counts": {name: dict(getattr(self.counts, name)) for name in COUNTERS},
            "tests": [self.counts.tests_passed, self.counts.tests_failed],
        }

    @property
    def masks(self) -> tuple[Entry, ...]:
        """The masks in force, each as the entry that put it on."""
        return self._masks.entries

    @property
    def version(self) -> tuple[object, ...]:
        """Something else whenever `memory` would be something else."""
        off, counts = self._hold.sequence, self.counts
        totals = (getattr(counts, name).total() for name in COUNTERS)
        return (self._state.latched, _escalated(off), off.level, id(self._hold.record), *totals)

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Take up what `memory` gave; rows that the table no longer has are dropped.

        Raises KeyError, TypeError or ValueError for anything else.
        """
        known = self.names.bit
        latched = sum(known[name] for name in memory["latched"] if name in known)
        self._state = self._state._replace(latched=latched)
        first = memory["first"]
        if first and first["input"] in known:
            self._first = FirstFault(str(first["input"]), int(first["tick"]), tuple(first["together"]))
        if memory["escalated"] and self.matrix.beam_off:
            level = min(int(memory["level"]), len(self.matrix.beam_off) - 1)
            self._hold.sequence = BeamOff(OffState(memory["escalated"]), level)
        test = memory["self_test"]
        if test:
            self._hold.record = TestRecord(
                int(test["tick"]),
                str(test["user"]),
                int(test["cases"]),
                tuple(map(str, test["failures"])),
                int(test["until_tick"]),
            )
        for name in COUNTERS:
            counted = {cause: int(n) for cause, n in memory["counts"][name].items() if cause in known}
            setattr(self.counts, name, Counter(counted))
        self.counts.tests_passed, self.counts.tests_failed = map(int, memory["tests"])
        self._verdict = None


def _escalated(off: BeamOff) -> str:
    """The escalation that a restart must not forget; nobody awaits one under way then: it has failed."""
    if off.state is OffState.AWAITING and off.level > 0:
        return OffState.DOWN.value
    return off.state.value if off.escalated else ""

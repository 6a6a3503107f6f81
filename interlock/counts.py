"""How often each cause tripped, was confirmed, escalated, and was false. Kept for as long as the process."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from common.errors import Refused, Unauthorised
from common.text import _
from interlock.outcome import Entry
from interlock.table import Matrix


@dataclass(frozen=True)
class CauseCount:
    """One cause's numbers. `trips`: times it latched; `confirmed`, `escalations`: beam-off stages of it."""

    trips: int
    confirmed: int
    escalations: int
    false: int


@dataclass
class Counts:
    """The numbers of all causes, and of the self-tests."""

    matrix: Matrix
    trips: Counter[str] = field(default_factory=Counter)
    confirmed: Counter[str] = field(default_factory=Counter)
    escalations: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    tests_passed: int = 0
    tests_failed: int = 0

    def as_dict(self) -> Mapping[str, CauseCount]:
        """Cause -> its numbers, for causes that have any."""
        names = {*self.trips, *self.confirmed, *self.escalations}
        return {
            name: CauseCount(self.trips[name], self.confirmed[name], self.escalations[name], self.false[name])
            for name in sorted(names)
        }

    def classify_false(self, tick: int, name: str, user: str, roles: Iterable[str], reason: str) -> Entry:
        """Declare one trip of a cause false.

        Raises Refused (no trip left that could be, no reason) or Unauthorised (who may not reset the
        cause's family may not judge its trips).
        """
        held = frozenset(roles)
        if self.false[name] >= self.trips[name]:
            raise Refused(
                _("{name}: {trips} trips, {false} of them declared false; there is none to declare").format(
                    name=name, trips=self.trips[name], false=self.false[name]
                )
            )
        if not reason.strip():
            raise Refused(_("a trip is declared false with a reason; say what was wrong with the cause"))
        allowed = self.matrix.reset_roles.get(self.matrix.input(name).family, frozenset())
        if not allowed & held:
            raise Unauthorised(
                _("{user} may not judge trips of {name}: allowed are {roles}").format(
                    user=user, name=name, roles=", ".join(sorted(allowed)) or _("nobody")
                )
            )
        self.false[name] += 1
        return Entry("false_trip", tick, user, tuple(sorted(held)), (name,), reason.strip())

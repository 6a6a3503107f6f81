"""Versions of catalogue entries: proposed by one person, approved by another, put in force; one table.

An entry's version 0 is the one that the site's file and the rigidity of its beam give. A later version holds
the current of each supply. Time, and who asks, are arguments.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from common.errors import BadInput, Refused, Unauthorised
from common.text import _


class State(StrEnum):
    """Where a version stands."""

    PROPOSED = "PROPOSED"
    APPROVED = "APPROVED"
    """May be put in force."""
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"
    IN_FORCE = "IN_FORCE"
    """What the machine is set to when somebody selects the entry."""
    SUPERSEDED = "SUPERSEDED"
    """Was in force, and may be again."""


class Act(StrEnum):
    """What people do with a version."""

    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    ENFORCE = "enforce"
    REPLACE = "replace"
    """Another version of the entry was put in force."""


TABLE: Mapping[State, Mapping[Act, State]] = {
    State.PROPOSED: {Act.APPROVE: State.APPROVED, Act.REJECT: State.REJECTED, Act.WITHDRAW: State.WITHDRAWN},
    State.APPROVED: {Act.ENFORCE: State.IN_FORCE, Act.REJECT: State.REJECTED},
    State.IN_FORCE: {Act.REPLACE: State.SUPERSEDED},
    State.SUPERSEDED: {Act.ENFORCE: State.IN_FORCE, Act.REJECT: State.REJECTED},
    State.REJECTED: {},
    State.WITHDRAWN: {},
}

ROLES: Mapping[str, frozenset[str]] = {
    "propose": frozenset({"physicist", "operator", "service"}),
    Act.APPROVE: frozenset({"physicist"}),
    Act.REJECT: frozenset({"physicist"}),
    Act.WITHDRAW: frozenset({"physicist", "operator", "service"}),
    Act.ENFORCE: frozenset({"physicist", "operator"}),
}
"""Act -> roles that may do it."""

LARGEST_CHANGE = 0.1
"""A proposal farther than this share from the base is refused unless it says so (`large`).

It does not hold for what steers both ways: its base says nothing about the orbit.
"""


@dataclass
class Version:
    """One version of an entry. settings: current of each supply, A, by wire. number 0: the base."""

    entry: str
    number: int
    settings: Mapping[str, float]
    user: str
    why: str
    time: str
    state: State = State.PROPOSED
    evidence: Mapping[str, Any] = field(default_factory=dict)
    approved_by: str = ""
    history: list[Mapping[str, Any]] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """As JSON values."""
        words = {"state": self.state.value, "settings": dict(self.settings), "evidence": dict(self.evidence)}
        return {**vars(self), **words, "history": [dict(line) for line in self.history]}


@dataclass
class Versions:
    """All versions of all entries: what a log of acts adds up to."""

    entries: dict[str, list[Version]] = field(default_factory=dict)

    def of(self, entry: str) -> list[Version]:
        """The versions of an entry, oldest first."""
        return self.entries.get(entry, [])

    def get(self, entry: str, number: object) -> Version:
        """A version. Raises Refused."""
        for version in self.of(entry):
            if version.number == number and not isinstance(number, bool):
                return version
        known = ", ".join(str(version.number) for version in self.of(entry)) or _("none but the base")
        text = _("entry {entry} has no version {number}: there are {known}")
        raise Refused(text.format(entry=entry, number=number, known=known))

    def in_force(self, entry: str) -> Version | None:
        """The version in force; None for the base."""
        return next((version for version in self.of(entry) if version.state is State.IN_FORCE), None)

    def waiting(self) -> list[Version]:
        """Proposals that nobody has judged."""
        return [
            version for part in self.entries.values() for version in part if version.state is State.PROPOSED
        ]

    # --- Rules

    def check(self, act: Act, version: Version, user: str, roles: frozenset[str]) -> None:
        """Raise Refused or Unauthorised unless this user may do this to a version now."""
        _require_role(act, roles)
        if act not in TABLE[version.state]:
            allowed = ", ".join(_(possible) for possible in TABLE[version.state]) or _("nothing")
            text = _("version {number} of {entry} is {state}: {act} is not possible, possible is {allowed}")
            told = {"number": version.number, "entry": version.entry, "state": _(version.state)}
            raise Refused(text.format(act=_(act), allowed=allowed, **told))
        if act is Act.APPROVE and user == version.user:
            raise Unauthorised(_("a proposal is approved by another person than the one who made it"))
        if act is Act.WITHDRAW and user != version.user:
            text = _("only {user} withdraws this proposal; a physicist may reject it")
            raise Unauthorised(text.format(user=version.user))

    # --- The log

    def apply(self, line: Mapping[str, Any]) -> None:
        """Take up one line of the log. Raises KeyError, ValueError, TypeError, Refused for another."""
        if line["act"] == "propose":
            made = Version(
                line["entry"],
                int(line["number"]),
                {name: float(value) for name, value in line["settings"].items()},
                line["user"],
                line["why"],
                line["time"],
                evidence=line.get("evidence", {}),
            )
            self.entries.setdefault(made.entry, []).append(made)
            return
        act = Act(line["act"])
        if line["number"] == 0 and act is Act.ENFORCE:
            self._replace(line)
            return
        version = self.get(line["entry"], line["number"])
        if act is Act.ENFORCE:
            self._replace(line)
        self._move(version, act, line)

    def _replace(self, line: Mapping[str, Any]) -> None:
        """Another version, or the base, is put in force."""
        before = self.in_force(line["entry"])
        if before is not None:
            self._move(before, Act.REPLACE, line)

    def _move(self, version: Version, act: Act, line: Mapping[str, Any]) -> None:
        version.state = TABLE[version.state][act]
        if act is Act.APPROVE:
            version.approved_by = line["user"]
        said = {"act": act.value, "user": line["user"], "time": line["time"], "why": line.get("why", "")}
        version.history.append(said)


def check_proposal(
    settings: object, base: Mapping[str, float], limits: Mapping[str, tuple[float, float]], *, large: bool
) -> dict[str, float]:
    """The settings of a proposal: base values where it says nothing. Raises BadInput, Refused.

    limits: lowest and highest current of each supply, A. large: it may be far from the base.
    """
    if not isinstance(settings, Mapping) or not settings:
        raise BadInput(_('settings must be an object {{"supply": current in A, ...}}').format())
    strange = sorted(set(settings) - set(base))
    if strange:
        text = _("no supply {name} in this entry: there are {known}")
        raise BadInput(text.format(name=strange[0], known=", ".join(sorted(base))))
    found = dict(base)
    for name, value in settings.items():
        _check_current(name, value, base[name], limits.get(name, (-math.inf, math.inf)), large=large)
        found[name] = float(value)
    return found


def _check_current(
    name: str, value: object, base: float, limits: tuple[float, float], *, large: bool
) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(_("{name}: {value!r} is not a finite number of A").format(name=name, value=value))
    low, high = limits
    if not low <= value <= high:
        text = _("{name} {value:g} A: allowed are {low:g} .. {high:g} A")
        raise Refused(text.format(name=name, value=value, low=low, high=high))
    if not large and low >= 0 and abs(value - base) > LARGEST_CHANGE * max(abs(base), 1e-9):
        text = _(
            "{name} {value:g} A is more than {share:.0%} from the base, {base:g} A; "
            "if that is meant, say so (large)"
        )
        raise Refused(text.format(name=name, value=value, share=LARGEST_CHANGE, base=base))


def differences(left: Mapping[str, float], right: Mapping[str, float]) -> list[dict[str, Any]]:
    """Supplies whose currents differ, the relatively farthest first: name, left, right (A), share."""
    rows = []
    for name in sorted(set(left) | set(right)):
        a, b = left.get(name), right.get(name)
        if a != b:
            share = abs(b - a) / max(abs(a), 1e-9) if a is not None and b is not None else math.inf
            rows.append({"name": name, "left": a, "right": b, "share": share if share != math.inf else None})
    return sorted(rows, key=lambda row: (row["share"] is not None, -(row["share"] or 0.0), row["name"]))


def may_propose(roles: Iterable[str]) -> None:
    """Raise Unauthorised unless one of these roles proposes versions."""
    _require_role("propose", frozenset(roles))


def _require_role(act: str, roles: frozenset[str]) -> None:
    if not roles & ROLES[act]:
        text = _("to {act} a version is for: {roles}")
        raise Unauthorised(text.format(act=_(act), roles=", ".join(sorted(ROLES[act]))))

"""Versions of catalogue entries: proposed by one person, approved by another, put in force; one table.

An entry's version 0 is the one that the site's file and the rigidity of its beam give. A later version holds
the current of each supply. Time, and who asks, are arguments.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from common.errors import BadInput, Refused, Unauthorised


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
"""A proposal farther than this share from the base is refused unless it says so (`large`)."""


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
        known = ", ".join(str(version.number) for version in self.of(entry)) or "none but the base"
        raise Refused(f"entry {entry} has no version {number}: there are {known}")

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
            allowed = ", ".join(TABLE[version.state]) or "nothing"
            raise Refused(
                f"version {version.number} of {version.entry} is {version.state}: {act} is not possible, "
                f"possible is {allowed}"
            )
        if act is Act.APPROVE and user == version.user:
            raise Unauthorised("a proposal is approved by another person than the one who made it")
        if act is Act.WITHDRAW and user != version.user:
            raise Unauthorised(f"only {version.user} withdraws this proposal; a physicist may reject it")

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
        raise BadInput('settings must be an object {"supply": current in A, ...}')
    strange = sorted(set(settings) - set(base))
    if strange:
        raise BadInput(f"no supply {strange[0]} in this entry: there are {', '.join(sorted(base))}")
    found = dict(base)
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
            raise BadInput(f"{name}: {value!r} is not a finite number of A")
        low, high = limits.get(name, (-float("inf"), float("inf")))
        if not low <= value <= high or abs(value) == float("inf"):
            raise Refused(f"{name} {value:g} A: allowed are {low:g} .. {high:g} A")
        if not large and abs(value - base[name]) > LARGEST_CHANGE * max(abs(base[name]), 1e-9):
            raise Refused(
                f"{name} {value:g} A is more than {LARGEST_CHANGE:.0%} from the base, {base[name]:g} A; "
                "if that is meant, say so (large)"
            )
        found[name] = float(value)
    return found


def differences(left: Mapping[str, float], right: Mapping[str, float]) -> list[dict[str, Any]]:
    """Supplies whose currents differ, the relatively farthest first: name, left, right (A), share."""
    rows = []
    for name in sorted(set(left) | set(right)):
        a, b = left.get(name), right.get(name)
        if a != b:
            share = abs(b - a) / max(abs(a), 1e-9) if a is not None and b is not None else float("inf")
            rows.append(
                {"name": name, "left": a, "right": b, "share": share if share != float("inf") else None}
            )
    return sorted(rows, key=lambda row: (row["share"] is not None, -(row["share"] or 0.0), row["name"]))


def may_propose(roles: Iterable[str]) -> None:
    """Raise Unauthorised unless one of these roles proposes versions."""
    _require_role("propose", frozenset(roles))


def _require_role(act: str, roles: frozenset[str]) -> None:
    if not roles & ROLES[act]:
        raise Unauthorised(f"to {act} a version is for: {', '.join(sorted(ROLES[act]))}")

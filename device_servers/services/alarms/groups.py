"""First-out: which alarm of a group was the first of those that stand."""

from collections.abc import Sequence

import numpy as np

from device_servers.services.alarms.inputs import Floats, Indices, Ints
from device_servers.services.alarms.rules import Rule
from device_servers.services.alarms.states import STANDING, State

NOBODY = -1
WAITING = (State.UNACKED, State.LATCHED)


class Groups:
    """The groups of a set of rules.

    The first of those that nobody has acknowledged is marked. Once all are acknowledged the mark stays
    where it is while that alarm stands, and goes to the first alarm that comes after.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.names = tuple(dict.fromkeys(rule.group for rule in rules if rule.group))
        number = {name: place for place, name in enumerate(self.names)}
        self.of = np.array([number.get(rule.group, NOBODY) for rule in rules], dtype=np.intp)
        """Group of each rule, NOBODY for none."""
        self.first = np.full(len(self.names), NOBODY, dtype=np.intp)
        """Rule that was first in each group."""
        self._begun = np.full(len(self.names), np.inf)
        self._members = [np.flatnonzero(self.of == group) for group in range(len(self.names))]

    def update(self, moved: Indices, states: Ints, raised: Floats) -> Indices:
        """Mark the first of the groups of `moved` rules; the rules whose mark changed.

        states, raised: of all rules; `raised` is when the value crossed its level, at its server: an
        alarm that was heard of later and crossed earlier takes the mark.
        """
        changed: list[int] = []
        groups = np.unique(self.of[moved])
        for group in groups[groups != NOBODY]:
            members, before = self._members[group], int(self.first[group])
            waiting = members[np.isin(states[members], WAITING)]
            if not len(waiting):
                self._begun[group] = np.inf
                if before != NOBODY and states[before] not in STANDING:
                    self.first[group] = NOBODY
            else:
                earliest = waiting[np.argmin(raised[waiting])]
                if raised[earliest] < self._begun[group]:
                    self.first[group], self._begun[group] = earliest, raised[earliest]
            if int(self.first[group]) != before:
                changed += [rule for rule in (before, int(self.first[group])) if rule != NOBODY]
        return np.array(changed, dtype=np.intp)

    def is_first(self, rule: int) -> bool:
        """Whether a rule has its group's mark."""
        group = int(self.of[rule])
        return group != NOBODY and int(self.first[group]) == rule

    def restore(self, first: Sequence[int], raised: Floats) -> None:
        """Give rules their marks again."""
        for rule in first:
            group = int(self.of[rule])
            if group != NOBODY:
                self.first[group], self._begun[group] = rule, raised[rule]

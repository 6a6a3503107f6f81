"""Raw severities: numbers against levels with hysteresis, all rules at once.

As an EPICS analogue record does it (aiRecord.c, checkAlarms): hihi before lolo before high before low; a
level once passed holds until the value is back inside by the hysteresis. Beyond means strictly, as the
quality of a device's attribute does.
"""

from collections.abc import Sequence

import numpy as np

from device_servers.services.alarms.inputs import Flags, Floats, Indices, Ints
from device_servers.services.alarms.rules import HIGH, HIHI, LOLO, LOW, Rule
from device_servers.services.alarms.severity import Severity, Status

NONE, UNKNOWN = 0, 5
"""Conditions: NONE, 1 + LOLO .. 1 + HIHI, UNKNOWN."""


class Levels:
    """The levels of n rules: `levels`, `severities`, `status` have shape (n, 6), a column a condition."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        count = len(rules)
        self._levels = np.array([rule.levels for rule in rules], dtype=float).reshape(count, 4)
        self._hysteresis = np.array([rule.hysteresis for rule in rules], dtype=float)
        self.severities = np.zeros((count, 6), dtype=np.int8)
        self.status = np.zeros((count, 6), dtype=np.int8)
        if count:
            self.severities[:, 1:5] = [rule.severities for rule in rules]
            self.status[:, 1:5] = [rule.status for rule in rules]
        self.severities[:, UNKNOWN] = Severity.INVALID
        self.status[:, UNKNOWN] = Status.UDF

    def conditions(self, rules: Indices, values: Floats, before: Ints) -> Ints:
        """The condition that values (n,) of some rules are in; `before`: the one they were in."""
        levels, band = self._levels[rules].T, self._hysteresis[rules]

        def above(level: int) -> Flags:
            limit = levels[level]
            return (values > limit) | ((before == level + 1) & (values > limit - band))

        def below(level: int) -> Flags:
            limit = levels[level]
            return (values < limit) | ((before == level + 1) & (values < limit + band))

        found = np.zeros(len(rules), dtype=np.int32)
        for condition, holds in (
            (1 + LOW, below(LOW)),
            (1 + HIGH, above(HIGH)),
            (1 + LOLO, below(LOLO)),
            (1 + HIHI, above(HIHI)),
        ):
            found[holds] = condition
        found[np.isnan(values)] = UNKNOWN
        return found

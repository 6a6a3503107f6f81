"""Who is next: the order of those who have signed in, by the built-in rule or one of a department's own.

Both rules are orders by a value that each patient has alone; ties go by the queue number. So the order is
stable: who comes or goes does not change the order of the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.words import N_

MOST_WEIGHT = 100.0
LEAST_WAITED = 0.01

NUMBERS: Mapping[str, tuple[float, float, str]] = {
    "waited_min": (0, 24 * 60, N_("minutes waited since the sign-in")),
    "overdue_min": (-240, 240, N_("minutes past the appointment (negative: still to come)")),
    "late_min": (0, 240, N_("minutes that the sign-in was after the appointment")),
    "passed": (0, 5, N_("times passed over")),
    "anaesthesia": (0, 1, N_("1 for a patient with anaesthesia")),
    "child": (0, 1, N_("1 for a patient under 14 years")),
    "elderly": (0, 1, N_("1 for a patient of 75 years and more")),
    "inpatient": (0, 1, N_("1 for an inpatient")),
    "first_visit": (0, 1, N_("1 for the first fraction")),
    "minutes": (0, 240, N_("length of the visit in minutes")),
}
"""What a rule may weigh: lowest and highest value that counts, and what it is."""


@dataclass(frozen=True)
class Waiting:
    """One signed-in patient. `passed_at`: when last passed over. `facts`: other numbers, by name."""

    key: str
    number: int
    start: datetime
    signed_in: datetime
    priority: int = 0
    passed: int = 0
    passed_at: datetime | None = None
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """`weights` empty: the built-in rule. `grace_min`: a sign-in up to this late counts as in time.
    `passed_min`: a patient who was passed over comes this long after that.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    grace_min: int = 15
    passed_min: int = 10


def checked_rule(content: Mapping[str, Any]) -> Rule:
    """A rule as people wrote it. Raises BadInput: unknown, out of range, or somebody would starve."""
    unknown = set(content) - {"weights", "grace_min", "passed_min"}
    weights = content.get("weights", {})
    if unknown or not isinstance(weights, Mapping):
        raise BadInput(_("A rule has weights, grace_min and passed_min, and nothing else."))
    rule = Rule(
        {name: _number(name, value, -MOST_WEIGHT, MOST_WEIGHT) for name, value in weights.items()},
        int(_number("grace_min", content.get("grace_min", Rule.grace_min), 0, 240)),
        int(_number("passed_min", content.get("passed_min", Rule.passed_min), 0, 120)),
    )
    strange = ", ".join(sorted(set(rule.weights) - set(NUMBERS)))
    if strange:
        raise BadInput(
            _("Unknown numbers: {names}. Known are {known}.").format(names=strange, known=", ".join(NUMBERS))
        )
    if rule.weights and rule.weights.get("waited_min", 0) < LEAST_WAITED:
        raise BadInput(
            _("The weight of waited_min must be at least {n}: somebody could else wait for ever.").format(
                n=LEAST_WAITED
            )
        )
    return rule


def ordered(waiting: Sequence[Waiting], rule: Rule, now: datetime) -> list[Waiting]:
    """All of them, the next one first. Higher priority goes first in any rule."""
    value = _score if rule.weights else _turn
    return sorted(waiting, key=lambda one: (-one.priority, value(one, rule, now), one.number, one.key))


def turn(one: Waiting, rule: Rule) -> datetime:
    """The time that the built-in rule goes by: that of the appointment; of the sign-in for a late comer;
    a while after the call for one who was passed over.
    """
    late = one.signed_in - one.start > timedelta(minutes=rule.grace_min)
    due = one.signed_in if late else one.start
    if one.passed_at is not None:
        due = max(due, one.passed_at + timedelta(minutes=rule.passed_min))
    return due


def score(one: Waiting, rule: Rule, now: datetime) -> float:
    """The weighted sum of a department's own rule; higher goes first."""
    numbers = {
        "waited_min": (now - one.signed_in) / timedelta(minutes=1),
        "overdue_min": (now - one.start) / timedelta(minutes=1),
        "late_min": (one.signed_in - one.start) / timedelta(minutes=1),
        "passed": float(one.passed),
        **one.facts,
    }
    return sum(weight * _clamped(name, numbers.get(name, 0.0)) for name, weight in rule.weights.items())


def longest_overtaking_min(rule: Rule) -> float:
    """Minutes after which nobody who comes later can go first (of equal priority)."""
    if not rule.weights:
        return float(rule.grace_min + 240 + rule.passed_min)
    span = sum(
        abs(weight) * (NUMBERS[name][1] - NUMBERS[name][0])
        for name, weight in rule.weights.items()
        if name != "waited_min"
    )
    return span / rule.weights["waited_min"]


def _turn(one: Waiting, rule: Rule, _now: datetime) -> float:
    return turn(one, rule).timestamp()


def _score(one: Waiting, rule: Rule, now: datetime) -> float:
    # rounded: sums of the same numbers in another order must not decide
    return -round(score(one, rule, now), 6)


def _clamped(name: str, value: float) -> float:
    low, high, _text = NUMBERS[name]
    return min(max(value, low), high)


def _number(name: str, value: Any, low: float, high: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or not low <= number <= high:
        raise BadInput(
            _("{name}: a number from {low} to {high} is needed.").format(name=name, low=low, high=high)
        )
    return number

"""What one attribute said: value, quality, time; how values stand in a file, and whether two are the same."""

import math
from dataclasses import dataclass
from typing import Any

VALID, WARNING, ALARM, CHANGING = "VALID", "WARNING", "ALARM", "CHANGING"
INVALID = "INVALID"
"""The device answered that it does not know the value."""
UNREADABLE = "UNREADABLE"
"""Nobody answered, or there is no such attribute any more."""

Value = float | int | bool | str | list[Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """value: None while unknown. time: s since the epoch. why: in words, for what is not known."""

    value: Value | None
    quality: str
    time: float
    why: str = ""

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return self.value is not None


def reading(value: Any, quality: str, when: float) -> Reading:
    """A reading of plain values; a number that is not finite is not known."""
    if isinstance(value, float) and not math.isfinite(value):
        return Reading(None, INVALID, when, f"the value is {value}")
    return Reading(value, quality, when)


def unreadable(why: str, when: float) -> Reading:
    """What could not be read at all."""
    return Reading(None, UNREADABLE, when, why)


def kind_of(value: Value | None) -> str:
    """number, word, switch or list: values of two kinds are never compared."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "switch"
    if isinstance(value, str):
        return "word"
    return "list" if isinstance(value, list) else "number"


def apart(left: Value, right: Value, absolute: float, relative: float) -> float:
    """How far two values of one kind are apart, in tolerances: up to 1 they are the same.

    The tolerance is the larger of `absolute` and `relative` of `left`. Words and switches, and numbers
    without tolerance, are 0 or infinitely far apart; lists as far as their farthest items, infinitely
    when they differ in length.
    """
    if isinstance(left, list) and isinstance(right, list):
        if len(left) != len(right):
            return math.inf
        return max((_items(a, b, absolute, relative) for a, b in zip(left, right, strict=True)), default=0.0)
    if isinstance(left, bool | str) or isinstance(right, bool | str | list) or isinstance(left, list):
        return 0.0 if left == right else math.inf
    distance = abs(right - left)
    if distance == 0.0:
        return 0.0
    tolerance = max(absolute, relative * abs(left))
    return distance / tolerance if tolerance > 0 else math.inf


def _items(left: Any, right: Any, absolute: float, relative: float) -> float:
    """As `apart`; an item that is not known (None) is the same as another such."""
    if left is None or right is None or kind_of(left) != kind_of(right):
        return 0.0 if left is None and right is None else math.inf
    return apart(left, right, absolute, relative)

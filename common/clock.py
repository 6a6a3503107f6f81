"""Ticks: the integer time of the beam hardware, and its relation to wall time."""

from dataclasses import dataclass

TICK_NS = 8
"""Length of one tick in nanoseconds (125 MHz event clock)."""

TICKS_PER_SECOND = 1_000_000_000 // TICK_NS


def ticks(seconds: float) -> int:
    """Whole ticks nearest to a duration in seconds."""
    return round(seconds * TICKS_PER_SECOND)


def seconds(tick_count: int) -> float:
    """Duration in seconds of a count of ticks."""
    return tick_count / TICKS_PER_SECOND


@dataclass(frozen=True)
class ClockRate:
    """Tick time = wall time x factor, counted from an origin.

    Link watchdogs do not use this class: they run on wall time and never scale.
    """

    factor: float
    origin_wall_ns: int

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise ValueError(f"clock factor {self.factor}: allowed is 1 or more")

    def tick_at(self, wall_ns: int) -> int:
        """Tick that a wall time in ns since the epoch falls into."""
        return int((wall_ns - self.origin_wall_ns) * self.factor) // TICK_NS

    def wall_ns_at(self, tick: int) -> int:
        """Wall time, ns since the epoch, at which a tick begins."""
        return self.origin_wall_ns + int(tick * TICK_NS / self.factor)

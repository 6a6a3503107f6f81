"""The fibre between event generator and receivers, where events get late or lost."""

from collections import deque
from dataclasses import dataclass

from common.clock import ticks
from simulation.fpga.model import Faults
from timing.events import SYSTEM, Code, Event

INTRUDER = 0x6F
"""Code of the source that does not belong to the machine, under the fault `timing_collision`."""


@dataclass(frozen=True)
class LinkFaults:
    """late: ticks by which a machine's events come late. missed: flat-top events are lost.

    collision: another source sends with each event of the machine. heartbeat: none is sent.
    """

    late: int = 0
    missed: bool = False
    collision: bool = False
    heartbeat: bool = False

    @classmethod
    def of(cls, faults: Faults) -> "LinkFaults":
        """From the faults of the beam hardware."""
        return cls(
            ticks(faults.timing_late * 1e-6),
            faults.timing_missed > 0,
            faults.timing_collision > 0,
            faults.timing_heartbeat > 0,
        )


class Fibre:
    """Carries events in order; the event system's own are never touched."""

    def __init__(self) -> None:
        self.faults = LinkFaults()
        self._under_way: deque[Event] = deque()

    @property
    def next_tick(self) -> int | None:
        """When the next delayed event arrives; None when none is under way."""
        return self._under_way[0].tick if self._under_way else None

    def carry(self, events: list[Event], tick: int) -> list[Event]:
        """What arrives up to and including a tick, in order, one a tick."""
        if not self._under_way and not self.faults.late and not self.faults.missed:
            return events
        arrived = []
        for event in events:
            if event.code in SYSTEM:
                arrived.append(event)
            elif not (self.faults.missed and event.code == Code.FLAT_TOP):
                last = self._under_way[-1].tick if self._under_way else -1
                self._under_way.append(Event(max(event.tick + self.faults.late, last + 1), event.code))
        while self._under_way and self._under_way[0].tick <= tick:
            arrived.append(self._under_way.popleft())
        return sorted(arrived)

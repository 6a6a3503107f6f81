"""Pulsers and clock dividers of a receiver: events into edges on outputs, in integer ticks."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from common.errors import BadInput
from timing.events import Event, check_code, check_whole

MAX_DELAY = 2**32 - 1
MAX_PRESCALER = 65_535
LEAST_PRESCALER = 2
"""0 and 1 are no prescalers: nothing would divide."""


class Action(StrEnum):
    """What an event does to a pulser."""

    TRIGGER = "trigger"
    SET = "set"
    RESET = "reset"


@dataclass(frozen=True)
class PulserSettings:
    """`actions`: event code -> what it does. Raises BadInput for numbers out of range.

    delay, width: of a triggered pulse, in ticks, or in `prescaler` ticks where there is one (counted
    from the trigger). `inverted`: the output is low while it is active.
    """

    actions: Mapping[int, Action]
    delay: int = 0
    width: int = 1
    prescaler: int | None = None
    inverted: bool = False
    enabled: bool = True

    def __post_init__(self) -> None:
        for code in self.actions:
            check_code(code)
        check_whole("pulser delay", self.delay, 0, MAX_DELAY)
        check_whole("pulser width", self.width, 1, MAX_DELAY)
        if self.prescaler is not None:
            check_prescaler(self.prescaler)

    @property
    def unit(self) -> int:
        """Ticks of one count of delay and width."""
        return self.prescaler or 1


def check_prescaler(value: object) -> int:
    """The prescaler itself. Raises BadInput: 0 and 1 are illegal."""
    return check_whole("prescaler", value, LEAST_PRESCALER, MAX_PRESCALER)


@dataclass(frozen=True)
class Edge:
    """The output goes to `level` at a tick."""

    tick: int
    level: bool


@dataclass
class Pulser:
    """One output. All events up to a tick come before `advance` to that tick."""

    settings: PulserSettings
    lost_triggers: int = 0
    pulses: int = 0
    _active: bool = False
    _planned: deque[tuple[int, bool]] = field(default_factory=deque)
    _edges: list[Edge] = field(default_factory=list)

    @property
    def level(self) -> bool:
        """The output now."""
        return self._active != self.settings.inverted

    def set_up(self, settings: PulserSettings) -> None:
        """Take other settings; a pulse under way ends, without an edge to report."""
        self.settings = settings
        self._active = False
        self._planned.clear()

    def receive(self, event: Event) -> None:
        """Act on an event. A trigger within a pulse or its delay is lost, and counted."""
        action = self.settings.actions.get(event.code)
        if action is None or not self.settings.enabled:
            return
        tick, unit = event.tick, self.settings.unit
        self._run_to(tick - 1)
        if action is Action.TRIGGER:
            if self._busy(tick):
                self.lost_triggers += 1
                return
            rise = tick + self.settings.delay * unit
            if self._planned and self._planned[-1][0] == rise:
                self._planned.pop()
            else:
                self._planned.append((rise, True))
            self._planned.append((rise + self.settings.width * unit, False))
            self.pulses += 1
        else:
            self._planned.clear()
            if self._active != (action is Action.SET):
                self._planned.append((tick, action is Action.SET))

    def _busy(self, tick: int) -> bool:
        if not self._planned:
            return self._active  # held by a SET
        return self._planned[-1][0] > tick or self._planned[-1][1]

    def advance(self, tick: int) -> list[Edge]:
        """The edges up to and including a tick."""
        self._run_to(tick)
        edges, self._edges = self._edges, []
        return edges

    def _run_to(self, tick: int) -> None:
        while self._planned and self._planned[0][0] <= tick:
            at, active = self._planned.popleft()
            self._active = active
            self._edges.append(Edge(at, active != self.settings.inverted))


class Divider:
    """A clock of `prescaler` ticks, in phase with the last reset (0x7B). Raises BadInput for 0 and 1."""

    def __init__(self, prescaler: int, tick: int = 0) -> None:
        self.prescaler = check_prescaler(prescaler)
        self._origin = tick
        self._done = 0

    def reset(self, tick: int) -> None:
        """Begin anew: the next rising edge is one period after this tick."""
        self._origin, self._done = tick, 0

    def advance(self, tick: int) -> list[int]:
        """Ticks of the rising edges since the last call, up to and including a tick."""
        count = max((tick - self._origin) // self.prescaler, self._done)
        edges = [self._origin + n * self.prescaler for n in range(self._done + 1, count + 1)]
        self._done = count
        return edges


def actions_of(rows: Mapping[int, str]) -> dict[int, Action]:
    """Actions by event code from their names. Raises BadInput for another name."""
    names = [action.value for action in Action]
    for code, name in rows.items():
        if name not in names:
            raise BadInput(f"pulser action {name!r} of event {code:#04x}: allowed are {', '.join(names)}")
    return {check_code(code): Action(name) for code, name in rows.items()}

"""The machine cycle of a synchrotron: a table of phases, stepped in integer ticks.

One cycle serves one energy. From the end of one flat-top to the next one takes exactly the layer
switch time of the site: ramp down, injection, ramp. A spill that runs out before its layer is done
is refilled by a cycle of the same energy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.clock import ticks
from common.errors import BadInput, Refused
from common.text import _
from timing.events import Code

RAMP_DOWN_SHARE = 0.3
INJECTION_SHARE = 0.2
"""Shares of the layer switch; the ramp has the rest, so that the sum is exact."""


class Phase(StrEnum):
    """What the ring does."""

    IDLE = "IDLE"
    INJECTION = "INJECTION"
    RAMP = "RAMP"
    FLAT_TOP = "FLAT_TOP"
    RAMP_DOWN = "RAMP_DOWN"


class Trigger(StrEnum):
    """What moves the cycle on."""

    START = "start"
    ELAPSED = "elapsed"
    END = "end"
    """The flat-top is no longer needed: layer done, or spill used up."""
    MORE = "more"
    """Ramped down, and another energy follows."""
    DONE = "done"
    """Ramped down, and nothing follows."""
    ABORT = "abort"


TABLE: Mapping[Phase, Mapping[Trigger, Phase]] = {
    Phase.IDLE: {Trigger.START: Phase.INJECTION},
    Phase.INJECTION: {Trigger.ELAPSED: Phase.RAMP, Trigger.ABORT: Phase.RAMP_DOWN},
    Phase.RAMP: {Trigger.ELAPSED: Phase.FLAT_TOP, Trigger.ABORT: Phase.RAMP_DOWN},
    Phase.FLAT_TOP: {Trigger.END: Phase.RAMP_DOWN, Trigger.ABORT: Phase.RAMP_DOWN},
    Phase.RAMP_DOWN: {Trigger.MORE: Phase.INJECTION, Trigger.DONE: Phase.IDLE},
}

CODES: Mapping[Phase, Code] = {phase: Code[phase.name] for phase in Phase}


@dataclass(frozen=True)
class Durations:
    """Ticks of the timed phases; a flat-top lasts until it is ended."""

    injection: int
    ramp: int
    ramp_down: int

    @classmethod
    def of_layer_switch(
        cls,
        layer_switch_s: float,
        down_share: float = RAMP_DOWN_SHARE,
        injection_share: float = INJECTION_SHARE,
    ) -> "Durations":
        """Phases that add up to a layer switch in seconds. Raises BadInput if that is too short."""
        total = ticks(layer_switch_s)
        down, injection = round(total * down_share), round(total * injection_share)
        durations = cls(injection, total - down - injection, down)
        if min(durations.injection, durations.ramp, durations.ramp_down) < 1:
            raise BadInput(f"layer switch of {layer_switch_s} s: each phase needs one tick at least")
        return durations

    @property
    def layer_switch(self) -> int:
        """Ticks from the end of one flat-top to the next."""
        return self.ramp_down + self.injection + self.ramp

    def of(self, phase: Phase) -> int | None:
        """Ticks of a phase, or None where it has no end of its own."""
        timed = {
            Phase.INJECTION: self.injection,
            Phase.RAMP: self.ramp,
            Phase.RAMP_DOWN: self.ramp_down,
        }
        return timed.get(phase)


@dataclass(frozen=True)
class CycleEvent:
    """A phase begins. `energy` in MeV is the one it serves; `index` its place in the plan."""

    code: Code
    phase: Phase
    energy: float
    index: int


class Cycle:
    """A run through a plan of energies (MeV), one machine cycle or more for each.

    The caller counts the charge of a spill: it ends a flat-top with `end_layer` when the layer is
    done and with `refill` when the spill is used up. Events are handed out by `advance` with the
    tick on which they happen, never later than the tick asked for.
    """

    def __init__(self, energies: Sequence[float], durations: Durations) -> None:
        if not energies or any(not energy > 0 for energy in energies):
            raise BadInput(_("a cycle plan needs energies above 0 MeV, one at least"))
        self.energies = tuple(float(energy) for energy in energies)
        self.durations = durations
        self.phase = Phase.IDLE
        self.index = 0
        self.next_tick: int | None = None
        """The tick on which the phase ends by itself, if it does."""
        self._tick = 0
        self._follows = 0
        self._events: list[tuple[int, CycleEvent]] = []

    @property
    def energy(self) -> float:
        """The energy in MeV that the present phase serves."""
        return self.energies[self.index]

    @property
    def beam_available(self) -> bool:
        """Whether beam can be extracted now."""
        return self.phase is Phase.FLAT_TOP

    def start(self, tick: int, index: int = 0) -> None:
        """Begin with the energy at a place in the plan. Raises Refused unless idle, or BadInput."""
        if not 0 <= index < len(self.energies):
            raise BadInput(f"energy number {index}: the plan has {len(self.energies)}")
        self._run_to(tick)
        self._move(tick, Trigger.START, index)

    def end_layer(self, tick: int) -> None:
        """The layer is done: go to the next energy, or to idle after the last. Raises Refused."""
        self._run_to(tick)
        self._leave(tick, Trigger.END, self.index + 1)

    def refill(self, tick: int) -> None:
        """The spill is used up: come back to the same energy. Raises Refused."""
        self._run_to(tick)
        self._leave(tick, Trigger.END, self.index)

    def abort(self, tick: int) -> None:
        """Give up: ramp down from wherever it is, then idle. While it is idle nothing happens."""
        self._run_to(tick)
        if self.phase is Phase.RAMP_DOWN:
            self._follows = len(self.energies)
        elif self.phase is not Phase.IDLE:
            self._leave(tick, Trigger.ABORT, len(self.energies))

    def advance(self, tick: int) -> list[tuple[int, CycleEvent]]:
        """All events up to and including a tick. Raises ValueError if ticks run backwards."""
        self._run_to(tick)
        events, self._events = self._events, []
        return events

    def _leave(self, tick: int, trigger: Trigger, follows: int) -> None:
        self._move(tick, trigger, self.index)
        self._follows = follows

    def _run_to(self, tick: int) -> None:
        if tick < self._tick:
            raise ValueError(f"tick {tick} comes before tick {self._tick}: ticks never run backwards")
        while self.next_tick is not None and self.next_tick <= tick:
            due = self.next_tick
            if self.phase is not Phase.RAMP_DOWN:
                self._enter(due, TABLE[self.phase][Trigger.ELAPSED], self.index)
            elif self._follows < len(self.energies):
                self._enter(due, TABLE[self.phase][Trigger.MORE], self._follows)
            else:
                self._enter(due, TABLE[self.phase][Trigger.DONE], self.index)
        self._tick = tick

    def _move(self, tick: int, trigger: Trigger, index: int) -> None:
        allowed = TABLE[self.phase]
        if trigger not in allowed:
            raise Refused(
                _("machine cycle: {trigger} is not possible in {phase}; possible: {allowed}").format(
                    trigger=trigger, phase=self.phase, allowed=", ".join(allowed)
                )
            )
        self._enter(tick, allowed[trigger], index)

    def _enter(self, tick: int, phase: Phase, index: int) -> None:
        self.phase, self.index = phase, index
        length = self.durations.of(phase)
        self.next_tick = None if length is None else tick + length
        self._events.append((tick, CycleEvent(CODES[phase], phase, self.energy, index)))

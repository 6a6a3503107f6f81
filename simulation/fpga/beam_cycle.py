"""The machine cycle of one delivery: `timing.cycle` run event by event, never past a flat-top's begin."""

from collections.abc import Sequence

from simulation.fpga.outputs import PhaseBegan
from timing.cycle import Cycle, Durations, Phase


class BeamCycle:
    """Starts, refills and ends machine cycles; one plan of energies at a time."""

    def __init__(self, layer_switch_s: float) -> None:
        self._durations = Durations.of_layer_switch(layer_switch_s)
        self._cycle: Cycle | None = None
        self._wanted: Sequence[float] = ()
        self._from = 0
        self.phase = Phase.IDLE
        self.energy = 0.0
        self.flat_top: int | None = None
        """Tick at which the present flat-top began; None outside one."""

    def start(self, tick: int, energies: Sequence[float]) -> None:
        """Begin a plan of energies (MeV) as soon as the cycle before has ramped down."""
        self._wanted, self._from = tuple(energies), tick

    def next_layer(self, tick: int) -> None:
        """The layer is done."""
        self._running().end_layer(tick)
        self.flat_top = None

    def refill(self, tick: int) -> None:
        """The spill is used up, the layer is not."""
        self._running().refill(tick)
        self.flat_top = None

    def abort(self, tick: int) -> None:
        """Ramp down from wherever it is."""
        self._wanted, self.flat_top = (), None
        if self._cycle is not None:
            self._cycle.abort(tick)

    def advance(self, tick: int) -> list[PhaseBegan]:
        """Go on to `tick`, or to the begin of a flat-top before it. Returns the phases entered."""
        entered: list[PhaseBegan] = []
        while self.flat_top is None:
            if self._wanted and (self._cycle is None or self._cycle.phase is Phase.IDLE):
                self._cycle = Cycle(self._wanted, self._durations)
                self._cycle.start(self._from)
                self._wanted = ()
            if self._cycle is None:
                break
            due = self._cycle.next_tick
            entered += self._collect(self._cycle, tick if due is None else min(tick, due))
            if due is None or due > tick:
                break
        return entered

    def _collect(self, cycle: Cycle, tick: int) -> list[PhaseBegan]:
        entered = []
        for at, event in cycle.advance(tick):
            self.phase, self.energy = event.phase, event.energy
            self.flat_top = at if event.phase is Phase.FLAT_TOP else None
            self._from = max(self._from, at)
            entered.append(PhaseBegan(event.phase, event.energy, at))
        return entered

    def _running(self) -> Cycle:
        if self._cycle is None:
            raise RuntimeError("no machine cycle is running")
        return self._cycle

"""The machine cycle of one delivery. `timing.cycle` says which phase follows; the event sequences play it.

What counts is what arrives: a phase begins when its event has come over the link, and beam waits for
the event of the flat-top. Never played past a flat-top's begin before the delivery has seen it.
"""

from collections.abc import Sequence

from simulation.fpga.outputs import PhaseBegan
from simulation.fpga.timing import Beam, MachineTiming
from timing.catalogue import accelerator_id
from timing.cycle import Cycle, Phase
from timing.events import Code
from timing.plan import TimingPlan, plain


class BeamCycle:
    """Starts, refills and ends machine cycles; one plan of energies at a time."""

    def __init__(self, layer_switch_s: float) -> None:
        self.timing = MachineTiming(plain(layer_switch_s))
        self._cycle: Cycle | None = None
        self._wanted: Sequence[float] = ()
        self._from = 0
        self._entered: list[PhaseBegan] = []
        self.phase = Phase.IDLE
        self.energy = 0.0
        self.flat_top: int | None = None
        """Tick at which the present flat-top began; None outside one."""

    def equip(self, plan: TimingPlan, beam: Beam, ions: Sequence[str]) -> None:
        """Take a site's timing in place of the plain one, before the first tick."""
        self.timing = MachineTiming(plan)
        self.timing.beam, self.timing.ions = beam, tuple(ions)

    def start(self, tick: int, energies: Sequence[float]) -> None:
        """Begin a plan of energies (MeV) as soon as the cycle before has ramped down."""
        self._wanted, self._from = tuple(energies), tick
        self.timing.clear()

    def next_layer(self, tick: int) -> None:
        """The layer is done."""
        self._play(tick)
        self._running().end_layer(tick)
        self._command(tick)

    def refill(self, tick: int) -> None:
        """The spill is used up, the layer is not."""
        self._play(tick)
        self._running().refill(tick)
        self._command(tick)

    def abort(self, tick: int) -> None:
        """Ramp down from wherever it is."""
        self._wanted = ()
        self._play(tick)
        if self._cycle is not None:
            self._cycle.abort(tick)
            self._command(tick)
        self.flat_top = None

    def advance(self, tick: int) -> list[PhaseBegan]:
        """Go on to `tick`, or to the begin of a flat-top before it. Returns the phases entered."""
        while self.flat_top is None:
            self._begin_wanted()
            due = None if self._cycle is None else self._cycle.next_tick
            reached = self._play(tick if due is None else min(tick, due))
            commanded = self._command(reached)
            if not commanded and (reached >= tick or self.flat_top is not None):
                break
        entered, self._entered = self._entered, []
        return entered

    def settle(self, tick: int) -> list[PhaseBegan]:
        """As `advance`, then the events of a flat-top under way: nothing comes before `tick` any more."""
        entered = self.advance(tick)
        if self.flat_top is not None:
            self._play(tick)
        return entered

    def _begin_wanted(self) -> None:
        if self._wanted and (self._cycle is None or self._cycle.phase is Phase.IDLE):
            self._cycle = Cycle(self._wanted, self.timing.plan.durations)
            self._cycle.start(self._from)
            self._wanted = ()
            self._command(self._from)

    def _play(self, tick: int) -> int:
        """Play events one by one up to `tick` or to a flat-top that begins; returns how far it came."""
        timing = self.timing
        at_flat_top = self.flat_top is not None
        while True:
            now = tick - 1 if timing.now is None else timing.now
            following = timing.next_tick
            goal = tick if following is None else min(tick, max(following, now + 1))
            for event in timing.advance(max(goal, now)):
                self._enter(Phase[Code(event.code).name], event.tick)
            if goal >= tick or (self.flat_top is not None and not at_flat_top):
                return goal

    def _enter(self, phase: Phase, tick: int) -> None:
        energy = self._running().energy
        self.phase, self.energy = phase, energy
        if phase is Phase.FLAT_TOP and self._running().phase is not Phase.RAMP_DOWN:
            self.flat_top = tick
        beam = self.timing.beam
        self.timing.accelerator = accelerator_id(beam.ion, energy, beam.intensity, beam.room)
        self._entered.append(PhaseBegan(phase, energy, tick, self.timing.accelerator))

    def _command(self, tick: int) -> bool:
        """Trigger what the machine cycle has come to by a tick; True when there was anything."""
        if self._cycle is None:
            return False
        commanded = False
        for at, event in self._cycle.advance(tick):
            self._from = max(self._from, at)
            if event.phase is Phase.INJECTION:
                self.timing.begin_cycle(at)
            elif event.phase is Phase.RAMP_DOWN:
                self.flat_top = None
                self.timing.end_cycle(at)
            elif event.phase is Phase.IDLE and not self._wanted:
                self.timing.idle(at)
            else:
                continue
            commanded = True
        return commanded

    def _running(self) -> Cycle:
        if self._cycle is None:
            raise RuntimeError("no machine cycle is running")
        return self._cycle

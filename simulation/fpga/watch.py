"""How the beam hardware looks at its inputs and how beam ends: interlock, trip, and the way to no beam."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from common.clock import ticks
from common.errors import Refused
from common.text import _
from interlock.beam_off import OffState
from interlock.bits import Value
from interlock.latch import Outputs
from interlock.matrix import Matrix
from interlock.table import ISOLATED
from simulation.fpga.beam_cycle import BeamCycle
from simulation.fpga.delivery import Delivery
from simulation.fpga.guard import BEAM_GONE, DEFAULT_WINDOW, LINK_PLANT, Guard
from simulation.fpga.model import ENERGY_DRIFT, BeamView, Faults, Model
from simulation.fpga.outputs import Output, SpotsEnded, StateChanged, Tripped
from simulation.fpga.plant_bits import NO_PLANT, PlantBits
from simulation.fpga.rings import Window
from simulation.fpga.run import Ints
from simulation.fpga.states import ACTIVE, State, after


@dataclass(frozen=True)
class Sense:
    """What the hardware sees from outside at a tick.

    inputs: by interlock input name; plant: those that the plant's signals say. shut: rooms whose shutters
    all report that they are closed. confirmed: what the plant confirms of switching beam off.
    """

    beam: BeamView = field(default_factory=BeamView)
    inputs: Mapping[str, Value] = field(default_factory=dict)
    plant: PlantBits = NO_PLANT
    shut: frozenset[str] = frozenset()
    confirmed: frozenset[str] = frozenset()


class Watch:
    """The parts of one beam line, its interlock, and how beam is taken away."""

    def __init__(
        self,
        model: Model,
        layer_switch_s: float,
        matrix: Matrix,
        seed: int,
        tick: int = 0,
        rooms: Sequence[str] = ("room1",),
        window: Window = DEFAULT_WINDOW,
    ) -> None:
        self.rooms = tuple(rooms)
        self.room = self.rooms[0] if len(self.rooms) == 1 else ""
        """The room that holds the beam; empty for none."""
        self.model = model
        self.seed = seed
        self.tick = tick
        self.state = State.IDLE
        self.cause = ""
        self.energies: tuple[float, ...] = ()
        self.guard = Guard(matrix, window)
        self.cycle = BeamCycle(layer_switch_s)
        self.delivery: Delivery | None = None
        self.faults = Faults()
        self.beam_on = False
        """Whether beam was on at any tick of the last advance, or is still there after it."""
        self._hold = ""
        self._sought: int | None = None
        """Tick of the first flat-top of those that brought no beam yet; None while beam is not waited for."""
        self._stuck_until = -1
        self._off_tick = -1
        self._looked = -1
        self._sense = Sense()
        self._outputs: list[Output] = []

    def drain(self) -> list[Output]:
        """What happened since the last call, in order."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def _judge(self, tick: int) -> None:
        """Look at all inputs; without every permit, active beam is taken away."""
        stuck = tick <= self._stuck_until and self.state is State.TRIPPED
        bad = ["beam.unexpected"] if self.faults.unexpected_beam or stuck else []
        timing = self.cycle.timing
        if (timing.take_grave() and self.state in ACTIVE) or not timing.alive(tick):
            bad.append("timing.good")
        before = self.guard.outputs.tripped if self.guard.outputs else ()
        self._look(tick, bad)
        # A supply that fails takes the energy with it: it is named, and the energy where nothing else is.
        alone = self.guard.permits(self.room) and self._sense.inputs.get(LINK_PLANT) is True
        if alone and not self._energy_holds():
            self._look(tick, [*bad, "energy.selection"])
        if self.state in ACTIVE and not self.guard.permits(self.room):
            self._trip(self._against(before), tick)
        self.beam_on = self.beam_on or tick < self._off_tick

    def _energy_holds(self) -> bool:
        """Whether beam that is delivered still has the energy and the ion asked for; unknown has not."""
        if self.state is not State.DELIVERING or self.delivery is None:
            return True
        if self._sense.beam.ion != self.delivery.spots.ion:
            return False
        wanted = self.cycle.energy
        return abs(self._sense.beam.energy - wanted) <= ENERGY_DRIFT * wanted

    def _look(self, tick: int, bad: Collection[str]) -> Outputs:
        """All inputs as they are, and which rooms are isolated: without the beam, and confirmed shut."""
        sense = self._sense
        isolated = {name + ISOLATED: name != self.room and name in sense.shut for name in self.rooms}
        gone = self.state is not State.DELIVERING and tick >= self._off_tick
        confirmed = sense.confirmed | {BEAM_GONE} if gone else sense.confirmed - {BEAM_GONE}
        self._looked = tick
        return self.guard.look(tick, {**sense.inputs, **isolated}, bad, sense.plant, confirmed)

    def _follow_off(self, tick: int) -> None:
        """What the interlock sees of switching beam off before a tick, at the ticks at which it happens."""
        while (moment := self._moment()) is not None and moment < tick:
            stuck = self.faults.unexpected_beam or moment <= self._stuck_until
            self._look(moment, ["beam.unexpected"] if stuck else [])

    def _moment(self) -> int | None:
        """The next tick at which beam is seen gone, or a confirmation is overdue; None outside a beam-off."""
        off = self.guard.interlock.switching_off
        if off.state is not OffState.AWAITING:
            return None
        told = off.until - self.guard.matrix.beam_off[off.level].within_ticks
        return min(
            (at for at in (self._off_tick, told + 1, off.until + 1) if at > self._looked), default=None
        )

    def _against(self, before: Collection[str]) -> str:
        """What takes the beam's permits: a row that was not tripped `before`, else any."""
        against = self.guard.against(self.room)
        tripped = self.guard.outputs.tripped if self.guard.outputs else ()
        return next((name for name in tripped if name not in before and name in against), against[0])

    def _violate(self, name: str, tick: int) -> None:
        """One of the hardware's own checks has failed at a tick.

        Where an input that has just come takes the permits too, it is the cause and the check what it did.
        """
        before = self.guard.outputs.tripped if self.guard.outputs else ()
        self._look(tick, ())
        cause = name if self.guard.permits(self.room) else self._against(before)
        self._look(tick, (name,))
        self._trip(cause, tick)

    def _trip(self, name: str, tick: int) -> None:
        """Take beam away at a tick: the fast actuator, or the slow one where that fails."""
        off_tick = tick
        if self.state is State.DELIVERING:
            off = self._slow_off() if self.faults.fast_off_fails else self.model.fast_off
            off_tick = self._cut(tick, off)
            self._stuck_until = off_tick if self.faults.fast_off_fails else -1
        self.cycle.abort(tick)
        self._outputs.append(Tripped(name, name, tick, off_tick))
        self._go("trip", tick, name)

    def _cut(self, tick: int, off: int) -> int:
        cut, off_tick = self._loaded().cut(tick, off, self._sense.beam, self.faults)
        self._tell(cut, tick)
        self._off_tick = off_tick
        return off_tick

    def _slow_off(self) -> int:
        """Ticks to no beam when the fast actuator fails: the next stage's travel, from when it is told."""
        stages, outputs = self.guard.matrix.beam_off, self.guard.outputs
        if len(stages) < 2 or outputs is None:
            return self.model.slow_off
        travel = min(ticks(self.guard.off_us[name] * 1e-6) for name in stages[1].outputs)
        told = all(not outputs.permits[name] for name in stages[1].outputs)
        return travel if told else stages[0].within_ticks + 1 + travel

    def _tell(self, index: Ints, tick: int) -> None:
        if len(index):
            self._outputs.append(SpotsEnded(index, int(self._loaded().spots.layer[index[0]]), tick))

    def _go(self, event: str, tick: int, cause: str = "") -> None:
        self.state, self.cause, self._hold, self._sought = after(self.state, event), cause, "", None
        self._outputs.append(StateChanged(self.state, cause, tick))

    def _loaded(self) -> Delivery:
        if self.delivery is None:
            raise Refused(_("no map is loaded: load_map first"))
        return self.delivery

"""The beam hardware behind its frames: wall time to ticks, verbs to commands, outputs to events."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.clock import TICK_NS, ClockRate
from common.errors import PtcsError, Refused
from common.text import _
from common.wire.frame import Frame
from simulation.fpga.beamline import Sense
from simulation.fpga.channels import Channels
from simulation.fpga.core import Core
from simulation.fpga.delivery import Delivery
from simulation.fpga.guard import LINK_PLANT
from simulation.fpga.interlock_keeper import InterlockKeeper
from simulation.fpga.keeper import Keeper
from simulation.fpga.outputs import Output, PhaseBegan, SpotsEnded, StateChanged, Tripped
from simulation.fpga.plant_link import PlantLink
from simulation.fpga.rings import SAMPLE_S, Trip
from simulation.fpga.verbs import COMMANDS, answer
from simulation.fpga.watchdogs import Watchdogs
from simulation.wire_server import Answer, Client, number, text

log = logging.getLogger(__name__)

Push = Callable[[Mapping[str, Any], Mapping[str, NDArray[Any]] | None, int], None]


class Clock:
    """Ticks now. Wall time is the monotonic clock from one reading of the calendar on, so it never jumps."""

    def __init__(self, rate: ClockRate, stepped: bool) -> None:
        self.rate = rate
        self.stepped = stepped
        self._offset = time.time_ns() - time.monotonic_ns()

    def wall_ns(self, tick: int) -> int:
        """Wall time of a tick, ns since the epoch; stepped ticks have none, so it is now."""
        return time.time_ns() if self.stepped else self.rate.wall_ns_at(tick)

    def tick(self) -> int:
        """The tick that now falls into."""
        return self.rate.tick_at(self._offset + time.monotonic_ns())


class Counted:
    """Counts of the delivery under way that instruments in the beam have been told."""

    def __init__(self) -> None:
        self._delivery: Delivery | None = None
        self._counts = np.zeros(0, dtype=np.int64)

    def of(self, delivery: Delivery | None) -> None:
        """A delivery begins, or is the same; what a restart has recovered was told before."""
        if delivery is not self._delivery:
            self._delivery = delivery
            self._counts = np.zeros(0, np.int64) if delivery is None else delivery.rows["primary"].copy()

    def news(self, delivery: Delivery, spots: NDArray[Any]) -> int:
        """Counts of these spots since they were told last."""
        new = delivery.rows["primary"][spots] - self._counts[spots]
        self._counts[spots] += new
        return max(int(new.sum()), 0)


class FpgaCrate:
    """One core with its links; implements `simulation.wire_server.Crate`."""

    name = "fpga"

    def __init__(
        self,
        core: Core,
        clock: Clock,
        keeper: Keeper,
        latches: InterlockKeeper,
        plant: PlantLink,
        dogs: Watchdogs,
    ) -> None:
        self.core = core
        self.clock = clock
        self.push: Push = lambda *_: None
        self.block = Channels(core)
        self._keeper = keeper
        self._latches = latches
        self._plant = plant
        self._dogs = dogs
        self._sample_due = 0.0
        self._counted = Counted()

    # --- time ----------------------------------------------------------------------------------

    def slice(self, tick: int | None = None) -> None:
        """Bring the core to now (or to a tick), keep what was counted, and tell everybody."""
        core = self.core
        goal = tick if tick is not None else core.tick if self.clock.stepped else self.clock.tick()
        plant = self._plant
        plant.begin()
        plant.room = core.rooms.index(core.room) + 1 if core.room else 0
        inputs = {**self._dogs.inputs(), LINK_PLANT: plant.alive}
        seen = Sense(plant.beam(), inputs, plant.inputs(), plant.shut(), plant.confirmed())
        core.advance(max(goal, core.tick), seen)
        self.settle()

    def settle(self) -> None:
        """Keep and tell what the core has done."""
        outputs = self.core.drain()
        self._counted.of(self.core.delivery)
        origin = self.clock.rate.origin_wall_ns
        self._keeper.keep(self.core, origin)
        self._latches.keep(self.core.guard.interlock, self.core.tick, origin)
        spot = None
        for output in outputs:
            spot = self._tell(output) or spot
        verdict = self.core.guard.outputs
        self._plant.permit(verdict.permits if verdict is not None else {})
        self.block.note(self.core.beam_on, spot)
        now = time.monotonic()
        if now >= self._sample_due or self.clock.stepped:
            self._sample_due = max(self._sample_due + SAMPLE_S, now)
            self.core.guard.rings.samples.add(self.block.signals(self._plant.beam()))

    def _tell(self, output: Output) -> tuple[float, float] | None:
        wall_ns = self.clock.wall_ns(output.tick)
        match output:
            case PhaseBegan():
                self._plant.tell(output)
            case StateChanged():
                log.info("state %s at tick %d %s", output.state, output.tick, output.cause)
                self._event("state", output.tick, state=output.state.value, cause=output.cause)
            case Tripped():
                off, told = output.beam_off_tick, self.core.guard.rings.trips
                told.append(Trip(output.tick, wall_ns, output.cause, off))
                log.warning("trip by %s at tick %d", output.input, output.tick)
                body = {"input": output.input, "cause": output.cause, "wall_ns": wall_ns}
                self._event("trip", output.tick, **body, beam_off_tick=output.beam_off_tick)
            case SpotsEnded():
                return self._tell_spots(output, wall_ns)
        return None

    def _event(self, name: str, tick: int, **body: object) -> None:
        self.push({"event": name, "tick": tick, **body}, None, tick)

    def _tell_spots(self, output: SpotsEnded, wall_ns: int) -> tuple[float, float] | None:
        delivery = self.core.delivery
        if delivery is None:
            return None
        rows = delivery.rows[output.index]
        arrays = {name: np.ascontiguousarray(rows[name]) for name in rows.dtype.names or ()}
        arrays["index"] = output.index.astype("<i4")
        body = {"event": "spots", "layer": output.layer, "wall_ns": wall_ns}
        body |= {"beam_number": delivery.spots.beam_number, "room": delivery.spots.room}
        if counts := self._counted.news(delivery, output.index):
            energy = float(delivery.spots.energy[output.layer])
            self._plant.deliver(delivery.spots.room, energy, counts)
        self.push(body, arrays, output.tick)
        return float(rows["x"][-1]), float(rows["y"][-1])

    # --- the crate -----------------------------------------------------------------------------

    def channels(self) -> list[dict[str, str]]:
        """Channels of the block, in order."""
        return self.block.names()

    def greeted(self, client: Client) -> None:
        """A client has named itself."""
        log.info("client %s%s", client.name, " (watched)" if client.watchdog else "")
        self._dogs.greeted(client)

    def left(self, client: Client) -> None:
        """A client's link has closed; if it was watched, this is acted on now."""
        self._dogs.left(client)
        if client.watchdog:
            log.warning("link of watched client %s closed", client.name)
            self.slice()

    def handle(self, client: Client, frame: Frame) -> Answer:
        """Do a verb at the tick of now. Raises PtcsError with the reason of a refusal."""
        verb = text(frame.body, "do")
        if verb == "step":
            return self._step(frame)
        if not self.clock.stepped:
            self.slice()
        try:
            reply = answer(self.core, self.clock.rate, verb, frame, self.clock.wall_ns)
            self.settle()
        except PtcsError as why:
            log.info("%s: %s refused: %s", client.name or "(unnamed)", verb, why)
            raise
        except OSError as why:
            self.core.unload()
            raise Refused(
                _("map not taken: its counters cannot be kept ({why}); free space on disk").format(why=why)
            ) from why
        if verb in COMMANDS:
            log.info("%s: %s", client.name or "(unnamed)", verb)
        return reply

    def _step(self, frame: Frame) -> Answer:
        if not self.clock.stepped:
            raise Refused("step works with --stepped only; here ticks follow the wall clock")
        ticks = number(frame.body, "ticks")
        if not 0 < ticks <= 1e12 or ticks != int(ticks):
            raise Refused("step needs a whole number of ticks from 1 to 1e12")
        end = self.core.tick + int(ticks)
        length = max(int(1e7 * self.clock.rate.factor / TICK_NS), 1)
        while self.core.tick < end:
            self.slice(min(self.core.tick + length, end))
        return {"tick": self.core.tick}, {}

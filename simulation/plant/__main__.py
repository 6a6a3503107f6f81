"""The plant's process: `python -m simulation.plant --state DIR --site FILE [--port N]`."""

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from common.clock import TICKS_PER_SECOND
from common.errors import PtcsError, Refused
from common.site import DEFAULT_SITE, load
from common.wire.frame import Frame
from simulation.plant.modbus import ModbusServer
from simulation.plant.plant import Plant
from simulation.plant.retained import PlantMemory
from simulation.plant.station import StationServer
from simulation.process import Announced, listen, run
from simulation.wire_server import Answer, Client, WireServer, number, text

log = logging.getLogger(__name__)

BUSY_STEP_S = 0.01
IDLE_STEP_S = 0.02
FPGA_BLOCK_HZ = 50.0
BEAM_HARDWARE = "fpga"
"""Name of the client that passes the interlock's outputs on."""
PERMIT_LIFE_S = 0.5
"""Wall time that permits hold for; the beam hardware repeats them ten times a second."""
PLANT_VERBS = frozenset({"cycle", "delivered", "permits", "fault", "clear", "faults", "hello"})
LONGEST_LAG_S = 0.5
"""Wall time of a phase that is made up for at most."""
DEVICE_VERBS = frozenset(
    {
        *("set", "on", "off", "reset", "zero", "open", "close", "insert", "retract", "move", "stop"),
        *("press", "release"),
    }
)
ARRAY_VERBS = frozenset({"waveform", "profile", "layers"})


class PlantCrate:
    """The plant behind its frames."""

    name = "plant"

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self._wake = asyncio.Event()
        self._last = time.monotonic()
        self._permit_age = 0.0
        self._tick: int | None = None

    def channels(self) -> list[dict[str, str]]:
        """All channels in block order."""
        return self.plant.channels()

    def greeted(self, client: Client) -> None:
        """The fpga gets its blocks more often."""
        if client.name == BEAM_HARDWARE:
            client.block_period = 1.0 / FPGA_BLOCK_HZ

    def left(self, client: Client) -> None:
        """A client has gone; the plant goes on."""
        log.info("client %s left", client.name or "(unnamed)")
        if client.name == BEAM_HARDWARE:
            self.plant.permit({})

    def handle(self, client: Client, frame: Frame) -> Answer:
        """The verbs of the contract."""
        body, verb = frame.body, text(frame.body, "do")
        if verb in DEVICE_VERBS:
            self.plant.do(verb, body)
            log.info("%s: %s %s", client.name, verb, body.get("device"))
        elif verb in ARRAY_VERBS:
            return {}, self.plant.ask(verb, body, frame.arrays)
        elif verb == "cycle":
            room = int(number(body, "room")) if "room" in body else None
            ion = text(body, "ion") if "ion" in body else None
            tick = int(number(body, "tick")) if "tick" in body else None
            self._finish_phase(tick)
            self.plant.cycle(text(body, "phase"), number(body, "energy"), room, ion, tick)
            self._wake.set()
        elif verb == "delivered":
            self._deliver(client, body)
        elif verb == "permits":
            self._permit(client, body.get("permits"))
        elif verb == "fault":
            self.plant.inject(body)
        elif verb == "clear":
            self.plant.clear(body)
        elif verb == "faults":
            return {"faults": self.plant.faults(), "classes": self.plant.fault_kinds()}, {}
        else:
            allowed = sorted({*DEVICE_VERBS, *ARRAY_VERBS, *PLANT_VERBS})
            raise Refused(f"unknown verb {verb!r}: allowed are {', '.join(allowed)}")
        return {}, {}

    def _deliver(self, client: Client, body: Mapping[str, Any]) -> None:
        """Take what the beam hardware has delivered; nobody else makes dose."""
        if client.name != BEAM_HARDWARE:
            raise Refused(f"delivered spots come from {BEAM_HARDWARE} alone")
        room = text(body, "room") if body.get("room") else ""
        self.plant.deliver(room, number(body, "energy"), int(number(body, "counts")))

    def _permit(self, client: Client, permits: object) -> None:
        """Take the interlock's outputs from the beam hardware; without its link there are none."""
        if client.name != BEAM_HARDWARE:
            raise Refused(f"permits come from {BEAM_HARDWARE} alone")
        if not isinstance(permits, dict) or not all(isinstance(value, bool) for value in permits.values()):
            raise Refused('permits: allowed is {"permits": {OUTPUT: true or false, ...}}')
        self.plant.permit(permits)
        self._permit_age = 0.0

    def step(self) -> None:
        """Let the wall time since the last step pass."""
        now = time.monotonic()
        # A process that was held up has frames to read yet: its own delay does not age the permits.
        self._permit_age += min(now - self._last, IDLE_STEP_S)
        if self.plant.world.permits and self._permit_age > PERMIT_LIFE_S:
            log.warning("no permits for %g s: every actuator that follows one closes", PERMIT_LIFE_S)
            self.plant.permit({})
        self.plant.step(max(now - self._last, 1e-4))
        self._last = max(self._last, now)

    def _finish_phase(self, tick: int | None) -> None:
        """The phase that ends now has lasted what its ticks say, also where this process came too late.

        Without that, a short injection that is told together with the ramp would leave the ring empty. The
        time that is stepped here is not stepped again.
        """
        world, before, self._tick = self.plant.world, self._tick, tick
        if tick is None or before is None or not self.plant.busy:
            return
        missing = ((tick - before) / TICKS_PER_SECOND - world.phase_age) / world.clock_factor
        for _ in range(math.ceil(min(missing, LONGEST_LAG_S) / BUSY_STEP_S)):
            self.plant.step(BUSY_STEP_S)
            self._last += BUSY_STEP_S

    async def pause(self) -> None:
        """Sleep until the next step is due; a new phase of the cycle ends an idle pause."""
        self._wake.clear()
        try:
            step = BUSY_STEP_S if self.plant.busy else IDLE_STEP_S
            await asyncio.wait_for(self._wake.wait(), step)
        except TimeoutError:
            pass


async def serve(state: Path, site_file: Path, port: int) -> None:
    """Run until SIGTERM."""
    plant = Plant(load(site_file))
    plant.permit({})
    memory = PlantMemory(state / "plant" / "memory.json", plant)
    crate = PlantCrate(plant)
    server, station, modbus = WireServer(crate), StationServer(plant), ModbusServer(plant)
    with Announced(state, "plant") as announced:
        ports = announced.earlier_ports()
        memory.recall()
        await listen(server.start, port, ports.get("port", 0))
        await listen(station.start, 0, ports.get("environment_port", 0))
        await listen(modbus.start, 0, ports.get("modbus_port", 0))
        announced.write({"port": server.port, "environment_port": station.port, "modbus_port": modbus.port})
        try:
            while not announced.stopping:
                await crate.pause()
                crate.step()
                memory.keep()
                if server.due():
                    server.push_block(plant.values(), 0, time.time_ns())
        finally:
            await modbus.stop()
            await station.stop()
            await server.stop()
        plant.shut_down()
        memory.write()


@click.command()
@click.option("--state", type=click.Path(path_type=Path), required=True, help="State directory.")
@click.option("--site", type=click.Path(path_type=Path), default=DEFAULT_SITE, help="Site file.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the frames; 0: any free one.")
def main(**options: Any) -> None:
    """Simulate the accelerator's and the room's equipment, without Tango."""
    try:
        run("plant", serve(options["state"], options["site"], options["port"]))
    except (PtcsError, OSError) as why:
        raise click.ClickException(str(why)) from why


if __name__ == "__main__":
    main()

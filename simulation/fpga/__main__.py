"""The fpga's process: `python -m simulation.fpga --state DIR --site FILE [--port N] [--seed N]`."""

import asyncio
import contextlib
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from common.clock import TICKS_PER_SECOND, ClockRate, ticks
from common.errors import PtcsError
from common.site import DEFAULT_SITE, Site, load
from common.state import StateDir
from interlock.matrix import Matrix, Stage
from interlock.matrix import load as load_matrix
from simulation.fpga.core import Core
from simulation.fpga.guard import BEAM_GONE
from simulation.fpga.interlock_keeper import InterlockKeeper
from simulation.fpga.keeper import Keeper
from simulation.fpga.model import SLOW_OFF_US, from_site
from simulation.fpga.plant_link import PlantLink
from simulation.fpga.rings import Window
from simulation.fpga.service import Clock, FpgaCrate
from simulation.fpga.timing import Beam
from simulation.fpga.watchdogs import Watchdogs
from simulation.process import Announced, listen, run
from simulation.wire_server import WireServer
from timing.plan import load as load_timing
from timing.plan import locate

PLANT_DELAY_S = 0.1
"""Wall time until what has happened in the plant is in its block and the block is here."""

log = logging.getLogger(__name__)


def build(site: Site, state: Path, seed: int, stepped: bool) -> tuple[FpgaCrate, PlantLink]:
    """The crate of a site, with map and counters of the process before it. Raises PtcsError."""
    matrix = waiting_for_the_plant(load_matrix(site.interlock_path), site.clock_factor)
    keeper = Keeper(state / "fpga" / "counters.bin")
    kept = keeper.recall()
    latches = InterlockKeeper(state / "fpga" / "interlock.json")
    latches.read()
    origin = kept.origin_wall_ns if kept else latches.origin_wall_ns or time.time_ns()
    rate = ClockRate(site.clock_factor, origin)
    now = rate.tick_at(time.time_ns())
    begin = max(kept.status.tick if kept else 0, latches.tick)
    if now < begin:
        rate = ClockRate(site.clock_factor, time.time_ns() - int((begin + 1) * 8 / site.clock_factor))
    slow_off_us = next((o.off_us for o in matrix.outputs if o.name == "stopper"), SLOW_OFF_US)
    rooms = site.rooms or ("room1",)
    switch_s = float(site.delivery["layer_switch_s"])
    core = Core(from_site(site, slow_off_us), switch_s, matrix, seed, begin, rooms, window(site))
    latches.recall(core.guard.interlock)
    timing = load_timing(locate(site.path.parent, site.name, "timing.yaml"), switch_s)
    core.cycle.equip(timing, Beam(ion=site.ions[0], room=rooms[0] if len(rooms) == 1 else ""), site.ions)
    if kept:
        core.restore(kept.spots, kept.rows, kept.status.state, kept.status.cause)
        keeper.restored(core)
        log.warning("map and counters of beam %d restored, state %s", kept.spots.beam_number, core.state)
    plant = PlantLink(StateDir(state).run_file("plant"), matrix, shutters(site), site.ions)
    dogs = Watchdogs(site.watchdogs["clients"], float(site.watchdogs["limit_s"]))
    return FpgaCrate(core, Clock(rate, stepped), keeper, latches, plant, dogs), plant


def waiting_for_the_plant(matrix: Matrix, factor: float) -> Matrix:
    """The matrix with the times of confirmations that the plant gives, which moves in wall time."""

    def scaled(stage: Stage) -> Stage:
        if stage.confirm == BEAM_GONE:
            return stage
        return replace(stage, within_ticks=round((stage.within_ticks + ticks(PLANT_DELAY_S)) * factor))

    return replace(matrix, beam_off=tuple(scaled(stage) for stage in matrix.beam_off))


def window(site: Site) -> Window:
    """What a post-mortem spans: the `pre_s` and `post_s` of the site's PostMortem device, if it has one."""
    devices = site.of_class("PostMortem")
    plain = Window(per_s=TICKS_PER_SECOND * site.clock_factor)
    spans = (
        {key: float(devices[0].plant[key]) for key in ("pre_s", "post_s") if key in devices[0].plant}
        if devices
        else {}
    )
    return replace(plain, **spans)


def shutters(site: Site) -> dict[str, tuple[str, ...]]:
    """Room -> plant channels that say that its shutters are closed: the beam stoppers of that room."""
    found: dict[str, list[str]] = {}
    for device in site.of_class("BeamStopper"):
        if device.room:
            found.setdefault(device.room, []).append(f"{device.wire}.closed")
    return {room: tuple(channels) for room, channels in found.items()}


async def serve(state: Path, site: Site, port: int, seed: int, stepped: bool) -> None:
    """Run until SIGTERM."""
    with Announced(state, "fpga") as announced:
        ports = announced.earlier_ports()
        crate, plant = build(site, state, seed, stepped)
        server = WireServer(crate)
        crate.push = server.push_event
        await listen(server.start, port, ports.get("port", 0))
        link = asyncio.create_task(plant.run())
        announced.write({"port": server.port})
        try:
            await _slices(announced, crate, server, float(site.delivery["slice_wall_s"]))
        finally:
            link.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await link
            await server.stop()


async def _slices(announced: Announced, crate: FpgaCrate, server: WireServer, length_s: float) -> None:
    due = time.monotonic()
    while not announced.stopping:
        due = max(due + length_s, time.monotonic())
        await asyncio.sleep(due - time.monotonic())
        # Whatever has arrived is read before links are judged: a late slice is not a silent client.
        for _ in range(3):
            await asyncio.sleep(0)
        crate.slice()
        if server.due():
            server.push_block(crate.block.values(), crate.core.tick, time.time_ns())


@click.command()
@click.option("--state", type=click.Path(path_type=Path), required=True, help="State directory.")
@click.option("--site", type=click.Path(path_type=Path), default=DEFAULT_SITE, help="Site file.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the frames; 0: any free one.")
@click.option("--seed", type=click.IntRange(0), default=1, help="Seed of everything random.")
@click.option("--stepped", is_flag=True, help="Ticks advance by the verb `step` only.")
def main(**options: Any) -> None:
    """Simulate the beam hardware: interlock, timing, spot delivery, dose counters."""
    try:
        site = load(options["site"])
        run("fpga", serve(options["state"], site, options["port"], options["seed"], options["stepped"]))
    except (PtcsError, OSError) as why:
        raise click.ClickException(str(why)) from why


if __name__ == "__main__":
    main()

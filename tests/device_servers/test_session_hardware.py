"""The session against the real beam hardware process: interrupted, tripped and killed, to the count."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from session_fakes import ANN, KEY, Room, World
from treatment_samples import beam, plan

from common.files import read_json
from common.site import CONFIG, load, load_checked
from device_servers.central.session_console import Console
from device_servers.drivers.delivery import FpgaDelivery
from device_servers.drivers.link import FrameLink
from treatment.delivery_map import Machine
from treatment.monitor import Monitor
from treatment.session import Event

pytestmark = [pytest.mark.slow, pytest.mark.requirement("TCS-IRRADIATE")]

SITE = load()
MODEL = load_checked(CONFIG / "beam_models" / f"{SITE.beam_model}.yaml", "beam_model")
MACHINE = Machine.from_beam_model(SITE.machine, MODEL)
MONITOR = Monitor.from_site(SITE.monitor, SITE.delivery)
LIMIT_S = 30.0


def treated():
    """One beam of two layers with energies of the machine."""
    planned = beam(1, spots=(60, 50))
    known = np.asarray(MACHINE.energies)
    layers = tuple(
        replace(layer, energy=float(known[np.abs(known - layer.energy).argmin()])) for layer in planned.layers
    )
    return plan(beams=(replace(planned, layers=layers),))


def wait(done, what):
    end = time.monotonic() + LIMIT_S
    while not done():
        assert time.monotonic() < end, f"{what}: not within {LIMIT_S:g} s"
        time.sleep(0.01)


class Plant:
    """The plant and the beam hardware as processes, with the watched clients that are not the session."""

    def __init__(self, state):
        self.state, self.processes, self.links = state, {}, []

    def switch_on(self):
        for name in ("plant", "fpga"):
            self.start(name)
        self.nozzle, self.interlock = self.link("nozzle"), self.link("interlock")
        plant = FrameLink(self.state / "run" / "plant.json", "test")
        self.links.append(plant)
        wait(lambda: plant.up, "plant")
        for device in SITE.devices:
            if device.tango_class in ("MagnetSupply", "IonSource", "RfCavity"):
                plant.request("on", {"device": device.wire})
            if device.tango_class == "SectorValve":
                plant.request("open", {"device": device.wire})

    def start(self, name):
        command = [sys.executable, "-m", f"simulation.{name}", "--state", str(self.state)]
        command += ["--seed", "7"] if name == "fpga" else []
        with (self.state / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(command, stderr=log, stdout=log)
        run_file = self.state / "run" / f"{name}.json"
        pid = self.processes[name].pid
        wait(lambda: run_file.exists() and read_json(run_file)["pid"] == pid, name)

    def kill(self, name):
        os.kill(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()

    def link(self, name):
        made = FrameLink(self.state / "run" / "fpga.json", name, watchdog=True)
        self.links.append(made)
        wait(lambda: made.up, name)
        return made

    def clear(self):
        """Room searched and closed, trips reset, as people would after an interruption."""
        wait(lambda: self.interlock.up, "interlock link")
        for name in ("room1.search", "room1.door", "emergency_stop"):
            self.interlock.request("input", {"name": name, "ok": True})

        def reset():
            self.interlock.request("reset", {"user": "ann", "roles": ["therapist", "service"]})
            status = self.interlock.request("status").body
            rows = {k: v for k, v in status["inputs"].items() if k not in ("session.request", "mode.service")}
            good = all(row["ok"] and not row["latched"] for row in rows.values())
            return good and status["state"] != "TRIPPED"

        wait(reset, "interlock good")

    def close(self):
        for link in self.links:
            link.close()
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(timeout=10)


class CyclesRoom(Room):
    """The fake room, but machine cycles go to the real timing."""

    def __init__(self, plant):
        super().__init__()
        self.plant = plant

    def load_cycles(self, energies):
        self.plant.interlock.request("load_cycles", {"energies": list(energies)})


class RealWorld(World):
    """A session on the real hardware."""

    def __init__(self, directory, plant):
        self.plant = plant
        super().__init__(directory, treated())

    def boot(self):
        self.room = getattr(self, "cycles_room", None) or CyclesRoom(self.plant)
        self.cycles_room = self.room
        self.frames = FrameLink(self.plant.state / "run" / "fpga.json", "session", watchdog=True)
        self.hardware = FpgaDelivery(self.frames)
        super().boot()
        self.bench.machine, self.bench.monitor, self.bench.key = MACHINE, MONITOR, KEY.public_key
        self.console = Console(self.bench, self.hardware)
        wait(lambda: self.hardware.up, "session link")

    def kill(self):
        """The process is gone: its journal file and its socket close, and nothing else happens."""
        self.bench.journal.close()
        self.frames.close()

    def settle_until(self, *states):
        def done():
            self.console.settler.settle()
            return self.state in states

        wait(done, f"state {states}, now {self.state}: {self.ledger.cause}")

    def begin(self):
        self.load()
        self.identify()
        self.do("Position", "VerifySetup")
        self.plant.clear()
        self.do("RequestBeam", "StartIrradiation")

    def await_counts(self, share):
        """Return when this share of the run's counts has come."""

        def enough():
            read = self.hardware.counters()
            return read.counters.primary.sum() >= share * self.wanted_counts or read.state == "COMPLETE"

        self.wanted_counts = int(self.hardware.read_map()[0]["preset"].sum())
        wait(enough, "counts")

    def totals(self):
        """Per spot, over all runs: primary counts, secondary counts, counts x position."""
        runs = self.ledger.history.runs
        primary = sum(run.counters.primary for run in runs)
        secondary = sum(run.counters.secondary for run in runs)
        moment = sum(run.counters.primary * run.counters.x for run in runs)
        return primary, secondary, moment / np.maximum(primary, 1)

    def end(self):
        self.kill()


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    state = tmp_path_factory.mktemp("hardware")
    made = Plant(state)
    try:
        made.switch_on()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def whole(plant, tmp_path_factory):
    """The uninterrupted delivery that every other one must equal."""
    world = RealWorld(tmp_path_factory.mktemp("whole"), plant)
    world.begin()
    world.settle_until("COMPLETE")
    totals = world.totals()
    world.end()
    return totals


def assert_same(world, whole):
    primary, secondary, x = world.totals()
    assert (primary == whole[0]).all()
    assert np.abs(secondary - whole[1]).max() <= 1
    assert np.abs(x - whole[2]).max() <= 1e-5
    wanted = world.console.beam.wanted()
    assert np.abs(primary - wanted.preset).max() <= MONITOR.quantum_counts


def interrupt(world):
    world.safe("InterruptIrradiation")


def kill_session(world):
    world.kill()
    world.boot()
    world.settle_until("INTERRUPTED")
    assert "restarted" in world.ledger.cause


def kill_hardware(world):
    world.plant.kill("fpga")
    world.settle_until("INTERRUPTED")
    assert world.ledger.cause == "link to the beam hardware lost"
    assert world.ledger.history.open_run is not None
    world.plant.start("fpga")
    wait(lambda: world.hardware.up, "session link")


def kill_nozzle(world):
    world.plant.nozzle.close()
    world.settle_until("INTERRUPTED")
    assert world.ledger.cause == "watchdog.nozzle"
    world.plant.nozzle = world.plant.link("nozzle")


def emergency_stop(world):
    world.plant.interlock.request("input", {"name": "emergency_stop", "ok": False})
    world.settle_until("INTERRUPTED")
    assert world.ledger.cause == "emergency_stop"


@pytest.mark.parametrize("breach", [interrupt, kill_session, kill_hardware, kill_nozzle, emergency_stop])
@pytest.mark.parametrize("share", [0.1, 0.7])
def test_every_breach_resumes_to_the_same_counts(plant, whole, tmp_path, breach, share):
    world = RealWorld(tmp_path, plant)
    try:
        world.begin()
        world.await_counts(share)
        breach(world)
        world.console.settler.await_settled(world.stop)
        assert world.state == "INTERRUPTED", world.ledger.cause
        first = world.ledger.history.runs[0].counters.primary.sum()
        assert 0 < first < whole[0].sum()
        assert len(world.sink.records) == 1
        plant.clear()
        world.do("ResumeIrradiation")
        world.settle_until("COMPLETE")
        assert_same(world, whole)
        world.do("SubmitRecord")
        records = world.sink.records
        assert [record.part for record in records] == [1, 2]
        mu = sum(record.beams[0].delivered_mu for record in records)
        assert mu == pytest.approx(treated().beams[0].meterset, rel=1e-3)
        world.do("Unload")
    finally:
        world.end()


def test_a_terminated_fraction_is_finished_in_a_new_session(plant, whole, tmp_path):
    world = RealWorld(tmp_path, plant)
    try:
        world.begin()
        world.await_counts(0.4)
        world.console.settler.safe(Event.TERMINATE, ANN.user, "enough")
        world.console.settler.await_settled(world.stop)
        assert world.state == "TERMINATED"
        world.do("SubmitRecord", "Unload")
        world.begin()
        world.settle_until("COMPLETE")
        assert_same(world, whole)
    finally:
        world.end()

"""Plant and fpga as real processes in a state directory of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from rig_fpga import MATRIX, SITE, make_map

from common.errors import Refused
from common.links.wire import Peer, WireClient, block_values
from common.units import air_density_correction
from common.wire.frame import Frame

WATCHED = tuple(SITE.watchdogs["clients"])


def wait_for(condition: Callable[[], Any], limit_s: float = 60.0) -> Any:
    end = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < end, "condition not met in time"
        time.sleep(0.01)
    return value


class Hardware:
    """Start, ask, kill. `events`: everything the fpga told the client `session`."""

    def __init__(self, state: Path, seed: int = 7) -> None:
        self.state, self.seed = state, seed
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.clients: dict[str, WireClient] = {}
        self.events: list[Frame] = []
        self.blocks: dict[str, Frame] = {}

    def start(self, name: str, *options: str) -> None:
        log = (self.state / f"{name}.log").open("ab")
        command = [sys.executable, "-m", f"simulation.{name}", "--state", str(self.state)]
        command += ["--site", str(SITE.path), *options]
        if name == "fpga":
            command += ["--seed", str(self.seed)]
        self.processes[name] = subprocess.Popen(command, stderr=log)
        log.close()
        wait_for(lambda: self.run_file(name).get("pid") == self.processes[name].pid)

    def run_file(self, name: str) -> dict[str, Any]:
        path = self.state / "run" / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def connect(self, server: str, name: str, watchdog: bool = False) -> WireClient:
        def block(frame: Frame) -> None:
            self.blocks[server] = frame

        keep = self.events.append if name == "session" else (lambda frame: None)
        peer = Peer("127.0.0.1", self.run_file(server)["port"], name, watchdog, stale_s=2.0)
        self.clients[name] = WireClient(peer, block, keep)
        self.clients[name].wait_alive(10)
        return self.clients[name]

    def up(self, *options: str) -> None:
        """Both processes, the watched clients, all devices on, all inputs good."""
        self.start("plant")
        self.start("fpga", *options)
        plant = self.connect("plant", "operator")
        for name in WATCHED:
            self.connect("fpga", name, watchdog=True)
        for device in SITE.devices:
            if device.tango_class in ("MagnetSupply", "IonSource", "RfCavity"):
                plant.request({"do": "on", "device": device.wire})
            if device.tango_class == "SectorValve":
                plant.request({"do": "open", "device": device.wire})
        self.ready()

    def ready(self) -> None:
        """Drive the inputs that a person or a server drives, and reset."""
        for name in ("emergency_stop", "room1.door", "room1.search", "session.request", "mode.service"):
            assert name in MATRIX.input_names
            self.ask("input", name=name, ok=name != "mode.service")
        good = {"magnets", "vacuum", "water", "rf", "source_ready", "couch", "gantry"}
        wait_for(lambda: all(self.ask("status").body["inputs"][name]["ok"] for name in good))
        self.ask("reset", user="meier", roles=["therapist", "operator"])
        wait_for(lambda: all(self.ask("status").body["permit"].values()))

    def ask(self, verb: str, arrays: dict[str, np.ndarray] | None = None, **body: Any) -> Frame:
        return self.clients["session"].request({"do": verb, **body}, arrays, timeout=10)

    def load(self, **kwargs: Any) -> str:
        body, arrays = make_map(**kwargs)
        air = self.plant()
        body["k_tp"] = air_density_correction(air["beam.temperature"], air["beam.pressure"])
        self.ask("load_cycles", energies=[float(e) for e in arrays["energy"]])
        return str(self.ask("load_map", arrays, **body).body["digest"])

    def plant(self) -> dict[str, float]:
        wait_for(lambda: "plant" in self.blocks)
        names = self.clients["operator"].channels
        return dict(zip(names, block_values(self.blocks["plant"]), strict=True))

    def state_name(self) -> str:
        return str(self.ask("status").body["state"])

    def wait_state(self, *states: str) -> str:
        return str(wait_for(lambda: (s := self.state_name()) in states and s, 60.0))

    def finish(self) -> None:
        """Deliver to the end. A computer too busy for the watchdogs makes trips; they change no count."""
        for _ in range(20):
            if self.wait_state("COMPLETE", "TRIPPED", "HELD") == "COMPLETE":
                return
            self.ready()
            with suppress(Refused):
                self.ask("resume")
        raise AssertionError(f"never completed: {self.ask('status').body['cause']}")

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        os.kill(self.processes[name].pid, number)
        self.processes[name].wait(10)

    def stop(self) -> None:
        for client in self.clients.values():
            client.close()
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            process.wait(10)

    def named(self, event: str) -> list[Frame]:
        return [frame for frame in self.events if frame.body.get("event") == event]

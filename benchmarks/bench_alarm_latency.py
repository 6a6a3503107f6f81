"""From a value that crosses its level, at its server, to the alarm at a client: a JSON line `alarm-latency`.

Real processes: plant, device server `accelerator`, device server `services` with the AlarmServer, a database.
The ion source is set up and down; 20 rules have levels between. `p50_ms` ... `max_ms`: from the time that
stands with the value in the server's block to the client's `Active` event that has the alarm. `lost`: alarms
that no event brought. `core`: share of a core that the alarm server's process takes meanwhile.
`python -m benchmarks.bench_alarm_latency [CYCLES]`.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tango
import yaml

from benchmarks.machine_processes import Processes, until
from common import authority
from common import site as sites
from common.state import StateDir
from device_servers.registration import crate_name, register

RULES = 20
CYCLES = 50
ALARMS = "services/alarms/1"
PAUSE_S = (0.8, 1.2)
LIMIT_MS = 500.0
UP_S = 240.0


def write_site(folder: Path) -> Path:
    """The demonstration site with servers `accelerator` and `services` only."""
    content: dict[str, Any] = yaml.safe_load(sites.DEFAULT_SITE.read_text())
    for key in ("settings", "control"):
        content.pop(key, None)
    content["interlock"] = str(sites.CONFIG / content["interlock"])
    content["servers"] = [{"name": "accelerator"}, {"name": "services"}]
    kept = [device for device in content["devices"] if device.get("server") == "accelerator"]
    alarms = {"name": ALARMS, "class": "AlarmServer", "server": "services", "area": "services"}
    content["devices"] = [*kept, alarms]
    content["archive"]["blocks"] = [crate_name("accelerator")]
    content["alarms"] = "alarms.yaml"
    source = next(device for device in kept if device["class"] == "IonSource")
    top = float(source["limits"]["current"][1])
    words = {"en": "bench", "zh": "测试"}
    rules = [
        {"name": f"bench/{i:02d}", "value": f"{source['name']}/Current", "latch": False, "text": words,
         "guidance": words, "levels": {"hihi": top * (0.2 + 0.4 * i / RULES)}}
        for i in range(RULES)
    ]  # fmt: skip
    (folder / "alarms.yaml").write_text(yaml.safe_dump({"rules": rules}, allow_unicode=True))
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


class Facility(Processes):
    """Plant, database, and two device servers."""

    def up(self) -> None:
        """Start everything and wait until the alarm server judges."""
        state = StateDir(self.folder)
        authority.new_key(state.signing_key, state.public_key)
        (self.folder / "tango").mkdir()
        environment = {**os.environ, "PYTANGO_DATABASE_NAME": str(state.tango_database)}
        database = str(Path(sys.executable).with_name("PyDatabaseds"))
        host, port = os.environ["TANGO_HOST"].split(":")
        self.run("database", [database, "2", "-ORBendPoint", f"giop:tcp:{host}:{port}"], environment)
        until(lambda: _answers(lambda: tango.Database(host, int(port)).get_info()), "the database")
        register(self.site)
        self.start("plant")
        self.connect("plant", "operator")
        for server in ("accelerator", "services"):
            module = [sys.executable, "-m", "device_servers", server]
            self.run(
                server, [*module, "--state", str(self.folder), "--site", str(self.site.path)], environment
            )
        until(lambda: _answers(lambda: tango.DeviceProxy(ALARMS).state() in READY), "the alarm server", UP_S)

    def run(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        """Start a process."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(command, stderr=log, stdout=log, env=environment)

    def processor_s(self, name: str) -> float:
        """Processor time of a process so far."""
        times = psutil.Process(self._processes[name].pid).cpu_times()
        return float(times.user + times.system)


READY = (tango.DevState.ON, tango.DevState.ALARM)


def _answers(ask: Any) -> bool:
    try:
        return ask() is not False
    except tango.DevFailed:
        return False


class Client:
    """Hears `Active`; notes when it hears of each alarm for the first time."""

    def __init__(self) -> None:
        self.heard: dict[tuple[str, float], float] = {}
        self._proxy = tango.DeviceProxy(ALARMS)

    def hear(self, event: Any) -> None:
        now = time.time()
        if event.err or event.attr_value is None:
            return
        for row in json.loads(event.attr_value.value):
            self.heard.setdefault((row["name"], row["since"]), now)

    @contextmanager
    def listening(self) -> Iterator[None]:
        number = self._proxy.subscribe_event("Active", tango.EventType.CHANGE_EVENT, self.hear)
        time.sleep(1.0)
        self.heard.clear()
        yield
        self._proxy.unsubscribe_event(number)


def cycle(facility: Facility, cycles: int) -> None:
    """Set the source up and down."""
    source = facility.site.of_class("IonSource")[0]
    top = float(source.limits["current"][1])
    facility.plant("on", device=source.wire)
    rng = random.Random(1)
    for turn in range(2 * cycles):
        facility.plant(
            "set", device=source.wire, name="setpoint", value=top * (0.7 if turn % 2 == 0 else 0.05)
        )
        time.sleep(rng.uniform(*PAUSE_S))
    time.sleep(1.0)


def measure(facility: Facility, cycles: int) -> dict[str, Any]:
    client = Client()
    began, used = time.monotonic(), facility.processor_s("services")
    with client.listening():
        cycle(facility, cycles)
    core = (facility.processor_s("services") - used) / (time.monotonic() - began)
    taken = {key: now - key[1] for key, now in client.heard.items() if key[0].startswith("bench/")}
    wish = json.dumps({"text": "bench/", "most": 10_000, "from": time.time() - 3600})
    rows = json.loads(tango.DeviceProxy(ALARMS).History(wish))
    raised = [row for row in rows if row["event"] == "RAISE" and row["name"].startswith("bench/")]
    ms = np.array(list(taken.values())) * 1e3
    p99 = float(np.percentile(ms, 99))
    return {
        "name": "alarm-latency",
        "alarms": len(ms),
        "p50_ms": round(float(np.percentile(ms, 50)), 1),
        "p95_ms": round(float(np.percentile(ms, 95)), 1),
        "p99_ms": round(p99, 1),
        "max_ms": round(float(ms.max()), 1),
        "limit_ms": LIMIT_MS,
        "passed": p99 <= LIMIT_MS,
        "raised": len(raised),
        "lost": len({(row["name"], row["crossed"]) for row in raised} - set(taken)),
        "core": round(core, 3),
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    cycles = int(sys.argv[1]) if len(sys.argv) > 1 else CYCLES
    with tempfile.TemporaryDirectory(prefix="bench-alarm-") as folder:
        os.environ["TANGO_HOST"] = f"127.0.0.1:{random.randrange(20_000, 30_000)}"
        facility = Facility(Path(folder), write_site(Path(folder)), "")
        try:
            facility.up()
            print(json.dumps(measure(facility, cycles)), flush=True)
        finally:
            facility.stop()


if __name__ == "__main__":
    main()

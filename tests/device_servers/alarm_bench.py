"""A facility for alarms: `all` on fakes, and the real `services` with an AlarmServer."""

import json
import time
from pathlib import Path
from typing import Any

import yaml
from bench import Bench, wait_until

from common import site as sites
from device_servers.registration import register

ALARMS = "services/alarms/1"
UP_S = 120.0
WATER = "acs/water/ring-circuit"
MAGNET = "acs/magnet/ring-quad-f"
TEXT = {"en": "test", "zh": "试验"}
RULES: list[dict[str, Any]] = [
    {
        "name": "test/current",
        "value": f"{MAGNET}/Current",
        "levels": {"high": 100, "hihi": 200},
        "hysteresis": 5,
        "group": "first",
        "area": "test/magnet",
        "text": {"en": "current too high", "zh": "电流过高"},
        "guidance": TEXT,
    },
    {
        "name": "test/second",
        "when": f"{MAGNET}/Current > 150 and abs({WATER}/Flow) < 1e6",
        "severity": "MINOR",
        "group": "first",
        "area": "test/magnet",
        "text": TEXT,
        "guidance": TEXT,
    },
    {
        "name": "test/unlatched",
        "when": f"{MAGNET}/Current > 120",
        "latch": False,
        "text": TEXT,
        "guidance": TEXT,
    },
    {
        "name": "test/room",
        "when": f"{MAGNET}/Current > 110",
        "area": "room1/beam",
        "text": {"en": "no beam in room 1", "zh": "1 号治疗室无束流"},
        "guidance": TEXT,
    },
    {
        "name": "test/word",
        "when": "central/interlock/1/FirstFault == vacuum",
        "latch": False,
        "text": TEXT,
        "guidance": TEXT,
    },
    {
        "name": "test/inhibited",
        "when": f"{MAGNET}/Current > 100",
        "inhibit": f"{MAGNET}/State == OFF",
        "text": TEXT,
        "guidance": TEXT,
    },
]
"""Rules of these tests; the site's levels of the water's temperature make one more."""


def flood_rules(count: int) -> list[dict[str, Any]]:
    """Rules that are all passed when the current rises above 1000 A."""
    return [
        {"name": f"flood/{i:04d}", "value": f"{MAGNET}/Current", "levels": {"hihi": 1000 + i / count},
         "text": TEXT, "guidance": TEXT}
        for i in range(count)
    ]  # fmt: skip


class AlarmBench(Bench):
    """Two servers: `all` on fakes, and the real `services`."""

    def __init__(self, state: Path, flood: int = 0) -> None:
        super().__init__(state)
        content: dict[str, Any] = yaml.safe_load(sites.DEFAULT_SITE.read_text())
        for key in ("settings", "control"):
            content.pop(key, None)
        content["interlock"] = str(sites.CONFIG / content["interlock"])
        content["alarms"] = "alarms.yaml"
        content["servers"] = [{"name": "all"}, {"name": "services"}]
        devices = [d for d in content["devices"] if d["class"] in USED]
        content["devices"] = [d | {"server": "all"} for d in devices]
        water = next(device for device in devices if device["class"] == "WaterCircuit")
        content["devices"].remove(water | {"server": "all"})
        levels = {"temperature": [10.0, 15.0, 28.0, 32.0]}
        content["devices"].append(water | {"server": "all", "alarms": levels})
        content["devices"].append(
            {"name": ALARMS, "class": "AlarmServer", "server": "services", "area": "services"}
        )
        content["archive"]["blocks"] = ["crate/server/all"]
        self.keep_site(content)
        rules = [*RULES, *flood_rules(flood)]
        file = {"classes": {"*": {"delay": {"clear": 0.0, "unknown": 0.5}}}, "rules": rules}
        (state / "alarms.yaml").write_text(yaml.safe_dump(file, allow_unicode=True))

    def start_all(self) -> None:
        self.start_database()
        register(sites.load(self.site_file))
        self.start_fakes()
        self.start_services()

    def start_services(self) -> None:
        self.start_server("services")
        self.wait_exported([ALARMS], UP_S)
        wait_until(lambda: self.proxy(ALARMS).state().name in ("ON", "ALARM", "FAULT"), "the alarms", UP_S)

    def current(self, value: float) -> None:
        self.tell(f"drivers['{MAGNET}'].values.update(current={value})")

    def rows(self) -> dict[str, dict[str, Any]]:
        told = json.loads(self.proxy(ALARMS).ActiveSince(0))
        return {row["name"]: row for row in told["rows"]}

    def state_of(self, name: str) -> str:
        row = self.rows().get(name)
        return "NORMAL" if row is None else str(row["state"])

    def wait_state(self, name: str, state: str, limit_s: float = 15) -> None:
        wait_until(
            lambda: self.state_of(name) == state, f"{name} {state}, it is {self.state_of(name)}", limit_s
        )

    def ask(self, command: str, **wish: Any) -> Any:
        return json.loads(self.proxy(ALARMS).command_inout(command, json.dumps(wish)))

    def history(self, **wish: Any) -> list[dict[str, Any]]:
        return list(self.ask("History", **wish))


USED = ("MagnetSupply", "WaterCircuit", "VacuumGauge", "SectorValve", "Couch", "Nozzle", "Interlock")


def now() -> float:
    return time.time()

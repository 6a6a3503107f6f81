"""A device server on in-memory drivers and the ControlAuthority, for the tests of control."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from bench import Bench, wait_until

from common import site as sites
from device_servers.registration import register
from device_servers.sessions import close_sessions, open_sessions

AUTHORITY = "services/control/1"
MAGNET, GAUGE = "acs/magnet/ring-dipole", "acs/vacuum/ring-gauge-1"
VALVE, GANTRY = "acs/vacuum/hebt-valve-1", "room1/support/gantry"
NOZZLE = "room1/beam/nozzle"
ON_ONE = (MAGNET, GAUGE, "acs/magnet/ring-quad-f")
ON_TWO = (VALVE, GANTRY, NOZZLE)

CONTROL = """
areas:
  - {name: ring, title: Ring, title_zh: 环, control: required, idle_minutes: 60,
     ranks: [[operator], [physicist], [service]], treatment: [room1], devices: ['acs/*/ring-*']}
  - {name: transport, title: Transport, title_zh: 传输, control: free, idle_minutes: 60,
     ranks: [[operator], [service]], devices: ['acs/*/hebt-*']}
  - {name: room1, title: Room 1, title_zh: 治疗室, control: free, idle_minutes: 30,
     ranks: [[operator], [physicist], [therapist], [service]], treatment: [room1], devices: ['room1/*/*']}
break_glass: {minutes: 10, silence_s: 0}
"""

ASIDE = """
import json, sys, tango
from device_servers.sessions import open_sessions
token, host, lines = sys.argv[1], sys.argv[2], sys.argv[3:]
if token:
    open_sessions(token, host)
for line in lines:
    device, name, *value = json.loads(line)
    proxy = tango.DeviceProxy(f"tango://{host}/{device}")
    try:
        if name.startswith("="):
            proxy.write_attribute(name[1:], value[0])
            answer = "done"
        else:
            answer = proxy.command_inout(name, *value)
            answer = "done" if answer is None else str(answer)
    except tango.DevFailed as why:
        answer = f"{why.args[0].reason}: {why.args[0].desc}"
    print(answer.replace(chr(10), " "), flush=True)
"""
"""Another person at another console: a process of its own with a log-in of its own."""


class ControlRoom(Bench):
    """Server `one` with ring, transport and room 1, and `services` with the authority."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        content: dict[str, Any] = yaml.safe_load(sites.DEFAULT_SITE.read_text())
        servers = {**dict.fromkeys(ON_ONE, "one"), **dict.fromkeys(ON_TWO, "one"), AUTHORITY: "services"}
        content["servers"] = [{"name": name} for name in ("one", "services")]
        content["devices"] = [
            row | {"server": servers[row["name"]]} for row in content["devices"] if row["name"] in servers
        ]
        content["archive"]["blocks"] = ["crate/server/one"]
        for key in ("alarms", "settings"):
            content.pop(key, None)
        for key in ("interlock", "roles"):
            content[key] = str(sites.CONFIG / content[key])
        content["control"] = "control.yaml"
        (state / "control.yaml").write_text(CONTROL)
        self.keep_site(content)
        self.site = sites.load(self.site_file)

    def start_all(self) -> None:
        self.start_database()
        register(self.site)
        for name in ("services", "one"):
            self.start_fakes(name, 300.0)
        wait_until((self.state / "control" / "holders.json").exists, "the first statement")

    def login(self, user: str, *roles: str, lifetime_s: float = 3600.0) -> None:
        open_sessions(self.token(user, *roles, lifetime_s=lifetime_s), self.host)

    def logout(self) -> None:
        close_sessions(self.host)

    def control(self, command: str, area: str, **more: Any) -> str:
        return str(self.proxy(AUTHORITY).command_inout(command, json.dumps({"area": area, **more})))

    def aside(self, user: str, role: str, *calls: tuple[Any, ...], token: str | None = None) -> list[str]:
        """What another process of another user gets for its calls; ("device", "Command", argument)."""
        token = self.token(user, role) if token is None else token
        lines = [json.dumps(call) for call in calls]
        done = subprocess.run(
            [sys.executable, "-c", ASIDE, token, self.host, *lines],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def areas(self) -> dict[str, dict[str, Any]]:
        rows = self.proxy(AUTHORITY).read_attribute("Areas").value
        return {row["area"]: row for row in map(json.loads, rows)}


def wish(area: str, **more: Any) -> str:
    """The argument of a command of the authority."""
    return json.dumps({"area": area, **more})

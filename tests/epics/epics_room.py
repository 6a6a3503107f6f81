"""A facility with the EPICS gateway: real device servers on the simulated plant, clients not ours."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "device_servers"))

from bench import ROOT, Bench, run_file, wait_until
from tango import DevFailed

from common import site as sites
from device_servers.registration import register

SERVERS = ("accelerator", "central", "room1", "gateway")


class EpicsRoom(Bench):
    """Plant, fpga, three device servers and the gateway."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        content: dict[str, Any] = yaml.safe_load(sites.DEFAULT_SITE.read_text())
        content["servers"] = [{"name": name} for name in (*SERVERS, "treatment", "services")]
        content["devices"] = [row for row in content["devices"] if row["server"] in SERVERS]
        content["devices"].append(
            {"name": "services/epics/1", "class": "EpicsGateway", "server": "gateway", "area": "services"}
        )
        water = next(row for row in content["devices"] if row["class"] == "WaterCircuit")
        water["alarms"] = {"temperature": [10.0, 15.0, 18.0, 40.0]}
        content["interlock"] = str(sites.DEFAULT_SITE.parent / content["interlock"])
        content["roles"] = str(sites.DEFAULT_SITE.parent / content["roles"])
        self.keep_site(content)
        self.site = sites.load(self.site_file)

    def start_all(self) -> None:
        """Everything, until the gateway is in touch with every server."""
        self.start_database()
        register(self.site)
        self.start_hardware()
        for name in SERVERS:
            self.start_server(name)
        self.wait_exported([f"crate/server/{name}" for name in SERVERS])
        wait_until(self.gateway_runs, "the gateway")

    def gateway_runs(self) -> bool:
        """Whether the gateway hears every server."""
        try:
            return str(self.proxy("services/epics/1").state()) == "RUNNING"
        except DevFailed:
            return False

    def inputs(self) -> dict[str, str]:
        """State of each interlock input."""
        rows: list[str] = self.proxy("central/interlock/1").Inputs
        return {name: word for name, _equals, word in (row.partition("=") for row in rows)}

    @property
    def run_file(self) -> dict[str, Any]:
        """What the gateway has announced."""
        return run_file(self.state, "epics")

    def client(self, code: str, protocol: str = "pva") -> list[Any]:
        """What a client process says, one JSON value a line: `ctx` (p4p) or `epics` (pyepics) is in scope."""
        script = Path(__file__).parent / f"{protocol}_client.py"
        env = {**os.environ, **self.run_file[f"{protocol}_env"]}
        done = subprocess.run(
            [sys.executable, str(script)],
            input=code,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        lines = done.stdout.splitlines()
        return [json.loads(line[1:]) for line in lines if line.startswith("@")]

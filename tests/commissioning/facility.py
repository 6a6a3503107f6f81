"""Database, plant, fpga and the servers of a site's accelerator, centre and first room, as real processes."""

import json
import shutil
from pathlib import Path

import tango
import yaml

from common import site as sites
from common.site import Site
from device_servers.registration import register
from device_servers.sessions import close_sessions, open_sessions
from ptcs.client import Client
from ptcs.commissioning.tango_bench import TangoBench
from tests.device_servers.bench import Bench, wait_until

ROLES = ("service", "operator", "therapist")
PATIENCE_S = 600.0
"""A computer with other work starts processes slowly."""


def patient_site(folder: Path) -> Path:
    """The demonstration site as a busy computer can keep up with it, its air still."""
    for name in ("interlock.yaml", "roles.yaml", "timing.yaml", "beams.yaml"):
        shutil.copy(sites.CONFIG / name, folder / name)
    content = yaml.safe_load(sites.DEFAULT_SITE.read_text(encoding="utf-8"))
    content["watchdogs"]["limit_s"] = 0.15
    content["clock"]["factor"] = 2.0
    station = next(row for row in content["devices"] if row["class"] == "EnvironmentStation")
    station["plant"]["swing"] = 0.0
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


class Facility(Bench):
    """A demonstration facility without OIS and planning: log-ins are tokens of its own key."""

    servers = ("accelerator", "central", "room1", "treatment")

    def __init__(self, state: Path, site_file: Path | None = None) -> None:
        super().__init__(state, site_file or patient_site(state))
        self.site: Site = sites.load(self.site_file)

    def up(self) -> None:
        """Everything exported and known."""
        (self.state / "facility.json").write_text(json.dumps({"site_file": str(self.site_file)}))
        self.start_database()  # answers within a minute, also on a busy computer
        register(self.site)
        self.start_hardware(PATIENCE_S)
        for name in self.servers:
            self.start_server(name)
        self.wait_exported([f"crate/server/{name}" for name in self.servers], PATIENCE_S)
        wait_until(self._known, "every device in a known state", PATIENCE_S)

    def login(self, user: str = "sven", *roles: str) -> TangoBench:
        """A bench as a user of roles; sessions of this process are that user's from now on."""
        close_sessions(self.host)
        token = self.token(user, *(roles or ROLES))
        client = Client(self.host, "", user, token, open_sessions(token, self.host))
        return TangoBench(client, self.site)

    def _known(self) -> bool:
        names = [device.name for server in self.servers for device in self.site.on_server(server)]
        bad = (tango.DevState.UNKNOWN, tango.DevState.INIT)
        return all(self.proxy(name).state() not in bad for name in names)

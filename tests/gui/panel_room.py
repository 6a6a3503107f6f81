"""A small real facility for the panels: devices on fakes, and real archive, settings, logbook and control."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "device_servers"))

from bench import Bench
from settings_room import Facility as SettingsRoom

from common import site as sites
from gui.services import Facility
from ptcs.panel_link import link

SERVICES = ("SettingsServer", "Logbook", "Archiver", "ControlAuthority")
START_S, LIMIT_S = 240.0, 120.0


class PanelRoom(SettingsRoom):
    """Server `all` on fakes, server `services` with what the panels ask."""

    def __init__(self, state: Path) -> None:
        Bench.__init__(self, state)
        content: dict[str, Any] = yaml.safe_load(sites.DEFAULT_SITE.read_text())
        for key in ("interlock", "settings", "control"):
            content[key] = str(sites.CONFIG / content[key])
        content.pop("alarms", None)
        content["servers"] = [{"name": "all"}, {"name": "services"}]
        content["devices"] = [
            row | {"server": "services" if row["class"] in SERVICES else "all"}
            for row in content["devices"]
            if row["class"] in SERVICES
            or (row["area"] != "services" and row["class"] not in ("TreatmentSession", "PhysicsBeam"))
        ]
        content["archive"]["blocks"] = ["crate/server/all"]
        self.keep_site(content)

    def wait_exported(self, devices: Sequence[str], limit_s: float = START_S) -> None:
        """As on the bench; the services of this facility start more slowly than a server of devices."""
        super().wait_exported(devices, limit_s)

    def panels(self, user: str) -> Facility:
        """What panels get of this facility."""
        return link(self.site, self.host, None, user)


def spin(application: Any, true: Callable[[], Any], what: str) -> None:
    """Let the panels live until something is true."""
    end = time.monotonic() + LIMIT_S
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(what)
        application.processEvents()
        time.sleep(0.005)

"""A facility for settings, logbook and catalogue: `all` on fakes, and the real server `services`."""

import json
from pathlib import Path
from typing import Any

import yaml
from bench import Bench, wait_until

from common import site as sites
from device_servers.registration import register
from device_servers.sessions import close_sessions, open_sessions

SETTINGS = "services/settings/1"
LOGBOOK = "services/logbook/1"
CATALOGUE = "central/beam/catalogue"
OURS = {"SettingsServer": SETTINGS, "Logbook": LOGBOOK}
LEFT_OUT = {"TreatmentSession", "Archiver", "AlarmServer", "ControlAuthority", "PhysicsBeam"}


class Facility(Bench):
    """Its site is the demonstration site without what these tests do not need."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        content: dict[str, Any] = yaml.safe_load(sites.DEFAULT_SITE.read_text())
        content["interlock"] = str(sites.CONFIG / content["interlock"])
        content["settings"] = str(sites.CONFIG / content["settings"])
        content["servers"] = [{"name": "all"}, {"name": "services"}]
        for key in ("alarms", "control"):
            content.pop(key, None)
        devices = [row for row in content["devices"] if row["class"] not in LEFT_OUT]
        content["devices"] = [
            row | {"server": "services" if row["class"] in OURS else "all"} for row in devices
        ]
        if not any(row["class"] == "BeamCatalogue" for row in devices):
            content["devices"].append(
                {"name": CATALOGUE, "class": "BeamCatalogue", "server": "all", "area": "central"}
            )
        content["archive"]["blocks"] = ["crate/server/all"]
        self.keep_site(content)

    def keep_site(self, content: dict[str, Any]) -> None:
        super().keep_site(content)
        self.site = sites.load(self.site_file)

    def begin(self) -> None:
        self.start_database()
        register(self.site)
        self.start_fakes()
        self.start_services()

    def start_services(self, **options: Any) -> None:
        self.start_server("services", **options)
        mine = [name for kind, name in OURS.items() if self.site.of_class(kind)]
        self.wait_exported([*mine, "crate/server/services"])

    def login(self, user: str, *roles: str) -> None:
        close_sessions(self.host)
        open_sessions(self.token(user, *roles), self.host)

    # --- Settings

    def job(self, command: str, **wish: Any) -> str:
        """Queue a job of the SettingsServer and wait for its end; its id."""
        proxy = self.proxy(SETTINGS)
        number = str(proxy.command_inout(command, json.dumps(wish)))
        wait_until(lambda: self.job_state(number)["state"] in ("DONE", "FAILED"), command)
        return number

    def job_state(self, number: str) -> dict[str, str]:
        return dict(json.loads(self.proxy(SETTINGS).JobStatus(number)))

    def ask(self, command: str, **wish: Any) -> dict[str, Any]:
        """The answer of a job that must succeed."""
        number = self.job(command, **wish)
        assert self.job_state(number) == {"state": "DONE", "error": ""}, self.job_state(number)
        return dict(json.loads(self.proxy(SETTINGS).JobResult(number)))

    def fail(self, command: str, **wish: Any) -> str:
        """Why a job has failed; it must."""
        state = self.job_state(self.job(command, **wish))
        assert state["state"] == "FAILED", state
        return state["error"]

    def value(self, attribute: str) -> Any:
        device, _slash, name = attribute.rpartition("/")
        return self.proxy(device).read_attribute(name).value

    def state_of(self, device: str) -> str:
        return str(self.proxy(device).state())

"""What the panels get of a running facility: services asked in JSON, in the name of who has logged in."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tango

from common import site as sites
from common.errors import LinkLost, Refused, Unauthorised
from common.text import _
from device_servers.sessions import address
from gui.services import Facility
from ptcs.client import Client
from ptcs.running import find

FIRST_POLL_S, LONGEST_POLL_S = 0.02, 0.2
PATIENCE_S = 900.0
TIMEOUT_MS = 5000
SERVICES = ("Archiver", "AlarmServer", "SettingsServer", "Logbook", "ControlAuthority")


class PanelService:
    """One service device. A server that was started anew has forgotten its sessions: they are renewed."""

    def __init__(self, proxy: tango.DeviceProxy, renew: Callable[[], object] | None) -> None:
        """`renew` opens the sessions of who is logged in again; None for nobody."""
        self._proxy, self._renew = proxy, renew
        proxy.set_timeout_millis(TIMEOUT_MS)

    def ask(self, command: str, argument: Any = None) -> Any:
        """The answer of a command, decoded where it is JSON. Raises Refused, Unauthorised, LinkLost."""
        given = json.dumps(argument) if isinstance(argument, dict) else argument
        try:
            return _decoded(self._call(command, given))
        except Unauthorised:
            if self._renew is None:
                raise
            self._renew()
            return _decoded(self._call(command, given))

    def read(self, attribute: str) -> Any:
        """An attribute, decoded where it is JSON. Raises LinkLost."""
        try:
            return _decoded(self._proxy.read_attribute(attribute).value)
        except tango.DevFailed as why:
            raise LinkLost(why.args[0].desc) from why

    def job(self, command: str, argument: dict[str, Any]) -> Any:
        """The result of a command that takes time. Raises as `ask`, Refused with the job's own error."""
        number, ends, pause = str(self.ask(command, argument)), time.monotonic() + PATIENCE_S, FIRST_POLL_S
        while (state := self.ask("JobStatus", number))["state"] in ("QUEUED", "RUNNING"):
            if time.monotonic() > ends:
                raise Refused(_("job {number} is still {state}").format(number=number, state=state["state"]))
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_POLL_S)
        if state["state"] == "FAILED":
            raise Refused(state["error"])
        return self.ask("JobResult", number)

    def _call(self, command: str, argument: Any) -> Any:
        try:
            return self._proxy.command_inout(command, *(() if argument is None else (argument,)))
        except tango.DevFailed as why:
            first = why.args[0]
            if first.reason != "Refused":
                raise LinkLost(first.desc) from why
            raise (Unauthorised if first.origin == "authority" else Refused)(first.desc) from why


def _decoded(answer: Any) -> Any:
    """JSON objects and lists as such; other texts (ids, states, base64) as they are."""
    if isinstance(answer, str):
        return json.loads(answer) if answer[:1] in ("{", "[") else answer
    if isinstance(answer, tuple):
        return list(answer)
    return answer


def facility_of(state: Path, client: Client | None, user: str = "") -> Facility:
    """The facility of a state directory for panels, logged in as `client` (None: nobody)."""
    running = find(state)
    site = sites.load(Path(running["site_file"]))
    return link(site, str(running["tango_host"]), None if client is None else client.renew, user)


def link(site: sites.Site, host: str, renew: Callable[[], object] | None, user: str) -> Facility:
    """A site's facility at a Tango database for panels."""
    devices = {kind: found[0].name for kind in SERVICES if (found := site.of_class(kind))}

    def proxy(device: str) -> tango.DeviceProxy:
        return tango.DeviceProxy(address(device, host))

    def service(kind: str) -> PanelService:
        if kind not in devices:
            text = _("this site has no {kind} device; add one to its site file")
            raise Refused(text.format(kind=kind))
        try:
            return PanelService(proxy(devices[kind]), renew)
        except tango.DevFailed as why:
            raise LinkLost(why.args[0].desc) from why

    return Facility(
        site=site.name,
        service=service,
        proxy=proxy,
        crates=tuple(f"crate/server/{server}" for server in site.servers),
        sets=sets_folder(),
        user=user,
        has=frozenset(devices),
    )


def sets_folder() -> Path:
    """Where this person's saved trends are: ptcs/trends below $XDG_CONFIG_HOME or ~/.config."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ptcs" / "trends"

"""The machine as a restore acts on it: values through the crates, writes as the user of a token."""

import json
import threading
import time
from collections.abc import Iterable, Mapping

import tango

from common.errors import LinkLost, Refused, Unauthorised
from common.site import Site
from common.text import _, language
from device_servers.registration import crate_name
from device_servers.services.settings.configuration import Forbidden
from device_servers.services.settings.live import Live
from device_servers.services.settings.plan import Step
from device_servers.services.settings.reading import Reading

WRITE_MS = 5000


class SiteWorld:
    """Implements World for one restore of one user."""

    def __init__(self, site: Site, live: Live, forbidden: tuple[Forbidden, ...], token: str, by: str) -> None:
        """token: of the user in whose name everything is written; by: what the audit logs call the writer."""
        self._site, self._live, self._forbidden = site, live, forbidden
        self._token, self._by = token, by
        self._crates: dict[str, tango.DeviceProxy] = {}
        self._reading = threading.Lock()

    def read(self, names: Iterable[str]) -> Mapping[str, Reading]:
        """Present values."""
        with self._reading:
            return self._live.read(names).readings

    def server(self, step: Step) -> str:
        """The server of a step's device."""
        return self._site.device(step.row.device).server

    def write(self, step: Step) -> None:
        """Have the device's own server write it. Raises Unauthorised, Refused, LinkLost."""
        wish = {"token": self._token, "device": step.row.device, "by": self._by}
        act = (
            {"command": step.command}
            if step.command
            else {"attribute": step.row.member, "value": step.wanted}
        )
        server = self.server(step)
        try:
            with tango.EnsureOmniThread():
                self._crate(server).command_inout("WriteAs", json.dumps(wish | act))
        except tango.DevFailed as why:
            raise as_error(why, server) from why

    def _crate(self, server: str) -> tango.DeviceProxy:
        if server not in self._crates:
            proxy = tango.DeviceProxy(crate_name(server))
            proxy.set_timeout_millis(WRITE_MS)
            self._crates[server] = proxy
        return self._crates[server]

    def forbidden(self) -> str:
        """Why nothing may be written now: what is not known forbids as well."""
        if not self._forbidden:
            return ""
        with self._reading:
            found = self._live.ask(rule.name for rule in self._forbidden)
        for rule in self._forbidden:
            value = found[rule.name]
            if value.value is None:
                text = _("{name} is not known ({why}); nothing is restored until it is")
                return text.format(name=rule.name, why=value.why or value.quality)
            if value.value == rule.value:
                text = _("{why} ({name} is {value}); nothing is restored meanwhile")
                why = rule.why.get(language(), rule.why["en"])
                return text.format(why=why, name=rule.name, value=value.value)
        return ""

    def now(self) -> float:
        """Monotonic time, s."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)


def as_error(why: tango.DevFailed, server: str) -> Refused | LinkLost:
    """A Tango error as one of ours."""
    error = why.args[0]
    if error.origin == "authority":
        return Unauthorised(error.desc)
    if error.reason == "LinkLost" or error.reason.startswith(("API_Cant", "API_Corba", "API_Device")):
        return LinkLost(
            _("server {server} does not answer: {why}").format(server=server, why=error.desc.strip())
        )
    return Refused(error.desc.strip())

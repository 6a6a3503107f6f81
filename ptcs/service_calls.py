"""Talking to one service device of a running facility: reading without a log-in, writing as a user."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tango

from common import site as sites
from common.errors import LinkLost, Refused, Unauthorised
from common.site import Site
from common.text import _
from device_servers.sessions import address
from ptcs.client import connect
from ptcs.options import typed
from ptcs.running import find

FIRST_POLL_S, LONGEST_POLL_S = 0.005, 0.1
PATIENCE_S = 900.0
TIMEOUT_MS = 10_000


class Service:
    """A service device, asked in JSON."""

    def __init__(self, proxy: tango.DeviceProxy) -> None:
        self._proxy = proxy
        proxy.set_timeout_millis(TIMEOUT_MS)

    def ask(self, command: str, argument: Any = None) -> Any:
        """The answer of a command, decoded from JSON where it is text. Raises Refused, LinkLost."""
        given = json.dumps(argument) if isinstance(argument, dict) else argument
        answer = call(self._proxy, command, given)
        return json.loads(answer) if isinstance(answer, str) and answer else answer

    def ask_text(self, command: str, argument: dict[str, Any]) -> str:
        """The answer of a command as it is. Raises Refused, LinkLost."""
        return str(call(self._proxy, command, json.dumps(argument)))

    def read(self, name: str) -> Any:
        """An attribute that holds JSON. Raises LinkLost."""
        return json.loads(attribute(self._proxy, name))

    def job(self, command: str, argument: dict[str, Any]) -> Any:
        """The result of a command that takes time. Raises Refused with the job's own error."""
        number = str(call(self._proxy, command, json.dumps(argument)))
        ends, pause = time.monotonic() + PATIENCE_S, FIRST_POLL_S
        while (state := json.loads(call(self._proxy, "JobStatus", number)))["state"] in ("QUEUED", "RUNNING"):
            if time.monotonic() > ends:
                raise Refused(_("job {number} is still {state}").format(number=number, state=state["state"]))
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_POLL_S)
        if state["state"] == "FAILED":
            raise Refused(state["error"])
        return json.loads(call(self._proxy, "JobResult", number))


def call(proxy: tango.DeviceProxy, command: str, argument: Any = None) -> Any:
    """A command's answer.

    Raises Refused for what the device refuses (Unauthorised: because of who asks), LinkLost without it.
    """
    try:
        return proxy.command_inout(command, *(() if argument is None else (argument,)))
    except tango.DevFailed as why:
        first = why.args[0]
        if first.reason != "Refused":
            raise LinkLost(first.desc) from why
        raise (Unauthorised if first.origin == "authority" else Refused)(first.desc) from why


def site_of(state: Path) -> Site:
    """The site that runs in a state directory. Raises Refused."""
    return sites.load(Path(find(state)["site_file"]))


def device_of(site: Site, tango_class: str) -> str:
    """The site's device of a class. Raises Refused when it has none."""
    found = site.of_class(tango_class)
    if not found:
        text = _("this site has no {kind} device; add one to its site file")
        raise Refused(text.format(kind=tango_class))
    return found[0].name


def silent(device: str) -> LinkLost:
    """What is said when a device does not answer."""
    return LinkLost(_("{device} does not answer; `ptcs status` shows the servers").format(device=device))


def proxy_of(state: Path, tango_class: str) -> tango.DeviceProxy:
    """The running facility's device of a class, to read from. Raises Refused, LinkLost."""
    name = device_of(site_of(state), tango_class)
    try:
        return tango.DeviceProxy(address(name, str(find(state)["tango_host"])))
    except tango.DevFailed as why:
        raise silent(name) from why


def attribute(proxy: tango.DeviceProxy, name: str) -> Any:
    """The value of an attribute. Raises LinkLost."""
    try:
        return proxy.read_attribute(name).value
    except tango.DevFailed as why:
        raise silent(proxy.dev_name()) from why


@contextmanager
def proxy_as(state: Path, tango_class: str, user: str, password: str) -> Iterator[tango.DeviceProxy]:
    """The same, to write to as a user; the password is asked for when it is not given."""
    name = device_of(site_of(state), tango_class)
    with connect(state, user, typed(user, password)) as client:
        yield client.proxy(name)


def reading(state: Path, tango_class: str) -> Service:
    """A service, to read from."""
    return Service(proxy_of(state, tango_class))


@contextmanager
def writing(state: Path, tango_class: str, user: str, password: str) -> Iterator[Service]:
    """A service, to write to as a user; the password is asked for when it is not given."""
    with proxy_as(state, tango_class, user, password) as proxy:
        yield Service(proxy)

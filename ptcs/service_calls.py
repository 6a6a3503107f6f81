"""Talking to one service device of a running facility: reading without a log-in, writing as a user."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import tango

from common.errors import Refused
from common.text import _
from device_servers.sessions import address
from ptcs.client import connect
from ptcs.maintenance_command import call, site_of
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

    def read(self, attribute: str) -> Any:
        """An attribute that holds JSON."""
        return json.loads(self._proxy.read_attribute(attribute).value)

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


def device_of(state: Path, tango_class: str) -> str:
    """The site's device of a class. Raises Refused when it has none."""
    found = site_of(state).of_class(tango_class)
    if not found:
        text = _("this site has no {kind} device; add one to its site file")
        raise Refused(text.format(kind=tango_class))
    return found[0].name


def reading(state: Path, tango_class: str) -> Service:
    """A service, to read from."""
    host = str(find(state)["tango_host"])
    return Service(tango.DeviceProxy(address(device_of(state, tango_class), host)))


@contextmanager
def writing(state: Path, tango_class: str, user: str, password: str) -> Iterator[Service]:
    """A service, to write to as a user; the password is asked for when it is not given."""
    name = device_of(state, tango_class)
    typed = password or click.prompt(_("password of {user}").format(user=user), hide_input=True)
    with connect(state, user, typed) as client:
        yield Service(client.proxy(name))

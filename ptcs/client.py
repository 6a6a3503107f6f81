"""A client of a running facility: log in once, then use plain Tango proxies.

from ptcs.client import connect
with connect("state", "operator", password) as facility:
    facility.proxy("acs/magnet/ring-dipole").CurrentSetpoint = 400.0
"""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import tango

from common.errors import LinkLost
from common.links.http import JsonClient
from common.state import StateDir
from device_servers.sessions import Opened, address, close_sessions, open_sessions
from ptcs.options import TOKEN_VARIABLE


@dataclass
class Client:
    """A logged-in user of one facility. Sessions belong to this process and end with `close`."""

    tango_host: str
    ois_url: str
    user: str
    token: str
    opened: Opened

    def __enter__(self) -> Self:
        """The client itself; its sessions end with the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the sessions."""
        self.close()

    def proxy(self, device: str) -> tango.DeviceProxy:
        """A Tango proxy of a device of this facility. Raises tango.DevFailed when it is not there."""
        return tango.DeviceProxy(address(device, self.tango_host))

    def ois(self) -> JsonClient:
        """An HTTP client of the OIS with this user's token."""
        return JsonClient(f"{self.ois_url}/api/v1", self.token)

    def renew(self) -> Opened:
        """Open the sessions again: a server that was restarted has forgotten them. Raises as `connect`."""
        self.opened = open_sessions(self.token, self.tango_host)
        return self.opened

    def close(self) -> None:
        """End this process's sessions on every server that still answers."""
        close_sessions(self.tango_host)


def connect(state: Path | str, user: str, password: str) -> Client:
    """Log in at the OIS of a facility and open a session on every device server.

    state: the facility's state directory. Where PTCS_TOKEN is set (`ptcs control break-glass use`), that
    log-in is used instead. Raises Unauthorised for a wrong password, LinkLost when the facility is not up.
    """
    if token := os.environ.get(TOKEN_VARIABLE):
        return connect_with(state, token)
    with JsonClient(f"{_ois_url(state)}/api/v1") as web:
        token = str(web.post("login", {"user": user, "password": password})["token"])
    return connect_with(state, token)


def connect_with(state: Path | str, token: str) -> Client:
    """Open a session on every device server with a token that is at hand. Raises as `connect`.

    The OIS need not answer: every server verifies the token by itself.
    """
    database = StateDir(Path(state)).endpoint("database")
    tango_host = f"{database.get('host', '127.0.0.1')}:{database['port']}"
    opened = open_sessions(token, tango_host)
    try:
        ois_url = _ois_url(state)
    except LinkLost:
        ois_url = ""
    return Client(tango_host, ois_url, opened.user, token, opened)


def _ois_url(state: Path | str) -> str:
    ois = StateDir(Path(state)).endpoint("ois")
    return f"http://{ois.get('host', '127.0.0.1')}:{ois['port']}"

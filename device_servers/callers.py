"""Who calls: the client process of a Tango call, and the user of this computer whose socket it came through.

Host and process number are what the client says of itself; the user is what the kernel says of the
connection. A session is bound to all three, so that no program of another user can pass for one that is
logged in by naming its number.
"""

import functools
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tango
from tango.test_context import parse_ior

from common.links.socket_owner import Address, owner

LOOPBACK = ("127.0.0.1", "[::1]")
TCP, UNIX = "giop:tcp:", "giop:unix:"
UNKNOWN = -1
"""User of a caller whom the kernel does not name: not on this computer, or gone."""
FRESH_S = 0.5
"""An answer of the kernel holds so long: a port is not given to somebody else that soon."""
MOST = 256


@dataclass(frozen=True)
class Client:
    """A client process. `born` is its start time in kernel ticks where it runs on this host, else "".

    uid: the user of this computer whose connection it is; UNKNOWN where that cannot be told.
    """

    host: str
    pid: int
    born: str = ""
    uid: int = UNKNOWN

    @property
    def process(self) -> tuple[str, int, str]:
        """Host, number and start of the process."""
        return self.host, self.pid, self.born


def client_of(ident: Any) -> Client:
    """The client process behind a Tango `ClientAddr` (or None for a call from inside this process)."""
    if ident is None:
        return Client("local", 0)
    address, pid = str(ident.client_ip), int(ident.client_pid)
    if not address.startswith("giop:"):
        return Client("local", pid)
    host = address.split(":", 2)[-1].rpartition(":")[0]
    if address.startswith(UNIX) or host in LOOPBACK:
        return Client("localhost", pid, born(pid), user_at(address))
    return Client(host, pid)


def born(pid: int) -> str:
    """Start time of a local process: a new process that gets an old pid is another client."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


_known: dict[str, tuple[int, float]] = {}


def user_at(address: str) -> int:
    """Whose connection to this server an address (giop:tcp:HOST:PORT) is; UNKNOWN: nobody can tell."""
    uid, asked = _known.get(address, (UNKNOWN, -FRESH_S))
    now = time.monotonic()
    if now - asked >= FRESH_S:
        uid = _ask(address)
        if len(_known) >= MOST:
            _known.clear()
        _known[address] = (uid, now)
    return uid


def _ask(address: str) -> int:
    if address.startswith(UNIX):
        return _only_user(Path(address.removeprefix(UNIX)))
    host, _colon, port = address.removeprefix(TCP).rpartition(":")
    if not address.startswith(TCP) or not port.isdigit():
        return UNKNOWN
    try:
        found = owner((host, int(port)), own_address())
    except (tango.DevFailed, OSError):
        return UNKNOWN
    return UNKNOWN if found is None else found


def _only_user(path: Path) -> int:
    """The user of this process, where nobody else but root may open a socket of it; else UNKNOWN."""
    try:
        found = path.stat()
    except OSError:
        return UNKNOWN
    closed = found.st_uid == os.getuid() and not found.st_mode & 0o077
    return found.st_uid if closed else UNKNOWN


@functools.cache
def own_address() -> Address:
    """Where this server listens. Raises tango.DevFailed outside a server."""
    util = tango.Util.instance(False)
    told = parse_ior(util.get_dserver_ior(util.get_dserver_device()))
    return told.host.rstrip(b"\0").decode(), int(told.port)

"""Opening sessions as a client: used by `ptcs.client`, and by device servers that act for a user."""

from dataclasses import dataclass

import tango

from common.errors import LinkLost, Unauthorised
from common.text import _

CRATES = "crate/server/*"
TIMEOUT_MS = 3000


@dataclass(frozen=True)
class Opened:
    """Where sessions of this process stand: crates that opened one, and why others did not answer."""

    user: str
    crates: tuple[str, ...]
    missing: dict[str, str]


def address(device: str, tango_host: str | None = None) -> str:
    """Full name of a device at a database; without `tango_host`, at the one of the environment."""
    return f"tango://{tango_host}/{device}" if tango_host else device


def open_sessions(token: str, tango_host: str | None = None) -> Opened:
    """Open a session of this process on every exported crate.

    A crate that does not answer is named in `missing`; its server gets its session by calling again.
    Raises Unauthorised when a crate refuses the token, LinkLost when the database or every crate is silent.
    """
    opened, missing, user = [], {}, ""
    for name in crates(tango_host):
        try:
            user = _crate(name, tango_host).command_inout("OpenSession", token)
            opened.append(name)
        except tango.DevFailed as why:
            if why.args[0].reason == "Refused":
                raise Unauthorised(why.args[0].desc) from why
            missing[name] = str(why.args[0].desc)
    if not opened:
        raise LinkLost(_("no device server answers; is the facility up?"))
    return Opened(user, tuple(opened), missing)


def close_sessions(tango_host: str | None = None) -> None:
    """End the sessions of this process wherever a crate still answers."""
    for name in crates(tango_host):
        try:
            _crate(name, tango_host).command_inout("CloseSession")
        except tango.DevFailed:
            continue


def database(tango_host: str | None = None) -> tango.Database:
    """A database; without `tango_host`, that of the environment. Raises tango.DevFailed, ValueError."""
    if not tango_host:
        return tango.Database()
    host, _colon, port = tango_host.rpartition(":")
    return tango.Database(host, int(port))


def crates(tango_host: str | None = None) -> list[str]:
    """Names of the exported crates. Raises LinkLost."""
    try:
        return list(database(tango_host).get_device_exported(CRATES).value_string)
    except (tango.DevFailed, ValueError) as why:
        raise LinkLost(_("the Tango database does not answer; is the facility up?")) from why


def is_without_session(error: tango.DevFailed) -> bool:
    """Whether a refusal was about who asks: a server that was restarted has forgotten its sessions."""
    return bool(error.args) and error.args[0].reason == "Refused" and error.args[0].origin == "authority"


def _crate(name: str, tango_host: str | None) -> tango.DeviceProxy:
    proxy = tango.DeviceProxy(address(name, tango_host))
    proxy.set_timeout_millis(TIMEOUT_MS)
    return proxy

"""Puts: a log-in per EPICS account and peer, and every write under that user's token.

EPICS clients say themselves which account they are. On this computer the kernel says whose connection it
is, so that nobody puts under the log-in of somebody else's account; of a client elsewhere nothing proves
it. Tango's own check of the token, role and area stands behind every write.
"""

import json
import logging
import math
import pwd
import threading
from typing import Any

import tango

from common.errors import LinkLost, PtcsError, Refused, Unauthorised
from common.links.socket_owner import Address, owner
from common.text import _
from device_servers.callers import Client
from device_servers.guard import Guard
from device_servers.registration import crate_name
from device_servers.services.epics.pv import OF_GATEWAY, Shape

log = logging.getLogger(__name__)

LOGIN = "Login"
TIMEOUT_MS = 5000
LONGEST_TOKEN = 4000
MOST_LOGINS = 1000

Peer = tuple[str, str]
"""Account and host of an EPICS client, as `peer_of` gives them."""
LOOPBACK = "127.0.0.1"


class Puts:
    """Who is logged in, and the way to the devices. Every method may be called from any thread."""

    def __init__(self, guard: Guard) -> None:
        """guard: knows whom a token names, and records what is refused here and reaches no device."""
        self._guard = guard
        self._tokens: dict[Peer, str] = {}
        self._lock = threading.Lock()
        self.accepted = 0
        self.refused = 0

    @property
    def logins(self) -> int:
        """Log-ins that are held."""
        return len(self._tokens)

    def put(self, shape: Shape, value: Any, peer: Peer) -> None:
        """Write a value (number, text, list; an enum's index or word) for a peer. Raises PtcsError."""
        try:
            if shape.device == OF_GATEWAY:
                self._log_in(shape, value, peer)
            else:
                self._write(shape, value, peer)
        except PtcsError as why:
            self.refused += 1
            if not isinstance(why.__cause__, tango.DevFailed):
                self._record(shape, value, peer, str(why))
            log.info("put to %s by %s@%s refused: %s", shape.name, *peer, why)
            raise
        self.accepted += 1

    def _record(self, shape: Shape, value: Any, peer: Peer, why: str) -> None:
        """What was refused before a device server heard of it."""
        client = Client(f"{peer[0]}@{peer[1]}", 0)
        with self._lock:
            token = self._tokens.get(peer)
        session = self._guard.vouched(client, token, epics_peer(peer)) if token else None
        said = "" if shape.member == LOGIN else str(value)
        self._guard.record(client, shape.device, shape.member, said, why, session=session)

    def _log_in(self, shape: Shape, token: Any, peer: Peer) -> None:
        if shape.member != LOGIN:
            raise Refused(_("{name} is read only").format(name=shape.name))
        if not isinstance(token, str) or len(token) > LONGEST_TOKEN:
            raise Refused(_("put the token of a log-in at the OIS, or an empty text to log out"))
        if not token:
            with self._lock:
                self._tokens.pop(peer, None)
            return
        user = self._guard.identity(token).user
        with self._lock:
            if peer not in self._tokens and len(self._tokens) >= MOST_LOGINS:
                raise Refused(_("too many EPICS log-ins; log out elsewhere first"))
            self._tokens[peer] = token
        log.info("%s@%s writes as %s from now on", *peer, user)

    def _write(self, shape: Shape, value: Any, peer: Peer) -> None:
        if not shape.writable:
            raise Refused(_("{name} is read only").format(name=shape.name))
        with self._lock:
            token = self._tokens.get(peer)
        if token is None:
            text = _(
                "{account} at {host} is not logged in: `ptcs epics login` first; reading needs no log-in"
            )
            raise Unauthorised(text.format(account=peer[0], host=peer[1]))
        wish = {
            "token": token,
            "device": shape.device,
            "command" if shape.command else "attribute": shape.member,
            "value": None if "void" in shape.choices else checked(shape, value),
            "by": epics_peer(peer),
        }
        try:
            crate = tango.DeviceProxy(crate_name(shape.server))
            crate.set_timeout_millis(TIMEOUT_MS)
            crate.command_inout("WriteAs", json.dumps(wish))
        except tango.DevFailed as why:
            self._raise(why, shape)

    def _raise(self, why: tango.DevFailed, shape: Shape) -> None:
        """A Tango error as one of ours: what stands behind its first reason is the device's."""
        error = why.args[0]
        if error.origin == "authority":
            raise Unauthorised(error.desc) from why
        if error.reason == "LinkLost" or error.reason.startswith(("API_Cant", "API_Corba", "API_Device")):
            raise LinkLost(f"{shape.device}: {error.desc}") from why
        raise Refused(error.desc.strip()) from why


def peer_of(account: str, far: Address, port: int) -> Peer:
    """Who puts through the connection from `far` to our port: the account that the client says, and its host.

    On this computer an account that is not that of the connection's user is marked as such.
    """
    if far[0] != LOOPBACK:
        return account, far[0]
    real = _account(owner(far, (LOOPBACK, port)))
    return account if account == real else f"{account} (really {real})", far[0]


def _account(uid: int | None) -> str:
    try:
        return "unknown" if uid is None else pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def epics_peer(peer: Peer) -> str:
    """A client as audit logs name it."""
    return f"epics peer {peer[0]}@{peer[1]}"


def checked(shape: Shape, value: Any) -> Any:
    """A value that a write may carry, as JSON has it. Raises Refused."""
    if shape.array:
        return [_number(shape, part) if shape.kind != "text" else str(part) for part in value]
    if shape.kind == "text":
        return str(value)
    if shape.kind == "enum":
        return _index(shape, value)
    number = _number(shape, value)
    if shape.kind == "bool":
        return bool(number)
    if not shape.limits[0] <= number <= shape.limits[1]:
        text = _("{name} {value:g} {unit}: allowed are {low:g} .. {high:g} {unit}")
        low, high = shape.limits
        raise Refused(text.format(name=shape.name, value=number, unit=shape.unit, low=low, high=high))
    return int(number) if shape.kind == "int" else number


def _number(shape: Shape, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as why:
        raise Refused(_("{name}: the value is not a number").format(name=shape.name)) from why
    if not math.isfinite(number):
        raise Refused(_("{name}: the value is not a finite number").format(name=shape.name))
    return number


def _index(shape: Shape, value: Any) -> Any:
    if isinstance(value, str) and value in shape.choices:
        index = shape.choices.index(value)
    else:
        try:
            index = int(value)
        except (TypeError, ValueError):
            index = -1
    if not 0 <= index < len(shape.choices):
        text = _("{name}: no choice {value}: allowed are {choices}")
        raise Refused(text.format(name=shape.name, value=value, choices=", ".join(shape.choices)))
    return shape.choices[index] if shape.words else index

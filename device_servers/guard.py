"""Who may write here: the sessions of this process's clients, and the audit log of their writes.

A session is bound to the (host, pid) that Tango reports for a call, so that a Taurus panel or a
notebook opens it once and every later write of that process is attributable.
"""

import logging
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from common import authority
from common.errors import Unauthorised
from common.hashchain import ChainLog, Rotation
from common.text import _
from device_servers.callers import Client, born
from device_servers.control_file import NOBODY, Control
from device_servers.tokens import Tokens

log = logging.getLogger(__name__)

ENDED = 64
"""Sessions that have ended and are still known, for what is found out after their end."""
ROTATION = Rotation(size=32 << 20, age=31 * 86400.0)
"""The audit log goes on in a new file when the old one is so large, or so old."""
VALUE_LIMIT = 300
"""Longest value text, in characters, that the audit log keeps."""


@dataclass(frozen=True)
class Session:
    """An opened session: whom the token names, the token itself, and the client that holds it.

    `by` names who asked through that client, where a gateway passes on what others want.
    """

    identity: authority.Identity
    token: str
    client: Client
    by: str = ""
    opened: float = 0.0
    """When it was opened, by the clock that nobody sets (s)."""
    since: float = 0.0
    """The same, in s since the epoch."""

    def over(self, now: datetime, steady: float) -> bool:
        """Whether its time is up, also when somebody has put the clock back."""
        lasts = self.identity.expires.timestamp() - self.since if self.since else math.inf
        return self.identity.expired(now) or steady - self.opened > lasts


class Guard:
    """Sessions and audit log of one server process. Every method may be called from any thread."""

    def __init__(
        self,
        public_key: Path,
        audit: Path,
        now: Callable[[], datetime] | None = None,
        *,
        control: Control = NOBODY,
        machine_key: Path | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keys (machine_key: of local log-ins) may appear later; `audit` is opened now (raises Tampered)."""
        self._tokens = Tokens(public_key, machine_key)
        self._now = now or (lambda: datetime.now(UTC))
        self._steady = steady
        self.control = control
        self._sessions: dict[Client, Session] = {}
        self._ended: deque[tuple[float, Session]] = deque(maxlen=ENDED)
        self._lock = threading.Lock()
        self._audit = ChainLog(audit, ROTATION, time.time)
        self._audit_broken = False

    def open(self, client: Client, token: str) -> Session:
        """Open a session for a client. Raises Unauthorised for a token that is not valid now."""
        identity = self.identity(token)
        session = Session(identity, token, client, opened=self._steady(), since=self._now().timestamp())
        with self._lock:
            self._sessions[client] = session
        return session

    def vouched(self, client: Client, token: str, by: str) -> Session:
        """A session for one write that `client` passes on for `by`, expired or not. Raises Unauthorised."""
        return Session(self._tokens.signed(token), token, client, by)

    def identity(self, token: str) -> authority.Identity:
        """Whom a token names. Raises Unauthorised for one that is not valid now."""
        identity, now = self._tokens.signed(token), self._now()
        authority.check_time(identity, now)
        self.control.check_identity(identity, now)
        return identity

    def close(self, client: Client) -> None:
        """Forget a client's session, if it has one."""
        with self._lock:
            if (session := self._sessions.pop(client, None)) is not None:
                self._ended.append((self._now().timestamp(), session))

    def known(self, host: str, pid: int, at: float) -> tuple[Client, Session | None]:
        """The client of a pid at a host as Tango's black box names it, and its session.

        at: when it called, s since the epoch: a session that has ended since then counts.
        """
        here = "localhost" if host in (socket.gethostname(), "localhost", "127.0.0.1") else host
        with self._lock:
            ended = [session for end, session in reversed(self._ended) if at < end]
            sessions = [*reversed(self._sessions.values()), *ended]
        for session in sessions:
            if session.client.pid == pid and session.client.host == here:
                return session.client, session
        return Client(here, pid), None

    def session(self, client: Client) -> Session | None:
        """The client's session, expired or not."""
        with self._lock:
            return self._sessions.get(client)

    def user(self, client: Client) -> str:
        """The user of a client's session while it is valid, else ""."""
        session = self.session(client)
        return "" if session is None or session.over(self._now(), self._steady()) else session.identity.user

    def sessions(self) -> list[Session]:
        """All sessions whose time is not up."""
        now, steady = self._now(), self._steady()
        with self._lock:
            return [session for session in self._sessions.values() if not session.over(now, steady)]

    def has_left(self, client: Client) -> bool:
        """Whether a client has ended its session here, or its process has."""
        with self._lock:
            here = any(one.process == client.process for one in self._sessions)
            ended = not here and any(one.client.process == client.process for _at, one in self._ended)
        return ended or (client.born != "" and born(client.pid) != client.born)

    def check(self, client: Client, area: str, *, safe: bool, device: str = "") -> Session:
        """The session under which a client may write to a device of an area now ("": any valid session).

        A write in the safe direction (`safe`) accepts an expired session, a full disk, and another's
        control. Raises Unauthorised.
        """
        session = self.session(client)
        if session is None:
            raise Unauthorised(_("no session of this client; log in and open a session first"))
        return self.check_session(session, area, safe=safe, device=device)

    def check_session(self, session: Session, area: str, *, safe: bool, device: str = "") -> Session:
        """As `check`, for a session at hand."""
        now, identity = self._now(), session.identity
        if safe:
            if area:
                authority.check_write(identity, area, min(now, identity.expires - timedelta(microseconds=1)))
            return session
        if session.over(now, self._steady()):
            now = max(now, identity.expires)
        authority.check_time(identity, now)
        self.control.check_identity(identity, now)
        if area:
            authority.check_write(identity, area, now)
        self.control.check(device, identity.user, now)
        if self._audit_broken:
            self._resume_audit()
        return session

    def record(
        self,
        client: Client,
        device: str,
        what: str,
        value: str,
        why: str = "",
        session: Session | None = None,
    ) -> None:
        """Append one write to the audit log: accepted, or refused with its reason `why`.

        session: the one it was asked under, where that is not the client's own.
        """
        session = session or self.session(client)
        entry = _entry(self._now(), client, session, (device, what, value), why)
        try:
            with self._lock:
                self._audit.append(entry)
        except OSError:
            self._audit_broken = True
            log.exception("audit log cannot be written: writes are refused until it can")

    def _resume_audit(self) -> None:
        try:
            with self._lock:
                self._audit.append({"time": self._now().isoformat(), "what": "audit resumed"})
        except OSError as why:
            raise Unauthorised(
                _("the audit log cannot be written ({why}); free disk space").format(why=why)
            ) from why
        self._audit_broken = False

    def shut(self) -> None:
        """Close the audit log."""
        self._audit.close()


def _entry(
    now: datetime, client: Client, session: Session | None, write: tuple[str, str, str], why: str
) -> dict[str, Any]:
    """One write (device, what, value) as the audit log has it."""
    device, what, value = write
    entry: dict[str, Any] = {
        "time": now.isoformat(),
        "user": session.identity.user if session else "",
        "host": client.host,
        "pid": client.pid,
        "device": device,
        "what": what,
        "value": value[:VALUE_LIMIT],
        "outcome": "refused" if why else "accepted",
        "why": why,
    }
    if session is not None and session.by:
        entry["by"] = session.by
    return entry

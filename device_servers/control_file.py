"""Who has control, as every server reads it: one signed file that the ControlAuthority writes.

Each check looks whether the file is another one than before, so that at any moment all servers decide by
the same. A file that cannot be read, is not signed by the machine, or is older than one seen before says
nothing: then nobody has control, and only what makes things safe passes.
"""

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from common import authority
from common.authority import Identity
from common.errors import Tampered, Unauthorised
from common.files import write_json
from common.text import _
from device_servers.control_areas import Area, Areas

log = logging.getLogger(__name__)

KIND = "control"


@dataclass(frozen=True)
class Grant:
    """Somebody's control of an area; times in s since the epoch. It is over at `until`, told or not."""

    user: str
    since: float
    until: float


@dataclass(frozen=True)
class Statement:
    """What the machine says: who has control, since when older log-ins of a user count no more, and until
    when local log-ins are accepted. serial: a newer statement has a higher one. required: area -> whether
    nobody writes there without control, where that was decided to be other than the site file says.
    """

    serial: int = 0
    time: float = 0.0
    grants: Mapping[str, Grant] = field(default_factory=dict)
    ended: Mapping[str, float] = field(default_factory=dict)
    local_until: float = 0.0
    required: Mapping[str, bool] = field(default_factory=dict)


def write(path: Path, key: Ed25519PrivateKey, told: Statement) -> None:
    """Put a statement in force, signed. Raises OSError."""
    content: dict[str, Any] = {
        "kind": KIND,
        "serial": told.serial,
        "time": told.time,
        "grants": {name: [grant.user, grant.since, grant.until] for name, grant in told.grants.items()},
        "ended": dict(told.ended),
        "local_until": told.local_until,
        "required": dict(told.required),
    }
    write_json(path, {"signed": authority.sign(key, content)})


def read(path: Path, key: Ed25519PublicKey) -> Statement:
    """The statement in force. Raises OSError when there is none, Tampered for one that cannot be trusted."""
    text = path.read_text(encoding="utf-8")
    try:
        told: dict[str, Any] = dict(authority.read_statement(key, json.loads(text)["signed"]))
        if told["kind"] != KIND:
            raise Tampered(f"{path.name} holds another statement")
        grants = {name: Grant(str(user), float(a), float(b)) for name, (user, a, b) in told["grants"].items()}
        ended = {str(user): float(at) for user, at in told["ended"].items()}
        required = {str(area): bool(must) for area, must in told.get("required", {}).items()}
        local_until = float(told["local_until"])
        return Statement(int(told["serial"]), float(told["time"]), grants, ended, local_until, required)
    except (ValueError, KeyError, TypeError, AttributeError) as why:
        raise Tampered(f"{path.name} cannot be read: {why}") from why


class Control:
    """The view of one server process. Any thread."""

    def __init__(self, areas: Areas, path: Path, public_key: Path) -> None:
        self._areas, self._path, self._public_key = areas, path, public_key
        self._lock = threading.Lock()
        self._mark: object = ()
        self._told = Statement()
        self._broken = ""
        self._asked: dict[str, tuple[str, float]] = {}

    @property
    def activity(self) -> dict[str, tuple[str, float]]:
        """Area -> who wrote there last under its control, and when (s since the epoch)."""
        return dict(self._asked)

    def area_of(self, device: str) -> Area | None:
        """The area of control of a device, if it is in one."""
        return self._areas.of_device.get(device)

    def now(self) -> tuple[Statement, str]:
        """The statement in force, and why it cannot be trusted ("" when it can)."""
        with self._lock:
            try:
                stat = self._path.stat()
                mark: object = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            except OSError as why:
                mark = type(why)
            if mark != self._mark:
                self._mark = mark
                self._read()
            return self._told, self._broken

    def _read(self) -> None:
        self._broken = ""
        try:
            if not self._path.exists():
                # Before the first one nobody has ever had control; later somebody has taken it away.
                if self._told.serial:
                    raise Tampered(_("{file} is missing").format(file=self._path.name))
                return
            told = read(self._path, self._key())
            if told.serial < self._told.serial:
                raise Tampered(_("an older statement was put back"))
            self._told = told
        except (OSError, Tampered) as why:
            self._broken = str(why)
            log.error("who has control cannot be told: %s", self._broken)

    def _key(self) -> Ed25519PublicKey:
        try:
            return authority.load_public(self._public_key)
        except (OSError, ValueError) as why:
            raise Tampered(f"{self._public_key.name} cannot be read: {why}") from why

    def check(self, device: str, user: str, now: datetime) -> None:
        """Raise Unauthorised unless a user may write to a device now, as far as control goes."""
        area = self._areas.of_device.get(device)
        if area is None:
            return
        told, broken = self.now()
        if broken:
            text = _(
                "who has control of {area} cannot be told ({why}); only stops are accepted. "
                "Restart the server of ControlAuthority"
            )
            raise Unauthorised(text.format(area=area.name, why=broken))
        grant, at = told.grants.get(area.name), now.timestamp()
        if grant is not None and grant.until > at:
            if grant.user != user:
                raise Unauthorised(_held(area, grant))
            self._asked[area.name] = (user, at)
        elif told.required.get(area.name, area.required):
            text = _("nobody has control of {area}; take it first: `ptcs control request {area}`")
            raise Unauthorised(text.format(area=area.name))

    def check_identity(self, identity: Identity, now: datetime) -> None:
        """Raise Unauthorised for a log-in that was ended, and for a local one while the OIS answers."""
        told, broken = self.now()
        ended = told.ended.get(identity.user)
        if ended is not None and (identity.issued is None or identity.issued.timestamp() <= ended):
            raise Unauthorised(_("this log-in was ended by an administrator; log in again"))
        if identity.local and (broken or told.local_until <= now.timestamp()):
            raise Unauthorised(
                _("local log-ins are over: the OIS answers again, or the time is up; log in there")
            )


def _held(area: Area, grant: Grant) -> str:
    until = datetime.fromtimestamp(grant.until, tz=UTC).astimezone()
    text = _("{user} has control of {area} until {until:%H:%M}; ask for it: `ptcs control request {area}`")
    return text.format(user=grant.user, area=area.name, until=until)


def next_serial(known: int) -> int:
    """Serial of the next statement: it rises also when the clock was put back."""
    return max(known + 1, int(time.time() * 1000))


NOBODY = Control(Areas(), Path("/nonexistent"), Path("/nonexistent"))
"""For a site without areas of control."""

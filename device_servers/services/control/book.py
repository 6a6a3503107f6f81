"""Keeping control: a hash chain of what happened, and the signed statement that all servers decide by.

The chain is written first: what a server then reads is never more than what is on record. After a crash
the chain says where everything stood, and the statement is written again from it.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.errors import Refused, Tampered
from common.hashchain import ChainLog, Rotation, entries
from common.text import _
from device_servers import control_file
from device_servers.control_file import Grant, Statement
from device_servers.services.control.desk import Person, Place

log = logging.getLogger(__name__)

ROTATION = Rotation(size=8 << 20)
KEPT_S = 9 * 3600.0
"""An ended log-in is told for longer than any token lives."""


@dataclass
class Standing:
    """Everything that is kept: control by area, ended log-ins (user -> time), local log-ins until, and where
    control is required other than the site file says.
    """

    places: dict[str, Place] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    local_until: float = 0.0
    serial: int = 0
    required: dict[str, bool] = field(default_factory=dict)


class Book:
    """The keeping of one facility. One thread at a time."""

    def __init__(
        self, folder: Path, statement: Path, key: Ed25519PrivateKey, now: Callable[[], float]
    ) -> None:
        """Take up what was kept. Raises Tampered when the chain was altered, OSError."""
        self._statement, self._key, self._now = statement, key, now
        path = folder / "control.log"
        self._chain = ChainLog(path, ROTATION, now)
        self.standing = replay(path)
        self.former = _former(statement, key)
        """The statement of the last run, if it can be read."""
        self.standing.serial = max(self.standing.serial, self.former.serial)
        self.behind = True
        """Whether the statement in force says something else than the chain."""

    def keep(self, what: Mapping[str, Any], after: Standing) -> None:
        """Record an event and put what it leads to in force. Raises Refused when it cannot be kept."""
        after.serial = control_file.next_serial(self.standing.serial)
        entry = {"time": self._now(), **what, "serial": after.serial, **_changes(self.standing, after)}
        try:
            self._chain.append(entry)
        except OSError as why:
            raise Refused(_("control not changed: it cannot be kept ({why})").format(why=why)) from why
        self.standing, self.behind = after, True

    def tell(self, until: Mapping[str, float]) -> bool:
        """Write the statement; `until`: when control of each area ends. Whether it is in force."""
        now, standing = self._now(), self.standing
        standing.serial = control_file.next_serial(standing.serial)
        grants = {
            name: Grant(place.holder.user, place.since, until[name])
            for name, place in standing.places.items()
            if place.holder is not None
        }
        ended = {user: at for user, at in standing.ended.items() if now - at < KEPT_S}
        told = Statement(standing.serial, now, grants, ended, standing.local_until, standing.required)
        try:
            control_file.write(self._statement, self._key, told)
        except OSError as why:
            log.error("%s cannot be written: %s", self._statement.name, why)
            return False
        self.behind = False
        return True

    def close(self) -> None:
        """Close the chain."""
        self._chain.close()


def replay(path: Path) -> Standing:
    """What a chain adds up to. Raises Tampered."""
    standing = Standing()
    for number, entry in enumerate(entries(path), start=1):
        try:
            for name, told in entry.get("places", {}).items():
                standing.places[name] = _place(told)
            standing.ended.update(entry.get("ended", {}))
            standing.local_until = float(entry.get("local_until", standing.local_until))
            standing.required = {
                name: bool(must) for name, must in entry.get("required", standing.required).items()
            }
            standing.serial = int(entry["serial"])
        except (KeyError, TypeError, ValueError, AttributeError) as why:
            raise Tampered(f"{path.name} entry {number} has no meaning: {why}") from why
    return standing


def _former(statement: Path, key: Ed25519PrivateKey) -> Statement:
    try:
        return control_file.read(statement, key.public_key())
    except (OSError, Tampered) as why:
        log.info("no statement of an earlier run: %s", why)
        return Statement()


def _changes(before: Standing, after: Standing) -> dict[str, Any]:
    """What an entry says of where everything stands after it: only what is another."""
    found: dict[str, Any] = {}
    moved = {name: place for name, place in after.places.items() if place != before.places.get(name)}
    if moved:
        found["places"] = {name: _told(place) for name, place in moved.items()}
    if after.ended != before.ended:
        found["ended"] = {u: at for u, at in after.ended.items() if before.ended.get(u) != at}
    if after.local_until != before.local_until:
        found["local_until"] = after.local_until
    if after.required != before.required:
        found["required"] = after.required
    return found


def _told(place: Place) -> dict[str, Any]:
    told = asdict(place)
    for key in ("holder", "asker"):
        if told[key] is not None:
            told[key]["roles"] = sorted(told[key]["roles"])
    return told


def _place(told: Mapping[str, Any]) -> Place:
    return Place(**{**told, "holder": _person(told["holder"]), "asker": _person(told["asker"])})


def _person(told: Mapping[str, Any] | None) -> Person | None:
    if told is None:
        return None
    bound = tuple(told["bound"])
    if len(bound) not in (0, 3):
        raise ValueError("bound is no process")
    return Person(str(told["user"]), frozenset(told["roles"]), float(told["expires"]), bound)

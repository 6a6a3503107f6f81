"""The versions of the beam catalogue on disk: a hash chain of what people did, and what it adds up to."""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common.errors import BadInput, PtcsError, Refused
from common.hashchain import ChainLog, entries
from common.text import _
from timing.catalogue_versions import Act, State, Version, Versions, check_proposal, may_propose

log = logging.getLogger(__name__)

LONGEST_WHY = 2000
LARGEST_EVIDENCE = 20


class CatalogueBook:
    """Any thread; one act at a time. An act is acknowledged when the chain has it."""

    def __init__(self, folder: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Open or begin it. With a log that was altered nothing is in force: `broken` says why."""
        self._now = now
        self._lock = threading.RLock()
        self._chain: ChainLog | None = None
        self.versions = Versions()
        self.broken = ""
        path = folder / "catalogue.log"
        try:
            self._chain = ChainLog(path)
            for line in entries(path):
                self.versions.apply(line)
        except (PtcsError, OSError, KeyError, TypeError, ValueError) as why:
            self.broken = _("the log of the beam catalogue cannot be trusted: {why}").format(why=why)
            log.error("%s", self.broken)

    def close(self) -> None:
        """Close the log."""
        if self._chain is not None:
            self._chain.close()

    def require_sound(self) -> None:
        """Raise Refused while the log cannot be trusted."""
        if self.broken:
            raise Refused(self.broken)

    def propose(
        self,
        entry: str,
        wish: Mapping[str, Any],
        base: Mapping[str, float],
        limits: Mapping[str, tuple[float, float]],
        user: str,
        roles: frozenset[str],
    ) -> Version:
        """Keep a proposal {"settings", "why", "evidence", "large"}. Raises Refused, BadInput."""
        may_propose(roles)
        settings = check_proposal(wish.get("settings"), base, limits, large=wish.get("large") is True)
        evidence = wish.get("evidence") or {}
        if not isinstance(evidence, dict) or len(evidence) > LARGEST_EVIDENCE:
            text = _(
                "evidence must be an object with up to {count} names, such as a measurement or a snapshot"
            )
            raise BadInput(text.format(count=LARGEST_EVIDENCE))
        with self._lock:
            number = 1 + max((version.number for version in self.versions.of(entry)), default=0)
            line = {"act": "propose", "entry": entry, "number": number, "settings": settings}
            self._append({**line, "evidence": evidence, "user": user, "why": _why(wish)})
            return self.versions.get(entry, number)

    def act(self, act: Act, entry: str, wish: Mapping[str, Any], user: str, roles: frozenset[str]) -> None:
        """Do something with version `number` of an entry. Raises Refused, Unauthorised."""
        with self._lock:
            number = wish.get("number")
            if act is Act.ENFORCE and number == 0 and not isinstance(number, bool):
                self._back_to_base(entry, wish, user, roles)
                return
            self.versions.check(act, self.versions.get(entry, number), user, roles)
            self._append(
                {"act": act.value, "entry": entry, "number": number, "user": user, "why": _why(wish)}
            )

    def _back_to_base(self, entry: str, wish: Mapping[str, Any], user: str, roles: frozenset[str]) -> None:
        now = self.versions.in_force(entry)
        if now is None:
            raise Refused(_("the base of {entry} is in force already").format(entry=entry))
        base = Version(entry, 0, {}, "", "", "", State.SUPERSEDED)
        self.versions.check(Act.ENFORCE, base, user, roles)
        self._append({"act": Act.ENFORCE.value, "entry": entry, "number": 0, "user": user, "why": _why(wish)})

    def _append(self, line: Mapping[str, Any]) -> None:
        self.require_sound()
        assert self._chain is not None
        stamped = {"time": self._now().isoformat(timespec="milliseconds"), **line}
        try:
            self._chain.append(stamped)
        except OSError as why:
            text = _("it cannot be kept ({why}); free disk space, then try again")
            raise Refused(text.format(why=why)) from why
        self.versions.apply(stamped)


def _why(wish: Mapping[str, Any]) -> str:
    why = wish.get("why")
    if not isinstance(why, str) or not 0 < len(why.strip()) <= LONGEST_WHY:
        raise Refused(_("say why, in 1 to {count} characters").format(count=LONGEST_WHY))
    return why.strip()

"""What the authority does by itself: lets control lapse, seals logs, ends break-glass, tells the OIS."""

import logging
import time
from collections.abc import Callable
from typing import Any

from common import authority
from common.errors import PtcsError, Refused, Tampered
from common.seals import Sealer
from common.site import Site
from common.state import StateDir
from common.text import _
from device_servers.services.control import watch
from device_servers.services.control.desk import Person
from device_servers.services.control.keeper import Keeper

log = logging.getLogger(__name__)

SEAL_S, TELL_S, ANCHOR_S = 10.0, 15.0, 600.0
RETURN_S = 15.0
"""The OIS is back when it has answered for so long."""


class Upkeep:
    """The chores of one thread, and what they found."""

    def __init__(self, keeper: Keeper, site: Site, state: StateDir, gone: Callable[[Person], bool]) -> None:
        self._keeper, self._site, self._state, self._gone = keeper, site, state, gone
        self._servers, self._treatments = watch.Servers(site), watch.Treatments(site)
        self.ois = watch.Ois(state)
        self._sealer: Sealer | None = None
        self._seal_trouble = self._database = ""
        self._anchored = 0
        self._rounds = watch.Rounds(
            {
                "servers": (watch.SERVERS_S, self._servers.ask),
                "lapse": (watch.TICK_S, self._lapse),
                "ois": (watch.OIS_S, self._ask_ois),
                "seals": (SEAL_S, self._seal),
                "report": (TELL_S, self._report),
                "anchor": (ANCHOR_S, self._anchor),
                "database": (watch.DATABASE_S, self._compare),
            }
        )

    def start(self) -> None:
        """Begin."""
        self._rounds.start()

    def stop(self) -> None:
        """End, with a last seal."""
        self._rounds.stop()
        if self._sealer is not None:
            try:
                self._sealer.look()
            except OSError as why:
                log.warning("last seal: %s", why)
            self._sealer.close()

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """Who is logged in where."""
        return self._servers.sessions

    def treated_now(self) -> frozenset[str]:
        """Rooms under treatment, asked now."""
        return self._treatments.now()

    def require_silence(self) -> None:
        """Raise Refused unless the OIS has been silent for as long as the site says, and still is."""
        if self.ois.ask():
            raise Refused(_("the OIS answers: log in there; local accounts are for when it does not"))
        waits = self._keeper.areas.silence_s - self.ois.lasts_s
        if waits > 0:
            text = _("the OIS has just fallen silent; local accounts work in {seconds:.0f} s")
            raise Refused(text.format(seconds=waits))

    def findings(self) -> list[str]:
        """What people should know, the worst first."""
        found = []
        if self._keeper.local_until > time.time():
            until = time.strftime("%H:%M", time.localtime(self._keeper.local_until))
            found.append(
                _("BREAK-GLASS in use until {until}: the OIS vouches for nobody").format(until=until)
            )
        if self._seal_trouble:
            found.append(self._seal_trouble)
        if self._sealer is not None:
            found += [
                _("log {name} was altered: {why}").format(name=name, why=why)
                for name, why in sorted(self._sealer.broken.items())
            ]
        return [*found, *([self._database] if self._database else [])]

    # --- Chores

    def _lapse(self) -> None:
        changed = self._keeper.tick(self._servers.activity, self._gone, self._treatments.now())
        if changed:
            log.info("control of %s has lapsed", ", ".join(changed))

    def _ask_ois(self) -> None:
        answers = self.ois.ask()
        if answers and self._keeper.local_until and self.ois.lasts_s >= RETURN_S:
            self._keeper.end_break_glass("the OIS answers again")
        elif 0 < self._keeper.local_until <= time.time():
            self._keeper.end_break_glass("the time is up")

    def _seal(self) -> None:
        try:
            if self._sealer is None:
                self._sealer = Sealer(self._state.root, time.time)
            self._sealer.look()
            self._seal_trouble = ""
        except (Tampered, OSError) as why:
            self._seal_trouble = _("logs are not sealed: {why}").format(why=why)
            log.error("%s", self._seal_trouble)

    def _report(self) -> None:
        """Tell the OIS what happened while it was silent."""
        if not self.ois.answers:
            return
        rows = self._keeper.glass.unreported()
        if rows:
            self._tell({"kind": "break-glass", "entries": rows})
            self._keeper.glass.reported(rows[-1]["number"])

    def _anchor(self) -> None:
        """Tell the OIS how the seals stand: who cuts them, cannot cut that."""
        if self._sealer is None or not self.ois.answers or self._sealer.entries == self._anchored:
            return
        head = self._sealer.head
        self._tell({"kind": "seals", "entries": head.entries, "head": head.head})
        self._anchored = head.entries

    def _tell(self, statement: dict[str, Any]) -> None:
        key = authority.load_private(self._state.machine_key)
        try:
            self.ois.tell(authority.sign(key, statement))
        except PtcsError as why:
            log.warning("the OIS was not told: %s", why)
            raise

    def _compare(self) -> None:
        self._database = watch.database_trouble(self._site)

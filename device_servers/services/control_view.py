"""What the ControlAuthority shows: who has control, who is logged in, what is wrong."""

import json
import logging
import time
from typing import Any

from tango import DevState

from common.errors import Refused, Tampered
from common.state import StateDir
from common.text import _
from device_servers.base import PtcsDevice, derived
from device_servers.callers import Client
from device_servers.control_areas import load
from device_servers.services.control.desk import Person
from device_servers.services.control.keeper import Keeper
from device_servers.services.control.start import keeper_of
from device_servers.services.control.upkeep import Upkeep

log = logging.getLogger(__name__)


class ControlView(PtcsDevice):
    """The authority's means and its attributes; its commands are in ControlAuthority."""

    eager = True

    def init_device(self) -> None:
        """Take up what was kept, and begin to watch."""
        super().init_device()
        self._broken = ""
        self._keeper: Keeper | None = None
        self._upkeep: Upkeep | None = None
        state = StateDir(self.context.state)
        try:
            self._keeper = keeper_of(state, load(self.context.site), time.time)
            self._upkeep = Upkeep(self._keeper, self.context.site, state, self._gone)
            self._upkeep.start()
        except (Tampered, OSError) as why:
            self._broken = str(why)
            log.critical("control cannot be given: %s", why)

    def delete_device(self) -> None:
        """Close the files."""
        super().delete_device()
        if self._upkeep is not None:
            self._upkeep.stop()
        if self._keeper is not None:
            self._keeper.close()

    # --- Attributes

    @derived(dtype=str)
    def Holders(self) -> str:
        """JSON: area -> {"user", "since", "until"} of who has control (s since 1970)."""
        return json.dumps(
            {
                row["area"]: {key: row[key] for key in ("user", "since", "until")}
                for row in self._rows()
                if row["user"]
            }
        )

    @derived(dtype=(str,), max_dim_x=64)
    def Areas(self) -> list[str]:
        """JSON a row: area, titles, whether control is required, state, holder, who asks or is offered it."""
        return [json.dumps(row) for row in self._rows()]

    @derived(dtype=str)
    def Users(self) -> str:
        """JSON: who is logged in, with host, pid, roles, since, expires, and at how many servers."""
        return json.dumps(self._upkeep.sessions if self._upkeep else [])

    @derived(dtype=bool)
    def OisAnswers(self) -> bool:
        """Whether the OIS answers; local log-ins are possible while it does not."""
        return bool(self._upkeep and self._upkeep.ois.answers)

    @derived(dtype=float)
    def LocalUntil(self) -> float:
        """Until when local log-ins (break-glass) are accepted, s since 1970; 0: not at all."""
        return self._keeper.local_until if self._keeper else 0.0

    @derived(dtype=(str,), max_dim_x=64)
    def Findings(self) -> list[str]:
        """What is wrong: logs that were altered, a database that differs, break-glass in use."""
        return self._findings()

    def _rows(self) -> list[dict[str, Any]]:
        return self._keeper.rows() if self._keeper else []

    def _findings(self) -> list[str]:
        found = [self._broken] if self._broken else []
        if self._keeper and self._keeper.trouble:
            found.append(self._keeper.trouble)
        return [*found, *(self._upkeep.findings() if self._upkeep else [])]

    def _state(self) -> tuple[DevState, str]:
        found = self._findings()
        if self._broken:
            return DevState.FAULT, found[0]
        if found:
            return DevState.ALARM, "; ".join(found)[:500]
        held = sum(1 for row in self._rows() if row["user"])
        return DevState.ON, _("{held} of {all} areas are under control").format(
            held=held, all=len(self._rows())
        )

    # --- Means

    def _gone(self, person: Person) -> bool:
        """Whether a log-in was ended, or the process that control was bound to has."""
        if not person.bound:
            return False
        host, pid, born = person.bound
        return self.context.guard.has_left(Client(host, pid, born))

    def _keeper_now(self) -> Keeper:
        if self._keeper is None:
            raise Refused(_("control cannot be given: {why}").format(why=self._broken))
        return self._keeper

    def _working(self) -> Upkeep:
        if self._upkeep is None:
            raise Refused(_("control cannot be given: {why}").format(why=self._broken))
        return self._upkeep

"""Where somebody commissions: one call in a notebook opens facility, bench, store and room."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from common.errors import PtcsError, Unauthorised
from common.files import read_json
from common.site import Site
from common.state import StateDir
from common.text import _
from ptcs.client import Client, connect
from ptcs.commissioning.beam import PERMIT_S, RoomBeam
from ptcs.commissioning.machine import bring_to_beam
from ptcs.commissioning.measure import Session
from ptcs.commissioning.plot import Live
from ptcs.commissioning.store import Store
from ptcs.commissioning.tango_bench import TangoBench, site_of
from ptcs.demo.place import Place

SNAPSHOTS = "SettingsServer"


@dataclass
class Workplace:
    """A logged-in user at a facility, in one room."""

    client: Client
    site: Site
    place: Place
    bench: TangoBench
    store: Store

    @classmethod
    def open(cls, state: Path | str, user: str = "service", password: str = "", room: str = "") -> Self:
        """Log in. password: left out, $PTCS_PASSWORD or the demonstration's own.

        Raises Unauthorised, LinkLost when the facility is not up, BadInput for a room that there is not.
        """
        client = connect(state, user, password or _password(Path(state), user))
        return cls.of(client, state, room)

    @classmethod
    def of(cls, client: Client, state: Path | str, room: str = "") -> Self:
        """The workplace of a client that is logged in already."""
        site = site_of(state)
        return cls(client, site, Place(Path(state), room), TangoBench(client, site), Store(state))

    @property
    def room(self) -> str:
        """The treatment room."""
        return self.place.room

    @property
    def has_catalogue(self) -> bool:
        """Whether the site has a beam catalogue."""
        return bool(self.site.of_class("BeamCatalogue"))

    def bring_to_beam(self) -> None:
        """Mode PHYSICS, everything on, room searched and closed. Raises Refused, LinkLost."""
        bring_to_beam(self.bench, self.place)

    def beam(self) -> RoomBeam:
        """Beam of the room, as a context. $PTCS_PATIENCE_S: how long it may take to come."""
        return RoomBeam(self.bench, self.room, float(os.environ.get("PTCS_PATIENCE_S", PERMIT_S)))

    def session(self, beam: RoomBeam | None = None, *, live: bool = False) -> Session:
        """A session of measurements; with `beam` it is begun again when gone, `live` draws each point."""
        return Session(
            self.bench, self.store, beam.revive if beam else None, [Live()] if live else [], self.machine
        )

    def machine(self) -> Mapping[str, Any]:
        """What is known of the machine now: site, room, mode, and the newest snapshot where one is kept."""
        known: dict[str, Any] = {"site": self.site.name, "room": self.room}
        for device in self.site.of_class("MachineMode"):
            known["mode"] = self._told(f"{device.name}/Mode")
        for device in self.site.of_class(SNAPSHOTS):
            known["snapshot"] = self._snapshot(device.name)
        return known

    def close(self) -> None:
        """End the sessions of this process."""
        self.bench.ended = True
        self.client.close()

    def _snapshot(self, device: str) -> str:
        try:
            found = json.loads(self.bench.command(device, "Find", json.dumps({"limit": 1})))
        except PtcsError as why:
            return _("unknown: {why}").format(why=why)
        rows = found if isinstance(found, list) else found.get("snapshots", [])
        return str(rows[0].get("id", "")) if rows else _("none")

    def _told(self, name: str) -> str:
        try:
            return self.bench.text(name)
        except PtcsError as why:
            return _("unknown: {why}").format(why=why)


def _password(state: Path, user: str) -> str:

    if given := os.environ.get("PTCS_PASSWORD", ""):
        return given
    path = StateDir(state).demo_accounts
    known: dict[str, str] = read_json(path) if path.exists() else {}
    if user not in known:
        raise Unauthorised(
            _("no password of {user} is known: give it, or set PTCS_PASSWORD").format(user=user)
        )
    return known[user]

"""Taking, comparing, dry runs: what people ask of the settings, without Tango's command line."""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

from common.errors import Refused
from common.site import Site
from common.text import _
from device_servers.services.epics.pv import Shape
from device_servers.services.settings import plan as plans
from device_servers.services.settings.compare import Comparison, compare
from device_servers.services.settings.configuration import Configuration, Row, Settings
from device_servers.services.settings.plan import Plan
from device_servers.services.settings.reading import UNREADABLE, Reading
from device_servers.services.settings.rights import MayWrite, Rights
from device_servers.services.settings.snapshot import Head, Snapshot
from device_servers.services.settings.store import Store

PLAN_LIFE_S = 900.0
"""A dry run older than this is to be made again."""
MOST_PLANS = 16


class Present(Protocol):
    """What a read of the machine answers."""

    readings: dict[str, Reading]
    states: dict[str, list[str]]


class Reader(Protocol):
    """Reads attributes of the machine."""

    shapes: dict[str, Shape]

    def read(self, names: Iterable[str]) -> Present:
        """Present readings, and how the devices stand."""


@dataclass(frozen=True)
class User:
    """In whose name: `may_write` raises PtcsError for a device that is not theirs to write."""

    name: str
    roles: frozenset[str]
    token: str
    may_write: MayWrite


@dataclass(frozen=True)
class DryRun:
    """A plan somebody has seen. made: monotonic s."""

    id: str
    snapshot: str
    user: str
    made: float
    plan: Plan

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"plan": self.id, "snapshot": self.snapshot, **self.plan.as_json()}


class Desk:
    """One site's settings. The jobs of one device call it, one at a time."""

    def __init__(
        self,
        site: Site,
        settings: Settings,
        store: Store,
        reader: Reader,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.site, self.settings, self.store, self.reader = site, settings, store, reader
        self._now = now
        self._plans: dict[str, DryRun] = {}

    # --- Snapshots

    def take(self, configuration: str, user: str, comment: str, tags: Sequence[str]) -> dict[str, Any]:
        """Read a configuration and keep it; the snapshot's line. Raises Refused when it cannot be kept."""
        snapshot = self.look(self.settings.configuration(configuration), user, comment)
        if snapshot.count(UNREADABLE) == len(snapshot.rows):
            raise Refused(_("no attribute of it can be read; are the servers up?"))
        return self.store.add(snapshot, tags).row()

    def look(self, configuration: Configuration, user: str = "", comment: str = "") -> Snapshot:
        """A snapshot of the machine as it is, not kept."""
        began = self._now()
        now = self.reader.read(row.name for row in configuration.rows)
        readings = tuple(now.readings[row.name] for row in configuration.rows)
        head = Head(
            self.store.new_id(),
            self.site.name,
            configuration.name,
            configuration.version,
            configuration.digest,
            began,
            self._now(),
            user,
            comment,
        )
        return Snapshot(head, self.settings.groups, configuration.rows, readings, now.states)

    def compare(self, left: str, right: str = "") -> dict[str, Any]:
        """A snapshot against another, or against the machine as it is where `right` is "". Raises Refused."""
        first = self.store.read(left)
        if right:
            second = self.store.read(right)
            name, readings, rows = second.head.id, second.by_name, _both(first.rows, second.rows)
        else:
            name, rows = "live", list(first.rows)
            readings = self.reader.read(row.name for row in rows).readings
        found: Comparison = compare(rows, first.by_name, readings)
        return {"left": first.head.id, "right": name, "count": len(rows), **found.as_json()}

    # --- Before a restore

    def dry_run(self, snapshot: str, user: User, only: Sequence[str]) -> DryRun:
        """What a restore of a snapshot would write now. only: patterns of attributes; none: all."""
        found = self.store.read(snapshot)
        rows = [row for row in found.rows if not only or any(fnmatchcase(row.name, p) for p in only)]
        if not rows:
            raise Refused(_("no attribute of the snapshot matches {only}").format(only=", ".join(only)))
        names = {row.name for row in rows} | {f"{row.device}/State" for row in rows if row.groups}
        now = self.reader.read(names)
        rights = self._rights(user, now, rows, found.by_name)
        made = plans.make(rows, self.settings.groups, found.by_name, now.readings, rights)
        return self._keep(DryRun(uuid.uuid4().hex[:12], found.head.id, user.name, time.monotonic(), made))

    def reversal(self, plan: Plan, user: User, *, force: bool) -> Plan:
        """The plan that takes a plan back now."""
        rows = [step.row for step in plan.steps]
        now = self.reader.read({row.name for row in rows} | {f"{row.device}/State" for row in rows})
        everyone = frozenset(row.device for row in rows)
        rights = Rights(
            self.site, self.reader.shapes, now.states, user.roles, user.may_write, switched_on=everyone
        )
        return plans.reverse(plan, now.readings, rights, force=force)

    def planned(self, name: str, user: User) -> DryRun:
        """The dry run of that id, made by the same user and still fresh. Raises Refused."""
        found = self._plans.get(name)
        if found is None or time.monotonic() - found.made > PLAN_LIFE_S:
            raise Refused(_("no dry run {name} any more; make another").format(name=name))
        if found.user != user.name:
            raise Refused(_("that dry run was made by {user}; make your own").format(user=found.user))
        return found

    def _keep(self, dry_run: DryRun) -> DryRun:
        self._plans[dry_run.id] = dry_run
        for old in list(self._plans)[:-MOST_PLANS]:
            del self._plans[old]
        return dry_run

    def _rights(self, user: User, now: Present, rows: Iterable[Row], wanted: Mapping[str, Reading]) -> Rights:
        on = {r.device for r in rows if r.switched and r.groups and wanted[r.name].value in ("ON", "MOVING")}
        return Rights(
            self.site, self.reader.shapes, now.states, user.roles, user.may_write, switched_on=frozenset(on)
        )


def _both(left: Sequence[Row], right: Sequence[Row]) -> list[Row]:
    """The rows of two snapshots; the tolerances of the first count."""
    rows = {row.name: row for row in right}
    return list((rows | {row.name: row for row in left}).values())

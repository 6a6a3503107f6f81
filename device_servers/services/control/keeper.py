"""The authority itself: control of all areas, ended log-ins, break-glass. Knows no Tango; any thread."""

import logging
import threading
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common import authority
from common.errors import Refused
from common.text import _
from device_servers.control_areas import Area, Areas
from device_servers.services.control import desk
from device_servers.services.control.book import Book, Standing
from device_servers.services.control.break_glass import BreakGlass
from device_servers.services.control.desk import Asked, Person, Place
from device_servers.services.control.table import Event

log = logging.getLogger(__name__)

RETELL_S = 10.0
"""The time at which control ends moves with each write; the statement follows as often as this."""


class Keeper:
    """Everything that decides, behind one lock. `now`: s since the epoch."""

    def __init__(
        self,
        areas: Areas,
        book: Book,
        glass: BreakGlass,
        key: Ed25519PrivateKey,
        now: Callable[[], float],
    ) -> None:
        self.areas, self._book, self.glass, self._key, self._now = areas, book, glass, key, now
        self._lock = threading.RLock()
        self._told_at = 0.0
        self._treated: AbstractSet[str] = frozenset()
        self.trouble = ""
        """Why what was decided is not in force; "" when it is."""
        self._take_up()
        self.tell()

    def _take_up(self) -> None:
        """When people wrote last, as the last statement has it: it is not in the chain."""
        for name, grant in self._book.former.grants.items():
            place, area = self.place(name), self.areas.by_name.get(name)
            if area and place.holder and place.holder.user == grant.user and place.since == grant.since:
                active = min(self._now(), grant.until - area.idle_s)
                self._book.standing.places[name] = replace(place, active=max(place.active, active))

    # --- What people do

    def do(self, area_name: str, asked: Asked) -> Place:
        """Somebody's act on an area; what it becomes. Raises Refused, Unauthorised."""
        area = self.area(area_name)
        with self._lock:
            before = self.place(area.name)
            after = desk.act(area, before, asked)
            what = {
                "area": area.name,
                "event": asked.event.value,
                "user": asked.by.user,
                "to": asked.to,
                "reason": " ".join(asked.reason.split()),
                "from": before.holder.user if before.holder else "",
            }
            self._keep(what, area.name, after)
        if asked.event is Event.TAKE:
            log.warning("%s takes control of %s from %s", asked.by.user, area.name, what["from"])
        return after

    def end_sessions(self, user: str, by: str, reason: str) -> None:
        """Have no server accept log-ins of a user that were made until now. Raises Refused."""
        reason = " ".join(reason.split())
        if not user or not desk.SHORTEST_REASON <= len(reason) <= desk.LONGEST_REASON:
            raise Refused(_("say whose log-ins end, and why (5 to 200 characters)"))
        with self._lock:
            after = self._copy()
            after.ended[user] = self._now()
            self._book.keep({"event": "end sessions", "user": by, "to": user, "reason": reason}, after)
            self.tell()

    def break_glass(self, user: str, password: str, reason: str) -> str:
        """A token of a local account, for its life or until the OIS is back. Raises Refused, OSError."""
        with self._lock:
            account = self.glass.authenticate(user, password, reason)
            lifetime = timedelta(seconds=self.areas.break_glass_s)
            now = datetime.fromtimestamp(self._now(), tz=UTC)
            token = authority.issue_local(self._key, account.user, account.roles, now, lifetime)
            after = self._copy()
            after.local_until = max(after.local_until, (now + lifetime).timestamp())
            self._book.keep({"event": "break-glass", "user": authority.LOCAL_PREFIX + user}, after)
            self.tell()
            if self.trouble:
                raise Refused(self.trouble)
            return token

    def end_break_glass(self, why: str) -> None:
        """Accept local log-ins no more. Raises Refused, OSError."""
        with self._lock:
            after = self._copy()
            after.local_until = 0.0
            self._book.keep({"event": "break-glass over", "user": "", "reason": why}, after)
            self.glass.over(why)
            self.tell()

    # --- What time does

    def tick(
        self,
        activity: Mapping[str, tuple[str, float]],
        gone: Callable[[Person], bool],
        treated: AbstractSet[str],
    ) -> list[str]:
        """Let what is over be over; the names of areas that changed.

        activity: area -> who wrote there last, and when. Raises Refused when it cannot be kept.
        """
        changed = []
        with self._lock:
            now, self._treated = self._now(), treated
            for area in self.areas.areas:
                self._note_activity(area.name, activity)
                place = self.place(area.name)
                after, event, why = desk.lapse(area, place, now, self._gone(gone), treated)
                if event is None:
                    continue
                had = place.holder.user if place.holder else ""
                self._keep(
                    {"area": area.name, "event": event.value, "user": "", "from": had, "reason": why},
                    area.name,
                    after,
                )
                changed.append(area.name)
            if self._book.behind or now - self._told_at >= RETELL_S:
                self.tell()
        return changed

    def _note_activity(self, name: str, activity: Mapping[str, tuple[str, float]]) -> None:
        place, (user, at) = self.place(name), activity.get(name, ("", 0.0))
        if place.holder is not None and place.holder.user == user and at > place.active:
            self._book.standing.places[name] = replace(place, active=min(at, self._now()))

    def _gone(self, gone: Callable[[Person], bool]) -> Callable[[Person], bool]:
        local_until, now = self._book.standing.local_until, self._now()

        def left(person: Person) -> bool:
            local = person.user.startswith(authority.LOCAL_PREFIX)
            return gone(person) or (local and local_until <= now)

        return left

    # --- What is

    def area(self, name: str) -> Area:
        """An area by its name. Raises Refused."""
        try:
            return self.areas.by_name[name]
        except KeyError as why:
            allowed = ", ".join(self.areas.by_name)
            raise Refused(
                _("no area of control {name!r}: allowed are {allowed}").format(name=name, allowed=allowed)
            ) from why

    def place(self, name: str) -> Place:
        """Where control of an area stands."""
        return self._book.standing.places.get(name, Place())

    @property
    def local_until(self) -> float:
        """Until when local log-ins are accepted, s since the epoch; 0: not at all."""
        return self._book.standing.local_until

    def rows(self) -> list[dict[str, Any]]:
        """Every area, as clients see it."""
        found = []
        with self._lock:
            for area in self.areas.areas:
                place = self.place(area.name)
                found.append(
                    {
                        "area": area.name,
                        "title": area.title,
                        "title_zh": area.title_zh,
                        "required": area.required,
                        "state": place.state.value,
                        "user": place.holder.user if place.holder else "",
                        "since": place.since,
                        "until": desk.until(area, place, self._treated),
                        "asked_by": place.asker.user if place.asker else "",
                        "offered_to": place.offered,
                    }
                )
        return found

    def tell(self) -> None:
        """Put everything in force."""
        with self._lock:
            self._told_at = self._now()
            until = {
                name: desk.until(self.areas.by_name[name], place, self._treated)
                for name, place in self._book.standing.places.items()
                if name in self.areas.by_name
            }
            standing = self._book.standing
            standing.places = {name: place for name, place in standing.places.items() if name in until}
            good = self._book.tell(until)
            self.trouble = "" if good else _("control cannot be put in force: the file cannot be written")

    def close(self) -> None:
        """Close the files."""
        self._book.close()
        self.glass.close()

    def _copy(self) -> Standing:
        return deepcopy(self._book.standing)

    def _keep(self, what: Mapping[str, Any], name: str, place: Place) -> None:
        after = self._copy()
        after.places[name] = place
        self._book.keep(what, after)
        self.tell()

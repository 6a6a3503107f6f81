"""The authority itself: control of all areas, ended log-ins, break-glass. Knows no Tango; any thread."""

import logging
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from common import authority
from common.errors import Refused
from common.text import _
from device_servers.services.control import desk
from device_servers.services.control.desk import Asked, Person, Place
from device_servers.services.control.keeping import Keeping
from device_servers.services.control.table import Event

log = logging.getLogger(__name__)

RETELL_S = 10.0
"""The time at which control ends moves with each write; the statement follows as often as this."""


class Keeper(Keeping):
    """Everything that decides, behind one lock."""

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

    def require(self, area_name: str, must: bool, asked: Asked) -> None:
        """Have an area written by who has control of it alone, or by everybody while nobody has control.

        For the highest rank of the area, with a reason, not while a room of it is under treatment. Raises
        Refused, Unauthorised.
        """
        area = self.area(area_name)
        desk.may_rule(area, asked)
        with self._lock:
            after = self._copy()
            after.required = {name: value for name, value in after.required.items() if name != area.name}
            if must != area.required:
                after.required[area.name] = must
            what = {"area": area.name, "event": "require" if must else "free", "user": asked.by.user}
            self._book.keep({**what, "reason": " ".join(asked.reason.split())}, after)
            self.tell()

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

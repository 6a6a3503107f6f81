"""What the authority keeps and puts in force, behind one lock."""

import threading
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from copy import deepcopy
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.errors import Refused
from common.text import _
from device_servers.control_areas import Area, Areas
from device_servers.services.control import desk
from device_servers.services.control.book import Book, Standing
from device_servers.services.control.break_glass import BreakGlass
from device_servers.services.control.desk import Place


class Keeping:
    """Where control of every area stands. `now`: s since the epoch. Any thread."""

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

    def required(self, area: Area) -> bool:
        """Whether nobody writes in an area without control: as decided last, else as the site file says."""
        return self._book.standing.required.get(area.name, area.required)

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
                        "required": self.required(area),
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

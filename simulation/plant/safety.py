"""Doors, emergency stops and search stations: what keeps people and beam apart."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from common.errors import Refused
from common.site import Device
from common.text import _
from interlock.search import RoomState, Search
from interlock.table import SearchPlan
from simulation.plant.family import Effect, Family, Fault, Floats
from simulation.plant.world import World

DISAGREE = 1
"""Code that a device shows while its two contacts say different things."""
DOOR_S = 1.0
SEARCH_STATES = tuple(RoomState)
TICKS_PER_S = 1000


def place_of(device: Device) -> str:
    """The room or hall that a device protects: its `room`, else the middle part of its name."""
    return device.room or device.name.split("/")[1]


class TwoContacts(Family):
    """Devices with two contacts `a` and `b` that are 1 in the safe state. Each contact can fail alone."""

    quantities = (("a", ""), ("b", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "a_open": Fault(0, "the wire of contact a is broken; it reads not safe", Effect.TRIP),
        "b_open": Fault(0, "the wire of contact b is broken; it reads not safe", Effect.TRIP),
        "a_welded": Fault(0, "contact a is welded; it reads safe whatever happens"),
        "b_welded": Fault(0, "contact b is welded; it reads safe whatever happens"),
        "supply": Fault(2, "the supply of the contacts is lost; both read not safe"),
    }
    retained = ("safe",)
    period_s = 0.02

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.safe = np.ones(self.count)
        """Wanted position: 1 safe (door closed, button released), 0 not."""

    def contacts(self, dt: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """What sound contacts say."""
        del dt
        return self.safe > 0, self.safe > 0

    def step(self, dt: float, world: World) -> None:  # noqa: ARG002 - one signature for all families
        """Contacts as they are wired; a disagreement is a fault of its own."""
        a, b = self.contacts(dt)
        supplied = ~self.has("supply")
        a = ((a & ~self.has("a_open")) | self.has("a_welded")) & supplied
        b = ((b & ~self.has("b_open")) | self.has("b_welded")) & supplied
        self.values[:, 0], self.values[:, 1] = a, b
        self.code = np.where(~supplied, 2.0, np.where(a != b, DISAGREE, 0.0))

    @property
    def good(self) -> NDArray[np.bool_]:
        """Both contacts say safe."""
        good: NDArray[np.bool_] = (self.values[:, 0] > 0) & (self.values[:, 1] > 0) & (self.code == 0)
        return good


class Doors(TwoContacts):
    """Safety doors (`open`, `close` as people do). Contact a opens first and closes last."""

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.travel = self.parameter("travel_s", DOOR_S)
        self.position: Floats = np.ones(self.count)

    def contacts(self, dt: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The leaf moves; each switch has its own point."""
        self.position += np.clip(self.safe - self.position, -dt / self.travel, dt / self.travel)
        return self.position > 0.999, self.position > 0.98

    def recall(self, i: int, memory: Mapping[str, Any]) -> None:
        """A door stands where it stood."""
        super().recall(i, memory)
        self.position[i] = self.safe[i]

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """open, close."""
        if verb in ("open", "close"):
            self.safe[i] = float(verb == "close")
        else:
            super().do(verb, i, body)


class EmergencyStops(TwoContacts):
    """Emergency stop buttons (`press`, `release` as people do)."""

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """press, release."""
        if verb in ("press", "release"):
            self.safe[i] = float(verb == "release")
        else:
            super().do(verb, i, body)


class SearchStations(Family):
    """Search stations. `plant` section: buttons [name, ...] in the order of the search, walk_s, close_s.

    `state` is FREE 0, CLOSING 1, RADIATION 2 as interlock/search.py has them; `button` the number, from 1,
    of the button pressed last, 0 after a search is void. Doors and stops of the same place end a search.
    """

    quantities = (("state", ""), ("button", ""))
    faults: ClassVar[Mapping[str, Fault]] = {
        "link": Fault(1, "the station does not answer; its search is void"),
        "stuck": Fault(2, "a button is stuck; the station takes no other"),
        "deaf": Fault(0, "the buttons do nothing"),
    }
    period_s = 0.02

    def __init__(self, devices: Sequence[Device]) -> None:
        super().__init__(devices)
        self.buttons = [tuple(map(str, device.plant.get("buttons", ("exit",)))) for device in self.devices]
        self.searches = [Search(self._plan(i)) for i in range(self.count)]
        self.last = np.zeros(self.count)
        self._seconds = 0.0
        self._doors: Family | None = None
        self._stops: Family | None = None
        self._mine = {"doors": np.zeros((0, 0), np.bool_), "stops": np.zeros((0, 0), np.bool_)}

    def _plan(self, i: int) -> SearchPlan:
        device = self.devices[i]
        walk, close = (float(device.plant.get(key, s)) for key, s in (("walk_s", 60.0), ("close_s", 20.0)))
        ticks = (round(walk * TICKS_PER_S), round(close * TICKS_PER_S))
        return SearchPlan(place_of(device), f"{device.wire}.ok", self.buttons[i], *ticks)

    @property
    def tick(self) -> int:
        """Milliseconds of the stations' clock."""
        return round(self._seconds * TICKS_PER_S)

    def connect(self, families: Mapping[str, Family]) -> None:
        """Doors and emergency stops of each station's place."""
        self._doors = families["SafetyDoor"]
        self._stops = families["EmergencyStop"]
        here = [place_of(device) for device in self.devices]
        for key, family in (("doors", self._doors), ("stops", self._stops)):
            rows = [[place_of(device) == place for device in family.devices] for place in here]
            self._mine[key] = np.array(rows, dtype=np.bool_).reshape(self.count, family.count)

    def step(self, dt: float, world: World) -> None:  # noqa: ARG002 - one signature for all families
        """Doors and time act on the searches."""
        self._seconds += dt
        open_door, pressed = self._bad("doors", self._doors), self._bad("stops", self._stops)
        for i, search in enumerate(self.searches):
            before = search.state
            search.check(self.tick)
            if pressed[i] or self.code[i]:
                search.breach(self.tick)
            elif not open_door[i]:
                search.close(self.tick)
            elif before is RoomState.RADIATION:
                search.breach(self.tick)
            if search.state is RoomState.FREE and before is not RoomState.FREE:
                self.last[i] = 0.0
            self.values[i, 0] = SEARCH_STATES.index(search.state)
        self.values[:, 0] = np.where(self.has("link"), np.nan, self.values[:, 0])
        self.values[:, 1] = np.where(self.has("link"), np.nan, self.last)

    def _bad(self, key: str, family: Family | None) -> NDArray[np.bool_]:
        if family is None or not family.count:
            return np.zeros(self.count, dtype=np.bool_)
        return np.asarray((self._mine[key] & ~family.good).any(axis=1), dtype=np.bool_)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Searched, closed, and nobody came in since."""
        searched = np.array([search.good for search in self.searches], dtype=np.bool_)
        good: NDArray[np.bool_] = searched & (self.code == 0)
        return good

    def do(self, verb: str, i: int, body: Mapping[str, Any]) -> None:
        """Press {button}."""
        if verb != "press":
            super().do(verb, i, body)
            return
        button = body.get("button")
        if button not in self.buttons[i]:
            raise Refused(
                _("{device} has no button {button}: allowed are {allowed}").format(
                    device=self.devices[i].wire, button=button, allowed=", ".join(self.buttons[i])
                )
            )
        if not self.code[i] and not self.has("deaf")[i]:
            self.last[i] = self.buttons[i].index(str(button)) + 1
            self.searches[i].press(self.tick, str(button))

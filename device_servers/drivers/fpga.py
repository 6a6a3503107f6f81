"""Wire drivers of what the beam hardware (fpga) owns: nozzle, timing, interlock, beam presence."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.errors import PtcsError
from common.rooms import in_room
from common.wire.frame import Frame
from device_servers.drivers.link import FrameLink
from device_servers.drivers.protocols import Floats, Reading, Wake
from device_servers.drivers.view import FrameView

log = logging.getLogger(__name__)

SPOT_COLUMNS = ("index", "x", "y", "size_x", "size_y", "primary", "secondary", "start_tick", "end_tick")
STATUS_S = 0.2
FOLLOW_S = 0.2
"""How often the hardware's allocation is compared with the one wanted."""

STATES = ("IDLE", "LOADED", "SWITCHING", "DELIVERING", "HELD", "TRIPPED", "COMPLETE", "TERMINATED")
"""Order of `fpga.state` on the wire."""
UNDER_WAY = ("SWITCHING", "DELIVERING")


class FpgaBeam(FrameView):
    """Implements BeamWatch: beam, or a map under way whose next spot may come at any moment."""

    def __init__(self, link: FrameLink, room: str = "", number: int = 0) -> None:
        """`room`, `number`: look at beam into that room alone (index from 1); 0: beam anywhere."""
        super().__init__(link, {"beam": "fpga.beam", "state": "fpga.state", "room": "fpga.room"})
        self._room, self._number = room, number

    def beam(self) -> bool | None:
        """As of the last block; None when unknown."""
        beam, state, room = self.read().values
        if not (math.isfinite(beam) and math.isfinite(state) and math.isfinite(room)):
            return None
        if self._number and room != self._number:
            return False
        return bool(beam) or STATES[int(state)] in UNDER_WAY

    def beam_now(self) -> bool | None:
        """As the fpga answers now; None when it does not answer."""
        try:
            status = self.link.request("status", {"room": self._room} if self._number else {}).body
            return bool(status["beam"]) or status["state"] in UNDER_WAY
        except (PtcsError, KeyError) as why:
            log.debug("beam: %s", why)
            return None


class FpgaAllocation(FpgaBeam):
    """Implements BeamHolder: the hardware gives the beam to the room told last, also after it was away.

    A site with one room has nothing to give: its room always has the beam.
    """

    def __init__(self, link: FrameLink, rooms: Sequence[str]) -> None:
        super().__init__(link)
        self._rooms = tuple(rooms)
        self._wanted = ""
        self._following = False
        self._lock = threading.Lock()

    def allocate(self, room: str) -> None:
        """Give the beam to a room ("": to nobody)."""
        if len(self._rooms) > 1:
            with self._lock:
                self.link.request("allocate", {"room": room})
                self._wanted = room

    def follow(self, room: str) -> None:
        """Have the hardware give the beam to this room as soon as it can, and again whenever it differs."""
        self._wanted = room
        if len(self._rooms) > 1 and not self._following:
            self._following = True
            threading.Thread(target=self._follow, name="allocation", daemon=True).start()

    def _follow(self) -> None:
        while True:
            time.sleep(FOLLOW_S)
            with self._lock:
                wanted = self._rooms.index(self._wanted) + 1 if self._wanted in self._rooms else 0
                holds = float(self.read().values[2])
                if holds == wanted or not math.isfinite(holds):
                    continue
                try:
                    self.link.request("allocate", {"room": self._wanted})
                except PtcsError as why:
                    log.info("the hardware does not give the beam to %s yet: %s", self._wanted, why)


class FpgaNozzle(FrameView):
    """Implements Nozzle."""

    def __init__(self, link: FrameLink, rooms: Sequence[str] = (), room: str = "") -> None:
        """`rooms`: all rooms of the site; `room`: the one of this nozzle."""
        own = {name: in_room(rooms, room, f"nozzle.{name}") for name in ("primary", "secondary", "x", "y")}
        shared = {"dose_rate": "fpga.dose_rate", "beam": "fpga.beam", "room": "fpga.room"}
        super().__init__(link, {**own, **shared})
        self._number = rooms.index(room) + 1 if len(rooms) > 1 else 0
        self._room = room
        self._spots: deque[Floats] = deque()
        link.on_event("spots", self._add)

    def read(self) -> Reading:
        """The latest values; dose rate and beam are zero while another room has the beam."""
        reading = super().read()
        if self._number and reading.values[6] != self._number:
            values = reading.values.copy()
            values[4:6] = np.where(np.isnan(values[4:6]), np.nan, 0.0)
            return Reading(values, reading.wall_ns)
        return reading

    def take_spots(self) -> Floats:
        """Rows (n, 10) of the spots finished since the last call."""
        rows = []
        while self._spots:
            rows.append(self._spots.popleft())
        return np.concatenate(rows) if rows else np.empty((0, 1 + len(SPOT_COLUMNS)))

    def _add(self, frame: Frame) -> None:
        if self._number and frame.body.get("room") != self._room:
            return
        columns = [np.asarray(frame.arrays[name], dtype=np.float64) for name in SPOT_COLUMNS]
        wall = np.full(len(columns[0]), float(frame.body["wall_ns"]) / 1e9)
        self._spots.append(np.column_stack([wall, *columns]))


class StatusPoller:
    """Keeps the latest `status` reply of the fpga: every 0.2 s, at once after a trip or change of state."""

    def __init__(self, link: FrameLink) -> None:
        self._link = link
        self._status: Mapping[str, Any] = {}
        self._trip: Mapping[str, Any] = {}
        self._now = threading.Event()
        self._wakes: list[Wake] = []
        link.on_event("trip", self._tripped)
        link.on_event("state", lambda _frame: self._now.set())
        link.on_event("hello", lambda _frame: self._now.set())
        threading.Thread(target=self._run, name=f"status-{link.name}", daemon=True).start()

    def status(self) -> Mapping[str, Any]:
        """The latest reply; empty while the link is not up."""
        return self._status if self._link.up else {}

    def last_trip(self) -> Mapping[str, Any]:
        """The latest trip: its `trip` event, or the first fault of a trip without beam; empty if none."""
        return self._trip

    def ask(self) -> None:
        """Ask again at once."""
        self._now.set()

    def listen(self, wake: Wake) -> None:
        """Call `wake` when the reply has changed."""
        self._wakes.append(wake)

    def _tripped(self, frame: Frame) -> None:
        self._trip = {key: value for key, value in frame.body.items() if key != "event"}
        self._now.set()

    def _run(self) -> None:
        while True:
            self._now.wait(STATUS_S)
            self._now.clear()
            before = self._status
            try:
                self._status = self._link.request("status").body
            except PtcsError as why:
                self._status = {}
                log.debug("status: %s", why)
            first = self._status.get("first_fault")
            if first and first["tick"] > self._trip.get("tick", -1):
                self._trip = {**first, "cause": first["input"], "beam_off_tick": None}
            if self._status != before:
                for wake in self._wakes:
                    wake()


class FpgaInterlock(FrameView):
    """Implements InterlockSystem: `permit` is 1 with every permit, bit k of `permits` that of output k."""

    def __init__(self, link: FrameLink, poller: StatusPoller, outputs: Sequence[str]) -> None:
        """`outputs`: names of the interlock's outputs, in order."""
        own = {"tripped": "interlock.tripped", "beam": "fpga.beam"}
        super().__init__(link, {**own, **{f"permit.{name}": f"permit.{name}" for name in outputs}})
        self._poller = poller
        self._own = len(own)
        self._weights = 2.0 ** np.arange(len(outputs))
        self.quantities = (*own, "permit", "permits")

    def read(self) -> Reading:
        """The latest values."""
        reading = super().read()
        given = reading.values[self._own :]
        both = [float(np.min(given)), float(given @ self._weights)]
        return Reading(np.concatenate([reading.values[: self._own], both]), reading.wall_ns)

    def listen(self, wake: Wake) -> None:
        """Call `wake` when something may have changed."""
        super().listen(wake)
        self._poller.listen(wake)

    def status(self) -> Mapping[str, Any]:
        """The latest `status` reply; empty while unknown."""
        return self._poller.status()

    def last_trip(self) -> Mapping[str, Any]:
        """The latest trip; empty if none."""
        return self._poller.last_trip()

    def reset(self, user: str, roles: Sequence[str]) -> None:
        """Clear latched trips whose cause is gone."""
        self._tell("reset", {"user": user, "roles": list(roles)})

    def set_input(self, name: str, ok: bool) -> None:
        """Drive an input that belongs to the control system."""
        self._tell("input", {"name": name, "ok": ok})

    def mask(self, name: str, user: str, roles: Sequence[str], reason: str, seconds: float) -> None:
        """Mask an input for a time."""
        body = {"name": name, "user": user, "roles": list(roles), "reason": reason, "seconds": seconds}
        self._tell("mask", body)

    def unmask(self, name: str, user: str, roles: Sequence[str]) -> None:
        """End a mask."""
        self._tell("unmask", {"name": name, "user": user, "roles": list(roles)})

    def self_test(self, user: str, roles: Sequence[str]) -> Mapping[str, Any]:
        """Drop each input in turn, every output held off: `passed`, `cases`, `failures`."""
        reply = self._tell("self_test", {"user": user, "roles": list(roles)})
        return {key: reply[key] for key in ("passed", "cases", "failures")}

    def classify(self, name: str, user: str, roles: Sequence[str], reason: str) -> None:
        """Declare one trip of a cause false."""
        self._tell("classify", {"name": name, "user": user, "roles": list(roles), "reason": reason})

    def _tell(self, verb: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        reply = self.link.request(verb, body).body
        self._poller.ask()
        return reply


class FpgaKey(FrameView):
    """Implements ServiceKey: the interlock's service key, turned again when the hardware was away."""

    def __init__(self, link: FrameLink, poller: StatusPoller, key: str) -> None:
        """`key`: the interlock input."""
        super().__init__(link, {"tripped": "interlock.tripped"})
        self._poller, self._key = poller, key
        self._on = False
        self._lock = threading.Lock()
        poller.listen(self._follow)

    def turn(self, on: bool) -> None:
        """Turn the key to service or back; hardware that is away follows when it returns."""
        with self._lock:
            self._on = on
        self._follow()

    def _follow(self) -> None:
        shown = self._poller.status().get("inputs", {}).get(self._key)
        if shown is None or shown["ok"] is self._on:
            return
        with self._lock:
            try:
                self.link.request("input", {"name": self._key, "ok": self._on})
            except PtcsError as why:
                log.warning("the service key is not turned yet: %s", why)
                return
        self._poller.ask()

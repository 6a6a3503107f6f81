"""The beam hardware as a treatment session drives it: the Protocol, and the wire driver for the fpga."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from common.errors import BadInput, LinkLost
from common.rooms import in_room
from common.text import _
from common.wire.frame import Frame
from device_servers.drivers.link import FrameLink
from device_servers.drivers.view import FrameView
from treatment.accounting import Counters
from treatment.delivery_map import ARRAYS, DeliveryMap

REQUEST_INPUT = "session.request"
"""Interlock input that says whether a session wants beam; `ROOM.session.request` where there are several."""


@dataclass(frozen=True)
class Readback:
    """Counters of the hardware with the map they belong to. state: of the beam hardware at that moment."""

    counters: Counters
    digest: str
    state: str


@dataclass(frozen=True)
class SpotNews:
    """Spots that have ended: indices in the map and primary counts since the map was loaded, (k,)."""

    beam_number: int
    layer: int
    index: NDArray[np.int64]
    primary: NDArray[np.int64]


class DeliveryLink(Protocol):
    """The beam hardware. `hold` and `terminate` may be called from any thread at any time.

    Every method raises Refused when the hardware refuses and LinkLost when it does not answer.
    """

    @property
    def up(self) -> bool:
        """Whether the hardware answers."""

    def status(self) -> Mapping[str, Any]:
        """The hardware's `status`: state, digest, permit, inputs, cause."""

    def load(self, wanted: DeliveryMap, plan_hash: str) -> None:
        """Load a map; its counters begin at zero."""

    def read_map(self) -> tuple[Mapping[str, NDArray[Any]], str]:
        """The map's arrays as the hardware holds them, and its digest."""

    def start(self) -> None:
        """Begin to irradiate the loaded map."""

    def hold(self, cause: str) -> None:
        """Stop after the spot under way."""

    def terminate(self, cause: str) -> None:
        """Stop for good."""

    def unload(self) -> None:
        """Forget the map."""

    def request_beam(self, wanted: bool) -> None:
        """Ask for beam, or stop asking: one of the permit's inputs."""

    def counters(self) -> Readback:
        """The counters of the loaded map."""


class FpgaDelivery(FrameView):
    """Implements DeliveryLink and Source on a watched link: its silence trips the beam.

    It speaks for one room: the hardware answers what concerns that room, and refuses to act for a room
    that does not hold the beam.
    """

    def __init__(self, link: FrameLink, rooms: Sequence[str] = (), room: str = "") -> None:
        """`rooms`: all rooms of the site; `room`: the one of this session."""
        several = len(rooms) > 1
        self._room = room if several else ""
        self._speaker: Mapping[str, Any] = {"room": room} if several else {}
        self.request_input = in_room(rooms, room, REQUEST_INPUT)
        super().__init__(
            link,
            {
                "state": "fpga.state",
                "layer": "fpga.layer",
                "spot": "fpga.spot",
                "dose_rate": "fpga.dose_rate",
                "energy": "cycle.energy",
            },
        )

    def on_spots(self, take: Callable[[SpotNews], None]) -> None:
        """Hand every report of this room's ended spots to `take` (on the I/O thread: be short)."""

        def ours(frame: Frame) -> None:
            if frame.body.get("room", "") == self._room or not self._room:
                take(_spot_news(frame))

        self.link.on_event("spots", ours)

    def on_state(self, wake: Callable[[], None]) -> None:
        """Call `wake` when the hardware changes its state or trips."""
        for event in ("state", "trip"):
            self.link.on_event(event, lambda _frame: wake())

    def status(self) -> Mapping[str, Any]:
        """The hardware's `status`."""
        return self._ask("status").body

    def load(self, wanted: DeliveryMap, plan_hash: str) -> None:
        """Load a map; its counters begin at zero."""
        body = {
            "beam_number": wanted.beam_number,
            "counts_per_mu": wanted.counts_per_mu,
            "k_tp": wanted.k_tp,
            "plan_hash": plan_hash,
            "resume": bool(wanted.done.any()),
        }
        self.link.request("load_map", {**body, **self._speaker}, wanted.arrays())

    def read_map(self) -> tuple[Mapping[str, NDArray[Any]], str]:
        """The map's arrays as the hardware holds them, and its digest."""
        reply = self.link.request("read_map")
        return {name: _array(reply, name) for name, _kind in ARRAYS}, str(reply.body.get("digest"))

    def label(self) -> str:
        """The plan hash that this room gave with the map in the hardware; "" for another room's map."""
        body = self.link.request("read_map").body
        ours = body.get("room", "") in ("", self._room)
        return str(body.get("plan_hash", "")) if ours else ""

    def start(self) -> None:
        """Begin to irradiate the loaded map."""
        self._ask("start")

    def resume(self) -> None:
        """Go on with what the hardware has left of its map, after a hold or a trip that was reset."""
        self._ask("resume")

    def hold(self, cause: str) -> None:
        """Stop after the spot under way."""
        self._ask("hold", cause=cause)

    def terminate(self, cause: str) -> None:
        """Stop for good."""
        self._ask("terminate", cause=cause)

    def unload(self) -> None:
        """Forget the map."""
        self._ask("unload")

    def request_beam(self, wanted: bool) -> None:
        """Drive the permit's input that says whether beam is wanted."""
        self.link.request("input", {"name": self.request_input, "ok": wanted})

    def counters(self) -> Readback:
        """The counters of the loaded map, whosever it is."""
        reply = self._ask("read_counters")
        names = ("primary", "secondary", "x", "y", "size_x", "size_y", "start_tick", "end_tick")
        primary, secondary, x, y, size_x, size_y, start, end = (_array(reply, name) for name in names)
        try:
            factor, origin = float(reply.body["factor"]), int(reply.body["origin_wall_ns"])
            digest, state = str(reply.body["digest"]), str(reply.body["state"])
        except (KeyError, TypeError, ValueError) as why:
            raise LinkLost(_("the beam hardware answered without {what}").format(what=why)) from why
        counted = Counters(primary, secondary, x, y, size_x, size_y, start, end, factor, origin)
        return Readback(counted, digest, state)

    def _ask(self, verb: str, **body: Any) -> Frame:
        """A request in this room's name."""
        return self.link.request(verb, {**body, **self._speaker})


def _array(reply: Frame, name: str) -> NDArray[Any]:
    array = reply.arrays.get(name)
    if array is None or array.ndim != 1:
        raise LinkLost(_("the beam hardware answered without {what}").format(what=name))
    return array.copy()


def _spot_news(frame: Frame) -> SpotNews:
    try:
        return SpotNews(
            int(frame.body["beam_number"]),
            int(frame.body["layer"]),
            frame.arrays["index"].astype(np.int64),
            frame.arrays["primary"].astype(np.int64),
        )
    except (KeyError, TypeError, ValueError) as why:
        raise BadInput(f"report of spots unreadable: {why}") from why

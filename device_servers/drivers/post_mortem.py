"""Wire driver of the beam hardware's ring buffers."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import LinkLost
from common.text import _
from device_servers.drivers.link import FrameLink
from device_servers.drivers.protocols import RingSpan, Trips
from device_servers.drivers.view import FrameView

KINDS = ("input", "output")
PARTS = ("initial", "tick", "index", "value")


class FpgaRings(FrameView):
    """Implements RingMemory."""

    def __init__(self, link: FrameLink) -> None:
        super().__init__(link, {"tripped": "interlock.tripped"})

    def on_trip(self, wake: Callable[[], None]) -> None:
        """Call `wake` when the hardware reports a trip, and when it comes back."""
        for event in ("trip", "hello"):
            self.link.on_event(event, lambda _frame: wake())

    def trips(self) -> Trips:
        """The latest trips, and the time of the hardware."""
        body = self.link.request("trips").body
        try:
            return Trips(
                tuple(dict(trip) for trip in body["trips"]),
                int(body["tick"]),
                int(body["wall_ns"]),
                float(body["factor"]),
                float(body["pre_s"]),
                float(body["post_s"]),
            )
        except (KeyError, TypeError, ValueError) as why:
            raise LinkLost(_("the beam hardware answered without {what}").format(what=why)) from why

    def span(self, begin: int, end: int) -> RingSpan:
        """What the ring buffers hold from one tick to another."""
        reply = self.link.request("rings", {"from_tick": begin, "to_tick": end})
        body: Mapping[str, Any] = reply.body

        def array(name: str) -> NDArray[Any]:
            return np.array(reply.arrays[name])

        try:
            changes = {kind: {part: array(f"{kind}_{part}") for part in PARTS} for kind in KINDS}
            names = {kind: tuple(map(str, body[f"{kind}s"])) for kind in KINDS}
            signals = tuple((str(name), str(unit)) for name, unit in body["signals"])
            return RingSpan(begin, end, int(body["since"]), names, changes, signals, array("signals"))
        except (KeyError, TypeError, ValueError) as why:
            raise LinkLost(_("the beam hardware answered without {what}").format(what=why)) from why

    def mark(self, cause: str) -> None:
        """Have the hardware keep this moment as if it were a trip."""
        self.link.request("mark", {"cause": cause})

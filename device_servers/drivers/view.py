"""A driver's view of a link: some channels of its block as quantities of one device."""

import time
from collections.abc import Mapping

import numpy as np

from device_servers.drivers.link import EMPTY, FrameLink
from device_servers.drivers.protocols import Reading, Wake


class FrameView:
    """Implements `Source` on the channels `wanted`: quantity -> channel name."""

    def __init__(self, link: FrameLink, wanted: Mapping[str, str]) -> None:
        """Channels that the peer does not have stay NaN."""
        self.link = link
        self.quantities = tuple(wanted)
        self._channels = tuple(wanted.values())
        self._seen = EMPTY
        self._picks = np.empty(0, dtype=np.intp)
        self._reading = self._unknown()

    @property
    def up(self) -> bool:
        """Whether the link is up."""
        return self.link.up

    def channel(self, quantity: str) -> str:
        """Name of the channel of a quantity in the link's block."""
        return self._channels[self.quantities.index(quantity)]

    def listen(self, wake: Wake) -> None:
        """Call `wake` when something may have changed."""
        self.link.listen(wake)

    def read(self) -> Reading:
        """The device's values in the latest block; all NaN while the link is lost."""
        snapshot = self.link.snapshot()
        if snapshot is EMPTY:
            return self._unknown()
        if snapshot is self._seen:
            return self._reading
        if snapshot.index is not self._seen.index:
            self._picks = np.array([snapshot.index.get(name, -1) for name in self._channels], dtype=np.intp)
        values = np.where(self._picks >= 0, snapshot.values[self._picks], np.nan)
        self._seen, self._reading = snapshot, Reading(values, snapshot.wall_ns)
        return self._reading

    def _unknown(self) -> Reading:
        return Reading(np.full(len(self._channels), np.nan), time.time_ns())

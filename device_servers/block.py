"""The one I/O path of a server: snapshots of all drivers -> numpy dead-band -> what moved.

Pure bookkeeping on arrays; the Crate's thread (crate.py) drives it and pushes. Devices on a link that
pushes blocks are taken all at once, and only when the link has a new block.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_servers.drivers.link import EMPTY, FrameLink
from device_servers.drivers.view import FrameView

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

WATCHED = ("on", "fault", "enabled", "moving", "setpoint")
"""Quantities that State depends on: watched also where no attribute shows them."""


class Shared:
    """Rows of the block that one link fills."""

    def __init__(self, link: FrameLink) -> None:
        self.link = link
        self.channels: list[str] = []
        self.rows: list[int] = []
        self._seen = EMPTY
        self._places = np.empty(0, dtype=np.intp)
        self._picks = np.empty(0, dtype=np.intp)
        self._taken = False

    def take(self, values: Floats, times: Floats) -> bool:
        """Copy the link's latest block, NaN while there is none; whether it is another than before."""
        snapshot = self.link.snapshot()
        if snapshot is self._seen and self._taken:
            return False
        if snapshot is EMPTY:
            values[self.rows] = np.nan
        else:
            if snapshot.index is not self._seen.index or not self._taken:
                picks = np.array([snapshot.index.get(name, -1) for name in self.channels], dtype=np.intp)
                self._places = np.array(self.rows, dtype=np.intp)[picks >= 0]
                self._picks = picks[picks >= 0]
                values[self.rows] = np.nan
            values[self._places] = snapshot.values[self._picks]
            times[self.rows] = snapshot.wall_ns / 1e9
        self._seen, self._taken = snapshot, True
        return True


class Own:
    """Rows of the block that a driver of its own fills: `picks` of its snapshot."""

    def __init__(self, device: str, rows: Indices, picks: Indices) -> None:
        self.device, self.rows, self.picks = device, rows, picks

    def take(self, devices: dict[str, Any], values: Floats, times: Floats) -> None:
        """Copy the driver's snapshot; NaN for a device that is gone."""
        device = devices.get(self.device)
        if device is None:
            values[self.rows] = np.nan
            return
        snapshot = device.driver.read()
        values[self.rows] = snapshot.values[self.picks]
        times[self.rows] = snapshot.wall_ns / 1e9


class Block:
    """The channels of a server, in a fixed order, and the dead-band memory of what was last pushed.

    Rows 0 .. len(names) - 1 are attributes; rows beyond are watched for State only.
    """

    def __init__(self, devices: Sequence[Any]) -> None:
        """`devices` are PtcsDevice objects; those without channels take no place."""
        self.owners: list[str] = []
        self.attributes: list[str] = []
        self._deadbands: list[tuple[float, float]] = []
        self._shared: dict[int, Shared] = {}
        self._own: list[Own] = []
        used = [device for device in devices if device.driver is not None and device.channels]
        for device in used:
            self._add(device, [(n, c.quantity, c.deadband, c.relative) for n, c in device.channels.items()])
        self.names = [f"{owner}/{name}" for owner, name in zip(self.owners, self.attributes, strict=True)]
        for device in used:
            shown = {c.quantity for c in device.channels.values()}
            silent = [q for q in device.driver.quantities if q in WATCHED and q not in shown]
            self._add(device, [("", quantity, 0.0, 0.0) for quantity in silent])
        self._deadband, self._relative = np.array(self._deadbands).reshape(-1, 2).T
        self.values = np.full(len(self.owners), np.nan)
        self.times = np.zeros(len(self.owners))
        self._pushed = np.full(len(self.owners), np.nan)
        self._pushed_once = np.zeros(len(self.owners), dtype=bool)

    def _add(self, device: Any, rows: Sequence[tuple[str, str, float, float]]) -> None:
        """Give rows (attribute, quantity, dead-band, relative dead-band) of one device a place."""
        first = len(self.owners)
        for name, _quantity, deadband, relative in rows:
            self.owners.append(device.site.name)
            self.attributes.append(name)
            self._deadbands.append((deadband, relative))
        places, driver = range(first, len(self.owners)), device.driver
        if isinstance(driver, FrameView) and type(driver).read is FrameView.read:
            shared = self._shared.setdefault(id(driver.link), Shared(driver.link))
            shared.rows += places
            shared.channels += [driver.channel(quantity) for _name, quantity, _, _ in rows]
            return
        order = {quantity: i for i, quantity in enumerate(driver.quantities)}
        picks = np.array([order[quantity] for _name, quantity, _, _ in rows], dtype=np.intp)
        self._own.append(Own(device.site.name, np.array(places, dtype=np.intp), picks))

    def take(self, devices: dict[str, Any]) -> None:
        """Copy what the links and drivers have now."""
        for shared in self._shared.values():
            shared.take(self.values, self.times)
        for own in self._own:
            own.take(devices, self.values, self.times)

    def moved(self) -> Indices:
        """Rows whose value left the dead-band around what was last pushed, or became (un)known."""
        with np.errstate(invalid="ignore"):
            band = np.maximum(self._deadband, self._relative * np.abs(self._pushed))
            moved = np.abs(self.values - self._pushed) > band
        moved |= np.isnan(self.values) != np.isnan(self._pushed)
        moved |= ~self._pushed_once
        return np.flatnonzero(moved)

    def pushed(self, indices: Indices) -> None:
        """Remember the present values as pushed; called after the push has succeeded."""
        self._pushed[indices] = self.values[indices]
        self._pushed_once[indices] = True

    def triples(self, indices: Indices) -> Floats:
        """Flat (time s, index, value) triples of some rows."""
        return np.column_stack((self.times[indices], indices, self.values[indices])).ravel()

    def all_triples(self) -> Floats:
        """Triples of every attribute as last taken."""
        return self.triples(np.arange(len(self.names)))

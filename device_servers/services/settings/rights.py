"""Whether a user could write an attribute now: what a dry run tells before anything is written.

The device's own guard decides again at each write.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from common.errors import BadConfig, PtcsError
from common.site import Site
from common.text import _
from device_servers.modes import Admin
from device_servers.services.epics.pv import Shape
from device_servers.services.settings.configuration import Row
from device_servers.services.settings.reading import Value

MayWrite = Callable[[str], None]
"""Raises PtcsError unless the user may write to a device."""


@dataclass(frozen=True)
class Rights:
    """One user at one moment. states: device -> [State, HealthState, AdminMode]; roles: the user's.

    switched_on: devices that the same plan switches on before their group.
    """

    site: Site
    shapes: Mapping[str, Shape]
    states: Mapping[str, Sequence[str]]
    roles: frozenset[str]
    may_write: MayWrite
    switched_on: frozenset[str] = frozenset()

    def __call__(self, row: Row, value: Value) -> str:
        """Why not; "" when it can be written."""
        shape = self.shapes.get(row.name)
        if shape is None:
            return _("the site has no such attribute any more")
        if row.device not in self.states:
            return _("its server does not export the device")
        try:
            self.site.device(row.device)
            self.may_write(row.device)
        except (BadConfig, PtcsError) as why:
            return str(why)
        return self._administered(row) or ("" if row.switched else self._settable(row, shape, value))

    def _administered(self, row: Row) -> str:
        admin = self.states[row.device][2]
        if admin == Admin.NOT_FITTED.name:
            return _("device is not fitted; set AdminMode to ONLINE or MAINTENANCE first")
        if admin == Admin.MAINTENANCE.name and "service" not in self.roles:
            return _("device is in maintenance: allowed is service; or set AdminMode to ONLINE")
        return ""

    def _settable(self, row: Row, shape: Shape, value: Value) -> str:
        if not shape.writable:
            return _("the attribute cannot be written")
        if isinstance(value, int | float) and not isinstance(value, bool):
            low, high = shape.limits
            if not (math.isfinite(value) and low <= value <= high):
                text = _("{value:g} {unit}: allowed are {low:g} .. {high:g} {unit}")
                return text.format(value=value, unit=shape.unit, low=low, high=high)
        state = self.states[row.device][0]
        if state == "FAULT":
            return _("the device has a fault; mend it, then send Reset")
        if state == "OFF" and row.device not in self.switched_on:
            return _("the device is off, and the snapshot does not switch it on")
        return ""

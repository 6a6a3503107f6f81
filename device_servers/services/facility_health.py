"""FacilityHealth: every device of the site rolled up into subsystems, and which server holds what."""

import json

from tango import DevState
from tango.server import command

from common.text import _
from device_servers.base import PtcsDevice, rule
from device_servers.channel import derived
from device_servers.modes import Health
from device_servers.services.health.rollup import DeviceHealth, subsystems, troubles, worst
from device_servers.services.health.watch import Watch

MOST_TROUBLES = 256


class FacilityHealth(PtcsDevice):
    """One place to see what is wrong, where, and why."""

    eager = True

    def init_device(self) -> None:
        """Begin to ask the servers."""
        super().init_device()
        self._watch = Watch(self.context.site, self.refresh)
        self._watch.start()

    def delete_device(self) -> None:
        """End the thread."""
        self._watch.stop()
        super().delete_device()

    def _state(self) -> tuple[DevState, str]:
        """ALARM while anything in use is not OK: what is wrong stands in Troubles."""
        bad = troubles(self._others())
        if bad:
            text = _("{count} devices are not OK, the worst: {name} {state}")
            return DevState.ALARM, text.format(count=len(bad), name=bad[0].name, state=bad[0].state)
        return DevState.ON, _("every device in use is OK")

    def health_of(self, state: DevState) -> Health:
        """Its own: it is in order when it can tell what is wrong."""
        return Health.OK if state in (DevState.ON, DevState.ALARM) else super().health_of(state)

    @derived(dtype=Health)
    def Facility(self) -> Health:
        """The worst of all subsystems."""
        return worst(device.health for device in self._others() if device.used)

    @derived(dtype=(str,), max_dim_x=256)
    def Subsystems(self) -> list[str]:
        """JSON a row: name, health, number of devices by health, number not in use."""
        return [json.dumps(subsystem.row()) for subsystem in subsystems(self._watch.devices)]

    @derived(dtype=(str,), max_dim_x=MOST_TROUBLES)
    def Troubles(self) -> list[str]:
        """JSON a row: devices in use that are not OK, worst first."""
        return [json.dumps(device.row()) for device in troubles(self._watch.devices)[:MOST_TROUBLES]]

    @derived(dtype=(str,), max_dim_x=64)
    def Servers(self) -> list[str]:
        """JSON a row: server, number of devices, why it does not answer (empty while it does)."""
        held = dict.fromkeys(self.context.site.servers, 0)
        for device in self.context.site.devices:
            held[device.server] += 1
        return [
            json.dumps({"server": server, "devices": count, "lost": self._watch.servers.get(server, "")})
            for server, count in held.items()
        ]

    @rule(read=True)
    @command(dtype_in=str, doc_in="first part of device names; nothing: all", dtype_out=str)
    def Devices(self, start: str) -> str:
        """JSON: every device whose name begins so, with server, State, Status, health and admin mode."""
        return json.dumps([device.row() for device in self._watch.devices if device.name.startswith(start)])

    def _others(self) -> list[DeviceHealth]:
        return [device for device in self._watch.devices if device.name != self.site.name]

"""The Crate of a server: sessions of its clients, and the block of what moved on all its devices."""

import json
import logging

import tango
from tango import DevState
from tango.server import attribute, command

from common.errors import PtcsError
from common.site import Device as SiteDevice
from common.text import _
from device_servers.admin_port import close_admin_port
from device_servers.base import PtcsDevice, rule
from device_servers.behalf import answer, write_as
from device_servers.block import Block, Floats
from device_servers.io_path import SLICE, IoPath

log = logging.getLogger(__name__)


class Crate(PtcsDevice):
    """Sessions, and the block of changes of this server."""

    def init_device(self) -> None:
        """Lay out the block. The Crate is the last device of its server to be made, so the others exist."""
        super().init_device()
        devices = self.context.devices
        listed = self.context.site.on_server(self.context.server)
        self._block = Block([devices[entry.name] for entry in listed if entry.name in devices])
        self._pushed = 0
        self._path = IoPath(self.context, self._block, self._push_block)
        self.set_change_event("changes", True, False)
        if not tango.Util.instance().is_svr_starting():
            self.server_init_hook()

    def server_init_hook(self) -> None:
        """Start the I/O path once the server can push; nobody steers the process through its admin device."""
        close_admin_port()
        self._path.start()

    def delete_device(self) -> None:
        """Stop the I/O path."""
        self._path.stop()
        super().delete_device()

    def _site_device(self) -> SiteDevice:
        return SiteDevice(self.get_name().lower(), "Crate", self.context.server, "services")

    def _state(self) -> tuple[DevState, str]:
        return DevState.ON, _("{count} devices").format(count=len(self.context.devices) - 1)

    # --- Sessions

    @rule(read=True)
    @command(dtype_in=str, doc_in="signed token of a log-in at the OIS", dtype_out=str, doc_out="user")
    def OpenSession(self, token: str) -> str:
        """Open a session for the calling process on every device of this server."""
        guard, client = self.context.guard, self.client
        try:
            session = guard.open(client, token)
        except PtcsError as why:
            guard.record(client, self.site.name, "OpenSession", "", str(why))
            raise
        guard.record(client, self.site.name, "OpenSession", "")
        log.info("session of %s opened for pid %d", session.identity.user, client.pid)
        return session.identity.user

    @rule(read=True)
    @command
    def CloseSession(self) -> None:
        """End the session of the calling process."""
        self.context.guard.close(self.client)

    @rule(read=True)
    @command(dtype_out=str, doc_out="user of the calling process's session, or nothing")
    def WhoAmI(self) -> str:
        """Whose session the calling process holds."""
        return self.context.guard.user(self.client)

    @rule(read=True)  # the token in it decides, at the device
    @command(
        dtype_in=str,
        doc_in='JSON {"token", "device", "attribute" or "command", "value", "by": who asked}',
        dtype_out=str,
        doc_out="JSON answer of a command, else null",
    )
    def WriteAs(self, wish: str) -> str:
        """Write to a device of this server as the user of a token, for a gateway that passes it on."""
        return answer(write_as(self.context, self.client, wish))

    @attribute(
        dtype=str, doc="JSON: open sessions with user, roles, host, pid, since, expires (s since 1970)"
    )
    def Sessions(self) -> str:
        """Who is logged in at this server."""
        rows = [
            {
                "user": session.identity.user,
                "roles": sorted(session.identity.roles),
                "host": session.client.host,
                "pid": session.client.pid,
                "since": session.since,
                "expires": session.identity.expires.timestamp(),
            }
            for session in self.context.guard.sessions()
        ]
        return json.dumps(rows)

    @attribute(dtype=str, doc="JSON: area of control -> [who wrote there last under it, when (s since 1970)]")
    def Activity(self) -> str:
        """What keeps control of an area from lapsing."""
        return json.dumps(self.context.guard.control.activity)

    # --- Block

    @attribute(dtype=(str,), max_dim_x=16384, doc="device/attribute of each index of `changes`")
    def Channels(self) -> list[str]:
        """Names in the order of the block."""
        return self._block.names

    @attribute(
        dtype=(float,),
        max_dim_x=3 * SLICE,
        doc="time s, index, value, ... of what moved; when read, the first 4096 channels as they stand",
    )
    def changes(self) -> Floats:
        """A subscriber's first event is a read: it gets the whole picture first. NaN: unknown."""
        return self._block.all_triples()[: 3 * SLICE]

    @attribute(dtype=int, doc="values pushed in `changes` since the server began")
    def Pushed(self) -> int:
        """What a subscriber should have received in all."""
        return self._pushed

    @attribute(dtype=str, doc="JSON: device -> [State, HealthState, AdminMode, Status]")
    def Devices(self) -> str:
        """Every device of this server as it stood at its last look."""
        devices = self.context.devices.items()
        return json.dumps({name: device.standing for name, device in devices if device is not self})

    def _push_block(self, triples: Floats) -> bool:
        """Push one part of the block; whether it succeeded (if not, the dead-band memory stays as it was)."""
        try:
            self.push_change_event("changes", triples)
        except tango.DevFailed as why:
            log.warning("push of changes: %s", why.args[0].desc)
            return False
        self._pushed += len(triples) // 3
        return True

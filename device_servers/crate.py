"""The Crate of a server: sessions of its clients, and the one thread that pushes for all its devices."""

import logging
import threading
import time

import tango
from tango import DevState
from tango.server import attribute, command

from common.errors import PtcsError
from common.site import Device as SiteDevice
from common.text import _
from device_servers.base import PtcsDevice, rule
from device_servers.behalf import answer, write_as
from device_servers.block import Block, Floats

log = logging.getLogger(__name__)

SLICE = 4096
"""Most channels in one `changes` event."""
SHORTEST_CYCLE_S = 0.04
"""One cycle takes what several links have sent since the last; plant and fpga send every 50 ms."""
LONGEST_CYCLE_S = 0.25
ATTRIBUTE_EVENTS_PER_CYCLE = 100
"""Attribute events wait their turn beyond this (5 k/s); what is pushed is always the present value."""
SWEEP_S = 1.0
"""Every device's State is looked at this often, moved or not."""


class Crate(PtcsDevice):
    """Sessions, and the block of changes of this server."""

    def init_device(self) -> None:
        """Lay out the block. The Crate is the last device of its server to be made, so the others exist."""
        super().init_device()
        devices = self.context.devices
        listed = self.context.site.on_server(self.context.server)
        self._block = Block([devices[entry.name] for entry in listed if entry.name in devices])
        self._pending: dict[str, set[str]] = {}
        self._broken: set[str] = set()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self.set_change_event("changes", True, False)
        if not tango.Util.instance().is_svr_starting():
            self.server_init_hook()

    def server_init_hook(self) -> None:
        """Start the I/O path once the server can push."""
        self._thread = threading.Thread(target=self._run, name="crate", daemon=True)
        self._thread.start()

    def delete_device(self) -> None:
        """Stop the I/O path."""
        self._end.set()
        self.context.wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)
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

    def _run(self) -> None:
        wake, swept = self.context.wake, 0.0
        with tango.EnsureOmniThread():
            while not self._end.is_set():
                wake.wait(LONGEST_CYCLE_S)
                wake.clear()
                began = time.monotonic()
                sweep = began - swept >= SWEEP_S
                if sweep:
                    swept = began
                try:
                    self._cycle(sweep)
                except Exception:  # border of the thread: one bad cycle must not end the I/O path
                    log.exception("I/O cycle failed")
                self._end.wait(max(0.0, SHORTEST_CYCLE_S - (time.monotonic() - began)))

    def _cycle(self, sweep: bool) -> None:
        block = self._block
        block.take(self.context.devices)
        moved = block.moved()
        shown = moved[moved < len(block.names)]
        for start in range(0, len(shown), SLICE):
            part = shown[start : start + SLICE]
            if _pushed(self, "changes", block.triples(part)):
                block.pushed(part)
        block.pushed(moved[len(shown) :])
        touched = {block.owners[row] for row in moved}
        for row in shown:
            self._pending.setdefault(block.owners[row], set()).add(block.attributes[row])
        for name, device in list(self.context.devices.items()):
            if (sweep or device.eager or device.stale or name in touched) and not device.busy:
                self._push_device(device)
        self._push_attributes()

    def _push_device(self, device: PtcsDevice) -> None:
        name = device.site.name
        device.stale = False
        try:
            device.push_changes()
            self._broken.discard(name)
        except tango.DevFailed as why:
            device.stale = True
            log.debug("push of %s: %s", name, why.args[0].desc)
        except Exception:  # border between devices: one that fails must not silence the others
            if name not in self._broken:
                log.exception("state of %s cannot be computed", name)
            self._broken.add(name)

    def _push_attributes(self) -> None:
        """Push attributes whose value moved, longest waiting device first, up to the budget of a cycle."""
        budget = ATTRIBUTE_EVENTS_PER_CYCLE
        for name in list(self._pending):
            device = self.context.devices.get(name)
            if device is None or device.busy:
                continue
            names = self._pending.pop(name)
            later = set()
            while names and budget:
                attribute_name = names.pop()
                if not device.heard(attribute_name):
                    continue
                budget -= 1
                try:
                    device.push_channel(attribute_name)
                except tango.DevFailed as why:
                    later.add(attribute_name)
                    log.debug("push of %s/%s: %s", name, attribute_name, why.args[0].desc)
            if names or later:
                self._pending[name] = names | later
            if not budget:
                return


def _pushed(device: PtcsDevice, name: str, value: Floats) -> bool:
    """Push one event; whether it succeeded (otherwise the dead-band memory stays as it was)."""
    try:
        device.push_change_event(name, value)
    except tango.DevFailed as why:
        log.warning("push of %s: %s", name, why.args[0].desc)
        return False
    return True

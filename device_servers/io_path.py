"""The one thread of a server that pushes for all its devices: block, then State, then attributes."""

import logging
import threading
import time
from collections.abc import Callable

import tango

from device_servers.base import PtcsDevice
from device_servers.block import Block, Floats
from device_servers.context import Context
from device_servers.restore import Restore

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


class IoPath:
    """Looks at the block when something has woken it, and pushes what moved."""

    def __init__(self, context: Context, block: Block, push_block: Callable[[Floats], bool]) -> None:
        """`push_block` pushes (time s, index, value) triples and says whether it succeeded."""
        self._context, self._block, self._push_block = context, block, push_block
        self._pending: dict[str, set[str]] = {}
        self._broken: set[str] = set()
        self._restore = Restore(context.guard)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="crate", daemon=True)

    def start(self) -> None:
        """Begin; called once the server can push."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._end.set()
        self._context.wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        wake, swept = self._context.wake, 0.0
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
        block.take(self._context.devices)
        moved = block.moved()
        shown = moved[moved < len(block.names)]
        for start in range(0, len(shown), SLICE):
            part = shown[start : start + SLICE]
            if self._push_block(block.triples(part)):
                block.pushed(part)
        block.pushed(moved[len(shown) :])
        touched = {block.owners[row] for row in moved}
        for row in shown:
            self._pending.setdefault(block.owners[row], set()).add(block.attributes[row])
        for name, device in list(self._context.devices.items()):
            if (sweep or device.eager or device.stale or name in touched) and not device.busy:
                self._push_device(device)
        self._push_attributes()
        self._context.unseen.settle(self._context.devices)
        if sweep:
            self._restore.look(self._context.devices)

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
            device = self._context.devices.get(name)
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

"""Asks every server for its devices once a period, from one thread."""

import json
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import tango

from common.site import Site
from device_servers.modes import Admin, Health
from device_servers.registration import crate_name
from device_servers.services.health.rollup import DeviceHealth, gone

log = logging.getLogger(__name__)

PERIOD_S = 1.0
TIMEOUT_MS = 1000


class Watch:
    """The latest answer of each server; `devices` is replaced whole, so any thread may read it."""

    def __init__(self, site: Site, changed: Callable[[], None], period_s: float = PERIOD_S) -> None:
        """`changed` is called (on the thread) after each round."""
        self._period_s = period_s
        self._names = {server: [d.name for d in site.on_server(server)] for server in site.servers}
        self._changed = changed
        self._proxies: dict[str, tango.DeviceProxy] = {}
        self._end = threading.Event()
        self.servers: dict[str, str] = {}
        """Server -> "" while it answers, else why it does not."""
        self.devices: Sequence[DeviceHealth] = ()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join(timeout=2.0 * TIMEOUT_MS / 1000)

    def _run(self) -> None:
        with tango.EnsureOmniThread():
            while not self._end.wait(self._period_s):
                devices: list[DeviceHealth] = []
                for server in self._names:
                    devices += self._ask(server)
                self.devices = devices
                self._changed()

    def _ask(self, server: str) -> list[DeviceHealth]:
        try:
            if server not in self._proxies:
                proxy = tango.DeviceProxy(crate_name(server))
                proxy.set_timeout_millis(TIMEOUT_MS)
                self._proxies[server] = proxy
            told: dict[str, Any] = json.loads(self._proxies[server].read_attribute("Devices").value)
            rows = [_device(name, server, told.get(name)) for name in self._names[server]]
            why = ""
        except (tango.DevFailed, ValueError, KeyError, TypeError) as error:
            self._proxies.pop(server, None)
            why = error.args[0].desc if isinstance(error, tango.DevFailed) else str(error)
            rows = [gone(name, server, "server does not answer") for name in self._names[server]]
        if bool(why) != bool(self.servers.get(server)):
            log.warning("server %s %s", server, f"does not answer: {why}" if why else "answers again")
        self.servers[server] = why
        return rows


def _device(name: str, server: str, told: Any) -> DeviceHealth:
    if told is None:
        return gone(name, server, "its server does not export it")
    state, health, admin, status = told
    return DeviceHealth(name, server, state, Health[health], Admin[admin], status)

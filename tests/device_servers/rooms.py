"""Hardware and the servers of accelerator, central and room 1, as real processes."""

from pathlib import Path

from bench import Bench, wait_until
from tango import DevState

from common import site as sites
from device_servers.registration import register

SITE = sites.load()
SERVERS = ("accelerator", "central", "room1")


class Room(Bench):
    """Hardware and the servers of accelerator, central and room 1."""

    def __init__(self, state: Path) -> None:
        super().__init__(state, sites.DEFAULT_SITE)

    def known(self) -> bool:
        devices = [device.name for server in SERVERS for device in SITE.on_server(server)]
        return all(self.proxy(name).state() not in (DevState.UNKNOWN, DevState.INIT) for name in devices)

    def inputs(self) -> dict[str, str]:
        rows: list[str] = self.proxy("central/interlock/1").Inputs
        return {name: word for name, _equals, word in (row.partition("=") for row in rows)}

    def start_all(self) -> None:
        self.start_database()
        register(SITE)
        self.start_hardware()
        for name in SERVERS:
            self.start_server(name)
        self.wait_exported([f"crate/server/{name}" for name in SERVERS])
        wait_until(self.known, "every device in a known state")

"""One device server process: all devices of one server of the site, and its Crate.

A fork server may import this module first: nothing here talks to Tango before `run`.
"""

import logging
from pathlib import Path

import tango.server

from common import logs
from common.site import Site
from common.state import StateDir
from device_servers import context
from device_servers.classes import class_named
from device_servers.control_areas import load as load_areas
from device_servers.control_file import Control
from device_servers.drivers.factory import Drivers
from device_servers.guard import Guard
from device_servers.registration import EXECUTABLE, register, server_name

__all__ = ["register", "run", "server_name"]

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"


def run(server: str, site: Site, state: Path, host: str = LOOPBACK) -> None:
    """Serve on wire drivers until SIGTERM. The server must be registered in the database at TANGO_HOST.

    host: address to listen on. Raises BadConfig for a class without code or driver, Tampered when
    the audit log of this server was altered, tango.DevFailed when the database does not answer.
    """
    logs.set_up(server)
    drivers = Drivers(site, state, server)
    try:
        serve(server, site, state, drivers, host)
    finally:
        drivers.close()
        log.info("stopped")


def serve(server: str, site: Site, state: Path, drivers: context.DriverFor, host: str = LOOPBACK) -> None:
    """Serve on the drivers given. Raises as `run` does."""
    names = sorted({device.tango_class for device in site.on_server(server)})
    kinds = [class_named(name) for name in (*names, "Crate")]
    here = StateDir(state)
    control = Control(load_areas(site), here.holders, here.machine_public_key)
    local = here.machine_public_key if site.control_path else None
    guard = Guard(here.public_key, here.audit(server), control=control, machine_key=local)
    context.enter(context.Context(server, site, state, guard, drivers))
    try:
        # a client of this computer may come by a socket in the file system: whose it is can only be told when
        # nobody else may open it
        ends = ["-ORBendPoint", f"giop:tcp:{host}:", "-ORBunixTransportPermission", "0700"]
        arguments = [EXECUTABLE, server, *ends]
        tango.server.run(kinds, args=arguments, msg_stream=None, raises=True)
    finally:
        guard.shut()

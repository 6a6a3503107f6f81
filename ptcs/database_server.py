"""The process of the embedded Tango database: PyDatabaseds with its doors closed.

Tango's database knows no users. Here nobody ends the process, restarts it or sets its logging through its
admin device, and what changes the database is taken from programs of the user it runs as alone: the kernel
tells whose the other end of the connection is. Everybody reads.
"""

import functools
import logging
import os
from collections.abc import Callable
from typing import Any

import tango
import tango.server
from databaseds import database

from device_servers.admin_port import close_admin_port
from device_servers.callers import user_at

log = logging.getLogger(__name__)

READS = ("DbGet", "DbImport", "DbInfo")
"""How names of commands begin that change nothing. DbMySqlSelect is not one: it runs what it is given."""
WHY = "only programs of the user who runs the facility write to its database; `ptcs site` shows it"
COMMANDS = ("Db", "ResetTimingValues")


def run() -> None:
    """Serve until the process ends, with the command line of PyDatabaseds."""
    for name in dir(database.DataBase):
        if name.startswith(COMMANDS) and not name.startswith(READS):
            setattr(database.DataBase, name, for_own_programs(getattr(database.DataBase, name)))
    database.run = _run_closed
    database.main()


def for_own_programs(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that refuses programs of other users."""

    @functools.wraps(command)
    def call(device: Any, *values: Any) -> Any:
        ident = device.get_client_ident()
        if ident is not None and user_at(str(ident.client_ip)) not in (os.getuid(), 0):
            _warn_once(str(ident.client_ip))
            tango.Except.throw_exception("Refused", WHY, "authority")
        return command(device, *values)

    return call


@functools.lru_cache(maxsize=1024)
def _warn_once(client: str) -> None:
    log.warning("writes of the client at %s are refused: it is of another user", client)


def _run_closed(*arguments: Any, post_init_callback: Callable[[], None], **options: Any) -> Any:
    """`tango.server.run`, and close what is open once the devices are there."""

    def ready() -> None:
        close_admin_port()
        for device in tango.Util.instance().get_device_list("sys/database/*"):
            device.remove_command("Init", clean_db=False)
        post_init_callback()

    return tango.server.run(*arguments, post_init_callback=ready, **options)


if __name__ == "__main__":
    run()

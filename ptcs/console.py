"""The command `ptcs console`: the treatment room's panel."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from common import site
from interlock.matrix import load as load_matrix
from ptcs import __version__
from ptcs.running import find, state_option


@click.command("console")
@state_option
@click.option("--room", default="room1", show_default=True)
@click.option("--read-only", is_flag=True, help="Watch without logging in.")
@click.option(
    "--screenshot", type=(click.Path(path_type=Path), float), help="FILE SECONDS: picture, then end."
)
def console_command(state: Path, room: str, read_only: bool, screenshot: tuple[Path, float] | None) -> None:
    """Open the treatment room's panel."""
    facility = find(state)
    os.environ["TANGO_HOST"] = facility["tango_host"]
    # Imported late: Taurus reads TANGO_HOST when it is imported, and other commands need no Qt.
    from gui import app  # noqa: PLC0415
    from ptcs.client import Client, connect  # noqa: PLC0415

    clients: list[Client] = []

    def login(user: str, password: str) -> None:
        clients.append(connect(Path(facility["state_dir"]), user, password))

    def send(command: str) -> Any:
        if not clients:
            raise click.UsageError("read only: nobody is logged in")
        return clients[-1].proxy(f"{room}/treatment/session").command_inout(command)

    watch_only = read_only or screenshot is not None
    matrix = load_matrix(site.load(Path(facility["site_file"])).interlock_path)
    asks = None if watch_only else login
    sys.exit(app.run(room, __version__, matrix, asks, send, screenshot=screenshot))

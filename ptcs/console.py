"""The command `ptcs console`: the treatment room's panel, and the panels of the control room."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from common import site
from interlock.matrix import load as load_matrix
from ptcs import __version__
from ptcs.running import find, state_option

PANELS = ("room", "trend", "settings", "logbook", "alarms")


@click.command("console")
@state_option
@click.option("--room", default="room1", show_default=True, help="Treatment room of the panel `room`.")
@click.option("--panel", type=click.Choice(PANELS), default="room", show_default=True, help="Opened first.")
@click.option("--user", default="", help="Who logs in; with --password without asking.")
@click.option("--password", default="", help="Password; asked for in a window when it is not given.")
@click.option("--read-only", is_flag=True, help="Watch without logging in.")
@click.option(
    "--screenshot", type=(click.Path(path_type=Path), float), help="FILE SECONDS: picture, then end."
)
def console_command(
    state: Path,
    room: str,
    panel: str,
    user: str,
    password: str,
    read_only: bool,
    screenshot: tuple[Path, float] | None,
) -> None:
    """Open a panel: the treatment room's, or one of the control room. The menu Panels opens the others."""
    facility = find(state)
    os.environ["TANGO_HOST"] = facility["tango_host"]
    # Imported late: Taurus reads TANGO_HOST when it is imported, and other commands need no Qt.
    from gui import app  # noqa: PLC0415
    from gui.panels.windows import Windows  # noqa: PLC0415
    from ptcs.client import Client, connect  # noqa: PLC0415
    from ptcs.panel_link import facility_of  # noqa: PLC0415

    clients: list[Client] = []

    def login(name: str, word: str) -> None:
        clients.append(connect(Path(facility["state_dir"]), name, word))

    def send(command: str) -> Any:
        if not clients:
            raise click.UsageError("read only: nobody is logged in")
        return clients[-1].proxy(f"{room}/treatment/session").command_inout(command)

    running, watch_only = app.application(), read_only or (screenshot is not None and not user)
    if user and password:
        login(user, password)
    elif not watch_only and app.ask_user(login, user) is None:
        sys.exit(1)
    client = clients[-1] if clients else None
    who = client.user if client else ""
    windows = Windows(facility_of(state, client, who))
    if panel == "room":
        matrix = load_matrix(site.load(Path(facility["site_file"])).interlock_path)
        shown = app.room_panel(room, __version__, matrix, send, who, windows)
    else:
        shown = windows.show(panel)
    status = app.show(running, shown, windows, screenshot)
    if client is not None:
        client.close()
    sys.exit(status)

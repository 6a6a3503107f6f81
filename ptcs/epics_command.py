"""`ptcs epics`: who writes through EPICS from this account and host."""

from pathlib import Path

import click

from common.links.http import JsonClient
from common.text import _
from device_servers.services.epics.login import log_in
from ptcs.running import find, state_option


@click.group()
def epics() -> None:
    """EPICS clients of this account on this host: log in, log out. See docs/how-to/epics-clients.md."""


@epics.command()
@state_option
@click.option("--user", required=True, help="User of the OIS.")
@click.password_option(confirmation_prompt=False, help="Password; asked for when it is not given.")
def login(state: Path, user: str, password: str) -> None:
    """Let puts of this account and host count as a user's, until the log-in expires."""
    ois = JsonClient(f"{find(state)['ois_url']}/api/v1")
    log_in(state, str(ois.post("/login", {"user": user, "password": password})["token"]))
    click.echo(_("EPICS clients of this account write as {user}").format(user=user))


@epics.command()
@state_option
def logout(state: Path) -> None:
    """Let nobody write through EPICS from this account and host."""
    find(state)
    log_in(state, "")
    click.echo(_("EPICS clients of this account only read"))

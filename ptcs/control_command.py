"""`ptcs control`: who has control of which area, who is logged in, and what to do while the OIS is silent."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common.authority import LOCAL_ROLES
from common.text import _, language
from device_servers.services.control.break_glass import hashed
from ptcs.client import connect_with
from ptcs.options import json_option, password_option, user_option
from ptcs.running import state_option
from ptcs.service_calls import attribute, call, proxy_as, proxy_of

KIND = "ControlAuthority"
console = Console(highlight=False, soft_wrap=True)
AREA = click.argument("area")
PATIENCE_MS = 20_000
"""The authority waits for the OIS before it says that it is silent."""
reason_option = click.option("--reason", required=True, help="Why, in 5 to 200 characters; it is recorded.")


@click.group()
def control() -> None:
    """Control of areas: who has it, asking, handing over, taking. See docs/how-to/control.md."""


@control.command()
@state_option
@json_option
def status(state: Path, as_json: bool) -> None:
    """Say who has control of which area, and what is wrong."""
    proxy = proxy_of(state, KIND)
    rows = [json.loads(row) for row in attribute(proxy, "Areas") or ()]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    headings = _("Area"), _("Title"), _("Control"), _("State"), _("Has control"), _("Until"), _("Waits")
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*_row(row))
    console.print(table)
    for finding in attribute(proxy, "Findings") or ():
        console.print(f"[red]{escape(str(finding))}[/]")


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    title = row["title_zh"] if language() == "zh" else row["title"]
    wanted = _("required") if row["required"] else _("on demand")
    words = {"FREE": _("nobody"), "HELD": _("held"), "ASKED": _("asked for"), "OFFERED": _("offered")}
    waits = row["asked_by"] or row["offered_to"]
    until = _clock(row["until"]) if row["user"] else ""
    return row["area"], title, wanted, words[row["state"]], row["user"], until, waits


@control.command()
@state_option
def who(state: Path) -> None:
    """Say who is logged in where."""
    rows = json.loads(attribute(proxy_of(state, KIND), "Users") or "[]")
    table = Table(box=None, pad_edge=False)
    for heading in (_("User"), _("Roles"), _("Host"), "PID", _("Since"), _("Until"), _("Servers")):
        table.add_column(heading)
    for row in rows:
        times = _clock(row["since"]), _clock(row["expires"])
        roles = ", ".join(row["roles"])
        table.add_row(row["user"], roles, row["host"], str(row["pid"]), *times, str(row["servers"]))
    console.print(table)


@control.command()
@AREA
@state_option
@user_option
@password_option
def request(state: Path, area: str, user: str, password: str) -> None:
    """Have control of AREA, or ask whoever has it."""
    _act(state, user, password, "Request", {"area": area})


@control.command()
@AREA
@click.option("--to", default="", help="User; left out: whoever has asked.")
@state_option
@user_option
@password_option
def offer(state: Path, area: str, to: str, user: str, password: str) -> None:
    """Hand control of AREA over: at once to whoever has asked, else when it is accepted."""
    _act(state, user, password, "Offer", {"area": area, "to": to})


@control.command()
@AREA
@state_option
@user_option
@password_option
def accept(state: Path, area: str, user: str, password: str) -> None:
    """Take control of AREA that was offered."""
    _act(state, user, password, "Accept", {"area": area})


@control.command()
@AREA
@state_option
@user_option
@password_option
def decline(state: Path, area: str, user: str, password: str) -> None:
    """Refuse a request for AREA or an offer of it, or take one's own back."""
    _act(state, user, password, "Decline", {"area": area})


@control.command()
@AREA
@state_option
@user_option
@password_option
def release(state: Path, area: str, user: str, password: str) -> None:
    """Give control of AREA up."""
    _act(state, user, password, "Release", {"area": area})


@control.command()
@AREA
@reason_option
@state_option
@user_option
@password_option
def take(state: Path, area: str, reason: str, user: str, password: str) -> None:
    """Take control of AREA from somebody of a lower rank; not during a treatment."""
    _act(state, user, password, "Take", {"area": area, "reason": reason})


@control.command()
@AREA
@click.option("--off", is_flag=True, help="Everybody with the right writes again while nobody has control.")
@reason_option
@state_option
@user_option
@password_option
def require(state: Path, area: str, off: bool, reason: str, user: str, password: str) -> None:
    """Have AREA written only by who has control of it. For the highest rank of the area."""
    wish = {"area": area, "required": not off, "reason": reason}
    with proxy_as(state, KIND, user, password) as proxy:
        call(proxy, "Require", json.dumps(wish))
    text = _("{area}: everybody with the right writes while nobody has control")
    if not off:
        text = _("{area}: nobody writes without control")
    click.echo(text.format(area=area))


@control.command()
@click.argument("whose")
@reason_option
@state_option
@user_option
@password_option
def end(state: Path, whose: str, reason: str, user: str, password: str) -> None:
    """End all log-ins of the user WHOSE at every server. For administrators."""
    with proxy_as(state, KIND, user, password) as proxy:
        call(proxy, "EndSessions", json.dumps({"user": whose, "reason": reason}))
    click.echo(_("{user} has to log in again").format(user=whose))


@control.group("break-glass")
def break_glass() -> None:
    """Local accounts for when the OIS does not answer."""


@break_glass.command("set")
@click.argument("account")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice(sorted(LOCAL_ROLES)),
    help="What the account may do; several times for several.",
)
@click.option("--remove", is_flag=True, help="Remove the account.")
@click.option("--account-password", default="", help="Asked for when it is not given.")
@state_option
@user_option
@password_option
def set_account(
    state: Path,
    account: str,
    roles: Sequence[str],
    remove: bool,
    account_password: str,
    user: str,
    password: str,
) -> None:
    """Make, change or remove the local ACCOUNT. For administrators, while the OIS answers."""
    secret = ""
    if not remove:
        text = _("password of the local account {account}").format(account=account)
        secret = hashed(account_password or click.prompt(text, hide_input=True, confirmation_prompt=True))
    wish = {"user": account, "roles": list(roles), "password_hash": secret}
    with proxy_as(state, KIND, user, password) as proxy:
        call(proxy, "SetLocalAccount", json.dumps(wish))
    click.echo(
        _("removed") if remove else _("{account} can log in while the OIS is silent").format(account=account)
    )


@break_glass.command("use")
@click.argument("account")
@reason_option
@click.option("--account-password", default="", help="Asked for when it is not given.")
@state_option
def use(state: Path, account: str, reason: str, account_password: str) -> None:
    """Log in as the local ACCOUNT while the OIS is silent; prints a token for PTCS_TOKEN.

    With PTCS_TOKEN set, `ptcs` commands, notebooks and panels started from this shell use that log-in.
    """
    typed = account_password or click.prompt(
        _("password of the local account {account}").format(account=account), hide_input=True
    )
    wish = {"user": account, "password": typed, "reason": reason}
    proxy = proxy_of(state, KIND)
    proxy.set_timeout_millis(PATIENCE_MS)
    token = str(call(proxy, "BreakGlass", json.dumps(wish)))
    with connect_with(state, token) as client:
        click.echo(
            _("logged in as {user}; this is recorded and told to the OIS").format(user=client.user), err=True
        )
    click.echo(token)


def _act(state: Path, user: str, password: str, command: str, wish: dict[str, Any]) -> None:
    """One act of a user on an area; says where control stands then."""
    with proxy_as(state, KIND, user, password) as proxy:
        call(proxy, command, json.dumps(wish))
        rows = [json.loads(row) for row in attribute(proxy, "Areas") or ()]
        row = next(row for row in rows if row["area"] == wish["area"])
    texts = {
        "FREE": _("nobody has control of {area}"),
        "HELD": _("{user} has control of {area}"),
        "ASKED": _("{user} has control of {area}; {waits} has asked for it"),
        "OFFERED": _("{user} has control of {area} and offers it to {waits}"),
    }
    waits = row["asked_by"] or row["offered_to"]
    click.echo(texts[row["state"]].format(area=row["area"], user=row["user"], waits=waits))


def _clock(seconds: float) -> str:
    """Local time of a moment in s since the epoch."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%H:%M}" if seconds else ""

"""`ptcs alarm`: what alarms stand, acknowledging and shelving them, their history, rules and guidance."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import tango
from rich.console import Console
from rich.live import Live
from rich.markup import escape

from common import site as sites
from common.errors import LinkLost, Refused, Unauthorised
from common.text import _
from ptcs.alarm_show import drawn, events, listed, moment, span, words
from ptcs.client import Client, connect
from ptcs.running import find, state_option

console = Console(highlight=False, soft_wrap=True)

REFRESH_S = 1.0
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
user_option = click.option("--user", required=True, help="User of the OIS.")
password_option = click.option("--password", default="", help="Password; asked for when it is not given.")
reason_option = click.option("--reason", required=True, help="Why; it stands in the history.")
names_argument = click.argument("names", nargs=-1, required=True)

Ask = Callable[..., Any]


@click.group()
def alarm() -> None:
    """Alarms of a running facility."""


def server_name(facility: Mapping[str, Any]) -> str:
    """The site's AlarmServer. Raises Refused when it has none."""
    devices = sites.load(Path(facility["site_file"])).of_class("AlarmServer")
    if not devices:
        raise Refused(_("this site has no AlarmServer device; add one to its site file"))
    return devices[0].name


def asking(proxy: tango.DeviceProxy) -> Ask:
    """Calls commands with a JSON wish.

    They raise Refused for what the device refuses (Unauthorised: because of who asks), LinkLost without it.
    """

    def ask(command: str, *plain: Any, **wish: Any) -> Any:
        argument = plain[0] if plain else json.dumps(wish)
        try:
            told = proxy.command_inout(command, *(() if argument is None else (argument,)))
        except tango.DevFailed as why:
            first = why.args[0]
            kind = Unauthorised if first.origin == "authority" else Refused
            raise (kind if first.reason == "Refused" else LinkLost)(first.desc) from why
        return json.loads(told) if told else None

    return ask


def reader(state: Path) -> Ask:
    """The alarm server of a facility, for questions. Raises as `asking` and `server_name`."""
    facility = find(state)
    try:
        return asking(tango.DeviceProxy(f"tango://{facility['tango_host']}/{server_name(facility)}"))
    except tango.DevFailed as why:
        raise LinkLost(_("the alarm server does not answer; `ptcs status` shows the servers")) from why


def act(state: Path, user: str, password: str, command: str, **wish: Any) -> None:
    """Do something as a user and say what was done."""
    name = server_name(find(state))
    typed = password or click.prompt(_("password of {user}").format(user=user), hide_input=True)
    with connect(state, user, typed) as client:
        told = asking(client.proxy(name))(command, **wish)
    for done in told["done"]:
        console.print(f"[green]✔[/] {escape(done)}")
    for left, why in told["not"].items():
        console.print(f"[yellow]–[/] {escape(left)}: {escape(why)}")


@alarm.command("list")
@state_option
@json_option
@click.option("--watch", is_flag=True, help="Go on, once a second, until Ctrl-C.")
@click.option("--aside", is_flag=True, help="Also those shelved, suppressed or out of service.")
def list_command(state: Path, as_json: bool, watch: bool, aside: bool) -> None:
    """Alarms that stand, worst first."""
    ask = reader(state)

    def rows() -> list[dict[str, Any]]:
        told = ask("ActiveSince", 0)["rows"]
        return [row for row in told if aside or row["state"] in ("UNACKED", "ACKED", "LATCHED")]

    if as_json:
        click.echo(json.dumps(rows(), indent=2, ensure_ascii=False))
    elif watch:
        with Live(drawn(rows()), refresh_per_second=1) as live:
            while True:
                time.sleep(REFRESH_S)
                live.update(drawn(rows()), refresh=True)
    else:
        console.print(drawn(rows()))


@alarm.command()
@names_argument
@state_option
@user_option
@password_option
@click.option("--comment", default="", help="What you found; it stands in the history.")
@click.option("--group", is_flag=True, help="NAMES are groups or areas, not alarms.")
def ack(state: Path, names: Sequence[str], user: str, password: str, comment: str, group: bool) -> None:
    """Acknowledge alarms NAMES."""
    if not group:
        act(state, user, password, "Acknowledge", names=list(names), comment=comment)
        return
    for name in names:
        act(state, user, password, "AcknowledgeAll", group=name, comment=comment)


@alarm.command()
@names_argument
@state_option
@user_option
@password_option
@reason_option
@click.option("--for", "length", required=True, help="How long: 30m, 8h, 2d; at most 7d.")
def shelve(state: Path, names: Sequence[str], user: str, password: str, reason: str, length: str) -> None:
    """Put alarms NAMES aside for some time."""
    seconds = span(length)
    act(state, user, password, "Shelve", names=list(names), reason=reason, seconds=seconds)


@alarm.command()
@names_argument
@state_option
@user_option
@password_option
def unshelve(state: Path, names: Sequence[str], user: str, password: str) -> None:
    """Bring shelved alarms NAMES back."""
    act(state, user, password, "Unshelve", names=list(names))


@alarm.command()
@names_argument
@state_option
@user_option
@password_option
@reason_option
def disable(state: Path, names: Sequence[str], user: str, password: str, reason: str) -> None:
    """Take alarms NAMES out of service until somebody enables them."""
    act(state, user, password, "Disable", names=list(names), reason=reason)


@alarm.command()
@names_argument
@state_option
@user_option
@password_option
def enable(state: Path, names: Sequence[str], user: str, password: str) -> None:
    """Bring alarms NAMES into service again."""
    act(state, user, password, "Enable", names=list(names))


@alarm.command()
@click.argument("text", required=False, default="")
@state_option
@json_option
@click.option("--from", "start", default="1d", show_default=True, help="A time, or how long ago.")
@click.option("--to", "end", default="", help="A time, or how long ago.")
@click.option("--severity", default="", help="At least this: MINOR, MAJOR, INVALID.")
@click.option("--user", default="", help="What this user did.")
@click.option("--most", default=200, show_default=True)
def history(
    state: Path, text: str, as_json: bool, start: str, end: str, severity: str, user: str, most: int
) -> None:
    """What happened to alarms; TEXT is looked for in names, texts and comments."""
    wish: dict[str, Any] = {"from": moment(start), "most": most, "text": text, "user": user}
    wish |= ({"to": moment(end)} if end else {}) | ({"severity": severity} if severity else {})
    rows = reader(state)("History", **wish)
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    console.print(events(rows))


@alarm.command()
@click.argument("part", required=False, default="")
@state_option
@json_option
def rules(state: Path, part: str, as_json: bool) -> None:
    """Rules whose name contains PART, and where each stands."""
    found = reader(state)("Rules", part)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    console.print(listed(found))


@alarm.command()
@click.argument("name")
@state_option
def guidance(state: Path, name: str) -> None:
    """What to do about alarm NAME."""
    console.print(escape(words(reader(state)("Guidance", name))))


@alarm.command("test")
@state_option
@user_option
@password_option
def test_command(state: Path, user: str, password: str) -> None:
    """Have the voice of the control room speak."""
    name = server_name(find(state))
    typed = password or click.prompt(_("password of {user}").format(user=user), hide_input=True)
    with connect(state, user, typed) as client:
        asking(client.proxy(name))("Test", None)
    console.print(_("the voice has spoken: did you hear it?"))


def renewing(ask: Ask, client: Client) -> Ask:
    """As `ask`, but a server that was started anew, and has forgotten its sessions, is asked twice."""

    def again(command: str, *plain: Any, **wish: Any) -> Any:
        try:
            return ask(command, *plain, **wish)
        except Unauthorised:
            client.renew()
            return ask(command, *plain, **wish)

    return again


@alarm.command()
@state_option
@click.option("--user", default="", help="User of the OIS; without one, only to read.")
@password_option
def panel(state: Path, user: str, password: str) -> None:
    """Open the alarm panel."""
    facility = find(state)
    ask = reader(state)
    # Imported late: other commands need no Qt.
    from PyQt5.QtWidgets import QApplication  # noqa: PLC0415

    from gui.panels.alarms import AlarmPanel  # noqa: PLC0415

    typed = password or (
        click.prompt(_("password of {user}").format(user=user), hide_input=True) if user else ""
    )
    client = connect(state, user, typed) if user else None
    application = QApplication(sys.argv[:1])
    shown = AlarmPanel(ask if client is None else renewing(ask, client), user, str(facility["site"]))
    shown.show()
    try:
        sys.exit(application.exec_())
    finally:
        if client is not None:
            client.close()

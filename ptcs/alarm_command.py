"""`ptcs alarm`: what alarms stand, acknowledging and shelving them, their history, rules and guidance."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import tango
from rich.console import Console
from rich.live import Live
from rich.markup import escape

from common.text import _
from ptcs.alarm_show import drawn, events, listed, moment, span, words
from ptcs.client import connect
from ptcs.options import json_option, password_option, typed, user_option
from ptcs.running import state_option
from ptcs.service_calls import call, proxy_as, proxy_of

console = Console(highlight=False, soft_wrap=True)

KIND = "AlarmServer"
REFRESH_S = 1.0
reason_option = click.option("--reason", required=True, help="Why; it stands in the history.")
names_argument = click.argument("names", nargs=-1, required=True)

Ask = Callable[..., Any]


@click.group()
def alarm() -> None:
    """Alarms of a running facility."""


def asking(proxy: tango.DeviceProxy) -> Ask:
    """Calls commands with a JSON wish. They raise as `call`."""

    def ask(command: str, *plain: Any, **wish: Any) -> Any:
        argument = plain[0] if plain else json.dumps(wish)
        told = call(proxy, command, argument)
        return json.loads(told) if told else None

    return ask


def reader(state: Path) -> Ask:
    """The alarm server of a facility, for questions. Raises as `proxy_of`."""
    return asking(proxy_of(state, KIND))


def act(state: Path, user: str, password: str, command: str, **wish: Any) -> None:
    """Do something as a user and say what was done."""
    with proxy_as(state, KIND, user, password) as proxy:
        told = asking(proxy)(command, **wish)
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
    with proxy_as(state, KIND, user, password) as proxy:
        asking(proxy)("Test", None)
    console.print(_("the voice has spoken: did you hear it?"))


@alarm.command()
@state_option
@click.option("--user", default="", help="User of the OIS; without one, only to read.")
@password_option
def panel(state: Path, user: str, password: str) -> None:
    """Open the alarm panel."""
    # Imported late: other commands need no Qt.
    from PyQt5.QtWidgets import QApplication  # noqa: PLC0415

    from gui.panels.windows import Windows  # noqa: PLC0415
    from ptcs.panel_link import facility_of  # noqa: PLC0415

    client = connect(state, user, typed(user, password)) if user else None
    try:
        application = QApplication(sys.argv[:1])
        windows = Windows(facility_of(state, client, user))
        windows.show("alarms")
        sys.exit(application.exec_())
    finally:
        if client is not None:
            client.close()

"""`ptcs components`: which component is where, its hours, what is due, work orders, uptime, records."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click
import tango
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common.links import pdf
from common.text import _
from device_servers.services.maintenance import procedures
from ptcs.maintenance_command import REGISTER
from ptcs.maintenance_report import html, words
from ptcs.options import json_option, password_option, user_option
from ptcs.running import state_option
from ptcs.service_calls import attribute, call, proxy_as, proxy_of, site_of

console = Console(highlight=False, soft_wrap=True)
KINDS = {"fit": "fitted", "exchange": "exchanged", "service": "maintenance", "record": "re-validation"}


def register(state: Path) -> tango.DeviceProxy:
    """The register, to read from. Raises Refused, LinkLost."""
    return proxy_of(state, REGISTER)


def desk(state: Path, user: str, password: str) -> AbstractContextManager[tango.DeviceProxy]:
    """The register, to hand something in as a user."""
    return proxy_as(state, REGISTER, user, password)


def rows_of(proxy: tango.DeviceProxy, name: str) -> list[Any]:
    """Rows of an attribute. Raises LinkLost."""
    return [json.loads(row) for row in attribute(proxy, name) or ()]


@click.group()
def components() -> None:
    """Component register: what is fitted where, hours, maintenance due, work orders, uptime."""


@components.command("list")
@click.argument("start", default="")
@state_option
@click.option("--registered", is_flag=True, help="Only devices whose component is known.")
@json_option
def list_components(state: Path, start: str, registered: bool, as_json: bool) -> None:
    """Every device whose name begins with START, with component and hours."""
    rows = json.loads(call(register(state), "Components", start))
    rows = [row for row in rows if row["serial"] or not registered]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(title=_("components"))
    for title in (_("device"), _("class"), _("serial number"), _("type")):
        table.add_column(title)
    for title in (_("hours"), _("cycles")):
        table.add_column(title, justify="right")
    table.add_column(_("next task"))
    for row in rows:
        waiting = f" [red]{_('waits for re-validation')}[/]" if row["pending_since"] else ""
        reading = row["on_component"]
        cycles = (
            str(int(reading["cycles"] + reading["counter"]))
            if reading["cycles"] or reading["counter"]
            else ""
        )
        cells = (escape(row["serial"]) or "[dim]–[/]", escape(row["type"]), f"{reading['hours']:.1f}", cycles)
        table.add_row(row["device"] + waiting, row["class"], *cells, next_task(row["tasks"]))
    console.print(table)


def next_task(tasks: list[Mapping[str, Any]]) -> str:
    """The task that is nearest to its end."""
    if not tasks:
        return ""
    task = max(tasks, key=lambda row: row["share"])
    colour = "red" if task["overdue"] else "yellow" if task["share"] >= 0.9 else "dim"
    return f"[{colour}]{escape(words(task['text']))} {task['share']:.0%}[/]"


@components.command()
@click.argument("device")
@state_option
@json_option
def show(state: Path, device: str, as_json: bool) -> None:
    """Everything that the register keeps of DEVICE."""
    told = json.loads(call(register(state), "History", device))
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    table = Table(title=f"{told['device']} ({told['class']}) {escape(told['serial'])}")
    for title in (_("time"), _("what"), _("who"), _("remark")):
        table.add_column(title)
    for entry in told["history"]:
        table.add_row(entry["time"][:19], _(KINDS[entry["kind"]]), escape(entry["user"]), remark(entry))
    for order in told["orders"]:
        for step in order["steps"]:
            text = f"{_('work order')} {order['number']} {_(step['to'])}"
            table.add_row(
                step["time"][:19], text, escape(step["user"]), escape(f"{order['what']} {step['note']}")
            )
    console.print(table)
    for task in told["tasks"]:
        used = f"{task['used']:.1f} / {task['every']:g} {_(task['kind'])}"
        console.print(f"  {escape(words(task['text']))}: {used}", style="red" if task["overdue"] else "")
    if told["pending_since"]:
        text = _("waits for re-validation since {time}; `ptcs revalidate {device}` does it")
        console.print(f"[red]{text.format(time=told['pending_since'][:19], device=told['device'])}[/]")


def remark(entry: Mapping[str, Any]) -> str:
    """What one entry says, in a line."""
    if entry["kind"] == "record":
        verdict = _("PASSED") if entry["passed"] else _("FAILED")
        return f"[{'green' if entry['passed'] else 'red'}]{verdict}[/] {entry['hash'][:16]}"
    if entry["kind"] == "service":
        return escape(f"{entry['task']} {entry['note']}")
    replaces = f"{entry['replaces']} -> " if entry["replaces"] else ""
    return escape(f"{replaces}{entry['serial']} {entry['type']} {entry['maker']} {entry['reason']}")


@components.command()
@click.argument("device")
@click.argument("serial")
@state_option
@click.option("--type", "type_", default="", help="Type, as the maker calls it.")
@click.option("--maker", default="")
@user_option
@password_option
def fit(state: Path, device: str, serial: str, type_: str, maker: str, user: str, password: str) -> None:
    """Note that DEVICE has the component SERIAL, where the register knows none yet."""
    with desk(state, user, password) as proxy:
        call(proxy, "Fit", json.dumps({"device": device, "serial": serial, "type": type_, "maker": maker}))
    console.print(_("kept in the register"))


@components.command()
@click.argument("device")
@click.argument("serial")
@state_option
@click.option("--reason", required=True, help="Why.")
@click.option("--type", "type_", default=None, help="Type, where it is another than before.")
@click.option("--maker", default=None)
@user_option
@password_option
def exchange(
    state: Path,
    device: str,
    serial: str,
    reason: str,
    type_: str | None,
    maker: str | None,
    user: str,
    password: str,
) -> None:
    """Note that DEVICE has another component, SERIAL; it then waits for its re-validation."""
    wish = {"device": device, "serial": serial, "reason": reason, "type": type_, "maker": maker}
    with desk(state, user, password) as proxy:
        admin = call(proxy, "Exchange", json.dumps({k: v for k, v in wish.items() if v is not None}))
    console.print(_("kept in the register; `ptcs revalidate {device}` is next").format(device=device))
    if admin:
        console.print(f"[yellow]{escape(admin)}[/]")


@components.command()
@click.argument("device")
@click.argument("task")
@state_option
@click.option("--note", default="")
@user_option
@password_option
def done(state: Path, device: str, task: str, note: str, user: str, password: str) -> None:
    """Note that TASK of the maintenance plan of DEVICE was done."""
    with desk(state, user, password) as proxy:
        call(proxy, "Service", json.dumps({"device": device, "task": task, "note": note}))
    console.print(_("kept in the register"))


@components.command()
@click.argument("device")
@click.argument("what")
@state_option
@click.option("--major", is_flag=True, help="A repair that must be re-validated when it is done.")
@user_option
@password_option
def order(state: Path, device: str, what: str, major: bool, user: str, password: str) -> None:
    """Open a work order for DEVICE."""
    with desk(state, user, password) as proxy:
        number = call(proxy, "OpenOrder", json.dumps({"device": device, "what": what, "major": major}))
    console.print(_("work order {number} is open").format(number=number))


@components.command()
@click.argument("number", type=int)
@click.argument("to", type=click.Choice(["IN_PROGRESS", "DONE", "CANCELLED"], case_sensitive=False))
@state_option
@click.option("--note", default="")
@user_option
@password_option
def move(state: Path, number: int, to: str, note: str, user: str, password: str) -> None:
    """Take work order NUMBER on: begun, done or cancelled."""
    with desk(state, user, password) as proxy:
        admin = call(proxy, "MoveOrder", json.dumps({"number": number, "to": to.upper(), "note": note}))
    console.print(_("work order {number}: {to}").format(number=number, to=_(to.upper())))
    if admin:
        console.print(f"[yellow]{escape(admin)}[/]")


@components.command()
@state_option
@json_option
def due(state: Path, as_json: bool) -> None:
    """Maintenance that is due (90 % of its interval), open work orders, and what waits for re-validation."""
    proxy = register(state)
    found = {"due": rows_of(proxy, "Due"), "orders": rows_of(proxy, "Orders")}
    waiting = list(attribute(proxy, "Pending") or ())
    if as_json:
        click.echo(json.dumps({**found, "pending": waiting}, indent=2, ensure_ascii=False))
        return
    table = Table(title=_("maintenance due"))
    for title in (_("device"), _("task"), _("used")):
        table.add_column(title)
    for row in found["due"]:
        colour = "red" if row["overdue"] else "yellow"
        used = f"[{colour}]{row['used']:.1f} / {row['every']:g} {_(row['kind'])}[/]"
        table.add_row(row["device"], escape(words(row["text"])), used)
    console.print(table)
    for row in found["orders"]:
        text = f"{_('work order')} {row['number']} {_(row['state'])}: {row['device']} {row['what']}"
        console.print(escape(text))
    for device in waiting:
        console.print(f"[red]{device}: {_('waits for re-validation')}[/]")


@components.command()
@state_option
@json_option
def uptime(state: Path, as_json: bool) -> None:
    """Uptime and faults by cause of every subsystem."""
    told = json.loads(call(register(state), "Uptime"))
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    table = Table(title=_("uptime since {time}").format(time=told["since"][:19]))
    table.add_column(_("subsystem"))
    for title in (_("observed h"), _("down h"), _("uptime")):
        table.add_column(title, justify="right")
    table.add_column(_("faults: count, hours"))
    for row in told["subsystems"]:
        causes = ", ".join(
            f"{_(c)}: {f['count']}, {f['hours']:.2f}" for c, f in sorted(row["faults"].items())
        )
        share = "" if row["uptime"] is None else f"{row['uptime']:.2%}"
        table.add_row(row["name"], f"{row['observed_h']:.2f}", f"{row['down_h']:.2f}", share, escape(causes))
    console.print(table)


@components.command()
@click.argument("start")
@state_option
@click.option("--pdf", "path", type=click.Path(path_type=Path), default=None, help="Write the report there.")
def record(state: Path, start: str, path: Path | None) -> None:
    """The signed record whose hash begins with START, as JSON or as a report."""
    entry = json.loads(call(register(state), "Record", start))
    if path is None:
        click.echo(json.dumps(entry, indent=2, ensure_ascii=False))
        return
    content, site = entry["record"], site_of(state)
    is_list = content["kind"] == "checklist"
    name = content["name"]
    procedure = procedures.checklist(site, name) if is_list else procedures.for_class(name)
    pdf.render(html(entry, procedure if procedure.digest == content["digest"] else None), path)
    console.print(str(path))

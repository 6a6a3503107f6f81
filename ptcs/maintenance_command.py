"""`ptcs revalidate` and `ptcs checklist`: procedures done step by step, signed, and kept in the register."""

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import tango
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common import site as sites
from common.errors import BadConfig, LinkLost, PtcsError, Refused
from common.links import pdf
from common.site import Device, Site
from common.text import _
from device_servers.services.maintenance import procedures, verdicts
from device_servers.services.maintenance.procedures import Procedure, Step
from device_servers.services.maintenance.stepper import Run
from ptcs import __version__
from ptcs.client import Client, connect
from ptcs.maintenance_bench import TangoBench
from ptcs.maintenance_report import html, limits, values, words
from ptcs.running import find, state_option

MARKS = {
    "PASSED": "[green]✔[/]",
    "FAILED": "[red]✘[/]",
    "SKIPPED": "[dim]–[/]",
    "NOT_APPLICABLE": "[dim]○[/]",
}
user_option = click.option("--user", required=True, help="User of the OIS.")
password_option = click.option(
    "--password", default="", help="Password; asked for when it is not given, and again to sign."
)
yes_option = click.option("--yes", is_flag=True, help="Answer every manual step with yes (recorded as such).")
report_option = click.option(
    "--report",
    type=click.Path(path_type=Path),
    default=None,
    help="Where the PDF goes (default: below --state).",
)
MOST_BAD = 6
console = Console(highlight=False, soft_wrap=True)


def site_of(state: Path) -> Site:
    """The site that runs in a state directory. Raises Refused."""
    return sites.load(Path(find(state)["site_file"]))


def register_name(site: Site) -> str:
    """The site's Maintenance device. Raises Refused when it has none."""
    found = site.of_class("Maintenance")
    if not found:
        raise Refused(_("this site has no Maintenance device; add one to its site file"))
    return found[0].name


def call(proxy: tango.DeviceProxy, command: str, argument: Any = None) -> Any:
    """A command's answer. Raises Refused for what the device refuses, LinkLost when it does not answer."""
    try:
        return proxy.command_inout(command) if argument is None else proxy.command_inout(command, argument)
    except tango.DevFailed as why:
        first = why.args[0]
        raise (Refused if first.reason == "Refused" else LinkLost)(first.desc) from why


def asker(*, yes: bool) -> Callable[[Step], tuple[bool, str]]:
    """Puts manual steps to the person at this terminal."""

    def ask(step: Step) -> tuple[bool, str]:
        if yes:
            return True, "--yes"
        try:
            answer = click.confirm(f"    {words(step.text)}?")
            note = (
                ""
                if answer
                else str(click.prompt(f"    {_('what was found')}", default="", show_default=False))
            )
        except click.Abort as why:
            raise KeyboardInterrupt from why
        return answer, note[:500]

    return ask


def show_step(total: int) -> Callable[[int, Step, Mapping[str, Any] | None], None]:
    """Prints a step before it is done, and what came of it."""

    def told(number: int, step: Step, content: Mapping[str, Any] | None) -> None:
        if content is None:
            if step.kind != "confirm" and console.is_terminal:
                console.print(f"[dim]{number:2}/{total}[/] {escape(words(step.text))} [dim]...[/]", end="\r")
            return
        console.print(
            f"[dim]{number:2}/{total}[/] {MARKS[content['verdict']]} {escape(words(step.text))}    "
        )
        for line in readings_told(step, content["readings"]):
            console.print(f"         {line}")
        for fault in content["faults"]:
            console.print(f"         [red]{fault['device']}: {_('fault code')} {fault['code']}[/]")
        for finding in content["timing"]:
            console.print(f"         [red]{_('timing error')}: {escape(finding)}[/]")
        if content["note"] and content["verdict"] == "FAILED":
            console.print(f"         [red]{escape(content['note'])}[/]")

    return told


def readings_told(step: Step, readings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines for a terminal: what was bad, else one line for what was measured."""
    lines = []
    bad = [reading for reading in readings if not reading["ok"]]
    for reading in bad[:MOST_BAD]:
        allowed = f" ({_('allowed')} {limits(reading)})" if limits(reading) else ""
        text = f"{reading['device']} {reading['what']}: {values(reading, step)}{allowed} {reading['note']}"
        lines.append(f"[red]{escape(text)}[/]")
    if len(bad) > MOST_BAD:
        lines.append(f"[red]+ {len(bad) - MOST_BAD}[/]")
    if not bad and readings and step.kind == "measure":
        first, rest = readings[0], len(readings) - 1
        text = f"{first['what']}: {values(first, step)} ({_('allowed')} {limits(first)})"
        more = f", + {rest} {_('devices')}" if rest else ""
        lines.append(f"[dim]{escape((first['device'] + ' ' if rest else '') + text + more)}[/]")
    return lines


def sign_and_submit(
    client: Client, register: tango.DeviceProxy, record: dict[str, Any], password: str
) -> Mapping[str, Any]:
    """Have the person sign a finished record and hand it in. Raises Unauthorised, Refused, LinkLost."""
    digest = verdicts.digest(record)
    console.print(f"{_('record')} {digest[:16]}: {verdict_text(record['verdict'])}")
    if not password:
        password = click.prompt(
            _("{user} signs the record; password").format(user=record["user"]), hide_input=True
        )
    body = {"hash": digest, "meaning": record["kind"], "password": password}
    with client.ois() as ois:
        signed = str(ois.post("signatures", body)["signed"])
    answer = call(register, "Submit", json.dumps({"record": record, "signature": signed}))
    kept: Mapping[str, Any] = json.loads(answer)
    return kept


def verdict_text(verdict: str) -> str:
    """A verdict with its colour."""
    return f"[{'green' if verdict == 'PASSED' else 'red'}]{_(verdict)}[/]"


def carry_out(
    state: Path, user: str, password: str, procedure: Procedure, device: Device | None, *, yes: bool
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Log in, do a procedure, sign and keep its record: (answer of the register, its entry)."""
    site = site_of(state)
    register = register_name(site)
    typed = password or click.prompt(_("password of {user}").format(user=user), hide_input=True)
    with connect(state, user, typed) as client:
        proxy = client.proxy(register)
        begun = json.loads(call(proxy, "Begin", device.name)) if device else {}
        console.print(f"[bold]{escape(words(procedure.title))}[/] {device.name if device else site.name}")
        bench = TangoBench(client, site, asker(yes=yes))
        show = show_step(len(procedure.all_steps))

        def told(number: int, step: Step, content: Mapping[str, Any] | None) -> None:
            show(number, step, content)
            if begun:
                with contextlib.suppress(PtcsError):  # for others to see; the record does not need it
                    result = {k: content[k] for k in ("name", "verdict")} if content else None
                    text = {"run": begun["run"], "step": step.name, "result": result}
                    call(proxy, "Advance", json.dumps(text))

        run = Run(procedure, site, bench, device, told)
        about = {"kind": procedure.kind, "name": procedure.name, "digest": procedure.digest, "user": user}
        if device:
            about |= {"device": device.name, "serial": begun["serial"]}
        record = {**about, "site": site.name, "version": __version__, **run.perform()}
        kept = sign_and_submit(client, proxy, record, password)
        return kept, json.loads(call(proxy, "Record", kept["hash"]))


def finish(
    state: Path, procedure: Procedure, kept: Mapping[str, Any], entry: Mapping[str, Any], report: Path | None
) -> None:
    """Write the report, say what became of it; exit status 1 when it failed."""
    path = report or state / "maintenance" / "reports" / f"{kept['hash'][:16]}.pdf"
    pdf.render(html(entry, procedure), path)
    console.print(_("kept in the register; report: {path}").format(path=path))
    if kept["admin"]:
        console.print(f"[yellow]{escape(kept['admin'])}[/]")
    if not kept["passed"] and procedure.kind == "revalidation":
        console.print(_("a device that waits for its re-validation goes on waiting"))
    sys.exit(0 if kept["passed"] else 1)


@click.command()
@click.argument("device")
@state_option
@user_option
@password_option
@yes_option
@report_option
def revalidate(state: Path, device: str, user: str, password: str, yes: bool, report: Path | None) -> None:
    """Re-validate DEVICE after its component was exchanged or repaired; sign and keep the record."""
    try:
        entry = site_of(state).device(device.lower())
    except BadConfig as why:
        raise Refused(str(why)) from why
    procedure = procedures.for_class(entry.tango_class)
    kept, record = carry_out(state, user, password, procedure, entry, yes=yes)
    finish(state, procedure, kept, record, report)


@click.command()
@click.argument("name", required=False)
@state_option
@click.option("--user", default="", help="User of the OIS.")
@password_option
@yes_option
@report_option
def checklist(
    state: Path, name: str | None, user: str, password: str, yes: bool, report: Path | None
) -> None:
    """Go through checklist NAME (start-up, shut-down ...); without NAME, list what the site has."""
    site = site_of(state)
    if name is None:
        table = Table(title=_("checklists of {site}").format(site=site.name))
        for title in (_("checklist"), _("title"), _("steps")):
            table.add_column(title)
        for found in procedures.checklists(site):
            listed = procedures.checklist(site, found)
            table.add_row(found, words(listed.title), str(len(listed.steps)))
        console.print(table)
        return
    procedure = procedures.checklist(site, name)
    if not user:
        raise Refused(_("a checklist is signed: give --user"))
    kept, record = carry_out(state, user, password, procedure, None, yes=yes)
    finish(state, procedure, kept, record, report)

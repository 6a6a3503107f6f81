"""`ptcs revalidate` and `ptcs checklist`: procedures done step by step, signed, and kept in the register."""

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import tango
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common.errors import BadConfig, PtcsError, Refused
from common.links import pdf
from common.site import Device, Site
from common.text import _
from device_servers.services.maintenance import procedures, verdicts
from device_servers.services.maintenance.procedures import Procedure, Step
from device_servers.services.maintenance.stepper import Run
from ptcs import __version__
from ptcs.client import Client, connect
from ptcs.maintenance_bench import TangoBench
from ptcs.maintenance_report import fault_line, html, limits, values, words
from ptcs.options import typed, user_option
from ptcs.running import state_option
from ptcs.service_calls import call, device_of, site_of

REGISTER = "Maintenance"
MARKS = {
    "PASSED": "[green]✔[/]",
    "FAILED": "[red]✘[/]",
    "SKIPPED": "[dim]–[/]",
    "NOT_APPLICABLE": "[dim]○[/]",
}
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
            console.print(f"         [red]{escape(fault_line(fault))}[/]")
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


def signed(client: Client, record: Mapping[str, Any], digest: str, password: str) -> str:
    """Have the person sign a finished record at the OIS; the JWS. Raises Unauthorised, LinkLost."""
    console.print(f"{_('record')} {digest[:16]}: {verdict_text(record['verdict'])}")
    text = _("{user} signs the record; password").format(user=record["user"])
    secret = password or click.prompt(text, hide_input=True)
    body = {"hash": digest, "meaning": record["kind"], "password": secret}
    with client.ois() as ois:
        return str(ois.post("signatures", body)["signed"])


def verdict_text(verdict: str) -> str:
    """A verdict with its colour."""
    return f"[{'green' if verdict == 'PASSED' else 'red'}]{_(verdict)}[/]"


@dataclass(frozen=True)
class Task:
    """A procedure to carry out as a user: of one device, or (checklist) of the site."""

    state: Path
    site: Site
    user: str
    password: str
    yes: bool
    procedure: Procedure
    device: Device | None = None

    def carry_out(self, report: Path | None) -> None:
        """Log in, do it, have it signed and kept, write the report; exit status 1 when it failed."""
        secret = typed(self.user, self.password)
        there = self.device is not None or bool(self.site.of_class(REGISTER))
        name = device_of(self.site, REGISTER) if there else ""
        with connect(self.state, self.user, secret) as client:
            register = client.proxy(name) if there else None
            record = self._perform(client, register)
            digest = verdicts.digest(record)
            entry = {"user": self.user, "hash": digest, "record": record}
            entry["signature"] = signed(client, record, digest, self.password)
            kept: Mapping[str, Any] = {"passed": record["verdict"] == "PASSED", "admin": ""}
            if register is not None:
                body = json.dumps({"record": record, "signature": entry["signature"]})
                kept = json.loads(call(register, "Submit", body))
        path = report or self.state / "maintenance" / "reports" / f"{digest[:16]}.pdf"
        pdf.render(html(entry, self.procedure), path)
        self._tell(kept, path, register is not None)
        sys.exit(0 if kept["passed"] else 1)

    def _perform(self, client: Client, register: tango.DeviceProxy | None) -> dict[str, Any]:
        name = self.site.name if self.device is None else self.device.name
        begun: Mapping[str, Any] = {}
        if self.device is not None:
            begun = json.loads(call(register, "Begin", name))
        console.print(f"[bold]{escape(words(self.procedure.title))}[/] {name}")
        show = show_step(len(self.procedure.all_steps))

        def told(number: int, step: Step, content: Mapping[str, Any] | None) -> None:
            show(number, step, content)
            if begun:
                result = {key: content[key] for key in ("name", "verdict")} if content else None
                with contextlib.suppress(PtcsError):  # for others to see; the record does not need it
                    text = json.dumps({"run": begun["run"], "step": step.name, "result": result})
                    call(register, "Advance", text)

        bench = TangoBench(client, self.site, asker(yes=self.yes))
        run = Run(self.procedure, self.site, bench, self.device, told)
        about = {"kind": self.procedure.kind, "name": self.procedure.name, "digest": self.procedure.digest}
        if self.device is not None:
            about |= {"device": name, "serial": begun["serial"]}
        return {**about, "user": self.user, "site": self.site.name, "version": __version__, **run.perform()}

    def _tell(self, kept: Mapping[str, Any], path: Path, registered: bool) -> None:
        console.print(_("report: {path}").format(path=path))
        if registered:
            console.print(_("kept in the register"))
        else:
            console.print(f"[yellow]{_('this site has no register: only the report keeps this record')}[/]")
        if kept["admin"]:
            console.print(f"[yellow]{escape(kept['admin'])}[/]")
        if not kept["passed"] and self.device is not None:
            console.print(_("a device that waits for its re-validation goes on waiting"))


@click.command()
@click.argument("device")
@state_option
@user_option
@password_option
@yes_option
@report_option
def revalidate(state: Path, device: str, user: str, password: str, yes: bool, report: Path | None) -> None:
    """Re-validate DEVICE after its component was exchanged or repaired; sign and keep the record."""
    site = site_of(state)
    try:
        entry = site.device(device.lower())
    except BadConfig as why:
        raise Refused(str(why)) from why
    procedure = procedures.for_class(entry.tango_class)
    Task(state, site, user, password, yes, procedure, entry).carry_out(report)


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
    Task(state, site, user, password, yes, procedure).carry_out(report)

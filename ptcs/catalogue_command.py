"""`ptcs catalogue`: the beam catalogue, and versions of its entries that people propose and approve."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common.errors import BadInput, Refused
from common.files import read_json, write_json
from common.text import _
from ptcs.options import json_option, password_option, user_option
from ptcs.running import state_option
from ptcs.service_calls import Service, reading, site_of, writing

KIND = "BeamCatalogue"
console = Console(highlight=False, soft_wrap=True)
why_option = click.option("--why", required=True, help="Why; kept for ever.")
SETPOINT = "/CurrentSetpoint"


def wanted(entry: str) -> dict[str, Any]:
    """The entry that ION:ENERGY[:INTENSITY[:ROOM]] names. Raises BadInput."""
    parts = entry.split(":")
    try:
        found: dict[str, Any] = {"ion": parts[0], "energy": float(parts[1])}
    except (IndexError, ValueError) as why:
        text = _("entry {entry!r}: write ION:ENERGY:INTENSITY:ROOM, such as proton:150:nominal:room1")
        raise BadInput(text.format(entry=entry)) from why
    return found | dict(zip(("intensity", "room"), parts[2:4], strict=False))


@click.group()
def catalogue() -> None:
    """Settings per ion, energy, intensity and room, with versions.

    An ENTRY is written ION:ENERGY:INTENSITY:ROOM; what has one value may be left out at the end.
    """


@catalogue.command(name="list")
@state_option
@json_option
def list_(state: Path, as_json: bool) -> None:
    """What there is, which versions are not the base, and what waits for an approval."""
    service = reading(state, KIND)
    offers, found = service.read("Offers"), service.ask("AllVersions")
    if as_json:
        click.echo(json.dumps({"offers": offers, **found}, indent=2, ensure_ascii=False))
        return
    console.print(found["catalogue"])
    for ion, energies in offers["energies"].items():
        text = _("{ion}: {count} energies from {low:g} to {high:g} MeV per nucleon")
        console.print(text.format(ion=ion, count=len(energies), low=energies[0], high=energies[-1]))
    console.print(_("intensities: {names}").format(names=", ".join(offers["intensities"])))
    console.print(_("rooms: {names}").format(names=", ".join(offers["rooms"])))
    rows = [row for versions in found["entries"].values() for row in versions]
    if rows:
        console.print(_versions(rows))


@catalogue.command()
@click.argument("entry")
@state_option
@json_option
def show(state: Path, entry: str, as_json: bool) -> None:
    """ENTRY as it is in force: the current of each supply."""
    found = reading(state, KIND).ask("Show", wanted(entry))
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    text = _("{id}, version {version}: {rigidity_tm:.4f} T m")
    console.print(text.format(**{key: found[key] for key in ("id", "version", "rigidity_tm")}))
    table = Table(box=None, pad_edge=False)
    table.add_column(_("magnet supply"))
    table.add_column("A", justify="right")
    for name, value in found["settings"].items():
        table.add_row(name, f"{value:.4f}")
    console.print(table)


@catalogue.command()
@click.argument("entry")
@state_option
@json_option
def history(state: Path, entry: str, as_json: bool) -> None:
    """Versions of ENTRY and what was done with them."""
    rows = reading(state, KIND).ask("Versions", wanted(entry))
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    console.print(_versions(rows))
    for row in rows:
        for line in row["history"]:
            words = (str(row["number"]), line["time"][:19], line["user"], _(line["act"]), line["why"])
            console.print(escape("  ".join(words)))


@catalogue.command()
@click.argument("entry")
@click.argument("number", type=int)
@state_option
@json_option
def compare(state: Path, entry: str, number: int, as_json: bool) -> None:
    """Supplies in which version NUMBER of ENTRY (0: the base) differs from what is in force."""
    rows = reading(state, KIND).ask("Compare", wanted(entry) | {"number": number})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for heading in (_("magnet supply"), _("in force"), str(number), "%"):
        table.add_column(heading, justify="left" if heading == _("magnet supply") else "right")
    for row in rows:
        share = "" if row["share"] is None else f"{100 * row['share']:.3f}"
        table.add_row(row["name"], f"{row['left']:.4f}", f"{row['right']:.4f}", share)
    console.print(table if rows else _("no difference"))


@catalogue.command()
@click.argument("entry")
@click.option("--set", "values", multiple=True, help="SUPPLY=AMPERE; several are possible.")
@click.option("--file", "path", type=click.Path(path_type=Path, exists=True), help="JSON {supply: A}.")
@click.option("--snapshot", default="", help="Take the set values of a snapshot.")
@click.option("--large", is_flag=True, help="It may be far from the base.")
@why_option
@state_option
@user_option
@password_option
def propose(state: Path, entry: str, why: str, user: str, password: str, **given: Any) -> None:
    """Propose a version of ENTRY; another person approves it."""
    wish = wanted(entry) | {"why": why, "large": given["large"]}
    with writing(state, KIND, user, password) as service:
        settings = _pairs(given["values"])
        if given["path"] is not None:
            settings |= read_json(given["path"])
        if given["snapshot"]:
            settings |= _of_snapshot(state, given["snapshot"], service.ask("Show", wanted(entry))["settings"])
            wish["evidence"] = {"snapshot": given["snapshot"]}
        number = service.ask("Propose", wish | {"settings": settings})
    console.print(_("version {number} is proposed").format(number=number))


def _act(name: str, command: str, text: str) -> click.Command:
    """A command that does one thing with a version."""

    @click.argument("entry")
    @click.argument("number", type=int)
    @why_option
    @state_option
    @user_option
    @password_option
    def act(state: Path, entry: str, number: int, why: str, user: str, password: str) -> None:
        with writing(state, KIND, user, password) as service:
            service.ask(command, wanted(entry) | {"number": number, "why": why})

    return click.command(name, help=text)(act)


for told in (
    ("approve", "Approve", "Approve version NUMBER of ENTRY, which another person has proposed."),
    ("reject", "Reject", "Reject version NUMBER of ENTRY."),
    ("withdraw", "Withdraw", "Take back one's own proposal NUMBER of ENTRY."),
    ("enforce", "Enforce", "Put approved version NUMBER of ENTRY (0: the base) in force."),
):
    catalogue.add_command(_act(*told))


@catalogue.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@state_option
def export(state: Path, path: Path) -> None:
    """Write every version of every entry to PATH (JSON)."""
    found = reading(state, KIND).ask("AllVersions")
    write_json(path, found)
    console.print(_("{count} entries in {path}").format(count=len(found["entries"]), path=path))


@catalogue.command(name="import")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--large", is_flag=True, help="They may be far from the base.")
@why_option
@state_option
@user_option
@password_option
def import_(state: Path, path: Path, large: bool, why: str, user: str, password: str) -> None:
    """Propose what was in force in an exported PATH; each is approved here again."""
    found = read_json(path)
    with writing(state, KIND, user, password) as service:
        for row in _in_force(found):
            number = _propose(service, row, why, large=large, catalogue=str(found["catalogue"]))
            told = {"entry": row["entry"], "number": number}
            console.print(_("{entry}: version {number} is proposed").format(**told))


def _in_force(found: Any) -> Iterable[dict[str, Any]]:
    try:
        rows = [row for versions in found["entries"].values() for row in versions]
        return [row for row in rows if row["state"] == "IN_FORCE"]
    except (KeyError, TypeError, AttributeError) as why:
        raise BadInput(_("this is no export of a beam catalogue ({why})").format(why=why)) from why


def _propose(service: Service, row: dict[str, Any], why: str, *, large: bool, catalogue: str) -> int:
    evidence = {"import": catalogue, "version": row["number"], "approved by": row["approved_by"]}
    wish = {"settings": row["settings"], "why": why, "large": large, "evidence": evidence}
    return int(service.ask("Propose", wanted(row["entry"]) | wish))


def _pairs(values: Iterable[str]) -> dict[str, float]:
    """SUPPLY=AMPERE pairs. Raises BadInput."""
    found = {}
    for pair in values:
        name, _equals, value = pair.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError as why:
            raise BadInput(_("{pair!r}: write SUPPLY=AMPERE").format(pair=pair)) from why
    return found


def _of_snapshot(state: Path, name: str, supplies: dict[str, float]) -> dict[str, float]:
    """Set values of the entry's supplies in a snapshot. Raises Refused when it has none of them."""
    columns = reading(state, "SettingsServer").ask("Show", name)["columns"]
    wires = {device.name: device.wire for device in site_of(state).of_class("MagnetSupply")}
    found = {}
    for attribute, value in zip(columns["name"], columns["value"], strict=True):
        wire = wires.get(attribute.removesuffix(SETPOINT)) if attribute.endswith(SETPOINT) else None
        if wire in supplies and value is not None:
            found[wire] = float(value)
    if not found:
        raise Refused(_("the snapshot has no set value of a supply of this entry"))
    return found


def _versions(rows: Iterable[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in (
        _("entry"),
        _("version"),
        _("state"),
        _("by"),
        _("approved by"),
        _("date and time"),
        _("why"),
    ):
        table.add_column(heading)
    for row in rows:
        words = (row["entry"], str(row["number"]), _(row["state"]), row["user"], row["approved_by"])
        table.add_row(*map(escape, (*words, row["time"][:19], row["why"])))
    return table

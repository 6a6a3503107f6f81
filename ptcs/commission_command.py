"""`ptcs commission`: what was measured, reports, and settings that a killed measurement has left."""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Column, Table

from common.errors import BadInput
from common.files import read_json
from common.state import StateDir
from common.text import _
from ptcs.client import connect
from ptcs.commissioning import recover as recovery
from ptcs.commissioning import report as reports
from ptcs.commissioning.results import listed, load_or_points, of_kind, trends
from ptcs.commissioning.store import Store
from ptcs.commissioning.tango_bench import TangoBench, site_of
from ptcs.options import json_option
from ptcs.running import state_option

console = Console()


@click.group()
def commission() -> None:
    """Measurements of commissioning: list, report, trend, recover."""


@commission.command("list")
@state_option
@json_option
def show_list(state: Path, as_json: bool) -> None:
    """Every measurement with its verdict, and settings that were not put back."""
    store = Store(state)
    rows = listed(store)
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(Column(_("measurement"), no_wrap=True), _("title"), _("user"), _("points"), _("verdict"))
    for row in rows:
        verdict = reports.WORDS[row["verdict"]]() if row["verdict"] else ""
        table.add_row(row["id"], _(row["title"]), row["user"], row["points"], verdict)
    console.print(table)
    for note in store.orphans():
        text = _("settings of measurement {id} were never put back: `ptcs commission recover` does it")
        click.echo(text.format(id=note.id), err=True)


@commission.command("report")
@click.argument("measurement")
@state_option
@click.option("--text", "as_text", is_flag=True, help="Print the quantities, make no file.")
def show_report(measurement: str, state: Path, as_text: bool) -> None:
    """Write the report of a measurement as PDF and say where it is."""
    store = Store(state)
    if not as_text:
        click.echo(reports.write(store, measurement))
        return
    result = load_or_points(store, measurement)
    words = reports.WORDS
    title = f"{_(result.title)}: {words[result.verdict.value]()}"
    if not result.quantities:
        points = result.tables[0]
        table = Table(*map(_, points.columns), title=title)
        for row in points.rows:
            table.add_row(*map(reports.number, row))
    else:
        table = Table(_("quantity"), _("value"), _("verdict"), title=title)
        for quantity in result.quantities:
            table.add_row(_(quantity.name), reports.with_error(quantity), words[quantity.verdict.value]())
    console.print(table)


@commission.command("trend")
@click.argument("kind")
@state_option
def show_trend(kind: str, state: Path) -> None:
    """How the quantities of one kind (orbit, range, monitor, spots, spill, alignment) have moved."""
    found = of_kind(Store(state), kind)
    if not found:
        raise BadInput(
            _("no result of kind {kind}: `ptcs commission list` shows what there is").format(kind=kind)
        )
    columns = (_("quantity"), _("results"), _("this time"), _("change in sigmas"))
    table = Table(*columns, title=kind)
    for trend in trends(found):
        last = f"{reports.number(trend.value[-1])} {reports.unit(trend.unit)}".strip()
        table.add_row(
            _(trend.name), str(len(trend.value)), last, reports.number(round(trend.change, 1) + 0.0)
        )
    console.print(table)


@commission.command()
@state_option
@click.option("--user", default="service", help="Who writes.")
@click.option("--password", default="", help="Left out: asked for, or the demonstration's own.")
@click.option("--yes", is_flag=True, help="Put back without asking.")
def recover(state: Path, user: str, password: str, yes: bool) -> None:
    """Put back settings that a killed measurement has left; shows them and asks first."""
    store = Store(state)
    notes = store.orphans()
    if not notes:
        click.echo(_("nothing is left to put back"))
        return
    with connect(state, user, password or _password(state, user)) as client:
        bench = TangoBench(client, site_of(state))
        for note in notes:
            click.echo(
                _("{id}, begun {began} by {user}:").format(id=note.id, began=note.began, user=note.user)
            )
            for each in recovery.left(bench, note):
                click.echo(f"  {each.name}: {each.now:g} -> {each.before:g}" + ("" if each.away else " (=)"))
            if yes or click.confirm(_("put these back?")):
                written = recovery.put_back(bench, store, note)
                click.echo(_("{count} settings put back").format(count=len(written)))


def _password(state: Path, user: str) -> str:
    """The demonstration's password of a user; another facility's is asked for."""
    path = StateDir(state).demo_accounts
    known: dict[str, Any] = read_json(path) if path.exists() else {}
    return str(known[user]) if user in known else str(click.prompt(_("password"), hide_input=True))

"""`ptcs health`: what is wrong in a running facility, where, and which server holds it."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click
import tango
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.tree import Tree

from common.text import _
from ptcs.options import json_option
from ptcs.running import state_option
from ptcs.service_calls import proxy_of, silent

MARKS = {"OK": "[green]✔", "DEGRADED": "[yellow]▲", "UNKNOWN": "[magenta]?", "FAILED": "[red]✘"}
REFRESH_S = 1.0


def read(state: Path) -> dict[str, Any]:
    """What FacilityHealth says: facility, subsystems, troubles, servers. Raises Refused or LinkLost."""
    proxy = proxy_of(state, "FacilityHealth")
    names = ("Facility", "Subsystems", "Troubles", "Servers")
    try:
        told = {value.name: value.value for value in proxy.read_attributes(list(names))}
    except tango.DevFailed as why:
        raise silent(proxy.dev_name()) from why
    rows = {name.lower(): [json.loads(row) for row in told[name] or ()] for name in names[1:]}
    return {"facility": ("OK", "DEGRADED", "FAILED", "UNKNOWN")[told["Facility"]], **rows}


def draw(told: dict[str, Any]) -> Group:
    """As a tree of subsystems and a table of troubles."""
    tree = Tree(f"{MARKS[told['facility']]} {_('facility')}")
    branches: dict[str, Tree] = {}
    for row in told["subsystems"]:
        domain, family = row["name"].split("/")
        branch = branches.get(domain) or branches.setdefault(domain, tree.add(domain))
        counts = ", ".join(
            f"{row[key]} {key}" for key in ("ok", "degraded", "unknown", "failed") if key in row
        )
        unused = _(", {count} not in use").format(count=row["unused"]) if row["unused"] else ""
        branch.add(f"{MARKS[row['health']]}[/] {family}: {counts}{unused}")
    table = Table(title=_("not OK"))
    for title in (_("device"), _("health"), _("state"), _("why"), _("server")):
        table.add_column(title)
    for row in told["troubles"]:
        mark = f"{MARKS[row['health']]}[/] {row['health']}"
        table.add_row(row["name"], mark, row["state"], row["status"], row["server"])
    lost = [row for row in told["servers"] if row["lost"]]
    notes = [f"[red]{row['server']}: {row['lost']}" for row in lost]
    return Group(tree, *([table] if told["troubles"] else []), *notes)


@click.command()
@state_option
@json_option
@click.option("--watch", is_flag=True, help="Go on, once a second, until Ctrl-C.")
def health(state: Path, as_json: bool, watch: bool) -> None:
    """Health of every subsystem; exit status 1 when something in use is not OK."""
    told = read(state)
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    elif watch:
        with Live(draw(told), refresh_per_second=1) as live:
            while True:
                time.sleep(REFRESH_S)
                live.update(draw(read(state)), refresh=True)
    else:
        Console().print(draw(told))
    sys.exit(0 if told["facility"] == "OK" else 1)

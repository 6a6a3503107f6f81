"""Tables of snapshots, dry runs and restores for a terminal."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from common.text import _

MARKS = {"write": "[green]✔[/]", "refused": "[red]✘[/]", "left": "[dim]–[/]"}
console = Console(highlight=False, soft_wrap=True)


def show_plan(plan: Mapping[str, Any], limit: int) -> int:
    """Print a dry run; how many attributes it writes."""
    steps: Sequence[Mapping[str, Any]] = plan["steps"]
    counts: dict[str, int] = {verdict: sum(step["verdict"] == verdict for step in steps) for verdict in MARKS}
    table = table_of(plan["snapshot"], _("group"), _("attribute"), _("now"), _("wanted"), _("why not"))
    for step in steps[: limit or None]:
        row = (step["group"], step["name"], said(step["now"]), said(step["wanted"]), step["why"])
        table.add_row(MARKS[step["verdict"]], *map(escape, row))
    if steps:
        console.print(table)
    more(len(steps), limit)
    text = _(
        "{write} to write, {refused} cannot be written, {left} are left; {same} stand as in the snapshot"
    )
    console.print(text.format(same=plan["same"], **counts))
    return counts["write"]


def show_record(record: Mapping[str, Any]) -> None:
    """Print how a restore ended."""
    text = _("{id}: {state}, {written} of {writes} written and read back")
    told = {key: record[key] for key in ("id", "writes")}
    console.print(text.format(state=_(record["state"]), written=len(record["written"]), **told))


def table_of(title: str, *headings: str) -> Table:
    """A table whose first column holds marks."""
    table = Table(title=title or None, box=None, pad_edge=False)
    for heading in ("", *headings):
        table.add_column(heading)
    return table


def more(count: int, limit: int) -> None:
    """Say how many rows are not shown."""
    if limit and count > limit:
        console.print(_("... and {count} more; --limit 0 shows all").format(count=count - limit))


def said(value: Any, why: str = "") -> str:
    """A value as people read it; why it is not known."""
    if value is None:
        return f"? {why}".strip()
    if isinstance(value, list):
        return f"[{len(value)}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def when(seconds: float) -> str:
    """Seconds since the epoch as local time."""
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%Y-%m-%d %H:%M:%S}"

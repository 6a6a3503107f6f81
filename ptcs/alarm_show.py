"""How `ptcs alarm` shows alarms, their history and their rules, and reads lengths and moments of time."""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from common.text import _, language

MARKS = {
    "NO_ALARM": "[green]✔",
    "MINOR": "[yellow]▲",
    "MAJOR": "[red]✘",
    "INVALID": "[magenta]?",
}
"""A severity is a sign and a word; colour only repeats it."""
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def words(row: Mapping[str, str]) -> str:
    """A text in the language in force."""
    return row.get(language()) or row.get("en", "")


def span(text: str) -> float:
    """Seconds of a length such as 90s, 30m, 8h, 2d. Raises click.BadParameter."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if found is None:
        raise click.BadParameter(_("{text!r}: write a length such as 30m, 8h or 2d").format(text=text))
    return float(found[1]) * UNITS[found[2]]


def moment(text: str) -> float:
    """Seconds since the epoch of 2026-01-31T08:00, or of a length ago (2h). Raises click.BadParameter."""
    if re.fullmatch(r"\d+(?:\.\d+)?[smhd]", text):
        return time.time() - span(text)
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as why:
        raise click.BadParameter(_("{text!r}: write 2026-01-31T08:00, or 2h for two hours ago").format(
            text=text
        )) from why  # fmt: skip


def age(seconds: float) -> str:
    """A length for people."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("m", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def drawn(rows: Sequence[Mapping[str, Any]]) -> Group:
    """Alarms as a table, worst first, and how many of which kind."""
    order = {"INVALID": 0, "MAJOR": 1, "MINOR": 2, "NO_ALARM": 3}
    table = Table()
    for title in (_("severity"), _("state"), _("alarm"), _("age"), _("value"), _("text"), _("by")):
        table.add_column(title)
    for row in sorted(rows, key=lambda row: (order[row["severity"]], row["priority"], -row["since"])):
        first = f" [cyan]{_('first')}[/]" if row["first"] else ""
        value = "?" if row["value"] is None else f"{row['value']:.4g}"
        by = f"{row['user']}: {row['note']}" if row["user"] else ""
        if row["until"]:
            by += f" ({_('until')} {local(row['until'])})"
        table.add_row(
            f"{MARKS[row['severity']]} {row['severity']}[/] {row['status']}",
            _(row["state"]) + first,
            escape(row["name"]),
            age(time.time() - row["since"]),
            value,
            escape(words(row["text"])),
            escape(by),
        )
    return Group(table) if rows else Group(f"[green]✔[/] {_('no alarm')}")


def local(when: float) -> str:
    """A time on the clock of this place."""
    return datetime.fromtimestamp(when).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def events(rows: Sequence[Mapping[str, Any]]) -> Table:
    """History as a table."""
    table = Table()
    for title in (_("when"), _("event"), _("severity"), _("alarm"), _("value"), _("by"), _("comment")):
        table.add_column(title)
    for row in rows:
        value = "" if row["value"] is None else f"{row['value']:.4g}"
        mark = f"{MARKS[row['severity']]} {row['severity']}[/]"
        table.add_row(
            local(row["time"]),
            _(row["event"]),
            mark,
            escape(row["name"]),
            value,
            row["user"],
            escape(row["note"]),
        )
    return table


def listed(found: Sequence[Mapping[str, Any]]) -> Table:
    """Rules as a table."""
    table = Table()
    for title in (_("alarm"), _("state"), _("now"), _("value"), _("expression"), _("text")):
        table.add_column(title)
    for row in found:
        value = "?" if row["value"] is None else f"{row['value']:.4g}"
        now = f"{MARKS[row['now']]} {row['now']}[/]"
        table.add_row(
            escape(row["name"]),
            _(row["state"]),
            now,
            value,
            escape(row["expression"]),
            escape(words(row["text"])),
        )
    return table

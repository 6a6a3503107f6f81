"""What `ptcs archive query` shows: a table, a plot, or rows for a spreadsheet."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from common.text import _
from device_servers.services.archive.protocols import Overview, Word
from device_servers.services.archive.tables import iso
from ptcs import archive_plot

PLOT_ROWS = 16
COLUMNS = ("time", "count", "unknown", "minimum", "maximum", "mean", "last")

console = Console(highlight=False, soft_wrap=True)


def as_csv(overview: Overview, words: Sequence[Word]) -> str:
    """The rows of an answer as CSV: bins or samples, or texts; unknown is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if words:
        writer.writerow(("time", "text", "known"))
        writer.writerows((word.time, word.text, word.known) for word in words)
    else:
        writer.writerow(COLUMNS)
        writer.writerows(_rows(overview))
    return out.getvalue()


def _rows(overview: Overview) -> list[tuple[Any, ...]]:
    columns = [overview.times, overview.count, overview.unknown, overview.minimum]
    columns += [overview.maximum, overview.mean, overview.last]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [tuple("" if value != value else value for value in row) for row in rows]  # noqa: PLR0124 (NaN)


def show(overview: Overview, words: Sequence[Word], attribute: str) -> None:
    """As a table."""
    table = Table(title=attribute)
    if words:
        for title in (_("time (UTC)"), _("text")):
            table.add_column(title)
        for word in words:
            table.add_row(*iso(np.array([word.time])), word.text if word.known else _("unknown"))
    elif overview.raw:
        for title in (_("time (UTC)"), _("value")):
            table.add_column(title, justify="right")
        before = [] if overview.before is None else [overview.before]
        for when, value in [*before, *zip(overview.times, overview.last, strict=True)]:
            table.add_row(*iso(np.array([when])), _number(value))
    else:
        for title in (_("time (UTC)"), _("samples"), _("minimum"), _("mean"), _("maximum")):
            table.add_column(title, justify="right")
        for when, count, _unknown, low, high, mean, _last in _rows(overview):
            table.add_row(
                *iso(np.array([when])), str(count), *(_number(value) for value in (low, mean, high))
            )
    console.print(table)


def _number(value: Any) -> str:
    return _("unknown") if value == "" or value != value else f"{value:.8g}"  # noqa: PLR0124 (NaN)


def show_plot(overview: Overview, words: Sequence[Word], attribute: str, span: tuple[float, float]) -> None:
    """As a plot of braille, as wide as the terminal; texts, and what cannot be drawn, as a table."""
    lines = archive_plot.terminal(overview, *span, console.width, PLOT_ROWS)
    if words or not lines:
        show(overview, words, attribute)
        return
    click.echo(attribute)
    for line in lines:
        click.echo(line)


def show_standing(told: Mapping[str, Any]) -> None:
    """What the archiver does and has, one line each."""
    labels = {
        "state": _("state"),
        "status": _("why"),
        "segment": _("written now"),
        "rate": _("values per second"),
        "values": _("values since the start"),
        "lost": _("values lost"),
        "attributes": _("archived attributes"),
        "store": _("store"),
        "files": _("files of the archive"),
        "megabytes": _("size, MB"),
        "free_gb": _("free on the disk, GB"),
    }
    table = Table(show_header=False, box=None)
    for name, value in told.items():
        table.add_row(labels[name], f"{value:,.1f}" if isinstance(value, float) else str(value))
    console.print(table)

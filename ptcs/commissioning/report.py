"""A result as a page to print: verdict, quantities against tolerance, tables, pictures, trend."""

import base64
import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from common.links.pdf import render
from common.text import _
from ptcs.commissioning.plan import Measured
from ptcs.commissioning.result import Quantity, Result, Table
from ptcs.commissioning.results import Trend, load_or_points, of_kind, trends, with_sigma
from ptcs.commissioning.store import Store
from tps_engine.evaluate.drawing import families

REPORT = "report.pdf"
STYLE = """
@page { size: A4; margin: 18mm 15mm; @bottom-right { content: counter(page) "/" counter(pages) } }
body { font-family: "DejaVu Sans", "Noto Sans CJK SC", sans-serif; font-size: 9pt; color: #1a1a1a }
h1 { font-size: 15pt; margin: 0 0 3mm } h2 { font-size: 11pt; margin: 5mm 0 1mm }
table { border-collapse: collapse; width: 100%; margin: 2mm 0 }
th, td { border-bottom: 0.3mm solid #bbb; padding: 1mm 1.5mm; text-align: left; vertical-align: top }
th { background: #eef2f5 } td.n { text-align: right; font-variant-numeric: tabular-nums }
.PASSED { color: #00602b; font-weight: bold } .FAILED { color: #a40000; font-weight: bold }
.UNSURE { color: #8a5a00; font-weight: bold } .NONE { color: #555 } img { width: 100% }
p.small { font-size: 7.5pt }
"""
MOST_ROWS = 40
WORDS: dict[str, Callable[[], str]] = {
    "PASSED": lambda: _("passed"),
    "FAILED": lambda: _("failed"),
    "UNSURE": lambda: _("unsure"),
    "NONE": lambda: _("no tolerance"),
}


def number(value: Any) -> str:
    """A value as people read it."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def unit(name: str) -> str:
    """A unit as it is printed: pure numbers have none."""
    return "" if name == "1" else name


def with_error(quantity: Quantity) -> str:
    """Value and one sigma, rounded to two digits of it."""
    return f"{with_sigma(quantity.value, quantity.error)} {unit(quantity.unit)}".strip()


def html(result: Result, pictures: Sequence[Figure] = (), history: Sequence[Trend] = ()) -> str:
    """The page of a result."""
    verdict = result.verdict.value
    facts = {
        _("measurement"): result.id,
        _("measured by"): result.user,
        _("time (UTC)"): result.when,
        **{_(key): str(value) for key, value in result.machine.items()},
        **{_(key): ", ".join(map(str, value)) if isinstance(value, list) else number(value)
           for key, value in result.inputs.items()},
    }  # fmt: skip
    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(str(v))}</td></tr>" for k, v in facts.items())
    notes = "".join(f"<p>{escape(note)}</p>" for note in result.notes)
    images = "".join(f'<img src="data:image/png;base64,{_png(figure)}"/>' for figure in pictures)
    tables = "".join(_table(table) for table in result.tables)
    return (
        f'<html><head><meta charset="utf-8"/><style>{STYLE}</style></head><body>'
        f'<h1>{escape(_(result.title))}: <span class="{verdict}">{escape(WORDS[verdict]())}</span></h1>'
        f"<table>{rows}</table>{_quantities(result)}{notes}{images}{_history(history)}{tables}"
        f'<p class="small">{escape(_("Research software, not a medical device."))}</p></body></html>'
    )


def write(store: Store, number_: str, pictures: Sequence[Figure] = ()) -> Path:
    """Write the report of a measurement beside it; one that nobody judged shows its points.

    Raises BadInput for a measurement that there is not, OSError.
    """
    result = load_or_points(store, number_)
    earlier = [r for r in of_kind(store, result.kind) if (r.when, r.id) <= (result.when, result.id)]
    path = store.folder(number_) / REPORT
    render(html(result, pictures or [picture(store.load(number_))], trends(earlier)), path)
    return path


def picture(measured: Measured) -> Figure:
    """The points of a measurement against its first setting, or against their order."""
    from ptcs.commissioning.plot import draw  # noqa: PLC0415 - plotting is loaded for a picture only

    with lettered():
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        draw(figure.subplots(), measured)
    return figure


@contextmanager
def lettered() -> Iterator[None]:
    """Pictures have letters of both languages."""
    with rc_context({"font.family": list(families()), "axes.unicode_minus": False}):
        yield


def _png(figure: Figure) -> str:
    held = io.BytesIO()
    with lettered():
        figure.savefig(held, format="png", dpi=110)
    return base64.b64encode(held.getvalue()).decode("ascii")


def _quantities(result: Result) -> str:
    if not result.quantities:
        return ""
    head = "".join(
        f"<th>{escape(text)}</th>" for text in (_("quantity"), _("value"), _("tolerance"), _("verdict"))
    )
    rows = ""
    for quantity in result.quantities:
        verdict = quantity.verdict.value
        limits = (
            "" if quantity.verdict.value == "NONE" else f"{number(quantity.low)} .. {number(quantity.high)}"
        )
        rows += (
            f"<tr><td>{escape(_(quantity.name))}</td><td>{escape(with_error(quantity))}</td><td>{limits}</td>"
            f'<td class="{verdict}">{escape(WORDS[verdict]())}</td></tr>'
        )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(_(column))}</th>" for column in table.columns)
    rows = "".join(
        "<tr>" + "".join(f'<td class="n">{escape(number(value))}</td>' for value in row) + "</tr>"
        for row in table.rows[:MOST_ROWS]
    )
    more = len(table.rows) - MOST_ROWS
    rest = f"<p>{escape(_('and {count} more rows').format(count=more))}</p>" if more > 0 else ""
    return f"<h2>{escape(_(table.title))}</h2><table><tr>{head}</tr>{rows}</table>{rest}"


def _history(history: Sequence[Trend]) -> str:
    rows = ""
    for trend in history:
        if len(trend.value) < 2:
            continue
        values = (
            _(trend.name),
            f"{number(trend.value[-2])} {unit(trend.unit)}",
            number(trend.value[-1]),
            number(round(trend.change, 1) + 0.0),
            str(len(trend.value)),
        )
        rows += "<tr>" + "".join(f"<td>{escape(value)}</td>" for value in values) + "</tr>"
    if not rows:
        return ""
    columns = (_("quantity"), _("last time"), _("this time"), _("change in sigmas"), _("results"))
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    return f"<h2>{escape(_('Compared with earlier results'))}</h2><table><tr>{head}</tr>{rows}</table>"

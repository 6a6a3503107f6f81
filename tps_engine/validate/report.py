"""The report of a validation run as a page to print, and the same as plain data."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from common.text import _, language
from tps_engine.validate.case import NOT_RUN, Check, Result, verdict

STYLE = """
@page { size: A4; margin: 16mm 14mm; @bottom-right { content: counter(page) "/" counter(pages) } }
body { font-family: "DejaVu Sans", "Noto Sans CJK SC", sans-serif; font-size: 8.5pt; color: #1a1a1a }
h1 { font-size: 15pt; margin: 0 0 3mm } h2 { font-size: 11pt; margin: 6mm 0 1mm; page-break-after: avoid }
table { border-collapse: collapse; width: 100%; margin: 2mm 0 } tr { page-break-inside: avoid }
th, td { border-bottom: 0.3mm solid #bbb; padding: 1mm 1.5mm; text-align: left; vertical-align: top }
th { background: #eef2f5 } .FAILED { color: #a40000; font-weight: bold } .PASSED { color: #00602b }
.NOT_RUN { color: #777 } img { width: 100%; margin-top: 1mm }
figure { margin: 2mm 0; page-break-inside: avoid }
figcaption, .note { color: #555; font-size: 8pt } .mono { font-family: monospace; word-break: break-all }
.sign td { height: 9mm }
"""


def word(status: str) -> str:
    """A verdict as people read it."""
    return {"PASSED": _("passed"), "FAILED": _("failed"), "NOT_RUN": _("not run")}[status]


def number(value: float) -> str:
    """A measured value in four digits."""
    return f"{value:.4g}"


def limits(check: Check) -> str:
    """What is allowed, in words of one glance."""
    if check.low is not None and check.high is not None:
        if check.low == -check.high:
            return f"±{check.high:g} {check.unit}"
        return f"{check.low:g} .. {check.high:g} {check.unit}"
    if check.low is not None:
        return f"≥ {check.low:g} {check.unit}"
    return "" if check.high is None else f"≤ {check.high:g} {check.unit}"


def to_json(results: Sequence[Result], facts: Mapping[str, str]) -> dict[str, Any]:
    """All results with the facts of the run. seconds: processor time of every case."""
    return {
        "format": 1,
        "verdict": verdict(results),
        "facts": dict(facts),
        "cases": [result.to_json() for result in results],
    }


def html(results: Sequence[Result], facts: Mapping[str, str], digest: str) -> str:
    """The page. facts: lines of its head (label -> value). digest: SHA-256 of the JSON beside it."""
    title = _("Validation of the planning system")
    state = verdict(results)
    counts = ", ".join(
        f"{word(status)} {sum(result.status == status for result in results)}"
        for status in ("PASSED", "FAILED", "NOT_RUN")
    )
    head = {_("verdict"): f"{word(state)} ({counts})", **facts}
    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in head.items())
    warning = _("Research software, not a medical device. A passed case says nothing about cases not listed.")
    sign = "".join(f"<td>{escape(label)}:</td>" for label in (_("name"), _("date"), _("signature")))
    return (
        f"<!DOCTYPE html><html lang='{language()}'><head><meta charset='utf-8'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<p><b>{escape(warning)}</b></p><table>{rows}</table>{_overview(results)}"
        f"<table class='sign'><tr>{sign}</tr></table>"
        f"<p class='note'>{escape(_('SHA-256 of the results (JSON)'))}: "
        f"<span class='mono'>{digest}</span></p>"
        f"{''.join(_section(result) for result in results)}</body></html>"
    )


def _overview(results: Sequence[Result]) -> str:
    heads = (_("case"), _("what was calculated"), _("engine"), _("against"), _("verdict"))
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    rows = []
    for result in results:
        case = result.case
        cells = (case.name, f"{case.group}: {case.title}", case.engine, case.against)
        plain = "".join(f"<td>{escape(text)}</td>" for text in cells)
        rows.append(f"<tr>{plain}<td class='{result.status}'>{escape(word(result.status))}</td></tr>")
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _section(result: Result) -> str:
    """Numbers, notes and pictures of a case; a case that was not run has its reason in one line."""
    case = result.case
    head = f"<h2>{escape(case.name)}: {escape(case.title)}</h2>"
    about = f"<p>{escape(case.engine)} · {escape(_('against'))} {escape(case.against)}"
    about += f" · <span class='{result.status}'>{escape(word(result.status))}</span></p>"
    why = f"<p class='{result.status}'>{escape(result.why)}</p>" if result.why else ""
    if result.status == NOT_RUN:
        return head + about + why
    heads = (_("quantity"), _("reference"), _("value"), _("tolerance"), _("verdict"))
    rows = "".join(_row(check) for check in result.outcome.checks)
    table = f"<table><tr>{''.join(f'<th>{escape(text)}</th>' for text in heads)}</tr>{rows}</table>"
    notes = "".join(f"<p class='note'>{escape(note)}</p>" for note in result.outcome.notes)
    pictures = "".join(
        f"<figure><img src='data:image/png;base64,{b64encode(picture.png).decode()}'>"
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
        for picture in result.outcome.pictures
    )
    return head + about + why + (table if rows else "") + notes + pictures


def _row(check: Check) -> str:
    cells = (check.what, check.reference, f"{number(check.value)} {check.unit}", limits(check))
    mark = "PASSED" if check.ok else "FAILED"
    plain = "".join(f"<td>{escape(text)}</td>" for text in cells)
    return f"<tr>{plain}<td class='{mark}'>{escape(word(mark))}</td></tr>"

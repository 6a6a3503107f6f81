"""A signed record as a page to print: steps, measured values, limits, faults, timing errors, signature."""

from collections.abc import Mapping
from html import escape
from typing import Any

from common.text import _, language
from device_servers.services.maintenance.procedures import Procedure, Step

STYLE = """
@page { size: A4; margin: 18mm 15mm; @bottom-right { content: counter(page) "/" counter(pages) } }
body { font-family: "DejaVu Sans", "Noto Sans CJK SC", sans-serif; font-size: 9pt; color: #1a1a1a }
h1 { font-size: 15pt; margin: 0 0 4mm } table { border-collapse: collapse; width: 100%; margin: 3mm 0 }
th, td { border-bottom: 0.3mm solid #bbb; padding: 1.2mm 1.5mm; text-align: left; vertical-align: top }
th { background: #eef2f5 } .FAILED { color: #a40000; font-weight: bold } .PASSED { color: #00602b }
.SKIPPED, .NOT_APPLICABLE { color: #777 }
.mono { font-family: monospace; font-size: 7.5pt; word-break: break-all }
"""
OUTCOMES = {"DONE": "done", "REFUSED": "refused", "LOST": "no answer", "NOT_NEEDED": "not needed"}
SHOWN = 4
"""Devices of one step that are listed when all are good; bad ones always are."""


def words(text: Mapping[str, str]) -> str:
    """A text in the language in force."""
    return text[language()]


def number(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return "?"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def values(reading: Mapping[str, Any], step: Step | None = None) -> str:
    """What was measured: one value, smallest .. greatest (count), or their spread where that is judged."""
    found = reading["values"]
    plain = [value for value in found if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(found) > 1 and len(plain) == len(found):
        if step is not None and step.spec.get("of") == "spread":
            return f"{_('spread')} {number(max(plain) - min(plain))} ({len(found)})"
        return f"{number(min(plain))} .. {number(max(plain))} ({len(found)})"
    shown = ", ".join(dict.fromkeys(number(value) for value in found))
    outcome = _(OUTCOMES[reading["outcome"]])
    return f"{shown}: {outcome}" if shown and reading["outcome"] != "DONE" else shown or outcome


def limits(reading: Mapping[str, Any]) -> str:
    """What was allowed."""
    if reading["allowed"]:
        return ", ".join(map(str, reading["allowed"]))
    low, high = reading["low"], reading["high"]
    if low is None and high is None:
        return ""
    return f"{'' if low is None else number(low)} .. {'' if high is None else number(high)}"


def fault_line(fault: Mapping[str, Any]) -> str:
    """A fault code with its name, where the record has one."""
    name = f" ({fault['name']})" if fault.get("name") else ""
    return f"{fault['device']}: {_('fault code')} {fault['code']}{name}"


def shown(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The readings of a step that a reader needs: the bad ones, and the first of the good ones."""
    bad = [reading for reading in content["readings"] if not reading["ok"]]
    good = [reading for reading in content["readings"] if reading["ok"]]
    return [*bad, *good[: max(SHOWN - len(bad), 0)]]


def html(entry: Mapping[str, Any], procedure: Procedure | None) -> str:
    """The page of a kept record. procedure: for the words of its steps, where it is still the same one."""
    record = entry["record"]
    steps = {step.name: step for step in procedure.all_steps} if procedure is not None else {}
    title = f"{_('Re-validation') if record['kind'] == 'revalidation' else _('Checklist')}: {record['name']}"
    facts = {
        _("device"): record.get("device", ""),
        _("serial number"): record.get("serial", ""),
        _("site"): record["site"],
        _("verdict"): _(record["verdict"]),
        _("carried out by"): record["user"],
        _("from"): record["started"],
        _("until"): record["finished"],
        _("software"): record["version"],
        _("left out (in maintenance or not fitted)"): ", ".join(record["left_out"]),
    }
    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(str(v))}</td></tr>" for k, v in facts.items() if v)
    heads = (_("step"), _("device"), _("value"), _("allowed"), _("verdict"))
    head = "".join(f"<th>{escape(word)}</th>" for word in heads)
    of = record.get("device", "")
    body = "".join(_step(content, steps.get(content["name"]), of) for content in record["steps"])
    signed = _(
        "Signed electronically by {user} with the password; SHA-256 of the record and signature (JWS):"
    )
    return (
        f"<!DOCTYPE html><html lang='{language()}'><head><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1><table>{rows}</table>"
        f"<table><tr>{head}</tr>{body}</table><p>{escape(signed.format(user=entry['user']))}</p>"
        f"<p class='mono'>{entry['hash']}</p><p class='mono'>{escape(entry['signature'])}</p></body></html>"
    )


def _step(content: Mapping[str, Any], step: Step | None, of: str) -> str:
    """Rows of one step. of: the device that the whole record is about, which no row repeats."""
    text = escape(content["name"] if step is None else words(step.text))
    notes = [content["note"]] if content["note"] else []
    notes += [reading["note"] for reading in content["readings"] if not reading["ok"] and reading["note"]]
    notes += [fault_line(fault) for fault in content["faults"]]
    notes += [f"{_('timing error')}: {finding}" for finding in content["timing"]]
    note = "".join(f"<br><i>{escape(line)}</i>" for line in notes)
    verdict = content["verdict"]
    mark = f"<td class='{verdict}'>{escape(_(verdict))}</td>"
    listed = shown(content)
    if not listed:
        answer = {True: _("yes"), False: _("no"), None: ""}[content["answer"]]
        return f"<tr><td>{text}{note}</td><td></td><td>{escape(answer)}</td><td></td>{mark}</tr>"
    cells = []
    for reading in listed:
        who = "" if reading["device"] == of else reading["device"]
        told = f"{reading['what']} {values(reading, step)}"
        cells.append("".join(f"<td>{escape(word)}</td>" for word in (who, told, limits(reading))))
    more = len(content["readings"]) - len(listed)
    rest = f"<br>+ {more}" if more else ""
    first = f"<tr><td rowspan='{len(cells)}'>{text}{note}{rest}</td>{cells[0]}{mark}</tr>"
    marks = [_("good") if reading["ok"] else _("bad") for reading in listed]
    return first + "".join(
        f"<tr>{c}<td>{escape(m)}</td></tr>" for c, m in zip(cells[1:], marks[1:], strict=True)
    )

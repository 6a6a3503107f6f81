"""Arguments of the alarm server's commands."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.errors import Refused
from common.text import _
from device_servers.parse import number_field, text_field
from device_servers.services.alarms.desk import LONGEST_NOTE, LONGEST_SHELF_S
from device_servers.services.alarms.rules import Rule
from device_servers.services.alarms.severity import Severity
from device_servers.services.alarms.store import MOST_FOUND, Question

MOST_MATCHES = 500


def names(values: Mapping[str, Any]) -> list[str]:
    """The field `names`: a list of texts, or one. Raises Refused."""
    given = values.get("names")
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list) or not listed or not all(isinstance(name, str) for name in listed):
        raise Refused(_("'names' is missing: it must be a list of alarm names"))
    return listed


def note(values: dict[str, Any], key: str, *, needed: bool) -> str:
    """A comment or reason. Raises Refused for one that is needed and not there, or too long."""
    text = text_field(values, key).strip() if needed or values.get(key) else ""
    if needed and not text:
        raise Refused(_("{key!r} is missing: it must be a text").format(key=key))
    if len(text) > LONGEST_NOTE:
        raise Refused(
            _("{key!r} is too long: allowed are {most} characters").format(key=key, most=LONGEST_NOTE)
        )
    return text


def until(values: dict[str, Any], now: float) -> float:
    """When shelving ends, s since the epoch: `until`, or `seconds` from now. Raises Refused."""
    end = number_field(values, "until") if "until" in values else now + number_field(values, "seconds")
    if not now < end <= now + LONGEST_SHELF_S:
        raise Refused(_("shelving must end in the future, at most {days:g} days ahead").format(
            days=LONGEST_SHELF_S / 86400
        ))  # fmt: skip
    return end


def question(values: dict[str, Any], rules: Sequence[Rule]) -> Question:
    """What to look for in the history; `text` in names, notes and the texts of rules. Raises Refused."""
    unknown = set(values) - {"text", "names", "from", "to", "severity", "user", "most"}
    if unknown:
        raise Refused(_("unknown: {names}").format(names=", ".join(sorted(unknown))))
    text = str(values.get("text", "")).strip()
    named: Sequence[str] | None = names(values) if "names" in values else None
    if text and named is None:
        named = [rule.name for rule in rules if _contains(rule, text.lower())][:MOST_MATCHES] or None
    most = int(number_field(values, "most")) if "most" in values else 1000
    if not 1 <= most <= MOST_FOUND:
        raise Refused(_("{most} rows: allowed are 1 .. {limit}").format(most=most, limit=MOST_FOUND))
    word = str(values.get("severity", "NO_ALARM")).upper()
    if word not in Severity.__members__:
        raise Refused(_("severity {word}: allowed are {allowed}").format(
            word=word, allowed=", ".join(Severity.__members__)
        ))  # fmt: skip
    return Question(
        start=number_field(values, "from") if "from" in values else 0.0,
        end=number_field(values, "to") if "to" in values else 1e18,
        names=named,
        part="" if "names" in values else text,
        severity=int(Severity[word]),
        user=str(values.get("user", "")),
        most=most,
    )


def told(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of history as JSON values."""
    return [{**row, "severity": Severity(row["severity"]).name} for row in rows]


def _contains(rule: Rule, text: str) -> bool:
    return text in rule.text.en.lower() or text in rule.text.zh.lower()

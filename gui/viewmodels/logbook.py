"""What the logbook panel shows, worked out from the Logbook's answers. No Qt, no Tango."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from common.text import _, translated

KINDS = ("note", "fault", "shift", "measurement", "maintenance")
"""Kinds that are offered for a new entry; the logbook takes others too."""


def kind_texts() -> dict[str, str]:
    """Words of the kinds."""
    words = (_("note"), _("fault"), _("shift"), _("measurement"), _("maintenance"))
    return dict(zip(KINDS, words, strict=True))


def kind_text(kind: str) -> str:
    """A kind in words, those of automatic entries too; one that nobody knows as it is."""
    automatic = {"start-up": _("start-up"), "trip": _("trip"), "mode": _("mode"), "alarm": _("alarm")}
    named = kind_texts() | automatic | {"snapshot": _("snapshot"), "restore": _("restore")}
    return named.get(kind, kind)


def when(text: str) -> str:
    """An ISO 8601 moment in local time."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"


def heads() -> tuple[str, ...]:
    """Heads of the list of entries."""
    return ("", _("id"), _("when"), _("by"), _("kind"), _("title"))


def texts(row: Mapping[str, Any]) -> tuple[str, ...]:
    """An entry as texts; the sign says whether a person or a service wrote it, and whether it has files."""
    sign = "✎" if row["source"] == "hand" else "⚙"
    clip = " ▣" if row["attachments"] else ""
    kind = kind_text(row["kind"])
    by = row["user"] or row["source"]
    return (sign + clip, str(row["number"]), when(row["time"]), by, kind, translated(row)["title"])


def page(versions: Sequence[Mapping[str, Any]]) -> str:
    """An entry to read: what it says, what it is about, and earlier versions with their reasons."""
    versions = [translated(version) for version in versions]
    row = versions[0]
    kind = kind_text(row["kind"])
    lines = [
        row["title"],
        f"#{row['number']}   {when(row['time'])}   {row['user'] or row['source']}   {kind}",
    ]
    if row["tags"]:
        lines.append(f"{_('tags')}: {' '.join(row['tags'])}")
    if row["about"]:
        lines.append(f"{_('about')}: {', '.join(row['about'])}")
    lines += ["", row["text"]]
    for newer, old in pairwise(versions):
        text = _("version {number} by {user}: {reason}")
        lines += [
            "",
            "—" * 12,
            text.format(number=newer["version"], user=newer["user"], reason=newer["reason"]),
        ]
        lines += [f"{_('before')}: {old['title']}", old["text"]]
    return "\n".join(lines)


def parts(text: str) -> list[str]:
    """Words that commas or blanks divide."""
    return [part for part in text.replace(",", " ").split() if part]

"""Who has which area, in words, and what a person may try there. No Qt, no Tango: the authority decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.text import _, language
from gui.theme import AMBER, BLUE, GREEN, GREY, Mark

UNKNOWN = Mark("?", GREY)


@dataclass(frozen=True)
class Act:
    """Something to try: the authority's command, its words, and whether a reason or a user is asked for."""

    command: str
    text: str
    asks: str = ""


def area_title(row: Mapping[str, Any]) -> str:
    """An area in the language in force."""
    return str(row["title_zh"] if language() == "zh" else row["title"])


def area_mark(row: Mapping[str, Any], user: str) -> Mark:
    """Nobody's, mine, somebody else's, asked for or offered."""
    if row["state"] in ("ASKED", "OFFERED"):
        return Mark("⇄", AMBER)
    if not row["user"]:
        return Mark("○", GREY)
    return Mark("●", GREEN) if row["user"] == user else Mark("◆", BLUE)


def area_text(row: Mapping[str, Any], user: str) -> str:
    """One area in a line: who has it until when, and who waits."""
    mark = area_mark(row, user)
    holder = row["user"] or (_("nobody (control is needed)") if row["required"] else _("nobody"))
    if row["user"] == user and user:
        holder = _("me")
    parts = [f"{mark.symbol} {area_title(row)}: {holder}"]
    if row["user"] and row["until"]:
        parts.append(f"→ {datetime.fromtimestamp(row['until']).astimezone():%H:%M}")
    if row["asked_by"]:
        parts.append(_("{user} asks").format(user=row["asked_by"]))
    if row["offered_to"]:
        parts.append(_("offered to {user}").format(user=row["offered_to"]))
    return "  ".join(parts)


def acts(row: Mapping[str, Any], user: str) -> list[Act]:
    """What this person may try at an area now."""
    if not user:
        return []
    if row["state"] == "FREE":
        return [Act("Request", _("Have control"))]
    return _of_holder(row) if row["user"] == user else _of_another(row, user)


def _of_holder(row: Mapping[str, Any]) -> list[Act]:
    release = Act("Release", _("Give up"))
    if row["state"] == "ASKED":
        over = Act("Offer", _("Hand over to {user}").format(user=row["asked_by"]))
        return [over, Act("Decline", _("Decline")), release]
    if row["state"] == "OFFERED":
        return [Act("Decline", _("Take the offer back")), release]
    return [Act("Offer", _("Hand over to …"), "to"), release]


def _of_another(row: Mapping[str, Any], user: str) -> list[Act]:
    take = Act("Take", _("Take with a reason …"), "reason")
    if row["offered_to"] == user:
        return [Act("Accept", _("Accept")), Act("Decline", _("Decline"))]
    if row["asked_by"] == user:
        return [Act("Decline", _("Ask no more")), take]
    return [Act("Request", _("Ask for control")), take] if row["state"] == "HELD" else [take]

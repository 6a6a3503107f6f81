"""What people ask of the settings, from their JSON; and how a restore ended, in words."""

from collections.abc import Mapping
from typing import Any

from common.errors import Refused
from common.text import _
from device_servers.services.settings.restorer import Terms

LONGEST_COMMENT = 2000
TOLD = ("id", "snapshot", "state", "writes")


def flag(wish: Mapping[str, Any], key: str, *, default: bool) -> bool:
    """A truth value. Raises Refused for something else."""
    value = wish.get(key, default)
    if not isinstance(value, bool):
        raise Refused(_("{key!r} must be true or false").format(key=key))
    return value


def texts(wish: Mapping[str, Any], key: str) -> list[str]:
    """A list of texts, empty where there is none. Raises Refused for something else."""
    found = wish.get(key) or []
    if not isinstance(found, list) or not all(isinstance(text, str) and text for text in found):
        raise Refused(_("{key!r} must be a list of texts").format(key=key))
    return found


def comment(wish: Mapping[str, Any]) -> str:
    """The comment. Raises Refused for one that is too long."""
    text = str(wish.get("comment") or "")
    if len(text) > LONGEST_COMMENT:
        refusal = _("the comment is too long: allowed are {count} characters")
        raise Refused(refusal.format(count=LONGEST_COMMENT))
    return text


def terms(wish: Mapping[str, Any]) -> Terms:
    """How a restore is wanted. Raises Refused."""
    partial, rollback = flag(wish, "partial", default=False), flag(wish, "rollback", default=True)
    return Terms(comment(wish), partial, rollback, flag(wish, "force", default=False))


def title(record: Mapping[str, Any]) -> str:
    """One line for the logbook."""
    word = _("rollback") if record.get("rollback_of") else _("restore")
    text = _("{word} {id} of snapshot {snapshot}: {state}, {written} of {writes} written")
    return text.format(word=word, written=len(record["written"]), **{key: record[key] for key in TOLD})


def ended(record: Mapping[str, Any]) -> str:
    """Why a restore is not DONE, in one line."""
    failed = [f"{name}: {why}" for name, why in record["failed"].items()]
    parts = [part for part in (record["stopped"], "; ".join(failed[:3])) if part]
    back = record.get("rollback")
    if back is not None and (back["failed"] or back["stopped"]):
        left = "; ".join(f"{name}: {why}" for name, why in list(back["failed"].items())[:3])
        parts.append(_("roll-back incomplete: {why}").format(why=left or back["stopped"]))
    elif back is not None:
        parts.append(_("rolled back"))
    text = _("restore {id} is {state}: {why}")
    return text.format(id=record["id"], state=record["state"], why="; ".join(parts))

"""What the machine itself tells the OIS: log-ins that it made while the OIS was silent, how its logs stand.

The machine signs what it tells with a key of its own; nobody else's word is taken. It goes into the audit
trail, which lies where who alters the machine's logs does not reach.
"""

from typing import Any

from sqlalchemy import select

from common import authority
from common.errors import BadInput, Tampered, Unauthorised
from common.logs import opaque
from common.seals import ANCHOR
from common.text import _
from ois_bridge.models.audit import AuditRow
from ois_bridge.services.context import Context
from ois_bridge.services.errors import NotLoggedIn

MACHINE = "machine"
BREAK_GLASS = "break-glass"
MOST_ENTRIES = 1000


def take(context: Context, signed: str) -> int:
    """Keep a statement in the audit trail; how many entries of it were new.

    Raises NotLoggedIn for one that the machine has not signed, BadInput for one that says nothing known.
    """
    told = _read(context, signed)
    try:
        if told["kind"] == "seals":
            return _keep(
                context, ANCHOR, f"seals {int(told['entries'])}", f"{int(told['entries'])} {told['head']}"
            )
        if told["kind"] == BREAK_GLASS and len(told["entries"]) <= MOST_ENTRIES:
            return sum(_keep_entry(context, entry) for entry in told["entries"])
    except (KeyError, TypeError, ValueError) as why:
        raise BadInput(_("The statement cannot be read.")) from why
    raise BadInput(_("The statement says nothing that is kept here."))


def _read(context: Context, signed: str) -> dict[str, Any]:
    try:
        if context.machine_key is None:
            raise FileNotFoundError
        key = authority.load_public(context.machine_key)
        return authority.read_statement(key, signed)
    except (OSError, ValueError, Tampered) as why:
        refusal = NotLoggedIn(_("Only the machine tells this, signed with its key."))
        context.refused(MACHINE, "tell", "statement", Unauthorised(str(refusal)))
        raise refusal from why


def _keep_entry(context: Context, entry: dict[str, Any]) -> int:
    said = {key: str(entry.get(key, "")) for key in ("what", "user", "by", "reason")}
    detail = "; ".join(f"{key}: {text}" for key, text in said.items() if text)
    return _keep(context, BREAK_GLASS, f"{int(entry['number'])} {float(entry['time'])}", detail)


def _keep(context: Context, action: str, subject: str, detail: str) -> int:
    """One entry, once: the machine tells again what it is not sure to have told."""
    with context.database.reading() as session:
        known = session.scalar(
            select(AuditRow.number).where(AuditRow.action == action, AuditRow.subject == opaque(subject))
        )
    if known is not None:
        return 0
    with context.deed(MACHINE, action, subject, detail[:500]):
        pass
    return 1

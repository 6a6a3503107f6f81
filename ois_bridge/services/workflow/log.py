"""The log of processes: every step, who, when, what; as rows and as a file."""

import csv
import io
import json
from collections.abc import Callable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.process_steps import OUTCOME
from ois_bridge.models.workflow_log import AssignmentNote, ProcessStep
from ois_bridge.services.context import Caller, Context

RISKY = ("=", "+", "-", "@", "\t", "\r")
WORDS = {**OUTCOME, "started": "started", "ended": "ended", "accepted": "accepted", "cancelled": "cancelled"}


def entries(session: Session, process_key: str) -> Sequence[ProcessStep]:
    """The log of a process, oldest first."""
    return session.scalars(
        select(ProcessStep).where(ProcessStep.process_key == process_key).order_by(ProcessStep.number)
    ).all()


def assignments(session: Session, task_keys: Sequence[str]) -> Sequence[AssignmentNote]:
    """Who got these tasks, and why; oldest first."""
    return session.scalars(
        select(AssignmentNote).where(AssignmentNote.task_key.in_(task_keys)).order_by(AssignmentNote.time)
    ).all()


def reason(note: AssignmentNote, name: Callable[[str], str] = str) -> str:
    """Why somebody got a task, as people read it; a rule gives it to the highest score.

    `name`: user -> name.
    """
    known = json.loads(note.reason)
    if "why" in known:
        return str(known["why"])
    scores = ", ".join(f"{name(user)} {score:g}" for user, score in known.get("scores", {}).items())
    parts = [_("scores: {scores}").format(scores=scores) if scores else ""]
    if known.get("absent"):
        parts.append(_("absent: {names}").format(names=", ".join(map(name, known["absent"]))))
    if known.get("four_eyes"):
        parts.append(_("not {user}: a second person is needed").format(user=name(known["four_eyes"])))
    return "; ".join(part for part in parts if part) or _("given by {user}").format(user=name(note.given_by))


def as_csv(context: Context, caller: Caller, process_key: str) -> str:
    """The log as CSV (UTF-8 with BOM, as spreadsheets expect). Raises Unauthorised, audited."""
    with context.permitted(caller, Action.READ_PROCESS, process_key, "export of the log") as session:
        rows = entries(session, process_key)
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["number", "time", "user", "step", "title", "title_zh", "outcome", "comment"])
        for row in rows:
            cells = [row.user, row.step, row.title, row.title_zh, row.outcome, row.comment]
            writer.writerow([row.number, row.time.isoformat(timespec="seconds"), *map(_harmless, cells)])
    return "\ufeff" + text.getvalue()


def _harmless(cell: str) -> str:
    """A spreadsheet must not take a text for a formula."""
    return f"'{cell}" if cell.startswith(RISKY) and cell != "-" else cell

"""Processes of the department, version by version: seeded from files, edited in the browser, checked."""

from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from common.errors import BadInput, Refused
from common.text import _
from common.yaml_file import CONFIG
from ois_bridge.domain import drawing_faults
from ois_bridge.domain.form_design import KIND_NAME
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.process_steps import Drawing
from ois_bridge.models.designs import FormDesign, ProcessDesign
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.forms import designs as form_designs
from ois_bridge.services.patients import must
from ois_bridge.services.workflow import drawing, engine

LONGEST_TITLE = 120
FOLDER = CONFIG / "department/processes"
BLANK = CONFIG / "department/blank.bpmn"
"""What a process is begun with that is like no other."""


@lru_cache(maxsize=64)
def read(text: str) -> Drawing:
    """A drawing, read once. Raises BadInput."""
    return drawing.read(text)


def seed(session: Session, context: Context, folder: Path = FOLDER) -> int:
    """Version 1 of every process of the files that this OIS does not know; returns how many were added."""
    known = set(session.scalars(select(ProcessDesign.name)))
    added = 0
    for path in sorted(folder.glob("*.bpmn")):
        if path.stem in known:
            continue
        text = path.read_text(encoding="utf-8")
        _require_good(session, text)
        _add(session, context, "start", path.stem, text, "")
        added += 1
    return added


def active(session: Session, name: str) -> ProcessDesign:
    """The version that new processes begin with. Raises NotFound."""
    return must(session.scalar(select(ProcessDesign).where(ProcessDesign.name == name, ProcessDesign.active)))


def version(session: Session, name: str, number: int) -> ProcessDesign:
    """One version. Raises NotFound."""
    return must(
        session.scalar(
            select(ProcessDesign).where(ProcessDesign.name == name, ProcessDesign.version == number)
        )
    )


def newest(session: Session) -> Sequence[ProcessDesign]:
    """All versions, names in order, the newest version of each first."""
    return session.scalars(
        select(ProcessDesign).order_by(ProcessDesign.name, ProcessDesign.version.desc())
    ).all()


def startable(session: Session) -> Sequence[ProcessDesign]:
    """The active version of each process."""
    return session.scalars(
        select(ProcessDesign).where(ProcessDesign.active).order_by(ProcessDesign.name)
    ).all()


def judge(session: Session, text: str) -> list[str]:
    """Everything that keeps a drawing from becoming active; empty for a good one."""
    forms = frozenset(session.scalars(select(FormDesign.kind).where(FormDesign.active)))
    return _judged(text, forms)


@lru_cache(maxsize=64)
def _judged(text: str, forms: Collection[str]) -> list[str]:
    try:
        found = drawing_faults.faults(read(text), forms)
        if not found:
            engine.simulate(text)
            for name, step in read(text).steps.items():
                if len(step.outcomes) > 1:
                    engine.simulate(text, refusing=name)
    except (BadInput, Refused) as why:
        return [str(why)]
    return found


def newest_of(session: Session, name: str) -> ProcessDesign | None:
    """The newest version of a process, in use or not."""
    query = select(ProcessDesign).where(ProcessDesign.name == name)
    return session.scalar(query.order_by(ProcessDesign.version.desc()).limit(1))


def publish(
    context: Context, caller: Caller, name: str, text: str, note: str, seen: int | None = None
) -> ProcessDesign:
    """A new version, active from now on; running processes keep theirs. `seen`: the newest version when the
    caller began.

    Raises BadInput with all faults, or when somebody else made a version meanwhile.
    """
    with context.permitted(caller, Action.DESIGN, name, f"process {name}") as session:
        _require_name(name)
        form_designs.require_seen(newest_of(session, name), caller, seen)
        _require_good(session, text)
        return _add(session, context, caller.user, name, text, note.strip()[:500])


def begin(
    context: Context, caller: Caller, name: str, title: str, title_zh: str, like: str = ""
) -> ProcessDesign:
    """The first version of a new process, not yet in use: like the version in use of another, or one step.

    Raises BadInput for a name that is no name, or is taken; NotFound for an unknown `like`.
    """
    with context.permitted(caller, Action.DESIGN, name, f"process {name} begun") as session:
        _require_name(name)
        if newest_of(session, name) is not None:
            raise BadInput(_("There is a process with this name already; choose another name."))
        title, title_zh = title.strip(), title_zh.strip()
        if not (title or title_zh) or max(len(title), len(title_zh)) > LONGEST_TITLE:
            raise BadInput(_("A title of 1 to {n} characters is needed.").format(n=LONGEST_TITLE))
        text = active(session, like).drawing if like else BLANK.read_text(encoding="utf-8")
        text = drawing.retitled(text, name, title or title_zh, title_zh)
        _require_good(session, text)
        return _add(session, context, caller.user, name, text, "", in_use=False)


def activate(context: Context, caller: Caller, name: str, number: int) -> None:
    """Take an earlier version into use again. Raises NotFound."""
    with context.permitted(caller, Action.DESIGN, name, f"process {name} version {number}") as session:
        row = version(session, name, number)
        session.execute(update(ProcessDesign).where(ProcessDesign.name == name).values(active=False))
        session.flush()
        row.active = True


def _require_name(name: str) -> None:
    if not KIND_NAME.fullmatch(name):
        raise BadInput(_("A process has a name of small letters, digits and hyphens."))


def _require_good(session: Session, text: str) -> None:
    found = judge(session, text)
    if found:
        raise BadInput(" ".join(found))


def _add(
    session: Session, context: Context, user: str, name: str, text: str, note: str, in_use: bool = True
) -> ProcessDesign:
    last = session.scalar(select(func.max(ProcessDesign.version)).where(ProcessDesign.name == name)) or 0
    session.execute(update(ProcessDesign).where(ProcessDesign.name == name).values(active=False))
    title, chinese = drawing.titles(text)
    row = ProcessDesign(
        name=name,
        version=last + 1,
        title=title or name,
        title_zh=chinese,
        drawing=text,
        active=in_use,
        note=note,
        created=context.now(),
        created_by=user,
    )
    session.add(row)
    session.flush()
    return row

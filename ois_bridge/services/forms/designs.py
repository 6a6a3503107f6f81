"""Designs of forms, version by version: seeded from files, edited in the browser."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from common.errors import BadConfig, BadInput
from common.text import _
from common.yaml_file import CONFIG
from common.yaml_file import read as read_yaml
from ois_bridge.domain import form_design
from ois_bridge.domain.form_design import Design
from ois_bridge.domain.permissions import Action
from ois_bridge.models.designs import FormDesign, ProcessDesign
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.patients import must

FOLDER = CONFIG / "department/forms"


def seed(session: Session, context: Context, folder: Path = FOLDER) -> int:
    """Version 1 of every form of the files that this OIS does not know; returns how many were added.

    Raises BadConfig for a file that is no design.
    """
    known = set(session.scalars(select(FormDesign.kind)))
    added = 0
    for path in sorted(folder.glob("*.yaml")):
        if path.stem in known:
            continue
        try:
            design = form_design.read(read_yaml(path).content)
        except BadInput as why:
            raise BadConfig(f"{path.name}: {why}") from why
        if design.kind != path.stem:
            raise BadConfig(f"{path.name}: its kind must be the file's name")
        _add(session, context, "start", design, "")
        added += 1
    return added


def active(session: Session, kind: str) -> FormDesign:
    """The version that new forms are made by. Raises NotFound."""
    return must(session.scalar(select(FormDesign).where(FormDesign.kind == kind, FormDesign.active)))


def design_of(session: Session, kind: str, version: int) -> Design:
    """The design of a version. Raises NotFound."""
    row = must(
        session.scalar(select(FormDesign).where(FormDesign.kind == kind, FormDesign.version == version))
    )
    return parsed(row)


def parsed(row: FormDesign) -> Design:
    """The design of a row; a version never changes, so it is read once."""
    return _parsed(row.key, _Once(row.content))


class _Once:
    """Content that takes no part in the key of the cache."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Once)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=128)
def _parsed(_key: str, once: _Once) -> Design:
    return form_design.read(once.content)


def all_versions(session: Session) -> Sequence[FormDesign]:
    """All versions, kinds in order, the newest version of each first."""
    return session.scalars(select(FormDesign).order_by(FormDesign.kind, FormDesign.version.desc())).all()


def active_ones(session: Session) -> Sequence[FormDesign]:
    """The active version of each kind."""
    return session.scalars(select(FormDesign).where(FormDesign.active).order_by(FormDesign.kind)).all()


def newest_of(session: Session, kind: str) -> FormDesign | None:
    """The newest version of a kind, in use or not."""
    query = select(FormDesign).where(FormDesign.kind == kind)
    return session.scalar(query.order_by(FormDesign.version.desc()).limit(1))


def publish(context: Context, caller: Caller, content: Any, note: str, seen: int | None = None) -> FormDesign:
    """A new version, active from now on; forms that exist keep theirs. `seen`: the newest version when the
    caller began. Raises BadInput, also when somebody else made a version meanwhile.
    """
    design = form_design.read(content)
    with context.permitted(caller, Action.DESIGN, design.kind, f"form {design.kind}") as session:
        require_seen(newest_of(session, design.kind), caller, seen)
        return _add(session, context, caller.user, design, note.strip()[:500])


def activate(context: Context, caller: Caller, kind: str, version: int) -> None:
    """Take an earlier version into use again. Raises NotFound."""
    with context.permitted(caller, Action.DESIGN, kind, f"form {kind} version {version}") as session:
        row = must(
            session.scalar(select(FormDesign).where(FormDesign.kind == kind, FormDesign.version == version))
        )
        session.execute(update(FormDesign).where(FormDesign.kind == kind).values(active=False))
        session.flush()
        row.active = True


def require_seen(newest: FormDesign | ProcessDesign | None, caller: Caller, seen: int | None) -> None:
    """Raise BadInput where somebody else's version, which the caller has not seen, would be passed over."""
    if newest is None or seen is None or newest.version <= seen or newest.created_by == caller.user:
        return
    said = _("{user} made version {n} meanwhile: open it in another tab, and put both together there.")
    raise BadInput(said.format(user=newest.created_by, n=newest.version))


def _add(session: Session, context: Context, user: str, design: Design, note: str) -> FormDesign:
    last = session.scalar(select(func.max(FormDesign.version)).where(FormDesign.kind == design.kind)) or 0
    session.execute(update(FormDesign).where(FormDesign.kind == design.kind).values(active=False))
    row = FormDesign(
        kind=design.kind,
        version=last + 1,
        content=form_design.as_data(design),
        active=True,
        note=note,
        created=context.now(),
        created_by=user,
    )
    session.add(row)
    session.flush()
    return row

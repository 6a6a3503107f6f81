"""Designs that come with a new version of the software: offered beside the department's own, never put in
their place.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.errors import Refused
from common.text import _
from common.yaml_file import read as read_yaml
from ois_bridge.domain import form_design
from ois_bridge.domain.form_design import Design
from ois_bridge.domain.permissions import Action
from ois_bridge.domain.process_steps import Drawing
from ois_bridge.models.designs import FormDesign, ProcessDesign, ShippedAnswer
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.forms import designs as form_designs
from ois_bridge.services.workflow import designs

PROCESS, FORM = "process", "form"
NOTE = "as shipped"


@dataclass(frozen=True)
class Folders:
    """Where the shipped files lie."""

    processes: Path = designs.FOLDER
    forms: Path = form_designs.FOLDER


@dataclass(frozen=True)
class Offer:
    """A shipped design that this OIS never had. `version`: the one in use. `changes`: lines that would go
    (marked -), come (+) or stay (blank).
    """

    kind: str
    name: str
    title: str
    sha256: str
    version: int
    changes: Sequence[tuple[str, str]]


def offers(session: Session, folders: Folders | None = None) -> list[Offer]:
    """Shipped designs of known names that are not among the versions and were not declined."""
    where = folders or Folders()
    answered = {(row.kind, row.name, row.sha256) for row in session.scalars(select(ShippedAnswer))}
    found = [*_processes(session, where.processes), *_forms(session, where.forms)]
    return [one for one in found if (one.kind, one.name, one.sha256) not in answered]


def take(
    context: Context, caller: Caller, kind: str, name: str, sha256: str, folders: Folders | None = None
) -> int:
    """Publish an offer as a new version, in use from now on; returns its number. What runs keeps its own.

    Raises Refused for an offer that is no longer there, BadInput for a drawing that does not fit here.
    """
    where = folders or Folders()
    with context.reading(caller, Action.DESIGN) as session:
        _must_be_offered(session, kind, name, sha256, where)
    if kind == PROCESS:
        text = (where.processes / f"{name}.bpmn").read_text(encoding="utf-8")
        version = designs.publish(context, caller, name, text, NOTE).version
    else:
        content = read_yaml(where.forms / f"{name}.yaml").content
        version = form_designs.publish(context, caller, content, NOTE).version
    _answer(context, caller, (kind, name, sha256), "taken")
    return version


def decline(
    context: Context, caller: Caller, kind: str, name: str, sha256: str, folders: Folders | None = None
) -> None:
    """Keep the department's own: this offer is not made again. Raises Refused."""
    with context.reading(caller, Action.DESIGN) as session:
        _must_be_offered(session, kind, name, sha256, folders or Folders())
    _answer(context, caller, (kind, name, sha256), "declined")


def _must_be_offered(session: Session, kind: str, name: str, sha256: str, where: Folders) -> None:
    if (kind, name, sha256) not in {(one.kind, one.name, one.sha256) for one in offers(session, where)}:
        raise Refused(_("This design is not offered any more; open the list again."))


def _answer(context: Context, caller: Caller, key: tuple[str, str, str], answer: str) -> None:
    with context.permitted(caller, Action.DESIGN, key[1], f"shipped {key[0]} {answer}") as session:
        kind, name, sha256 = key
        session.merge(
            ShippedAnswer(
                kind=kind, name=name, sha256=sha256, answer=answer, time=context.now(), user=caller.user
            )
        )


def _processes(session: Session, folder: Path) -> Iterator[Offer]:
    for path in sorted(folder.glob("*.bpmn")):
        text = path.read_text(encoding="utf-8")
        rows = session.scalars(select(ProcessDesign).where(ProcessDesign.name == path.stem)).all()
        if not rows or any(row.drawing == text for row in rows):
            continue
        used = next((row for row in rows if row.active), rows[-1])
        changes = _compared(_of_drawing(designs.read(used.drawing)), _of_drawing(designs.read(text)))
        yield Offer(PROCESS, path.stem, used.title, _digest(text), used.version, changes)


def _forms(session: Session, folder: Path) -> Iterator[Offer]:
    for path in sorted(folder.glob("*.yaml")):
        rows = session.scalars(select(FormDesign).where(FormDesign.kind == path.stem)).all()
        design = form_design.read(read_yaml(path).content)
        data = form_design.as_data(design)
        if not rows or any(row.content == data for row in rows):
            continue
        used = next((row for row in rows if row.active), rows[-1])
        own = form_designs.parsed(used)
        changes = _compared(_of_form(own), _of_form(design))
        sha256 = _digest(path.read_text(encoding="utf-8"))
        yield Offer(FORM, path.stem, own.title.here, sha256, used.version, changes)


def _compared(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, str]]:
    lines = list(unified_diff(old, new, n=1, lineterm=""))[2:]
    return [(line[:1], line[1:]) for line in lines if not line.startswith("@@")]


def _of_drawing(drawing: Drawing) -> list[str]:
    """A drawing in lines that people compare: what begins it, its steps, its ways."""
    begins = _("begins with a new course") if drawing.begins else _("begins by hand")
    lines = [f"{begins} {drawing.when}".strip()]
    for step in drawing.steps.values():
        said = {
            "form": step.form,
            "due h": f"{step.due_hours:g}" if step.due_hours else "",
            "assign": "yes" if step.assign else "",
            "not as": step.other_than,
            "as": step.same_as,
            "signed": "yes" if step.signed else "",
            "outcomes": " ".join(step.extra_outcomes),
            "ends on": " ".join(step.done_on),
        }
        more = ", ".join(f"{name} {value}" for name, value in said.items() if value)
        lines.append(f"{step.title} · {step.role} · {step.deed}{' · ' + more if more else ''}")
    names = {name: step.title for name, step in drawing.steps.items()}
    for flow in drawing.flows:
        ends = (names.get(flow.source, flow.source), names.get(flow.target, flow.target))
        lines.append(f"{ends[0]} → {ends[1]}{' [' + flow.condition + ']' if flow.condition else ''}")
    return lines


def _of_form(design: Design) -> list[str]:
    lines = [design.title.here]
    for section in design.sections:
        lines.append(f"# {section.title.here}")
        lines += [f"{field.label.here} · {_plain(form_design.field_data(field))}" for field in section.fields]
    return lines


def _plain(data: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in data.items() if name not in ("label", "name"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

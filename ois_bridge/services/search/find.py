"""Patients found by what was typed and by conditions, page by page; no page counts or skips rows."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from sqlalchemy import and_, func, literal, select, tuple_
from sqlalchemy.orm import Session, selectinload

from common.errors import BadInput
from common.text import _
from ois_bridge.domain import search_parts, wish
from ois_bridge.domain.rules import Group
from ois_bridge.domain.wish import Wish
from ois_bridge.models import veil
from ois_bridge.models.base import UtcDateTime
from ois_bridge.models.clinical import Patient
from ois_bridge.models.search import SearchPart
from ois_bridge.services.search import parts
from ois_bridge.services.search.conditions import LAST, Condition, few, in_parts, of_group

PAGE = 50
FEW = 500
"""So many patients are looked at one by one; of more, the newest are found soon along the list."""
NOTHING = Group(True, ())


@dataclass(frozen=True)
class Query:
    """What is looked for: the text of the box, and conditions."""

    text: str = ""
    group: Group = NOTHING


@dataclass(frozen=True)
class Page:
    """Patients with their courses. `after`: where the next page begins; empty: there is none."""

    patients: list[Patient]
    after: str


def page(session: Session, query: Query, after: str = "", limit: int = PAGE) -> Page:
    """The patients of one page, after the place that the page before it named.

    With text: ordered by the piece of name or number that fits, exact ones first; else newest first.
    Raises BadInput for a damaged place or a date that does not exist.
    """
    said = wish.understand(query.text)
    where = and_(of_group(session, query.group), *_also(said))
    keys = None if said.pieces else few(session, query.group, FEW)
    if keys is not None:
        where = and_(Patient.key.in_(keys), where)
    place = _place(after)
    walk = _by_piece if said.pieces else _newest
    rows = walk(session, said, where, place, limit)
    found = list(islice(rows, limit + 1))
    more = len(found) > limit
    return Page([row for row, _cursor in found[:limit]], json.dumps(found[limit - 1][1]) if more else "")


def _also(said: Wish) -> Iterator[Condition]:
    """What the further words of the box say."""
    for piece in said.pieces[1:]:
        yield in_parts(piece)
    if said.sex:
        yield Patient.sex == said.sex
    if said.birth_date:
        yield Patient.birth_date == said.birth_date


Row = tuple[Patient, list[str]]


def _by_piece(
    session: Session, said: Wish, where: Condition, place: list[str] | None, limit: int
) -> Iterator[Row]:
    """Walk along the pieces that begin with the leading one. A patient stands under several of them and is
    told at the first only: the pieces follow from the patient, so nothing must be remembered.
    """
    leads = search_parts.leads(said.pieces[0])
    for lead in leads:
        if place is None or place[0] < lead + LAST:
            yield from _of_lead(session, lead, leads, where, place, limit)


def _of_lead(
    session: Session, lead: str, leads: Sequence[str], where: Condition, place: list[str] | None, limit: int
) -> Iterator[Row]:
    """The patients whose first fitting piece begins with one lead."""
    while True:
        query = (
            select(SearchPart.part, Patient)
            .join(Patient, Patient.key == SearchPart.patient_key)
            .where(SearchPart.part >= lead, SearchPart.part < lead + LAST, where)
            .order_by(SearchPart.part, SearchPart.patient_key)
            .limit(limit + 1)
            .options(selectinload(Patient.courses))
        )
        if place is not None:
            query = query.where(tuple_(SearchPart.part, SearchPart.patient_key) > tuple_(*place))
        rows = session.execute(query).all()
        for part, patient in rows:
            if veil.is_closed(session, patient.key):
                # who knows a whole number may find that there is a record, and open it in need
                if part == leads[0] and len(part) > search_parts.LAST and any(map(str.isdigit, part)):
                    yield patient, [part, patient.key]
                continue
            if part == min(piece for piece in parts.of(patient) if piece.startswith(tuple(leads))):
                yield patient, [part, patient.key]
        if len(rows) <= limit:
            return
        place = [rows[-1][0], rows[-1][1].key]


def _newest(
    session: Session, _said: Wish, where: Condition, place: list[str] | None, limit: int
) -> Iterator[Row]:
    # nearly all records stand alone: the length keeps the database from walking the index of merged ones
    alone = func.length(Patient.merged_into) == 0
    query = (
        select(Patient)
        .where(where, alone)
        .order_by(Patient.registered.desc(), Patient.key.desc())
        .limit(limit + 1)
        .options(selectinload(Patient.courses))
    )
    if place is not None:
        try:
            moment = datetime.fromisoformat(place[0]).astimezone(UTC)
        except ValueError as why:
            raise BadInput(_("This list has changed; search again.")) from why
        last = (literal(moment, UtcDateTime), literal(place[1]))
        query = query.where(tuple_(Patient.registered, Patient.key) < tuple_(*last))
    for patient in session.scalars(query):
        if veil.is_closed(session, patient.key):
            continue
        yield patient, [patient.registered.isoformat(), patient.key]


def _is_text(part: object) -> bool:
    return isinstance(part, str) and part.isprintable()


def _place(after: str) -> list[str] | None:
    """The place that a page names. Raises BadInput."""
    if not after:
        return None
    try:
        place = json.loads(after)
    except ValueError:
        place = None
    if not isinstance(place, list) or len(place) != 2 or not all(map(_is_text, place)):
        raise BadInput(_("This list has changed; search again."))
    return place

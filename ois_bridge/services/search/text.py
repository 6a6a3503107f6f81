"""Full text over forms: entered in the deed's transaction, found by words and by any two characters."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Select, select, text
from sqlalchemy.orm import Session

from ois_bridge.domain import grams, highlight
from ois_bridge.models import veil
from ois_bridge.models.clinical import Patient
from ois_bridge.models.search import SearchText

SCANNED = 400
"""Hits that one page of results looks at, at most."""


@dataclass(frozen=True)
class FormHit:
    """One form that holds the words: its key and kind, and their surroundings in pieces (text, is hit)."""

    subject_key: str
    course_key: str | None
    kind: str
    changed: datetime
    snippet: list[tuple[str, bool]]


@dataclass(frozen=True)
class PatientHits:
    """A patient and the forms that hold the words."""

    patient: Patient
    forms: list[FormHit]


@dataclass(frozen=True)
class HitPage:
    """Patients in the order of their newest hit. `after`: where the next page begins, 0 at the end."""

    patients: list[PatientHits]
    after: int


def put(
    session: Session, subject_key: str, course_key: str | None, patient_key: str, kind: str, content: str
) -> None:
    """Enter the text of a subject in place of its former one, in the deed's transaction; empty: remove it."""
    row = session.scalar(select(SearchText).where(SearchText.subject_key == subject_key))
    if not content.strip():
        if row is not None:
            session.delete(row)
        return
    if row is None:
        row = SearchText(subject_key=subject_key)
        session.add(row)
    row.course_key, row.patient_key, row.kind = course_key, patient_key, kind
    row.text, row.grams, row.changed = content, grams.of_text(content), datetime.now(UTC)
    session.flush()


def find(session: Session, wanted: str, before: int = 0, limit: int = 30) -> HitPage:
    """Patients whose forms hold all the words, newest forms first; `before`: `after` of the former page."""
    matching = matches(session, wanted)
    if matching is None or before < 0:
        return HitPage([], 0)
    query = select(SearchText).where(matching).order_by(SearchText.number.desc()).limit(SCANNED + 1)
    if before:
        query = query.where(SearchText.number < before)
    words = highlight.words_of(wanted)
    by_patient: dict[str, list[FormHit]] = {}
    last = 0
    rows = session.scalars(query).all()
    for row in rows:
        if veil.is_closed(session, row.patient_key):
            last = row.number
            continue
        if row.patient_key not in by_patient and len(by_patient) == limit:
            return HitPage(_with_patients(session, by_patient), last)
        hit = FormHit(
            row.subject_key, row.course_key, row.kind, row.changed, highlight.snippet(row.text, words)
        )
        by_patient.setdefault(row.patient_key, []).append(hit)
        last = row.number
    return HitPage(_with_patients(session, by_patient), last if len(rows) > SCANNED else 0)


def patients_with(session: Session, wanted: str) -> Select[str] | None:
    """Keys of the patients whose forms hold all the words; None where nothing can be looked for."""
    matching = matches(session, wanted)
    return None if matching is None else select(SearchText.patient_key).where(matching)


def matches(session: Session, wanted: str) -> ColumnElement[bool] | None:
    """The condition on `search_text` in the words of the database; None for a text without any word."""
    phrases = grams.of_query(wanted)
    if not phrases:
        return None
    if session.get_bind().dialect.name == "postgresql":
        asked = " & ".join("(" + " <-> ".join([*phrase[:-1], phrase[-1] + ":*"]) + ")" for phrase in phrases)
        where = text("to_tsvector('simple', search_text.grams) @@ to_tsquery('simple', :fts)")
        return where.bindparams(fts=asked)  # type: ignore[return-value]
    asked = " AND ".join(_phrase(phrase) for phrase in phrases)
    found = text("SELECT rowid FROM search_text_index WHERE search_text_index MATCH :fts")
    return SearchText.number.in_(found.bindparams(fts=asked).columns(SearchText.number).scalar_subquery())


def _phrase(tokens: Sequence[str]) -> str:
    """A phrase of FTS5: tokens one after another, the last one as a beginning."""
    return " + ".join(f'"{token}"' for token in tokens) + " *"


def _with_patients(session: Session, hits: dict[str, list[FormHit]]) -> list[PatientHits]:
    rows = {row.key: row for row in session.scalars(select(Patient).where(Patient.key.in_(hits)))}
    return [PatientHits(rows[key], forms) for key, forms in hits.items()]

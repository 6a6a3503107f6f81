"""The list of patients on a sheet: what a search finds, in the columns that one may see, audited."""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.text import _
from ois_bridge.domain.identity import readable_name
from ois_bridge.domain.list_columns import COLUMNS
from ois_bridge.domain.permissions import Action
from ois_bridge.models.accounts import Account
from ois_bridge.services.context import Caller, Context
from ois_bridge.services.search import find, rows, saved
from ois_bridge.services.search.find import Query
from ois_bridge.services.search.saved import Search

MOST = 10_000
BATCH = 500
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


def doctors(session: Session) -> dict[str, str]:
    """User -> full name."""
    return {row.user: row.full_name for row in session.execute(select(Account.user, Account.full_name))}


def table(context: Context, caller: Caller, search: Search) -> list[list[str]]:
    """Heading and rows of what a search finds, at most MOST; the audit trail says how many left the house."""
    with context.permitted(caller, Action.EXPORT_LIST, "patients", "asked"):
        query = saved.query_of(search)
    with context.reading(caller, Action.EXPORT_LIST) as session:
        columns = saved.columns(session, caller)
        kept = list(islice(_lines(session, query, columns), MOST))
    with context.deed(caller.user, Action.EXPORT_LIST.value, "patients", f"{len(kept)} patients"):
        pass
    return [[_("Name"), *(_(COLUMNS[name].text) for name in columns)], *kept]


def _lines(session: Session, query: Query, columns: Sequence[str]) -> Iterator[list[str]]:
    names = doctors(session)
    after = ""
    while True:
        page = find.page(session, query, after, BATCH)
        for patient in page.patients:
            cells = rows.cells(patient, columns, names)
            yield [readable_name(patient.name), *(cells[name] for name in columns)]
        session.expunge_all()
        after = page.after
        if not after:
            return


def as_csv(lines: Sequence[Sequence[str]]) -> bytes:
    """UTF-8 with a mark that spreadsheets know; nothing in it is a formula."""
    file = io.StringIO()
    csv.writer(file).writerows([_harmless(cell) for cell in line] for line in lines)
    return "\ufeff".encode() + file.getvalue().encode()


def as_excel(lines: Sequence[Sequence[str]]) -> bytes:
    """A workbook with one sheet; every cell is text."""
    # loading the library takes a moment: not before the first sheet
    from openpyxl import Workbook  # noqa: PLC0415
    from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415

    book = Workbook(write_only=True)
    sheet = book.create_sheet(_("Patients"))
    sheet.freeze_panes = "B2"

    def cells(line: Sequence[str]) -> Iterator[WriteOnlyCell]:
        for text in line:
            cell = WriteOnlyCell(sheet, value="".join(c for c in text if ord(c) >= 32))
            cell.data_type = "s"
            yield cell

    for line in lines:
        sheet.append(list(cells(line)))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _harmless(text: str) -> str:
    """A text that a spreadsheet would take for a formula gets an apostrophe (CWE-1236)."""
    return "'" + text if text.startswith(_DANGEROUS) else text

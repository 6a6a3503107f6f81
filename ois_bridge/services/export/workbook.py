"""Tables of plain values, and the Excel file that holds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from common.text import translate

Cell = str | int | float | None


@dataclass(frozen=True)
class Sheet:
    """One table. `title` and `heading` are English texts that are translated when it is written."""

    title: str
    heading: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]


def xlsx(tables: Sequence[Sheet], language: str) -> bytes:
    """The tables as an Excel file; a text never becomes a formula."""
    # the library takes a moment to load: not before the first export
    from openpyxl import Workbook  # noqa: PLC0415
    from openpyxl.styles import Font  # noqa: PLC0415

    book = Workbook()
    book.remove(book.active)
    for table in tables:
        sheet = book.create_sheet(translate(table.title, language)[:31])
        for place, row in enumerate([[translate(name, language) for name in table.heading], *table.rows], 1):
            for column, value in enumerate(row, 1):
                cell = sheet.cell(place, column, _safe(value))
                if isinstance(value, str):
                    cell.data_type = "s"
                if place == 1:
                    cell.font = Font(bold=True)
        sheet.freeze_panes = "A2"
        for column in range(1, len(table.heading) + 1):
            sheet.column_dimensions[sheet.cell(1, column).column_letter].width = 18
    content = BytesIO()
    book.save(content)
    return content.getvalue()


def _safe(value: Cell) -> Cell:
    """Excel takes no control characters."""
    if isinstance(value, str):
        return "".join(sign for sign in value if sign >= " " or sign in "\n\t")[:32000]
    return value

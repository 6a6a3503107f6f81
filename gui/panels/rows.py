"""A table of texts whose rows keep the person's choice when they are replaced."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PyQt5.QtCore import QAbstractTableModel, QModelIndex, Qt
from PyQt5.QtGui import QBrush, QColor
from PyQt5.QtWidgets import QTableView

_INDEX = QModelIndex()


@dataclass(frozen=True)
class Line:
    """One row: what identifies it, its texts, and a colour that repeats what the first text says."""

    key: str
    texts: tuple[str, ...]
    colour: str = ""


class Lines(QAbstractTableModel):
    """Rows of texts."""

    def __init__(self, heads: Sequence[str], coloured: Sequence[int] = (0,)) -> None:
        """`coloured`: columns in the colour of their line."""
        super().__init__()
        self._heads, self._coloured = tuple(heads), tuple(coloured)
        self.lines: Sequence[Line] = ()

    def rename(self, heads: Sequence[str]) -> None:
        """Other heads of the columns, as many."""
        self._heads = tuple(heads)
        self.headerDataChanged.emit(Qt.Horizontal, 0, len(self._heads) - 1)

    def show(self, lines: Sequence[Line]) -> None:
        """Replace all rows; a choice stays with its keys."""
        if list(lines) == list(self.lines):
            return
        self.layoutAboutToBeChanged.emit()
        kept = self.persistentIndexList()
        keys = [self.lines[index.row()].key for index in kept]
        self.lines = tuple(lines)
        place = {line.key: row for row, line in enumerate(lines)}
        moved = [
            self.index(place[key], index.column()) if key in place else QModelIndex()
            for key, index in zip(keys, kept, strict=True)
        ]
        self.changePersistentIndexList(kept, moved)
        self.layoutChanged.emit()

    def rowCount(self, parent: QModelIndex = _INDEX) -> int:
        """Rows."""
        return 0 if parent.isValid() else len(self.lines)

    def columnCount(self, parent: QModelIndex = _INDEX) -> int:
        """Columns."""
        return 0 if parent.isValid() else len(self._heads)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.DisplayRole) -> Any:
        """Heads of the columns."""
        return self._heads[section] if orientation == Qt.Horizontal and role == Qt.DisplayRole else None

    def data(self, index: QModelIndex, role: int = Qt.DisplayRole) -> Any:
        """Text and colour of a cell; a text that is cut off is whole in its tip."""
        line = self.lines[index.row()]
        if role in (Qt.DisplayRole, Qt.AccessibleTextRole, Qt.ToolTipRole):
            return line.texts[index.column()]
        if role == Qt.ForegroundRole and index.column() in self._coloured and line.colour:
            return QBrush(QColor(line.colour))
        return None


def chosen(view: QTableView, model: Lines) -> list[str]:
    """Keys of the chosen rows, from top to bottom."""
    picked = view.selectionModel()
    rows = [] if picked is None else sorted({index.row() for index in picked.selectedRows()})
    return [model.lines[row].key for row in rows if row < len(model.lines)]

"""Parts of the trend panel: the list to choose from, and the table of what is shown."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from PyQt5.QtCore import QAbstractTableModel, QModelIndex, Qt, pyqtSignal
from PyQt5.QtGui import QBrush, QColor
from PyQt5.QtWidgets import QAbstractItemView, QLabel, QLineEdit, QListWidget, QVBoxLayout, QWidget

from common.text import _
from gui.viewmodels.trend import Row, curve_mark, fitting

_INDEX = QModelIndex()
SHOWN_MOST = 500
Reading = Callable[[int], tuple[float, float]]
DASH_SIGNS = ("━━", "╍╍", "┉┉", "━┉")


class Picker(QWidget):
    """All attributes that live crates and the archive know, searched by pieces of their names."""

    wanted = pyqtSignal(list)

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.text = QLineEdit()
        self.text.setPlaceholderText(_("Find attributes: pieces of the name  [Ctrl+F]"))
        self.text.setAccessibleName(_("Find attributes"))
        self.text.textChanged.connect(lambda _text: self._search())
        self.text.returnPressed.connect(self.take)
        column.addWidget(self.text)
        self.list = QListWidget()
        self.list.setAccessibleName(_("Attributes"))
        self.list.setSelectionMode(QAbstractItemView.ExtendedSelection)
        self.list.setUniformItemSizes(True)
        self.list.itemActivated.connect(lambda _item: self.take())
        column.addWidget(self.list, 1)
        self._count = QLabel()
        self._count.setObjectName("caption")
        column.addWidget(self._count)
        self._names: Sequence[str] = ()

    def offer(self, names: Sequence[str]) -> None:
        """Replace what can be chosen."""
        if list(names) != list(self._names):
            self._names = names
            self._search()

    def take(self) -> None:
        """Ask for the chosen attributes, else for the first one found."""
        chosen = [item.text() for item in self.list.selectedItems()]
        first = self.list.item(0)
        if not chosen and first is not None:
            chosen = [first.text()]
        if chosen:
            self.wanted.emit(chosen)

    def _search(self) -> None:
        found = fitting(self._names, self.text.text(), SHOWN_MOST)
        self.list.clear()
        self.list.addItems(found)
        many = len(found) == SHOWN_MOST
        text = _("the first {count} of {all}") if many else _("{count} of {all}")
        self._count.setText(text.format(count=len(found), all=len(self._names)))


class RowsOfTrend(QAbstractTableModel):
    """What is shown, with the newest value and the one at the cursor. Text is made for visible cells only."""

    toggled = pyqtSignal()

    def __init__(self, rows: Callable[[], Sequence[Row]], newest: Reading, pointed: Reading) -> None:
        super().__init__()
        self._rows, self._newest, self._pointed = rows, newest, pointed
        self._heads = ("", _("attribute"), _("now"), _("at the cursor"), _("unit"), _("lane"))

    def renew(self) -> None:
        """The rows are others."""
        self.beginResetModel()
        self.endResetModel()

    def touch(self) -> None:
        """The values are others."""
        if last := self.rowCount():
            self.dataChanged.emit(self.index(0, 2), self.index(last - 1, 3), [Qt.DisplayRole])

    def rowCount(self, parent: QModelIndex = _INDEX) -> int:
        """Attributes of the trend."""
        return 0 if parent.isValid() else len(self._rows())

    def columnCount(self, parent: QModelIndex = _INDEX) -> int:
        """Mark, name, value now, value at the cursor, unit, lane."""
        return 0 if parent.isValid() else len(self._heads)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.DisplayRole) -> Any:
        """Heads of the columns."""
        return self._heads[section] if orientation == Qt.Horizontal and role == Qt.DisplayRole else None

    def flags(self, index: QModelIndex) -> Any:
        """The mark can be ticked: whether the curve is drawn."""
        tick = Qt.ItemIsUserCheckable if index.column() == 0 else Qt.NoItemFlags
        return Qt.ItemIsEnabled | Qt.ItemIsSelectable | tick

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.EditRole) -> bool:
        """Draw the curve of a row, or do not."""
        if role != Qt.CheckStateRole or index.column() != 0:
            return False
        self._rows()[index.row()].shown = value == Qt.Checked
        self.toggled.emit()
        return True

    def data(self, index: QModelIndex, role: int = Qt.DisplayRole) -> Any:
        """Text, tick and colour of a cell."""
        row, column = self._rows()[index.row()], index.column()
        if role in (Qt.DisplayRole, Qt.AccessibleTextRole):
            return self._text(row, index.row(), column)
        if role == Qt.CheckStateRole and column == 0:
            return Qt.Checked if row.shown else Qt.Unchecked
        if role == Qt.ForegroundRole and column == 0:
            return QBrush(QColor(curve_mark(index.row())[0]))
        if role == Qt.TextAlignmentRole and column in (2, 3):
            return int(Qt.AlignRight | Qt.AlignVCenter)
        if role == Qt.ToolTipRole and column == 1:
            return row.name
        return None

    def _text(self, row: Row, place: int, column: int) -> str:
        if column == 0:
            return DASH_SIGNS[place // 8 % len(DASH_SIGNS)]
        if column == 2:
            return row.text(self._newest(place)[1])
        if column == 3:
            low, high = self._pointed(place)
            if math.isnan(low) or low == high:
                return row.text(low)
            return f"{row.text(low)} … {row.text(high)}"
        return (row.name, row.unit, row.lane or row.unit)[(1, 4, 5).index(column)]

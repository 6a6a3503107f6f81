"""Tables of the alarm panel: alarms as a Qt model over the view, history as plain rows."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from PyQt5.QtCore import QAbstractTableModel, QModelIndex, Qt
from PyQt5.QtGui import QBrush, QColor, QFont
from PyQt5.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from gui import theme
from gui.viewmodels.alarms import MARKS, STATES, WAITING, AlarmView, titles

TABLE_STYLE = f"""
QTableView, QTreeWidget {{ background: {theme.PANEL}; alternate-background-color: #1e2732;
  gridline-color: {theme.LINE}; border: 1px solid {theme.LINE}; selection-background-color: #2b4a6b;
  selection-color: {theme.INK}; }}
QHeaderView::section {{ background: {theme.PAPER}; color: {theme.FAINT}; border: none; padding: 6px; }}
"""
_INDEX = QModelIndex()


class AlarmModel(QAbstractTableModel):
    """Rows of the view. Only what is on the screen is turned into text, so a flood costs one sort."""

    def __init__(self, view: AlarmView) -> None:
        super().__init__()
        self.view = view
        self.rows: list[dict[str, Any]] = []
        self._titles = titles()
        self._bold = QFont()
        self._bold.setBold(True)

    def draw(self) -> None:
        """Take over what the view shows now; the choice of the user stays with its alarms."""
        rows = self.view.shown()
        self.layoutAboutToBeChanged.emit()
        kept = self.persistentIndexList()
        names = [self.rows[index.row()]["name"] for index in kept]
        self.rows = rows
        place = {row["name"]: number for number, row in enumerate(rows)}
        moved = [
            self.index(place[name], index.column()) if name in place else QModelIndex()
            for name, index in zip(names, kept, strict=True)
        ]
        self.changePersistentIndexList(kept, moved)
        self.layoutChanged.emit()

    def rowCount(self, parent: QModelIndex = _INDEX) -> int:
        """Alarms shown."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = _INDEX) -> int:
        """Columns of an alarm."""
        return 0 if parent.isValid() else len(self._titles)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.DisplayRole) -> Any:
        """Heads of the columns."""
        shown = orientation == Qt.Horizontal and role == Qt.DisplayRole
        return self._titles[section] if shown else None

    def data(self, index: QModelIndex, role: int = Qt.DisplayRole) -> Any:
        """Text, colour and weight of a cell."""
        row, column = self.rows[index.row()], index.column()
        if role in (Qt.DisplayRole, Qt.AccessibleTextRole, Qt.ToolTipRole):
            return self.view.cells(row, time.time())[column]
        if role == Qt.ForegroundRole and column == 0:
            return QBrush(QColor(MARKS[row["severity"]].colour))
        if role == Qt.ForegroundRole and column == 1:
            return QBrush(QColor(STATES[row["state"]].colour))
        if role == Qt.FontRole and row["state"] in WAITING and column < 3:
            return self._bold
        return None


class RowsModel(QAbstractTableModel):
    """Plain rows of texts."""

    def __init__(self, heads: Sequence[str]) -> None:
        super().__init__()
        self._heads = tuple(heads)
        self._rows: Sequence[tuple[str, ...]] = ()
        self._colours: Sequence[str] = ()

    def show_rows(self, rows: Sequence[tuple[str, ...]], severities: Sequence[Mapping[str, Any]]) -> None:
        """Replace all rows; the third column takes the colour of the severity."""
        self.beginResetModel()
        self._rows = rows
        self._colours = [MARKS[row["severity"]].colour for row in severities]
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = _INDEX) -> int:
        """Rows."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = _INDEX) -> int:
        """Columns."""
        return 0 if parent.isValid() else len(self._heads)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.DisplayRole) -> Any:
        """Heads of the columns."""
        shown = orientation == Qt.Horizontal and role == Qt.DisplayRole
        return self._heads[section] if shown else None

    def data(self, index: QModelIndex, role: int = Qt.DisplayRole) -> Any:
        """Text and colour of a cell."""
        if role in (Qt.DisplayRole, Qt.ToolTipRole):
            return self._rows[index.row()][index.column()]
        if role == Qt.ForegroundRole and index.column() == 2:
            return QBrush(QColor(self._colours[index.row()]))
        return None


def table(model: QAbstractTableModel, widths: Sequence[int], name: str) -> QTableView:
    """A table that is read and chosen from by rows; the last column takes what is left."""
    view = QTableView()
    view.setModel(model)
    view.setAccessibleName(name)
    view.setSelectionBehavior(QAbstractItemView.SelectRows)
    view.setSelectionMode(QAbstractItemView.ExtendedSelection)
    view.setAlternatingRowColors(True)
    view.setWordWrap(False)
    view.setTabKeyNavigation(False)
    rows, heads = view.verticalHeader(), view.horizontalHeader()
    if rows is not None and heads is not None:
        rows.setVisible(False)
        rows.setSectionResizeMode(QHeaderView.Fixed)
        rows.setDefaultSectionSize(28)
        heads.setStretchLastSection(True)
    for column, width in enumerate(widths):
        view.setColumnWidth(column, width)
    return view

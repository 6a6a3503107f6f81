"""Parts of the alarm panel: the tree of areas, what is done with alarms, and the search of the history."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PyQt5.QtCore import Qt, pyqtSignal
from PyQt5.QtGui import QBrush, QColor, QKeySequence
from PyQt5.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from common.text import _
from gui.panels.alarm_table import AlarmModel, RowsModel, table
from gui.panels.cards import Card
from gui.viewmodels.alarms import MARKS, event_line, event_titles

KEYS = {"ack": "F5", "all": "Shift+F5", "shelve": "F6", "unshelve": "Shift+F6", "silence": "F8"}


class AreaTree(QTreeWidget):
    """Areas with their worst severity, and how many alarms wait of how many that stand."""

    chosen = pyqtSignal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderLabels([_("Areas"), ""])
        self.setColumnWidth(0, 140)
        self.setColumnWidth(1, 84)
        self.setAccessibleName(_("Areas"))
        self.itemSelectionChanged.connect(self._choose)
        self._nodes: dict[str, QTreeWidgetItem] = {}

    def draw(self, nodes: Sequence[tuple[str, int, int, str]]) -> None:
        """Show (node, standing, waiting, severity); a node without alarms stays and says so."""
        calm = MARKS["NO_ALARM"]
        for name in set(self._nodes) - {node for node, *_rest in nodes}:
            self._nodes[name].setText(1, calm.symbol)
            self._nodes[name].setForeground(1, QBrush(QColor(calm.colour)))
        for node, standing, waiting, severity in nodes:
            item, mark = self._nodes.get(node) or self._node(node), MARKS[severity]
            item.setText(1, f"{mark.symbol} {waiting}/{standing}" if standing else mark.symbol)
            item.setForeground(1, QBrush(QColor(mark.colour)))

    def _node(self, name: str) -> QTreeWidgetItem:
        head, _slash, last = name.rpartition("/")
        if not name:
            item = QTreeWidgetItem(self, [_("whole site"), ""])
        else:
            item = QTreeWidgetItem(self._nodes.get(head) or self._node(head), [last, ""])
        item.setData(0, Qt.UserRole, name)
        item.setExpanded(True)
        self._nodes[name] = item
        return item

    def _choose(self) -> None:
        items = self.selectedItems()
        self.chosen.emit(str(items[0].data(0, Qt.UserRole)) if items else "")


class Side(QWidget):
    """Guidance for the chosen alarm, a comment or reason, and the buttons."""

    def __init__(self, acts: Mapping[str, Callable[[], None]], *, enabled: bool) -> None:
        """`acts`: what the button of each name in KEYS does."""
        super().__init__()
        column = QVBoxLayout(self)
        card = Card(_("Guidance"))
        self.guidance = QLabel(_("Choose an alarm."))
        self.guidance.setWordWrap(True)
        self.guidance.setTextInteractionFlags(Qt.TextSelectableByMouse)
        card.box.addWidget(self.guidance)
        column.addWidget(card)
        column.addStretch(1)
        self.note, self.hours = QLineEdit(), QLineEdit("8")
        self.note.setPlaceholderText(f"{_('Comment')} / {_('Reason')}")
        self.note.setAccessibleName(_("Comment"))
        self.hours.setAccessibleName(_("Hours"))
        grid = QGridLayout()
        grid.addWidget(self.note, 0, 0, 1, 2)
        grid.addWidget(QLabel(_("Hours")), 1, 0)
        grid.addWidget(self.hours, 1, 1)
        texts = {
            "ack": _("Acknowledge"),
            "all": _("Acknowledge all"),
            "shelve": _("Shelve"),
            "unshelve": _("Unshelve"),
            "silence": _("Silence"),
        }
        self.buttons: dict[str, QPushButton] = {}
        for place, (name, text) in enumerate(texts.items()):
            button = QPushButton(f"{text}  [{KEYS[name]}]")
            button.setShortcut(QKeySequence(KEYS[name]))
            button.setEnabled(enabled)
            button.clicked.connect(lambda _checked, do=acts[name]: do())
            grid.addWidget(button, 2 + place, 0, 1, 2)
            self.buttons[name] = button
        column.addLayout(grid)

    def seconds(self) -> float:
        """How long to shelve; 0 for what is no number, which the server refuses."""
        try:
            return float(self.hours.text()) * 3600.0
        except ValueError:
            return 0.0


class Present(QWidget):
    """Alarms that stand: filter and table."""

    def __init__(self, model: AlarmModel, choose: Callable[[], None], picked: Callable[[], None]) -> None:
        """`choose` is called when the filter changes, `picked` when the choice of alarms does."""
        super().__init__()
        column = QVBoxLayout(self)
        bar = QHBoxLayout()
        self.filter = QLineEdit()
        self.filter.setPlaceholderText(_("Filter alarms"))
        self.filter.textChanged.connect(lambda _text: choose())
        self.aside = QCheckBox(_("Show shelved and suppressed"))
        self.aside.toggled.connect(lambda _on: choose())
        bar.addWidget(self.filter, 1)
        bar.addWidget(self.aside)
        column.addLayout(bar)
        self.table = table(model, (120, 150, 190, 55, 60, 190), _("Alarms"))
        selection = self.table.selectionModel()
        if selection is not None:
            selection.selectionChanged.connect(lambda *_change: picked())
        column.addWidget(self.table, 1)


class Past(QWidget):
    """The history, searched when Return is pressed."""

    def __init__(self, search: Callable[[str], Sequence[Mapping[str, Any]] | None]) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        self.text = QLineEdit()
        self.text.setPlaceholderText(_("Search history: part of a name, text, comment or user"))
        self.text.returnPressed.connect(self.look)
        column.addWidget(self.text)
        self.model = RowsModel(event_titles())
        past = table(self.model, (160, 130, 90, 220, 60, 110, 80), _("History"))
        past.setSelectionMode(QAbstractItemView.SingleSelection)
        column.addWidget(past, 1)
        self._search = search

    def look(self) -> None:
        """Show what the history has of the text."""
        rows = self._search(self.text.text())
        if rows is not None:
            self.model.show_rows([event_line(row) for row in rows], rows)

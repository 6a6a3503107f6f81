"""The alarm panel: what stands, where, since when, what to do; acknowledging and shelving by keyboard."""

from collections.abc import Callable
from typing import Any

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import (
    QLabel,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from common.errors import PtcsError
from common.text import _
from gui import theme
from gui.panels.alarm_parts import AreaTree, Past, Present, Side
from gui.panels.alarm_table import TABLE_STYLE, AlarmModel
from gui.panels.panel import Panel
from gui.viewmodels.alarms import AlarmView, detail, words

FRAME_MS = 100
"""Ten pictures a second, whatever the alarms do."""
QUIET_S = 300.0
Ask = Callable[..., Any]
"""A command of the alarm server with its wish; answers its JSON. Raises PtcsError."""


class AlarmPanel(Panel):
    """Alarms of the site. `ask` puts commands to the alarm server; `user` is "" for reading only."""

    def __init__(self, ask: Ask, user: str = "", site: str = "") -> None:
        super().__init__(f"{_('Alarms')} {site}", 1500, 900, TABLE_STYLE)
        self.view = AlarmView()
        self._ask, self._guided, self._advice = ask, "", ""
        self.model, self.tree = AlarmModel(self.view), AreaTree()
        self.tree.chosen.connect(self._choose_area)
        acts = {
            "ack": self.acknowledge,
            "all": self.acknowledge_all,
            "shelve": self.shelve,
            "unshelve": self.unshelve,
            "silence": self.silence,
        }
        self.side = Side(acts, enabled=bool(user))
        self.past = Past(self._search)
        self.page = Present(self.model, self._choose, self._guide)
        self.table, self.filter, self.aside = self.page.table, self.page.filter, self.page.aside
        self._lay_out()
        self._say(user or _("read only: nobody is logged in"))
        self.draw()
        self._timer = self._timer_of(self.tick, FRAME_MS)

    def _lay_out(self) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        self._banner = QLabel()
        self._banner.setObjectName("banner")
        column.addWidget(self._banner)
        tabs = QTabWidget()
        tabs.addTab(self.page, _("Alarms"))
        tabs.addTab(self.past, _("History"))
        split = QSplitter(Qt.Horizontal)
        for part in (self.tree, tabs, self.side):
            split.addWidget(part)
        split.setSizes([230, 990, 280])
        column.addWidget(split, 1)
        self.setCentralWidget(page)

    # --- Acts

    def acknowledge(self) -> None:
        """Acknowledge the chosen alarms."""
        self._do("Acknowledge", names=self.chosen(), comment=self.side.note.text())

    def acknowledge_all(self) -> None:
        """Acknowledge every alarm that is shown."""
        self._do("Acknowledge", names=self.view.waiting(), comment=self.side.note.text())

    def shelve(self) -> None:
        """Put the chosen alarms aside for some hours; that needs a reason."""
        self._do("Shelve", names=self.chosen(), reason=self.side.note.text(), seconds=self.side.seconds())

    def unshelve(self) -> None:
        """Bring the chosen alarms back."""
        self._do("Unshelve", names=self.chosen())

    def silence(self) -> None:
        """No voice for five minutes."""
        self._attempt("Silence", QUIET_S)

    def chosen(self) -> list[str]:
        """Names of the chosen alarms."""
        picked = self.table.selectionModel()
        rows = [] if picked is None else sorted({index.row() for index in picked.selectedRows()})
        return [self.model.rows[row]["name"] for row in rows if row < len(self.model.rows)]

    def _do(self, command: str, **wish: Any) -> None:
        if not wish["names"]:
            self._say(_("Choose an alarm."))
            return
        told = self._attempt(command, **wish)
        if told is not None:
            left = "; ".join(f"{name}: {why}" for name, why in list(told["not"].items())[:3])
            self._say(f"{_('done: {count}').format(count=len(told['done']))} {left}")
            self.side.note.clear()
            self.tick()

    def _search(self, text: str) -> Any:
        if (rows := self._attempt("History", text=text, most=1000)) is not None:
            self._say(_("{count} events").format(count=len(rows)))
        return rows

    def _attempt(self, command: str, *plain: Any, **wish: Any) -> Any:
        try:
            return self._ask(command, *plain, **wish)
        except PtcsError as why:
            self._failed(why)
            return None

    # --- Pictures

    def tick(self) -> None:
        """Ask what changed and show it."""
        try:
            told = self._ask("ActiveSince", self.view.changes if self.view.linked else 0)
        except PtcsError:
            told = None
        was = self.view.linked
        self.view.take(told)
        if was != self.view.linked or (told and (told["all"] or told["rows"] or told["gone"])):
            self.draw()
        elif last := self.model.rowCount():
            self.model.dataChanged.emit(
                self.model.index(0, 3), self.model.index(last - 1, 3), [Qt.DisplayRole]
            )

    def draw(self) -> None:
        """Show the view."""
        text, mark = self.view.banner()
        self._banner.setText(text)
        self._banner.setStyleSheet(f"color: {theme.PAPER}; background: {mark.colour};")
        self.model.draw()
        self.tree.draw(self.view.tree())
        self._guide()

    def _choose_area(self, area: str) -> None:
        self.view.area = area
        self.draw()

    def _choose(self) -> None:
        self.view.filter, self.view.aside = self.filter.text(), self.aside.isChecked()
        self.draw()

    def _guide(self) -> None:
        name = next(iter(self.chosen()), "")
        if name != self._guided:
            self._guided = name
            told = self._attempt("Guidance", name) if name else None
            self._advice = words(told) if told else ""
        row = self.view.rows.get(name)
        about = f"{detail(row)}\n\n" if row else ""
        self.side.guidance.setText(f"{name}\n{about}{self._advice}" if name else _("Choose an alarm."))

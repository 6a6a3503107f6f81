"""The strip of control: a button an area that says who has it; its menu asks, hands over, gives up, takes."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from PyQt5.QtCore import QTimer
from PyQt5.QtGui import QKeySequence
from PyQt5.QtWidgets import QAction, QHBoxLayout, QInputDialog, QLabel, QMenu, QShortcut, QToolButton, QWidget

from common.errors import PtcsError
from common.text import _
from gui import theme
from gui.services import Facility, Service
from gui.viewmodels.control import Act, acts, area_mark, area_text, area_title
from gui.work import Worker

EVERY_MS = 1000
STRIP_STYLE = f"""
QToolButton#area {{ background: {theme.PANEL}; border: 1px solid {theme.LINE}; border-radius: 8px;
  padding: 5px 10px; font-size: 13px; }}
QToolButton#area:focus {{ border: 2px solid {theme.BLUE}; }}
QToolButton#area::menu-indicator {{ image: none; }}
"""


class ControlStrip(QWidget):
    """Who has which area now; asked once a second. `said` gets what the authority answers, in words."""

    def __init__(self, facility: Facility, said: Callable[[str], None]) -> None:
        super().__init__()
        self.setStyleSheet(STRIP_STYLE)
        self._facility, self._say, self.user = facility, said, facility.user
        self._worker = Worker(self)
        self._service: Service | None = None
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(6)
        self._caption = QLabel(_("Control"))
        self._caption.setObjectName("caption")
        self._row.addWidget(self._caption)
        self._row.addStretch(1)
        self.buttons: dict[str, QToolButton] = {}
        self.rows: dict[str, Mapping[str, Any]] = {}
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.ask)
        self._timer.start(EVERY_MS)
        self.ask()

    def ask(self) -> None:
        """Ask who has what, unless an answer is still on its way."""
        if not self._worker.busy:
            self._worker.do(lambda: self._authority().read("Areas"), self._show, self._lost)

    def menu_of(self, area: str) -> list[Act]:
        """What can be tried at an area now."""
        return acts(self.rows[area], self.user)

    def act(self, area: str, act: Act, **more: Any) -> None:
        """Try something at an area: control asked for here ends with this panel's process."""
        wish = {"area": area, **more}
        if act.command in ("Request", "Accept", "Take"):
            wish["bind"] = True

        def done(_state: Any) -> None:
            self._say(f"{theme.GOOD.symbol} {area_title(self.rows[area])}: {act.text.rstrip(' …')}")
            self.ask()

        self._worker.do(lambda: self._authority().ask(act.command, wish), done, self._refused)

    def close_down(self) -> None:
        """Ask no more."""
        self._timer.stop()
        self._worker.close()

    def _authority(self) -> Service:
        if self._service is None:
            self._service = self._facility.service("ControlAuthority")
        return self._service

    def _show(self, told: Any) -> None:
        self.rows = {row["area"]: row for row in map(json.loads, told or ())}
        for area in [area for area in self.buttons if area not in self.rows]:
            self.buttons.pop(area).deleteLater()
        for area, row in self.rows.items():
            button = self.buttons.get(area) or self._button(area)
            text, mark = area_text(row, self.user), area_mark(row, self.user)
            if button.text() != text:
                button.setText(text)
                button.setAccessibleName(text)
                button.setStyleSheet(f"QToolButton#area {{ border-bottom: 3px solid {mark.colour}; }}")

    def _lost(self, why: PtcsError) -> None:
        """What is not known is not shown as known."""
        self.rows = {}
        for area, button in self.buttons.items():
            button.setText(f"? {area}")
        self._caption.setToolTip(str(why))

    def _refused(self, why: PtcsError) -> None:
        self._say(f"{theme.BAD.symbol} {why}")

    def _button(self, area: str) -> QToolButton:
        button = QToolButton()
        button.setObjectName("area")
        button.setPopupMode(QToolButton.InstantPopup)
        menu = QMenu(button)
        menu.aboutToShow.connect(lambda: self._fill(menu, area))
        button.setMenu(menu)
        number = len(self.buttons) + 1
        if number <= 9:
            QShortcut(QKeySequence(f"Alt+{number}"), self).activated.connect(button.showMenu)
            button.setToolTip(f"[Alt+{number}]")
        self._row.insertWidget(self._row.count() - 1, button)
        self.buttons[area] = button
        return button

    def _fill(self, menu: QMenu, area: str) -> None:
        menu.clear()
        found = self.menu_of(area) if area in self.rows else []
        for act in found:
            entry = QAction(act.text, menu)
            entry.triggered.connect(lambda _checked, act=act: self._choose(area, act))
            menu.addAction(entry)
        if not found:
            nothing = menu.addAction(_("read only: nobody is logged in"))
            if nothing is not None:
                nothing.setEnabled(False)

    def _choose(self, area: str, act: Act) -> None:
        if not act.asks:
            self.act(area, act)
            return
        caption = _("User") if act.asks == "to" else _("Reason")
        text, good = QInputDialog.getText(self, act.text, caption)
        if good:
            self.act(area, act, **{act.asks: text.strip()})

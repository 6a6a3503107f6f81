"""The settings panel's window: its lists, and how questions and jobs go to the SettingsServer."""

from collections.abc import Callable, Mapping
from typing import Any

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QSplitter, QTabWidget, QVBoxLayout, QWidget

from common.errors import PtcsError
from common.text import _
from gui import theme
from gui.panels.control_strip import ControlStrip
from gui.panels.panel import Panel
from gui.panels.settings_parts import Compared, Restore, Restores, Snapshots
from gui.panels.tools import Tools
from gui.services import Facility, Service
from gui.viewmodels import settings as words
from gui.work import Worker

SEARCH_MS = 250
MOST = 500


class SettingsFrame(Panel):
    """Layout, lists and the way to the server; what people do there is in SettingsPanel."""

    def __init__(self, facility: Facility) -> None:
        super().__init__(f"{_('Settings')} {facility.site}", 1500, 900)
        self._service: Service = facility.service("SettingsServer")
        self._worker, self._quick = Worker(self), Worker(self)
        self.user = facility.user
        self.snapshots, self.compared, self.restore = Snapshots(), Compared(), Restore()
        self.restores = Restores()
        self.busy = ""
        self._lay_out(ControlStrip(facility, self._say))
        self._timer = self._timer_of(self._watch)
        self._search = self._timer_of(self.look_up, once=True)
        self._ending((self.strip.close_down, self._worker.close, self._quick.close))
        self.snapshots.text.textChanged.connect(lambda _text: self._search.start(SEARCH_MS))
        self._quick.do(lambda: self._service.read("Configurations"), self._offer, self._failed)
        self.configuration = self.tools.choice(_("Configuration"), [], lambda _name: self.look_up())
        self.look_up()
        self.list_restores()
        self._say(self.user or _("read only: nobody is logged in"))

    def _lay_out(self, strip: ControlStrip) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        self.strip = strip
        column.addWidget(strip)
        self.tools = Tools(self)
        column.addWidget(self.tools)
        self.tabs = QTabWidget()
        for part, title in (
            (self.compared, _("Compare")),
            (self.restore, _("Restore")),
            (self.restores, _("Restores")),
        ):
            self.tabs.addTab(part, title)
        split = QSplitter(Qt.Horizontal)
        split.addWidget(self.snapshots)
        split.addWidget(self.tabs)
        split.setSizes([600, 900])
        split.setChildrenCollapsible(False)
        column.addWidget(split, 1)
        self.setCentralWidget(page)

    def look_up(self) -> None:
        """List the snapshots that fit the search."""
        wish = {"text": self.snapshots.text.text().strip(), "limit": MOST}
        if name := self._configuration():
            wish["configuration"] = name
        self._quick.do(lambda: self._service.ask("Find", wish), self.snapshots.show_rows, self._failed)

    def list_restores(self) -> None:
        """List the restores."""
        self._quick.do(lambda: self._service.ask("Restores"), self.restores.show_rows, self._failed)

    def _job(self, doing: str, command: str, wish: dict[str, Any], then: Callable[[Any], None]) -> None:
        if self.busy:
            self._say(_("{doing}: wait for its end").format(doing=self.busy))
            return
        self.busy = doing
        self._say(f"{theme.BUSY.symbol} {doing} …")

        def came(answer: Any) -> None:
            self._ended()
            self._say(f"{theme.GOOD.symbol} {doing}")
            then(answer)

        def failed(why: PtcsError) -> None:
            self._ended()
            if self.tabs.currentWidget() is self.restore:
                self.restore.told.setText(f"{theme.BAD.symbol} {why}")
            self._failed(why)

        self._worker.do(lambda: self._service.job(command, wish), came, failed)

    def _ended(self) -> None:
        self.busy = ""
        self._timer.stop()
        self.list_restores()

    def _watch(self) -> None:
        if not self._quick.busy:
            self._quick.do(
                lambda: self._service.read("Progress"), self.restore.show_progress, lambda _why: None
            )

    def _offer(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        self.configuration.addItem(_("all"), "")
        for name, part in found.items():
            text = f"{words.title(part['title'])} ({part['count']})"
            self.configuration.addItem(text, name)

    def _configuration(self) -> str:
        return str(self.configuration.currentData() or "")

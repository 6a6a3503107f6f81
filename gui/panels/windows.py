"""The menu of panels: each is opened once, and shown again when it is there."""

from collections.abc import Callable, Mapping

from PyQt5.QtCore import QEvent, QObject, Qt
from PyQt5.QtWidgets import QMainWindow, QMessageBox, QWidget

from common.errors import PtcsError
from common.text import _
from gui.panels.alarms import AlarmPanel, Ask
from gui.panels.logbook import LogbookPanel
from gui.panels.settings import SettingsPanel
from gui.panels.trend import TrendPanel
from gui.services import Facility

KEYS = {"trend": "Ctrl+1", "settings": "Ctrl+2", "logbook": "Ctrl+3", "alarms": "Ctrl+4"}


def titles() -> dict[str, str]:
    """Names of the panels, in the order of the menu."""
    return {
        "trend": _("Trends"),
        "settings": _("Settings"),
        "logbook": _("Logbook"),
        "alarms": _("Alarms"),
    }


class Windows(QObject):
    """The panels of a facility that are open."""

    def __init__(self, facility: Facility) -> None:
        super().__init__()
        self.facility = facility
        self.open: dict[str, QMainWindow] = {}
        self._make: Mapping[str, Callable[[], QMainWindow]] = {
            "trend": lambda: TrendPanel(facility),
            "settings": lambda: SettingsPanel(facility),
            "logbook": lambda: LogbookPanel(facility, self.pictures),
            "alarms": lambda: AlarmPanel(self._alarms(), facility.user, facility.site),
        }

    def install(self, window: QMainWindow) -> None:
        """Give a window the menu."""
        bar = window.menuBar()
        menu = bar.addMenu(f"&{_('Panels')}") if bar is not None else None
        if menu is None:
            return
        for name, title in titles().items():
            action = menu.addAction(title)
            if action is not None:
                action.setShortcut(KEYS[name])
                action.triggered.connect(lambda _checked, name=name: self.tell(window, name))

    def show(self, name: str) -> QMainWindow:
        """Open a panel, or bring it to the front. Raises PtcsError when its service is not there."""
        panel = self.open.get(name)
        if panel is None:
            panel = self._make[name]()
            panel.setAttribute(Qt.WA_DeleteOnClose)
            panel.installEventFilter(self)
            self.open[name] = panel
            self.install(panel)
        panel.show()
        panel.raise_()
        panel.activateWindow()
        return panel

    def tell(self, window: QWidget, name: str) -> None:
        """Open a panel, or say why not."""
        try:
            self.show(name)
        except PtcsError as why:
            QMessageBox.warning(window, titles()[name], str(why))

    def pictures(self) -> dict[str, QWidget]:
        """Panels whose picture may go into the logbook: those of this menu, which show no patient."""
        return {titles()[name]: panel for name, panel in self.open.items() if name != "logbook"}

    def close(self) -> None:
        """Close every panel."""
        for panel in list(self.open.values()):
            panel.close()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """A panel that is closed is no longer open: the menu makes another."""
        if event is not None and event.type() == QEvent.Close:
            self.open = {name: panel for name, panel in self.open.items() if panel is not watched}
        return False

    def _alarms(self) -> Ask:
        service = self.facility.service("AlarmServer")

        def ask(command: str, *plain: object, **wish: object) -> object:
            return service.ask(command, plain[0] if plain else dict(wish))

        return ask

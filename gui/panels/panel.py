"""What every panel's window has: title, size and colours, a line of news, and parts that end with it."""

from collections.abc import Callable, Iterable
from typing import Any

from PyQt5.QtCore import QTimer
from PyQt5.QtWidgets import QMainWindow

from common.errors import PtcsError
from gui import theme
from gui.panels.alarm_table import TABLE_STYLE
from gui.panels.tools import TOOL_STYLE


class Panel(QMainWindow):
    """A window whose last line says what happened. News stays `NEWS_MS`, with 0 until the next."""

    NEWS_MS = 0

    def __init__(self, title: str, width: int, height: int, style: str = TABLE_STYLE + TOOL_STYLE) -> None:
        super().__init__()
        self.setWindowTitle(title.strip())
        self.resize(width, height)
        self.setStyleSheet(theme.STYLE + style)
        self._ends: list[Callable[[], object]] = []

    def _timer_of(self, due: Callable[[], None], every_ms: int = 0, *, once: bool = False) -> QTimer:
        """A timer that stops when the window closes; it runs from now on where `every_ms` is given."""
        timer = QTimer(self)
        timer.setSingleShot(once)
        timer.timeout.connect(due)
        self._ends.append(timer.stop)
        if every_ms:
            timer.start(every_ms)
        return timer

    def _ending(self, ends: Iterable[Callable[[], object]]) -> None:
        """What else is called when the window closes, in this order."""
        self._ends.extend(ends)

    def _say(self, text: str, milliseconds: int | None = None) -> None:
        bar = self.statusBar()
        if bar is not None:
            bar.showMessage(text, self.NEWS_MS if milliseconds is None else milliseconds)

    def _failed(self, why: PtcsError | str) -> None:
        self._say(f"{theme.BAD.symbol} {why}")

    def closeEvent(self, event: Any) -> None:
        """No more pictures, questions or events."""
        for end in self._ends:
            end()
        super().closeEvent(event)

"""A row of tools above a panel: buttons with a key each, switches, choices."""

from collections.abc import Callable, Sequence

from PyQt5.QtGui import QKeySequence
from PyQt5.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QShortcut, QWidget

from gui import theme

TOOL_STYLE = f"""
QPushButton#tool {{ padding: 5px 10px; font-size: 13px; border-radius: 6px; font-weight: 500; }}
QPushButton#tool:checked {{ background: #2b4a6b; border-color: {theme.BLUE}; }}
QComboBox {{ background: {theme.PAPER}; border: 1px solid {theme.LINE}; border-radius: 6px;
  padding: 4px 8px; }}
QComboBox:focus, QLineEdit:focus, QTableView:focus, QListWidget:focus, QPlainTextEdit:focus {{
  border: 1px solid {theme.BLUE}; }}
QListWidget, QPlainTextEdit {{ background: {theme.PANEL}; border: 1px solid {theme.LINE}; border-radius: 6px;
  selection-background-color: #2b4a6b; selection-color: {theme.INK}; }}
QSplitter::handle {{ background: {theme.PAPER}; }}
QMenuBar {{ background: {theme.PAPER}; }}
QMenuBar::item:selected, QMenu::item:selected {{ background: #2b4a6b; }}
QMenu {{ background: {theme.PANEL}; border: 1px solid {theme.LINE}; }}
QTabBar::tab {{ background: {theme.PANEL}; padding: 6px 14px; border: 1px solid {theme.LINE}; }}
QTabBar::tab:selected {{ background: #2b4a6b; }}
QToolTip {{ background: {theme.PANEL}; color: {theme.INK}; border: 1px solid {theme.LINE}; }}
"""


class Tools(QWidget):
    """Tools of a window, from left to right; a key works anywhere in the window."""

    def __init__(self, window: QWidget) -> None:
        super().__init__()
        self._window = window
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(6)
        self._row.addStretch(1)

    def act(self, text: str, key: str, do: Callable[[], None], tip: str = "") -> QPushButton | None:
        """A button; without a text only the key."""
        shortcut = QShortcut(QKeySequence(key), self._window)
        shortcut.activated.connect(do)
        if not text:
            return None
        button = self._button(f"{text}  {key}" if len(key) <= 3 else text, key, tip or text)
        button.clicked.connect(lambda _checked: do())
        return button

    def switch(self, text: str, key: str, turned: Callable[[bool], None]) -> QPushButton:
        """A button that stays in."""
        button = self._button(text, key, "")
        button.setCheckable(True)
        button.toggled.connect(turned)
        QShortcut(QKeySequence(key), self._window).activated.connect(button.toggle)
        return button

    def choice(self, caption: str, texts: Sequence[str], chosen: Callable[[str], None]) -> QComboBox:
        """A list to choose one text of."""
        label, box = QLabel(caption), QComboBox()
        label.setObjectName("caption")
        label.setBuddy(box)
        box.setAccessibleName(caption)
        box.addItems(list(texts))
        box.setMinimumContentsLength(8)
        box.setSizeAdjustPolicy(QComboBox.AdjustToContents)
        box.activated[str].connect(chosen)
        for part in (label, box):
            self._place(part)
        return box

    def widget(self, part: QWidget, stretch: int = 0) -> None:
        """Any other part."""
        self._place(part, stretch)

    def _button(self, text: str, key: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName("tool")
        button.setToolTip(f"{tip or text}  [{key}]")
        button.setAccessibleName(tip or text)
        self._place(button)
        return button

    def _place(self, part: QWidget, stretch: int = 0) -> None:
        self._row.insertWidget(self._row.count() - 1, part, stretch)

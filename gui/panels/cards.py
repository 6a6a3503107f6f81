"""Small building blocks of the panels."""

from PyQt5.QtCore import Qt
from PyQt5.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget


class Card(QFrame):
    """A titled box of captioned values."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setObjectName("card")
        self.box = QVBoxLayout(self)
        self.box.setContentsMargins(14, 10, 14, 12)
        heading = QLabel(title)
        heading.setObjectName("caption")
        self.box.addWidget(heading)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(14)
        self.box.addLayout(self._grid)
        self._rows = 0

    def row(self, caption: str, big: bool = False) -> QLabel:
        """Add a captioned value and return its label."""
        value = QLabel("— ?")
        value.setObjectName("big" if big else "value")
        value.setTextInteractionFlags(Qt.TextSelectableByMouse)
        value.setAccessibleName(caption)
        self.widget(caption, value)
        return value

    def widget(self, caption: str, widget: QWidget) -> None:
        """Add a captioned widget."""
        label = QLabel(caption)
        label.setObjectName("caption")
        self._grid.addWidget(label, self._rows, 0)
        self._grid.addWidget(widget, self._rows, 1)
        self._rows += 1

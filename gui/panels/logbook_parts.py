"""Parts of the logbook panel: the entry that is read, and the one that is written."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PyQt5.QtCore import QBuffer, QIODevice, Qt
from PyQt5.QtGui import QKeySequence, QPixmap
from PyQt5.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from common.text import _
from gui.panels.cards import Card
from gui.viewmodels import logbook as words

PREVIEW = 300
Pictures = Callable[[], Mapping[str, QWidget]]
"""Panels whose picture may go into the logbook, by title: none that shows a patient."""


def picture_of(panel: QWidget) -> bytes:
    """A panel as a PNG."""
    buffer = QBuffer()
    buffer.open(QIODevice.WriteOnly)
    panel.grab().save(buffer, "PNG")
    return bytes(buffer.data())


class Reader(QWidget):
    """One entry with its pictures."""

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 0, 0, 0)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName(_("Entry"))
        self.text.setTabChangesFocus(True)
        self.text.setMinimumHeight(150)
        column.addWidget(self.text, 2)
        self.picture = QLabel()
        self.picture.setAlignment(Qt.AlignLeft | Qt.AlignTop)
        self.picture.setVisible(False)
        column.addWidget(self.picture, 3)

    def show_entry(self, versions: Sequence[Mapping[str, Any]]) -> None:
        """Show an entry; its picture follows."""
        self.text.setPlainText(words.page(versions))
        self.picture.setVisible(False)

    def show_picture(self, name: str, content: str) -> None:
        """Show an attached picture (base64)."""
        image = QPixmap()
        if image.loadFromData(base64.b64decode(content)):
            size = max(self.width() - 16, PREVIEW), PREVIEW
            self.picture.setPixmap(image.scaled(*size, Qt.KeepAspectRatio, Qt.SmoothTransformation))
            self.picture.setAccessibleName(name)
            self.picture.setVisible(True)


class Writer(Card):
    """A new entry: title, text, kind, tags, devices, pictures of panels."""

    def __init__(self, pictures: Pictures, add: Callable[[], None], enabled: bool) -> None:
        super().__init__(_("New entry (no patients' names)"))
        self._pictures = pictures
        self.files: list[dict[str, str]] = []
        self.title, self.about, self.tags = QLineEdit(), QLineEdit(), QLineEdit()
        self.kind, self.panels = QComboBox(), QComboBox()
        for name, text in words.kind_texts().items():
            self.kind.addItem(text, name)
        self.text = QPlainTextEdit()
        self.text.setTabChangesFocus(True)
        self.text.setMaximumHeight(90)
        self.about.setPlaceholderText(_("devices, e.g. acs/magnet/ring-dipole"))
        for caption, part in (
            (_("Title of the entry"), self.title),
            (_("Text"), self.text),
            (_("Kind of entry"), self.kind),
            (_("Tags"), self.tags),
            (_("About"), self.about),
        ):
            part.setAccessibleName(caption)
            part.setEnabled(enabled)
            self.widget(caption, part)
        self._attached = QLabel()
        self._attached.setObjectName("caption")
        self.box.addLayout(self._last(add, enabled))
        self.box.addWidget(self._attached)

    def _last(self, add: Callable[[], None], enabled: bool) -> QHBoxLayout:
        row = QHBoxLayout()
        clip = QPushButton(_("Attach its picture"))
        self.add = QPushButton(f"{_('Add entry')}  Ctrl+Return")
        self.add.setShortcut(QKeySequence("Ctrl+Return"))
        self.add.clicked.connect(lambda _checked: add())
        clip.clicked.connect(lambda _checked: self.attach(self.panels.currentText()))
        self.panels.setAccessibleName(_("Panel"))
        for part in (self.panels, clip, self.add):
            part.setEnabled(enabled)
            row.addWidget(part)
        for button in (clip, self.add):
            button.setObjectName("tool")
        row.insertStretch(2, 1)
        return row

    def offer(self) -> None:
        """Offer the panels that are open now."""
        titles = list(self._pictures())
        if [self.panels.itemText(place) for place in range(self.panels.count())] != titles:
            self.panels.clear()
            self.panels.addItems(titles)

    def attach(self, title: str) -> None:
        """Attach a picture of an open panel as it is now."""
        panel = self._pictures().get(title)
        if panel is None:
            return
        name = f"panel-{len(self.files) + 1}.png"
        self.files.append({"name": name, "content": base64.b64encode(picture_of(panel)).decode()})
        self._attached.setText(
            _("attached: {names}").format(names=", ".join(file["name"] for file in self.files))
        )

    def wish(self) -> dict[str, Any]:
        """The entry as `Add` takes it."""
        return {
            "title": self.title.text().strip(),
            "text": self.text.toPlainText().strip(),
            "kind": self.kind.currentData(),
            "tags": words.parts(self.tags.text()),
            "about": words.parts(self.about.text()),
            "attachments": self.files,
        }

    def clear(self) -> None:
        """Begin anew."""
        for part in (self.title, self.about, self.tags):
            part.clear()
        self.text.clear()
        self.files = []
        self._attached.setText("")

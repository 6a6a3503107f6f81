"""The logbook panel: entries found and read, written by hand with pictures of panels, and who has control."""

from collections.abc import Mapping, Sequence
from typing import Any

from PyQt5.QtCore import Qt
from PyQt5.QtGui import QKeySequence
from PyQt5.QtWidgets import QCheckBox, QLineEdit, QShortcut, QSplitter, QVBoxLayout, QWidget

from common.text import _
from gui.panels.alarm_table import table
from gui.panels.control_strip import ControlStrip
from gui.panels.logbook_parts import Pictures, Reader, Writer
from gui.panels.panel import Panel
from gui.panels.rows import Line, Lines, chosen
from gui.services import Facility, Service
from gui.viewmodels import logbook as words
from gui.work import Worker

LOOK_MS = 2000
SEARCH_MS = 250
MOST = 500
PICTURES = (".png", ".jpg", ".jpeg")


class LogbookPanel(Panel):
    """The logbook of a facility. `pictures` gives the open panels whose picture may be attached."""

    def __init__(self, facility: Facility, pictures: Pictures = dict) -> None:
        super().__init__(f"{_('Logbook')} {facility.site}", 1400, 900)
        self._service: Service = facility.service("Logbook")
        self._worker = Worker(self)
        self.user, self._count, self._read = facility.user, -1, ""
        self.model = Lines(words.heads())
        self.table = table(self.model, (48, 70, 160, 100, 100), _("Entries"))
        self.text, self.by_hand = QLineEdit(), QCheckBox(_("written by people only"))
        self.reader, self.writer = Reader(), Writer(pictures, self.add, bool(facility.user))
        self._lay_out(ControlStrip(facility, self._say))
        self._search = self._timer_of(self.look_up, once=True)
        self._timer = self._timer_of(self._look, LOOK_MS)
        self._ending((self.strip.close_down, self._worker.close))
        self.text.textChanged.connect(lambda _text: self._search.start(SEARCH_MS))
        self.by_hand.toggled.connect(lambda _on: self.look_up())
        selection = self.table.selectionModel()
        if selection is not None:
            selection.selectionChanged.connect(lambda *_change: self._open())
        self._say(self.user or _("read only: nobody is logged in"))
        self._look()

    def _lay_out(self, strip: ControlStrip) -> None:
        self.strip = strip
        page, left, right = QWidget(), QWidget(), QWidget()
        column, list_column, entry = QVBoxLayout(page), QVBoxLayout(left), QVBoxLayout(right)
        for inner in (list_column, entry):
            inner.setContentsMargins(0, 0, 0, 0)
        self.text.setPlaceholderText(_("Find entries: words, beginnings of words  [Ctrl+F]"))
        self.text.setAccessibleName(_("Find entries"))
        QShortcut(QKeySequence("Ctrl+F"), self).activated.connect(self.text.setFocus)
        for part in (self.text, self.by_hand, self.table):
            list_column.addWidget(part)
        entry.addWidget(self.reader, 1)
        entry.addWidget(self.writer)
        split = QSplitter(Qt.Horizontal)
        split.addWidget(left)
        split.addWidget(right)
        split.setSizes([760, 640])
        column.addWidget(strip)
        column.addWidget(split, 1)
        self.setCentralWidget(page)

    # --- Acts

    def look_up(self) -> None:
        """List the entries that fit."""
        wish: dict[str, Any] = {"text": self.text.text().strip(), "limit": MOST}
        if self.by_hand.isChecked():
            wish["source"] = "hand"
        self._worker.do(lambda: self._service.ask("Find", wish), self._show, self._failed)

    def add(self) -> None:
        """Keep the new entry."""
        wish = self.writer.wish()
        if not self.user or not wish["title"]:
            self._say(_("An entry needs a title, and somebody who is logged in."))
            return

        def kept(number: int) -> None:
            self.writer.clear()
            self._say(_("✔ entry {number}").format(number=number))
            self.look_up()

        self._worker.do(lambda: self._service.ask("Add", wish), kept, self._failed)

    # --- Means

    def _look(self) -> None:
        """See whether there are entries that are not listed."""
        self.writer.offer()
        if not self._worker.busy:
            self._worker.do(lambda: self._service.read("Entries"), self._counted, self._failed)

    def _counted(self, count: int) -> None:
        if count != self._count:
            self._count = count
            self.look_up()

    def _show(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.model.show([Line(str(row["number"]), words.texts(row)) for row in rows])

    def _open(self) -> None:
        names = chosen(self.table, self.model)
        if names and names[0] != self._read:
            self._read = names[0]
            number = int(names[0])
            self._worker.do(lambda: self._service.ask("Show", number), self._opened, self._failed)

    def _opened(self, versions: Sequence[Mapping[str, Any]]) -> None:
        self.reader.show_entry(versions)
        newest = versions[0]
        pictures = [file["name"] for file in newest["attachments"] if file["name"].endswith(PICTURES)]
        if not pictures:
            return
        wish = {"number": newest["number"], "name": pictures[0]}

        def came(content: str) -> None:
            self.reader.show_picture(wish["name"], content)

        self._worker.do(lambda: self._service.ask("File", wish), came, self._failed)

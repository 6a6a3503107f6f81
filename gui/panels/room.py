"""The treatment room's panel: who, what, where, how much, and the four irradiation buttons."""

from collections.abc import Callable
from typing import Any

import tango
from PyQt5.QtGui import QKeySequence
from PyQt5.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from common.text import _
from gui import theme
from gui.listener import AttributeListener
from gui.panels.cards import Card
from gui.panels.panel import Panel
from gui.panels.spot_map import SpotMap
from gui.viewmodels.room import BUTTONS, SESSION_ATTRIBUTES, RoomView
from interlock.matrix import Matrix

DRAW_MS = 100
COUCH_AXES = ("X", "Y", "Z", "Pitch", "Roll", "Yaw")
KEYS = {"start": "F5", "interrupt": "F8", "resume": "F9", "terminate": "F12"}


def button_texts() -> dict[str, str]:
    """Texts of the four irradiation buttons, as the inspection checklist words them."""
    return {
        "start": _("Start irradiation"),
        "interrupt": _("Interrupt irradiation"),
        "resume": _("Resume irradiation"),
        "terminate": _("Terminate irradiation"),
    }


class RoomPanel(Panel):
    """Live view of one treatment room.

    `send(command)` sends a command to the session as the logged-in user; tango.DevFailed is shown.
    """

    def __init__(
        self, room: str, user: str, version: str, matrix: Matrix, send: Callable[[str], Any]
    ) -> None:
        super().__init__(f"PTCS {version}: {room}", 1360, 860, style="")
        self.view = RoomView(inputs={row.name: row for row in matrix.inputs})
        self._send = send
        self._devices = {"couch": RoomView(), "gantry": RoomView()}
        self._build(room, user, version)
        self._listeners = [
            self._listen(f"{room}/treatment/session", SESSION_ATTRIBUTES, self.view),
            self._listen(f"{room}/support/couch", COUCH_AXES, self._devices["couch"]),
            self._listen(f"{room}/support/gantry", ("Angle",), self._devices["gantry"]),
        ]
        self._timer = self._timer_of(self.draw, DRAW_MS)
        self._ending(listener.close for listener in self._listeners)

    def _listen(self, device: str, names: tuple[str, ...], view: RoomView) -> AttributeListener:
        listener = AttributeListener(device, names, self)
        listener.changed.connect(view.take)
        listener.start()
        return listener

    def _build(self, room: str, user: str, version: str) -> None:
        centre = QWidget()
        self.setCentralWidget(centre)
        page = QVBoxLayout(centre)
        self._banner = QLabel()
        self._banner.setObjectName("banner")
        page.addWidget(self._banner)
        body = QHBoxLayout()
        page.addLayout(body, 1)
        body.addLayout(self._left(), 3)
        self._spots = SpotMap()
        body.addWidget(self._spots, 5)
        body.addLayout(self._right(), 3)
        page.addLayout(self._buttons())
        self._say(
            f"{room}   |   {_('user')}: {user or _('nobody (read only)')}   |   PTCS {version}   |   "
            + _("Research software, not a medical device")
        )

    def _left(self) -> QVBoxLayout:
        column = QVBoxLayout()
        patient = Card(_("Patient and plan"))
        self._name = patient.row(_("Name"), big=True)
        self._values = {
            "PatientId": patient.row(_("Patient ID")),
            "PlanLabel": patient.row(_("Plan")),
            "FractionNumber": patient.row(_("Fraction")),
            "BeamName": patient.row(_("Field")),
        }
        column.addWidget(patient)
        position = Card(_("Couch and gantry"))
        captions = (_("X"), _("Y"), _("Z"), _("Pitch"), _("Roll"), _("Yaw"))
        self._axes = {axis: position.row(text) for axis, text in zip(COUCH_AXES, captions, strict=True)}
        self._gantry = position.row(_("Gantry angle"))
        column.addWidget(position)
        column.addStretch(1)
        return column

    def _right(self) -> QVBoxLayout:
        column = QVBoxLayout()
        dose = Card(_("Dose of this field"))
        self._dose = dose.row(_("Delivered / planned"), big=True)
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        dose.box.addWidget(self._progress)
        self._values["DoseRate"] = dose.row(_("Dose rate (MU/s)"))
        self._values["Energy"] = dose.row(_("Energy (MeV)"))
        self._layer = dose.row(_("Energy layer"))
        self._spot = dose.row(_("Spot"))
        column.addWidget(dose)
        safety = Card(_("Interlock"))
        self._interlock = QLabel()
        self._interlock.setObjectName("value")
        self._interlock.setWordWrap(True)
        safety.box.addWidget(self._interlock)
        column.addWidget(safety)
        record = Card(_("Record"))
        self._record = record.row(_("Sent to the OIS"))
        column.addWidget(record)
        column.addStretch(1)
        return column

    def _buttons(self) -> QGridLayout:
        grid = QGridLayout()
        self._button = {}
        for column, (name, text) in enumerate(button_texts().items()):
            button = QPushButton(f"{text}  [{KEYS[name]}]")
            button.setObjectName(name)
            button.setShortcut(QKeySequence(KEYS[name]))
            button.clicked.connect(lambda _checked, command=BUTTONS[name]: self._command(command))
            grid.addWidget(button, 0, column)
            self._button[name] = button
        return grid

    def _command(self, command: str) -> None:
        try:
            self._send(command)
        except tango.DevFailed as why:
            self._say(f"{theme.BAD.symbol} {why.args[0].desc}", 15000)

    def draw(self) -> None:
        """Show the latest readings."""
        text, mark = self.view.banner()
        self._banner.setText(text)
        self._banner.setStyleSheet(f"color: {theme.PAPER}; background: {mark.colour};")
        forms = {"DoseRate": "{:.2f}", "Energy": "{:.1f}"}
        for name, label in self._values.items():
            label.setText(self.view.text(name, forms.get(name, "{}")))
        self._name.setText(self.view.patient_name())
        self._record.setText(self.view.record())
        self._layer.setText(self.view.layer())
        self._spot.setText(f"{self.view.text('Spot')} / {self.view.text('SpotCount')}")
        self._dose.setText(self.view.dose())
        self._progress.setValue(round(100 * float(self.view.readings.get("Progress") or 0)))
        reasons, interlock = self.view.interlock()
        self._interlock.setText(reasons)
        self._interlock.setStyleSheet(f"color: {interlock.colour};")
        for axis, label in self._axes.items():
            unit = "mm" if axis in "XYZ" else "°"
            label.setText(f"{self._devices['couch'].text(axis, '{:.1f}')} {unit}")
        self._gantry.setText(self._devices["gantry"].gantry())
        for name, legal in self.view.enabled().items():
            self._button[name].setEnabled(legal)
        self._spots.show_view(self.view)

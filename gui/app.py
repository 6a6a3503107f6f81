"""The application of the panels: log-in dialog, windows, event loop."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PyQt5.QtCore import QTimer
from PyQt5.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QLineEdit, QMainWindow
from taurus.qt.qtgui.application import TaurusApplication

from common.errors import PtcsError
from common.text import _
from gui import theme
from gui.panels.room import RoomPanel
from gui.panels.windows import Windows
from interlock.matrix import Matrix

Login = Callable[[str, str], None]
"""Logs a user in with a password; raises PtcsError when that fails."""


class LoginDialog(QDialog):
    """Asks for user and password until the log-in succeeds or the user gives up."""

    def __init__(self, login: Login) -> None:
        super().__init__()
        self.setWindowTitle("PTCS")
        self.setStyleSheet(theme.STYLE)
        self._login = login
        form = QFormLayout(self)
        self.user, self.password = QLineEdit(), QLineEdit()
        self.password.setEchoMode(QLineEdit.Password)
        form.addRow(_("User"), self.user)
        form.addRow(_("Password"), self.password)
        self._message = QLabel()
        self._message.setWordWrap(True)
        form.addRow(self._message)
        buttons = QDialogButtonBox(QDialogButtonBox.Ok | QDialogButtonBox.Cancel)
        buttons.accepted.connect(self._try)
        buttons.rejected.connect(self.reject)
        form.addRow(buttons)

    def _try(self) -> None:
        try:
            self._login(self.user.text(), self.password.text())
        except PtcsError as why:
            self._message.setText(f"{theme.BAD.symbol} {why}")
        else:
            self.accept()


def application() -> TaurusApplication:
    """The Qt application of this process."""
    return TaurusApplication(sys.argv[:1], app_name="ptcs-console", cmd_line_parser=None)


def ask_user(login: Login, user: str = "") -> str | None:
    """Have somebody log in, whose name may be known; who did, None for nobody."""
    dialog = LoginDialog(login)
    dialog.user.setText(user)
    return str(dialog.user.text()) if dialog.exec_() == QDialog.Accepted else None


def room_panel(
    room: str, version: str, matrix: Matrix, send: Callable[[str], Any], user: str, windows: Windows
) -> QMainWindow:
    """The treatment room's panel with the menu of the others."""
    panel = RoomPanel(room, user, version, matrix, send)
    windows.install(panel)
    panel.show()
    return panel


def show(
    running: TaurusApplication, window: QMainWindow, windows: Windows, screenshot: tuple[Path, float] | None
) -> int:
    """Run until the last window is closed; the exit status.

    screenshot: (file, seconds): save a picture after that time and end.
    """
    if screenshot is not None:
        path, seconds = screenshot

        def save() -> None:
            window.grab().save(str(path))
            running.closeAllWindows()

        QTimer.singleShot(round(seconds * 1000), save)
    status = int(running.exec_())
    windows.close()
    return status

"""The application of the panels: log-in dialog, window, event loop."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PyQt5.QtCore import QTimer
from PyQt5.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QLineEdit
from taurus.qt.qtgui.application import TaurusApplication

from common.errors import PtcsError
from common.text import _
from gui import theme
from gui.panels.room import RoomPanel
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


def run(
    room: str,
    version: str,
    matrix: Matrix,
    login: Login | None,
    send: Callable[[str], Any],
    user: str = "",
    screenshot: tuple[Path, float] | None = None,
) -> int:
    """Show the room panel until it is closed; the exit status.

    login: asks for user and password first; None when `user` is logged in already or for reading only.
    screenshot: (file, seconds): save a picture after that time and end.
    """
    application = TaurusApplication(sys.argv[:1], app_name="ptcs-console", cmd_line_parser=None)
    if login is not None:
        dialog = LoginDialog(login)
        if dialog.exec_() != QDialog.Accepted:
            return 1
        user = dialog.user.text()
    panel = RoomPanel(room, user, version, matrix, send)
    panel.show()
    if screenshot is not None:
        path, seconds = screenshot

        def save() -> None:
            panel.draw()
            panel.grab().save(str(path))
            panel.close()

        QTimer.singleShot(round(seconds * 1000), save)
    return int(application.exec_())

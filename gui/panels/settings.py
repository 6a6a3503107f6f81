"""The settings panel: snapshots taken, found, compared, tried, restored with progress, and taken back."""

from collections.abc import Mapping
from typing import Any

from PyQt5.QtWidgets import QLineEdit, QMessageBox

from common.text import _
from gui.panels.settings_frame import SettingsFrame
from gui.services import Facility
from gui.viewmodels import settings as words

PROGRESS_MS = 200


class SettingsPanel(SettingsFrame):
    """Snapshots of a facility. Who is not logged in finds and compares."""

    def __init__(self, facility: Facility) -> None:
        super().__init__(facility)
        self.restores.back.clicked.connect(lambda _checked: self.roll_back())
        self.restores.back.setEnabled(bool(self.user))
        self._fill_tools()

    def _fill_tools(self) -> None:
        tools = self.tools
        self.comment = QLineEdit()
        self.comment.setPlaceholderText(_("Comment: why this snapshot"))
        self.comment.setAccessibleName(_("Comment"))
        self.comment.setMinimumWidth(260)
        tools.widget(self.comment, 1)
        self.buttons = {
            "take": tools.act(_("Take snapshot"), "F5", self.take),
            "compare": tools.act(_("Compare"), "F4", self.compare),
            "dry": tools.act(_("Dry run"), "F6", self.dry_run),
            "restore": tools.act(_("Restore"), "F7", self.write),
            "stop": tools.act(_("Stop"), "F8", self.stop),
        }
        tools.act("", "F9", self.roll_back)
        tools.act("", "Ctrl+F", self.snapshots.text.setFocus)
        for name in ("take", "dry", "restore", "stop"):
            button = self.buttons[name]
            if button is not None:
                button.setEnabled(bool(self.user))

    # --- Acts

    def compare(self) -> None:
        """Compare the chosen snapshot with now, or two chosen ones with each other."""
        names = self.snapshots.chosen()
        if not 1 <= len(names) <= 2:
            self._say(_("Choose one snapshot, or two to compare them with each other."))
            return
        wish = {"left": names[-1], "right": names[0] if len(names) == 2 else ""}
        self.tabs.setCurrentWidget(self.compared)
        self._job(_("comparing"), "Compare", wish, self.compared.show_told)

    def take(self) -> None:
        """Keep the machine's settings as they are."""
        name = self._configuration()
        if not self._may():
            return
        if not name:
            self._say(_("Choose the configuration to keep."))
            return
        wish = {"configuration": name, "comment": self.comment.text().strip()}

        def kept(line: Mapping[str, Any]) -> None:
            self.comment.clear()
            self._say(_("✔ snapshot {id}: {count} attributes").format(id=line["id"], count=line["count"]))
            self.look_up()

        self._job(_("reading the machine"), "Take", wish, kept)

    def dry_run(self) -> None:
        """Show what a restore of the chosen snapshot would write."""
        names = self.snapshots.chosen()
        if not self._may():
            return
        if len(names) != 1:
            self._say(_("Choose one snapshot."))
            return
        only = [part for part in self.restore.only.text().replace(",", " ").split() if part]
        self.restore.forget()
        self.tabs.setCurrentWidget(self.restore)
        self._job(_("dry run"), "DryRun", {"snapshot": names[0], "only": only}, self.restore.show_plan)

    def write(self) -> None:
        """Restore what the dry run has shown, after a last question."""
        plan = self.restore.plan
        if not self._may():
            return
        if plan is None:
            self._say(_("Make a dry run first: F6."))
            return
        count = words.counts(plan)["write"]
        if not count or not self.sure(_("Write {count} attributes now?").format(count=count)):
            self._say(_("nothing was written"))
            return
        wish = {
            "plan": plan["plan"],
            "comment": self.restore.comment.text().strip(),
            "partial": self.restore.partial.isChecked(),
            "force": self.restore.force.isChecked(),
            "rollback": self.restore.rollback.isChecked(),
        }
        self._written("Restore", wish)

    def roll_back(self) -> None:
        """Take back what the chosen restore has written."""
        names = self.restores.chosen()
        if not self._may():
            return
        if len(names) != 1:
            self._say(_("Choose one restore."))
            return
        if self.sure(_("Take back what restore {id} has written?").format(id=names[0])):
            self._written("Rollback", {"restore": names[0], "comment": self.restore.comment.text().strip()})

    def stop(self) -> None:
        """Stop the restore under way after the write in progress."""
        self._quick.do(
            lambda: self._service.ask("Stop"), lambda _none: self._say(_("stopping")), self._failed
        )

    def sure(self, question: str) -> bool:
        """Ask the person; nothing is written without Yes."""
        answer = QMessageBox.question(self, _("Settings"), question, QMessageBox.Yes | QMessageBox.No)
        return bool(answer == QMessageBox.Yes)

    def _written(self, command: str, wish: dict[str, Any]) -> None:
        self.restore.forget()
        self.tabs.setCurrentWidget(self.restore)
        self._timer.start(PROGRESS_MS)

        def done(record: Mapping[str, Any]) -> None:
            self.restore.show_progress({"group": "", "done": len(record["written"]), "all": record["writes"]})
            self.restore.group.setText("")
            text = _("✔ {id}: {written} of {writes} written and read back")
            told = {"id": record["id"], "written": len(record["written"]), "writes": record["writes"]}
            self.restore.told.setText(text.format(**told))

        self._job(_("writing"), command, wish, done)

    def _may(self) -> bool:
        if not self.user:
            self._say(_("read only: nobody is logged in"))
        return bool(self.user)

"""Parts of the settings panel: the list of snapshots, a comparison, a restore and the restores of before."""

from collections.abc import Mapping, Sequence
from typing import Any

from PyQt5.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from common.text import _
from gui.panels.alarm_table import table
from gui.panels.rows import Line, Lines, chosen
from gui.viewmodels import settings as words


class Listed(QWidget):
    """A table with a line of words above it."""

    def __init__(
        self, heads: Sequence[str], widths: Sequence[int], name: str, coloured: Sequence[int] = (0,)
    ) -> None:
        super().__init__()
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(8, 6, 0, 0)
        self.told = QLabel()
        self.told.setWordWrap(True)
        self.column.addWidget(self.told)
        self.model = Lines(heads, coloured)
        self.table = table(self.model, widths, name)
        self.column.addWidget(self.table, 1)

    def chosen(self) -> list[str]:
        """Keys of the chosen rows."""
        return chosen(self.table, self.model)


class Snapshots(Listed):
    """Snapshots, newest first, with a search."""

    def __init__(self) -> None:
        super().__init__(words.snapshot_heads(), (28, 160, 116, 80, 150, 60), _("Snapshots"))
        self.text = QLineEdit()
        self.text.setAccessibleName(_("Find snapshots"))
        self.text.setPlaceholderText(_("Find snapshots: part of a comment, a tag, a user  [Ctrl+F]"))
        self.column.insertWidget(0, self.text)

    def show_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show lines of `Find`."""
        self.model.show([Line(row["id"], words.snapshot_texts(row), "#f0b429") for row in rows])
        self.told.setText(_("{count} snapshots").format(count=len(rows)))


class Compared(Listed):
    """What differs."""

    def __init__(self) -> None:
        heads = words.difference_heads(_("snapshot"), _("now"))
        super().__init__(heads, (28, 290, 165, 110, 200), _("Differences"), (0, 4))
        self.told.setText(_("Choose a snapshot: F4 compares it with now, two of them with each other."))

    def show_told(self, told: Mapping[str, Any]) -> None:
        """Show an answer of `Compare`."""
        mark = [words.difference_mark(row) for row in told["differences"]]
        lines = [
            Line(row["name"], words.difference_texts(row), sign.colour)
            for row, sign in zip(told["differences"], mark, strict=True)
        ]
        sides = (words.side_title(told[side]) for side in ("left", "right"))
        self.model.rename(words.difference_heads(*sides))
        self.model.show(lines)
        self.told.setText(words.comparison_line(told))


class Restore(Listed):
    """A dry run and what follows from it."""

    def __init__(self) -> None:
        super().__init__(words.step_heads(), (28, 110, 290, 110, 110), _("Dry run"))
        self.told.setText(
            _("Choose a snapshot: F6 shows what a restore would write. Nothing is written yet.")
        )
        self.only, self.comment = QLineEdit(), QLineEdit()
        self.only.setPlaceholderText(_("only these attributes, e.g. acs/magnet/*"))
        self.comment.setPlaceholderText(_("Comment of the restore"))
        self.partial, self.force = (
            QCheckBox(_("without the rows marked ✘")),
            QCheckBox(_("although changed since")),
        )
        self.rollback = QCheckBox(_("take back what was written when something fails"))
        self.rollback.setChecked(True)
        row, options = QHBoxLayout(), QHBoxLayout()
        row.addWidget(self.only, 2)
        row.addWidget(self.comment, 3)
        for box in (self.partial, self.force, self.rollback):
            options.addWidget(box)
        options.addStretch(1)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName(_("Progress"))
        self.group = QLabel()
        self.group.setObjectName("caption")
        self.column.insertLayout(1, row)
        self.column.insertLayout(2, options)
        self.column.addWidget(self.group)
        self.column.addWidget(self.progress)
        self.plan: Mapping[str, Any] | None = None

    def show_plan(self, plan: Mapping[str, Any]) -> None:
        """Show a dry run."""
        self.plan = plan
        lines = [
            Line(
                f"{step['group']}:{step['name']}",
                words.step_texts(step),
                words.VERDICTS[step["verdict"]].colour,
            )
            for step in plan["steps"]
        ]
        self.model.show(lines)
        self.told.setText(words.plan_line(plan))
        self.progress.setValue(0)
        self.group.setText("")

    def forget(self) -> None:
        """The dry run is no longer true."""
        self.plan = None

    def show_progress(self, told: Mapping[str, Any]) -> None:
        """Show how far the restore under way is; an empty one changes nothing."""
        if told and told["all"]:
            self.progress.setMaximum(int(told["all"]))
            self.progress.setValue(int(told["done"]))
            text = _("group {group}: {done} of {all} written and read back")
            self.group.setText(text.format(group=told["group"], done=told["done"], all=told["all"]))


class Restores(Listed):
    """Restores and roll-backs, newest first."""

    def __init__(self) -> None:
        super().__init__(words.restore_heads(), (28, 160, 130, 70, 90, 200, 200), _("Restores"))
        self.back = QPushButton(f"{_('Roll back')}  [F9]")
        self.back.setObjectName("tool")
        self.column.addWidget(self.back)

    def show_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show lines of `Restores`."""
        lines = [
            Line(row["id"], words.restore_texts(row), words.STATES.get(row["state"], words.OTHER).colour)
            for row in rows
        ]
        self.model.show(lines)
        self.told.setText(
            _("{count} restores; choose one to take back what it has written").format(count=len(rows))
        )

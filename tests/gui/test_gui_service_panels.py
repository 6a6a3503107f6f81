"""Trend, settings, logbook and the strip of control on a real small facility, driven as people do."""

import csv
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from panel_room import PanelRoom, spin

from common.text import set_language

qt = pytest.importorskip("PyQt5.QtWidgets", reason="the panels need PyQt5")
Qt = pytest.importorskip("PyQt5.QtCore").Qt
QTest = pytest.importorskip("PyQt5.QtTest").QTest

DIPOLE, QUAD, GAUGE = "acs/magnet/ring-dipole", "acs/magnet/ring-quad-f", "acs/vacuum/ring-gauge-1"
CURRENT, SETPOINT, PRESSURE = f"{DIPOLE}/Current", f"{DIPOLE}/CurrentSetpoint", f"{GAUGE}/Pressure"


@pytest.fixture(scope="module")
def application() -> Any:
    return qt.QApplication.instance() or qt.QApplication([])


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PanelRoom]:
    with PanelRoom(tmp_path_factory.mktemp("panels")) as bench:
        bench.begin()
        yield bench


@pytest.fixture
def settled(room: PanelRoom, monkeypatch: pytest.MonkeyPatch) -> PanelRoom:
    """An operator is logged in, and the supplies are on."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(room.state / "config"))
    room.login("otto", "operator")
    for name in (DIPOLE, QUAD):
        fake(room, name, on=1.0, setpoint=100.0, current=100.0, ramp=50.0, fault=0.0)
    return room


def fake(room: PanelRoom, device: str, **values: float) -> None:
    room.tell(f"drivers[{device!r}].values.update(**{values!r})")


def press(panel: Any, key: Any) -> None:
    QTest.keyClick(panel, key)


@pytest.mark.requirement("ACS-ARCHIVE")
def test_trend_follows_live_values_and_shows_what_was_before(application: Any, settled: PanelRoom) -> None:
    from gui.panels.trend import TrendPanel

    panel = TrendPanel(settled.panels(""))
    panel.show()
    spin(application, lambda: CURRENT in panel.data.names(), "names of attributes")
    panel.picker.text.setText("ring-dip curr")
    assert [panel.picker.list.item(row).text() for row in range(2)] == [CURRENT, SETPOINT]
    press(panel.picker.text, Qt.Key_Return)
    panel.add([PRESSURE])
    spin(application, lambda: all(row.known for row in panel.trend.rows), "units")
    assert panel.trend.lanes() == ["A", "mbar"] and len(panel.chart.lanes) == 2
    fake(settled, DIPOLE, current=123.5)
    spin(application, lambda: panel.data.newest(0)[1] == 123.5, "the live value")
    assert panel.model.data(panel.model.index(0, 2)).startswith("123.5")
    spin(application, lambda: CURRENT in panel.data._past and PRESSURE in panel.data._past, "the archive")
    start, end = panel.trend.range(panel._clock())
    panel.draw()
    line = panel.chart.lanes[0].curves[CURRENT][0].getData()
    assert line[1][-1] == 123.5 and start <= line[0][0] <= line[0][-1] <= end + 1.0
    moment, value = panel.data.newest(0)
    panel.point(moment + 0.01)
    assert panel.model.data(panel.model.index(0, 3)).startswith(f"{value:.1f}")
    panel.table.selectRow(1)
    panel.toggle_log()
    assert panel.chart.lanes[1].log and not panel.chart.lanes[0].log
    QTest.keyClick(panel, Qt.Key_Left, Qt.ControlModifier)
    assert not panel.trend.follow and not panel.follow.isChecked()
    panel.follow.setChecked(True)
    assert panel.trend.follow
    panel.close()


@pytest.mark.requirement("ACS-ARCHIVE")
def test_a_trend_is_saved_opened_again_and_written_as_csv(application: Any, settled: PanelRoom) -> None:
    from gui.panels.trend import TrendPanel

    panel = TrendPanel(settled.panels(""))
    panel.add([CURRENT, PRESSURE])
    panel.save_set("../evil")
    assert "../evil" in panel.statusBar().currentMessage()
    panel.save_set("morning ring")
    panel.table.selectAll()
    panel.remove()
    assert panel.trend.rows == [] and panel.chart.lanes == []
    panel.open_set("morning ring")
    assert panel.trend.names() == (CURRENT, PRESSURE)
    path = settled.state / "trend.csv"
    panel.export(path)
    spin(application, path.exists, "the file")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["attribute"] for row in rows} == {CURRENT, PRESSURE}
    assert all(float(row["minimum"]) <= float(row["maximum"]) for row in rows if row["minimum"])
    panel.close()


@pytest.mark.requirement("ACS-SNAPSHOT")
def test_settings_are_taken_compared_tried_restored_and_taken_back(
    application: Any, settled: PanelRoom
) -> None:
    from gui.panels.settings import SettingsPanel

    panel = SettingsPanel(settled.panels("otto"))
    asked: list[str] = []
    panel.sure = lambda question: not asked.append(question)  # type: ignore[method-assign,func-returns-value]
    panel.show()
    spin(application, lambda: panel.configuration.count() > 1, "configurations")
    panel.configuration.setCurrentIndex(panel.configuration.findData("magnets"))
    panel.comment.setText("as found")
    press(panel, Qt.Key_F5)
    spin(application, lambda: panel.snapshots.model.rowCount() == 1, "the snapshot")
    assert "as found" in panel.snapshots.model.lines[0].texts
    press(panel, Qt.Key_F7)
    assert "F6" in panel.statusBar().currentMessage() and not asked
    fake(settled, DIPOLE, setpoint=250.0, current=250.0)
    spin(application, lambda: settled.value(CURRENT) == 250.0, "another current")
    panel.snapshots.table.selectRow(0)
    press(panel, Qt.Key_F4)
    spin(application, lambda: not panel.busy and panel.compared.model.rowCount(), "the comparison")
    far = {line.key: line.texts for line in panel.compared.model.lines}
    assert far[SETPOINT][0] == "✘" and far[SETPOINT][2:4] == ("100", "250") and "×" in far[SETPOINT][4]
    press(panel, Qt.Key_F6)
    spin(application, lambda: panel.restore.plan is not None, "the dry run")
    assert [line.texts[2:5] for line in panel.restore.model.lines] == [(SETPOINT, "250", "100")]
    press(panel, Qt.Key_F7)
    spin(application, lambda: not panel.busy, "the restore")
    assert asked == ["Write 1 attributes now?"] and settled.value(SETPOINT) == 100.0
    assert panel.restore.told.text().startswith("✔") and panel.restore.progress.value() == 1
    spin(application, lambda: panel.restores.model.rowCount() == 1, "the record")
    panel.restores.table.selectRow(0)
    press(panel, Qt.Key_F9)
    spin(application, lambda: len(asked) == 2 and not panel.busy, "the rollback")
    assert settled.value(SETPOINT) == 250.0
    panel.close()


@pytest.mark.requirement("ACS-USERS")
def test_who_is_not_logged_in_only_looks(application: Any, settled: PanelRoom) -> None:
    from gui.panels.settings import SettingsPanel

    panel = SettingsPanel(settled.panels(""))
    spin(application, lambda: panel.strip.rows, "areas")
    assert not panel.buttons["take"].isEnabled() and panel.buttons["compare"].isEnabled()
    panel.take()
    assert "nobody" in panel.statusBar().currentMessage()
    assert panel.strip.menu_of("ring") == []
    panel.close()


@pytest.mark.requirement("ACS-USERS")
def test_control_is_had_offered_taken_back_and_given_up(application: Any, settled: PanelRoom) -> None:
    from gui.panels.control_strip import ControlStrip

    told: list[str] = []
    strip = ControlStrip(settled.panels("otto"), told.append)
    spin(application, lambda: strip.rows, "areas")

    def act(name: str, state: str, **more: str) -> None:
        wanted = next(act for act in strip.menu_of("ring") if act.command == name)
        strip.act("ring", wanted, **more)
        spin(application, lambda: strip.rows["ring"]["state"] == state, f"{name} to {state}")

    assert strip.buttons["ring"].text().startswith("○")
    act("Request", "HELD")
    assert "me" in strip.buttons["ring"].text() and strip.buttons["ring"].text().startswith("●")
    act("Offer", "OFFERED", to="petra")
    assert "offered to petra" in strip.buttons["ring"].text()
    act("Decline", "HELD")
    act("Release", "FREE")
    count = len(told)
    from gui.viewmodels.control import Act

    strip.act("ring", Act("Release", "Give up"))
    spin(application, lambda: len(told) > count, "the refusal")
    assert told[-1].startswith("✘")
    strip.close_down()


@pytest.mark.requirement("ACS-SNAPSHOT")
def test_an_entry_with_the_picture_of_a_panel_is_kept_and_found(application: Any, settled: PanelRoom) -> None:
    from gui.panels.windows import Windows

    windows = Windows(settled.panels("otto"))
    windows.show("settings")
    panel: Any = windows.show("logbook")
    panel._look()
    assert panel.writer.panels.currentText() == "Settings"
    panel.writer.title.setText("Dipole drifts")
    panel.writer.about.setText(DIPOLE)
    panel.writer.attach("Settings")
    panel.add()
    spin(application, lambda: not panel.writer.files, "the entry")
    panel.text.setText("drif")
    spin(application, lambda: panel.model.rowCount() == 1, "the search")
    assert panel.model.lines[0].texts[5] == "Dipole drifts"
    panel.table.selectRow(0)
    spin(application, panel.reader.picture.isVisible, "the picture")
    assert DIPOLE in panel.reader.text.toPlainText()
    assert panel.reader.picture.pixmap().width() > 100
    windows.close()
    assert windows.open == {}


@pytest.mark.requirement("SYS-LANGUAGE")
def test_panels_speak_chinese(application: Any, settled: PanelRoom) -> None:
    from gui.panels.logbook import LogbookPanel
    from gui.panels.settings import SettingsPanel
    from gui.panels.trend import TrendPanel

    set_language("zh")
    try:
        facility = settled.panels("otto")
        panels = [TrendPanel(facility), SettingsPanel(facility), LogbookPanel(facility)]
        for panel in panels:
            words = [
                *(button.text() for button in panel.findChildren(qt.QPushButton)),
                *(label.text() for label in panel.findChildren(qt.QLabel)),
                *(line.placeholderText() for line in panel.findChildren(qt.QLineEdit)),
            ]
            shown = [text for text in words if any(letter.isalpha() for letter in text)]
            plain = [text for text in shown if not any("一" <= letter <= "鿿" for letter in text)]
            assert set(plain) <= {"otto", "CSV  Ctrl+E", "CSV"}, plain
            panel.close()
    finally:
        set_language("en")


@pytest.mark.requirement("ACS-MONITOR")
def test_a_lost_server_makes_its_values_unknown_until_it_is_back(
    application: Any, settled: PanelRoom
) -> None:
    from gui.panels.trend import TrendPanel

    panel = TrendPanel(settled.panels(""))
    panel.add([CURRENT])
    spin(application, lambda: np.isfinite(panel.data.newest(0)[1]), "a value")
    settled.kill("all")
    spin(application, lambda: panel.model.data(panel.model.index(0, 2)) == "?", "an unknown value")
    assert panel.data.missing() == ["crate/server/all"]
    settled.start_fakes()
    fake(settled, DIPOLE, current=77.0)
    spin(application, lambda: panel.data.newest(0)[1] == 77.0, "the value after the restart")
    panel.close()

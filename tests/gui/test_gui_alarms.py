"""The alarm panel on the engine itself: unknown is never shown as good, keys act, floods keep the choice."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import LinkLost, Refused
from common.text import set_language
from device_servers.services.alarms import asked
from device_servers.services.alarms.announcer import Recording
from device_servers.services.alarms.attributes import Attribute, Origin
from device_servers.services.alarms.desk import Act
from device_servers.services.alarms.intake import Intake
from device_servers.services.alarms.keeper import Note
from device_servers.services.alarms.rules import Rule, Words, truth_rule
from device_servers.services.alarms.service import Service
from device_servers.services.alarms.severity import Severity, Status
from device_servers.services.alarms.states import Event
from gui.viewmodels.alarms import STATES, AlarmView, event_line

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
qt = pytest.importorskip("PyQt5.QtWidgets", reason="the panels need PyQt5")

pytestmark = pytest.mark.requirement("ACS-ALARM")

VALUE = "a/b/c/Value"
EVENTS = {"Acknowledge": Event.ACK, "Shelve": Event.SHELVE, "Unshelve": Event.UNSHELVE}


class Server:
    """The alarm server's commands without Tango. `lost`: it does not answer."""

    def __init__(self, folder: Path, count: int) -> None:
        rules = [self._rule(number) for number in range(count)]
        self.rules = rules
        self.service = Service(rules, folder, lambda: None, Recording())
        inputs = self.service.engine.inputs
        shapes = [Attribute(name, Origin.ALONE) for name in inputs.names]
        self.intake = Intake(inputs, self.service.engine.words, shapes, lambda: None)
        self.service.drain = self.intake.drain
        self.service.writer.restore()
        self.lost = False
        self.silences: list[float] = []

    def _rule(self, number: int) -> Rule:
        severity = (Severity.MAJOR, Severity.MINOR)[number % 2]
        return truth_rule(
            f"rule/{number:04d}",
            f"{VALUE} > {number}",
            severity,
            Status.STATE,
            area=f"accelerator/{('vacuum', 'magnet', 'water')[number % 3]}",
            group="g",
            text=Words(f"pressure {number} too high", f"压力 {number} 过高"),
            guidance=Words("close the valve", "关闭阀门"),
        )

    def set(self, value: float) -> None:
        self.intake.put({VALUE: value}, time.time())
        self.service.step(time.monotonic(), time.time())

    def ask(self, command: str, *plain: Any, **wish: Any) -> Any:
        if self.lost:
            raise LinkLost("no answer")
        if command == "ActiveSince":
            return json.loads(self.service.board.since(*plain))
        if command == "Guidance":
            return self.rules[self.service.engine.index[plain[0]]].guidance.row()
        if command == "Silence":
            self.silences += plain
            return None
        if command == "History":
            return asked.told(self.service.store.find(asked.question(wish, self.rules)))
        until = asked.until(wish, time.time()) if command == "Shelve" else float("inf")
        text = asked.note(wish, "reason", needed=True) if command == "Shelve" else ""
        done, left = self.service.desk.act(
            wish["names"],
            Act(EVENTS[command], Note("otto", text or wish.get("comment", ""), time.time()), until),
        )
        return {"done": done, "not": left}


@pytest.fixture(scope="module")
def application() -> Any:
    return qt.QApplication.instance() or qt.QApplication([])


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path, 1000)


@pytest.fixture
def panel(application: Any, server: Server) -> Iterator[Any]:
    from gui.panels.alarms import AlarmPanel

    shown = AlarmPanel(server.ask, "otto", "test")
    shown._timer.stop()
    yield shown
    shown.close()


def test_a_view_without_an_answer_shows_nothing_as_good(server: Server) -> None:
    view = AlarmView()
    assert view.banner()[0].startswith("?")
    view.take(server.ask("ActiveSince", 0))
    assert view.banner()[0].startswith("?") is False
    server.set(-1.0)
    view.take(server.ask("ActiveSince", 0))
    assert view.banner()[0].startswith("✔")
    view.take(None)
    assert view.banner()[0].startswith("?")


def test_a_view_follows_by_differences_alone(server: Server) -> None:
    server.set(-1.0)
    view = AlarmView()
    view.take(server.ask("ActiveSince", 0))
    for value in (3.0, -1.0, 7.5, 2.0, 500.0):
        server.set(value)
        if value == 7.5:
            server.ask("Acknowledge", names=["rule/0000", "rule/0005"])
            server.ask("Shelve", names=["rule/0001"], reason="known", seconds=60)
        view.take(server.ask("ActiveSince", view.changes))
        whole = AlarmView()
        whole.take(server.ask("ActiveSince", 0))
        assert view.rows == whole.rows
    view.area, view.filter = "accelerator/vacuum", "pressure 3"
    assert {row["name"] for row in view.shown()} >= {"rule/0003", "rule/0300"}
    assert all(row["area"] == "accelerator/vacuum" for row in view.shown())
    assert set(STATES) >= {row["state"] for row in view.rows.values()}


def test_a_severity_is_a_sign_and_a_word_in_both_languages(server: Server) -> None:
    server.set(1.5)
    view = AlarmView()
    view.take(server.ask("ActiveSince", 0))
    row = view.rows["rule/0000"]
    cells = view.cells(row, now=row["since"] + 90.0)
    assert cells[0].startswith("✘ MAJOR")
    assert "first out" in cells[1]
    assert cells[3] == "1.5 min"
    try:
        set_language("zh")
        cells = view.cells(row)
        assert cells[0].startswith("✘ 严重")
        assert cells[5] == "压力 0 过高"
        assert "未确认" in cells[1]
    finally:
        set_language("en")


def test_keys_acknowledge_shelve_and_search(panel: Any, server: Server) -> None:
    server.set(2.5)
    panel.tick()
    assert panel.model.rowCount() == 3
    panel.table.selectRow(0)
    name = panel.chosen()[0]
    assert "close the valve" in panel.side.guidance.text()
    panel.side.note.setText("looked")
    panel.side.buttons["ack"].click()
    assert server.service.keeper.notes[server.service.engine.index[name]].text == "looked"
    panel.table.selectRow(0)
    left = panel.chosen()
    panel.side.buttons["shelve"].click()
    assert "reason" in panel.statusBar().currentMessage()
    panel.side.note.setText("in repair")
    panel.side.buttons["shelve"].click()
    assert panel.view.rows[left[0]]["state"] == "SHELVED"
    assert left[0] not in {row["name"] for row in panel.model.rows}
    panel.aside.setChecked(True)
    assert left[0] in {row["name"] for row in panel.model.rows}
    panel.side.buttons["all"].click()
    assert panel.view.waiting() == []
    panel.side.buttons["silence"].click()
    assert server.silences == [300.0]
    server.service.writer.flush()
    panel.past.text.setText("looked")
    panel.past.look()
    assert panel.past.model.rowCount() == 1
    assert panel.side.buttons["ack"].shortcut().toString() == "F5"
    with pytest.raises(Refused):
        server.ask("Acknowledge", names=[name])


def test_a_lost_server_is_said_and_readers_act_not(application: Any, server: Server) -> None:
    from gui.panels.alarms import AlarmPanel

    shown = AlarmPanel(server.ask)
    shown._timer.stop()
    assert not any(button.isEnabled() for button in shown.side.buttons.values())
    server.set(2.5)
    shown.tick()
    server.lost = True
    shown.tick()
    assert "no link" in shown._banner.text()
    server.lost = False
    shown.tick()
    assert "3 alarms" in shown._banner.text()
    shown.close()


def test_a_flood_of_1000_keeps_the_choice_and_costs_little(panel: Any, server: Server) -> None:
    server.set(0.5)
    panel.show()
    panel.tick()
    panel.table.selectRow(0)
    for value in range(50, 1001, 50):
        server.set(float(value))
        panel.tick()
        assert panel.chosen() == ["rule/0000"]
    assert panel.model.rowCount() == 1000
    assert len(panel.view.tree()) == 5


def test_a_line_of_history_is_plain(server: Server) -> None:
    server.set(0.5)
    server.service.writer.flush()
    row = next(row for row in server.ask("History", most=5) if row["event"] == "RAISE")
    assert event_line(row)[1:5] == ("RAISE", "✘ MAJOR", "rule/0000", "1")
    assert event_line(row)[5] == "● UNACKED"
    server.set(-1.0)
    server.service.writer.flush()
    row = next(row for row in server.ask("History", most=5) if row["event"] == "CLEAR_LATCHING")
    assert event_line(row)[5] == "◐ LATCHED"


def test_latched_and_shelved_are_counted_and_say_why_and_until_when(panel: Any, server: Server) -> None:
    server.set(3.5)
    server.ask("Shelve", names=["rule/0001"], reason="in repair", seconds=3600)
    server.set(1.5)
    panel.tick()
    assert "3 alarms, 3 not acknowledged" in panel._banner.text()
    assert "2 have gone (latched)" in panel._banner.text() and "1 shelved" in panel._banner.text()
    first, gone = panel.model.rows[0]["name"], [row["state"] for row in panel.model.rows]
    assert first == "rule/0000" and gone == ["UNACKED", "LATCHED", "LATCHED"]
    panel.table.selectRow(1)
    assert "stays until it is acknowledged" in panel.side.guidance.text()
    panel.aside.setChecked(True)
    panel.table.selectRow(3)
    told = panel.side.guidance.text()
    assert "otto: in repair" in told and "comes back at" in told and "close the valve" in told

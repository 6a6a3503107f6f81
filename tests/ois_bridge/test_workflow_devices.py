"""Device states are never greener than what was read; faults have a life; late tasks are told once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from common import site
from common.errors import BadInput, LinkLost, Refused, Unauthorised
from common.state import StateDir
from ois_bridge import application, process
from ois_bridge.domain.fault_states import FaultEvent, FaultState
from ois_bridge.models.outbox import Outgoing
from ois_bridge.models.queue import Contact
from ois_bridge.models.workflow import Task
from ois_bridge.services import devices
from ois_bridge.services.context import Context
from ois_bridge.services.device_watch import STALE, Watch
from ois_bridge.services.ports import DeviceReading
from ois_bridge.services.workflow import reminders
from ois_bridge.tango_client import TangoFacility
from tests.ois_bridge.workflow_steps import DESK, PHYSICIST, THERAPIST, Browser, begun, staff

pytestmark = pytest.mark.requirement("OIS-ASSIGN")


class Machines:
    """A facility of two devices."""

    def __init__(self) -> None:
        self.states = {"acs/magnet/d1": "ON", "tcs/room1/couch": "ON"}
        self.gone = False

    def read(self) -> Sequence[DeviceReading]:
        """Their states."""
        if self.gone:
            raise LinkLost("the facility is gone")
        return [DeviceReading(name, "Couch", "room1", state, "") for name, state in self.states.items()]


@pytest.fixture(scope="module")
def means(tmp_path_factory: pytest.TempPathFactory, place: Callable[[Path], None]) -> Iterator[Context]:
    root = tmp_path_factory.mktemp("devices")
    place(root)
    built = process.build(StateDir(root), site.load())
    staff(built)
    yield built
    built.close()


def test_states_live_and_never_older_than_they_look(means: Context) -> None:
    machines, now = Machines(), means.now()
    watch = Watch(machines)
    assert not watch.picture(now).connected
    assert watch.take(now)
    assert not watch.take(now + timedelta(seconds=5))
    machines.states["tcs/room1/couch"] = "FAULT"
    assert watch.take(now + timedelta(seconds=10))
    picture = watch.picture(now + timedelta(seconds=11))
    since = {row.reading.device: row.since for row in picture.devices}
    assert since["acs/magnet/d1"] == now
    assert since["tcs/room1/couch"] == now + timedelta(seconds=10)
    machines.gone = True
    assert watch.take(now + timedelta(seconds=12))
    late = watch.picture(now + timedelta(seconds=12) + STALE)
    assert not late.connected
    assert late.why == "the facility is gone"
    here = replace(means, machines=watch)
    with Browser(application.create(here)) as client:
        client.log_in("physicist")
        shown = client.get("/devices").text
        assert "Not connected" in shown
        assert "●" not in shown
        machines.gone = False
        watch.take(means.now())
        shown = client.get("/devices").text
        assert "Not connected" not in shown
        assert "✖ FAULT" in shown


def test_without_a_facility_nothing_is_claimed(
    means: Context, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert not Watch().take(means.now())
    assert "No facility" in Watch().picture(means.now()).why
    nowhere = TangoFacility(StateDir(tmp_path_factory.mktemp("nowhere")), site.load())
    with pytest.raises(LinkLost, match="No facility runs"):
        nowhere.read()


def test_life_of_a_fault_report(means: Context) -> None:
    row = devices.report(means, THERAPIST, "ROOM1", "couch does not move", "three patients wait", None)
    with means.database.reading() as session:
        assert [found.key for found in devices.open_faults(session)] == [row.key]
    devices.move(means, PHYSICIST, row.key, FaultEvent.REPAIR, "")
    with pytest.raises(Refused, match="cannot be done now"):
        devices.move(means, PHYSICIST, row.key, FaultEvent.CLOSE, "")
    with pytest.raises(BadInput, match="what was done"):
        devices.move(means, PHYSICIST, row.key, FaultEvent.SOLVE, "")
    devices.move(means, PHYSICIST, row.key, FaultEvent.SOLVE, "drive replaced")
    devices.move(means, PHYSICIST, row.key, FaultEvent.CLOSE, "")
    with means.database.reading() as session:
        assert devices.open_faults(session) == []
        closed = devices.reports(session)[0]
        assert closed.state is FaultState.CLOSED
        assert closed.ended is not None
    with pytest.raises(Unauthorised):
        devices.report(means, DESK, "ROOM1", "too loud", "", None)
    with pytest.raises(BadInput):
        devices.report(means, THERAPIST, "ROOM1", "x", "", means.now() + timedelta(days=1))


@pytest.mark.requirement("OIS-WORKLIST")
def test_late_tasks_are_told_once_and_without_patients(
    means: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(means, "late1")
    begun(means, "late2")
    with means.database.writing() as session:
        ways = {"phone": "10000000001", "changed": means.now(), "changed_by": "physician"}
        session.add(Contact(kind="staff", subject="physician", **ways))
    monkeypatch.setattr(reminders, "channel", lambda: "wechat")
    assert reminders.remind(means) == 0
    later = replace(means, now=lambda: means.now() + timedelta(days=2))
    assert reminders.remind(later) == 2
    assert reminders.remind(later) == 0
    with means.database.reading() as session:
        notices = session.scalars(select(Outgoing).where(Outgoing.kind == reminders.KIND)).all()
        assert [(row.recipient, "2 late: Consultation" in row.content) for row in notices] == [
            ("role:physician", True)
        ]
        assert "WF-late" not in notices[0].content
        own = session.scalars(select(Outgoing).where(Outgoing.kind == "task-due")).all()
        assert [(row.recipient, row.channel, "2 项" in row.content) for row in own] == [
            ("10000000001", "sms", True)
        ]
        assert session.scalar(select(Task.reminded).where(Task.reminded.is_not(None)).limit(1))


@pytest.mark.requirement("SYS-ACCESS")
def test_pages_ask_for_rights(means: Context) -> None:
    key = begun(means, "closed")
    with Browser(application.create(means)) as client:
        token = client.log_in("receptionist")
        assert client.get("/tasks").status_code == 200
        for path in (
            f"/forms/of/{key}/consent",
            "/assignment",
            "/processes/running/x",
            "/devices",
            "/form-designs/new",
        ):
            assert client.get(path).status_code == 403, path
        with means.database.reading() as session:
            task = session.scalar(select(Task).where(Task.course_key == key))
        answer = client.post(f"/tasks/{task.key}/finish", {"csrf": token, "outcome": "done"})
        assert answer.status_code == 403
        assert client.post(f"/tasks/{task.key}/finish", {"outcome": "done"}).status_code == 403
    with means.database.reading() as session:
        assert session.get_one(Task, task.key).done is None

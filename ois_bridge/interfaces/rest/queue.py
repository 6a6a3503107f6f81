"""Queues of the devices, and signing in, for other systems."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from common.text import _
from ois_bridge.domain.permissions import Action
from ois_bridge.interfaces.rest.callers import By, Means
from ois_bridge.interfaces.rest.schemas import Body, Line
from ois_bridge.services.errors import NotFound
from ois_bridge.services.queue import listing, sign_in
from ois_bridge.services.queue.listing import Row
from ois_bridge.services.queue.settings import titles
from ois_bridge.services.queue.sign_in import Asked

router = APIRouter(tags=["queue"])


class QueueRow(BaseModel):
    """A visit. `start`: ISO 8601; `minutes`: the wait as expected (waiting rows)."""

    id: str
    patient_id: str
    name: str
    number: int | None
    state: str
    start: str
    fraction: int | None
    priority: int
    ahead: int
    minutes: int


class QueueView(BaseModel):
    """A device's day; `waiting` in order, the next one first."""

    device: str
    title: dict[str, str]
    current: list[QueueRow]
    waiting: list[QueueRow]
    expected: list[QueueRow]
    finished: list[QueueRow]


class SignInBody(Body):
    """`code`: barcode, patient, hospital or id card number. `visit`: the one chosen when asked."""

    code: Line
    device: Line = ""
    visit: Line = ""


class PossibleVisit(BaseModel):
    """A visit that may be meant."""

    id: str
    time: str
    place: dict[str, str]


class SignInAnswer(BaseModel):
    """`state`: signed-in, again (it was before) or ask (choose one of `visits` and send it as `visit`)."""

    state: str
    name: str
    id: str = ""
    number: int | None = None
    ahead: int = 0
    minutes: int = 0
    visits: list[PossibleVisit]


@router.get("/queue/{device}", response_model=QueueView)
def queue(context: Means, caller: By, device: str) -> Any:
    """The queue of a device today."""
    with context.reading(caller, Action.READ_QUEUE) as session:
        if device not in titles(session):
            names = ", ".join(titles(session))
            raise NotFound(_("There is no such device; known are {names}.").format(names=names))
        found = listing.of_device(session, device, context.now())
        parts = ("current", "waiting", "expected", "finished")
        rows = {part: [_row(row) for row in getattr(found, part)] for part in parts}
        return {"device": device, "title": dict(found.title), **rows}


@router.post("/queue/sign-in", response_model=SignInAnswer)
def sign_a_patient_in(context: Means, caller: By, body: SignInBody) -> Any:
    """Sign a patient in by a number; 409 with words for the patient where it is not possible."""
    done = sign_in.by_code(context, caller, body.code, "interface", body.device, body.visit)
    others = done.visits if isinstance(done, Asked) else done.others
    visits = [{"id": one.key, "time": one.time, "place": dict(one.place)} for one in others]
    if isinstance(done, Asked):
        return {"state": "ask", "name": done.name, "visits": visits}
    return {
        "state": "again" if done.again else "signed-in",
        "name": done.name,
        "id": done.key,
        "number": done.number,
        "ahead": done.ahead,
        "minutes": done.minutes,
        "visits": visits,
    }


def _row(row: Row) -> dict[str, Any]:
    visit = row.visit
    return {
        "id": visit.key,
        "patient_id": visit.patient.patient_id if visit.patient else "",
        "name": visit.patient.name if visit.patient else "",
        "number": visit.queue_number,
        "state": visit.state.name,
        "start": visit.start.isoformat(timespec="seconds"),
        "fraction": visit.fraction,
        "priority": visit.priority,
        "ahead": row.ahead,
        "minutes": row.minutes,
    }

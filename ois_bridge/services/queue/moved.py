"""What a visit keeps of the queue when it is moved: a number is one device's and one day's."""

from datetime import datetime

from sqlalchemy.orm import Session

from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.domain.queue.day import day_of
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.queue import QueueEntry
from ois_bridge.services import events
from ois_bridge.services.queue import sign_in


def follow(session: Session, visit: Appointment, old_device: str, old_start: datetime, now: datetime) -> None:
    """After a move, in its transaction: who waits gets a number of the new device's queue; a visit that
    begins anew, or on another day, has no number, priority or call of the earlier one.
    """
    waits = visit.state is AppointmentState.SIGNED_IN
    if waits and visit.device == old_device:
        events.announce(session, "queue", visit.device)
        return
    if waits:
        visit.queue_number = sign_in.next_number(session, visit.device, day_of(now))
        events.announce(session, "queue", visit.device)
    elif visit.signed_in is not None or day_of(visit.start) != day_of(old_start):
        _forget(session, visit)
    events.announce(session, "queue", old_device)


def _forget(session: Session, visit: Appointment) -> None:
    visit.signed_in, visit.signed_in_by, visit.queue_number = None, "", None
    visit.called, visit.entered, visit.finished, visit.priority = None, None, None, 0
    entry = session.get(QueueEntry, visit.key)
    if entry is not None:
        session.delete(entry)

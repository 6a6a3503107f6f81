"""What follows when somebody has died: rooms are free again, and the family gets no more messages."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from ois_bridge.domain.appointment_states import APPOINTMENT_TABLE, AppointmentEvent
from ois_bridge.domain.outgoing_states import OUTGOING_TABLE, OutgoingEvent, OutgoingState
from ois_bridge.domain.state_table import step
from ois_bridge.models.appointments import Appointment
from ois_bridge.models.outbox import Outgoing
from ois_bridge.models.queue import Contact
from ois_bridge.models.scheduling import WaitingVisit
from ois_bridge.services import events


def release(session: Session, patient_key: str, user: str, now: datetime) -> None:
    """Cancel visits to come and messages that wait, in the caller's transaction, and tell nobody. Courses
    that are open a physician ends, with the reason.
    """
    mine = Appointment.patient_key == patient_key
    for visit in session.scalars(select(Appointment).where(mine, Appointment.start >= now)):
        if AppointmentEvent.CANCEL in APPOINTMENT_TABLE[visit.state]:
            visit.state = step(APPOINTMENT_TABLE, visit.state, AppointmentEvent.CANCEL)
            visit.revision += 1
            for topic in ("queue", "appointments"):
                events.announce(session, topic, visit.device)
    for waiting in session.scalars(select(WaitingVisit).where(WaitingVisit.patient_key == patient_key)):
        session.delete(waiting)
    contact = session.get(Contact, ("patient", patient_key)) or Contact(kind="patient", subject=patient_key)
    contact.sms = contact.wechat_on = False
    contact.changed, contact.changed_by = now, user
    session.add(contact)
    waits = (Outgoing.state == OutgoingState.QUEUED, Outgoing.about.in_(select(Appointment.key).where(mine)))
    for message in session.scalars(select(Outgoing).where(*waits)):
        message.state = step(OUTGOING_TABLE, message.state, OutgoingEvent.CANCEL)

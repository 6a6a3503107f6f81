"""Appointments: who comes when to which device, and where that visit stands."""

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ois_bridge.domain.appointment_states import AppointmentState
from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time, of_states
from ois_bridge.models.clinical import Course, Patient


class Appointment(Base):
    """One visit of a patient to one device (治疗室, CT simulator, mould room).

    `kind`: treatment, simulation, immobilisation, review, qa (then without patient and course).
    `fraction`: number of the fraction it is booked for. `queue_number`: given at sign-in, one series a
    day and device. `priority`: 0 as a rule, higher comes first. `revision` counts moves.
    """

    __tablename__ = "appointment"
    __table_args__ = (
        Index("ix_appointment_device_start", "device", "start"),
        Index("ix_appointment_patient_start", "patient_key", "start"),
        Index("ix_appointment_device_patient", "device", "patient_key", "state"),
    )

    key: Mapped[Key]
    patient_key: Mapped[str | None] = mapped_column(ForeignKey("patient.key"))
    course_key: Mapped[str | None] = mapped_column(ForeignKey("course.key"), index=True)
    device: Mapped[Text64]
    kind: Mapped[str] = mapped_column(String(16))
    start: Mapped[Time]
    minutes: Mapped[int]
    fraction: Mapped[int | None]
    particle: Mapped[str] = mapped_column(String(16), default="")
    note: Mapped[str] = mapped_column(String(200), default="")
    state: Mapped[AppointmentState] = mapped_column(of_states(AppointmentState))
    signed_in: Mapped[OptionalTime]
    signed_in_by: Mapped[str] = mapped_column(String(16), default="")
    queue_number: Mapped[int | None]
    priority: Mapped[int] = mapped_column(default=0)
    called: Mapped[OptionalTime]
    entered: Mapped[OptionalTime]
    finished: Mapped[OptionalTime]
    revision: Mapped[int] = mapped_column(default=1)
    created: Mapped[Time]
    created_by: Mapped[Text64]

    patient: Mapped[Patient | None] = relationship()
    course: Mapped[Course | None] = relationship()

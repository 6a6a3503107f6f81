"""Queue, calls, screens, notices: what an appointment's own row does not hold."""

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ois_bridge.models.appointments import Appointment
from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time


class QueueCounter(Base):
    """The last queue number given for a device on a day (YYYY-MM-DD)."""

    __tablename__ = "queue_counter"

    device: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    last: Mapped[int]


class QueueEntry(Base):
    """What happened to a signed-in appointment in the queue. `reason`: why it has a priority."""

    __tablename__ = "queue_entry"

    appointment_key: Mapped[str] = mapped_column(
        ForeignKey("appointment.key", ondelete="CASCADE"), primary_key=True
    )
    calls: Mapped[int] = mapped_column(default=0)
    passed: Mapped[int] = mapped_column(default=0)
    passed_at: Mapped[OptionalTime]
    reason: Mapped[str] = mapped_column(String(200), default="")
    reason_by: Mapped[str] = mapped_column(String(64), default="")


class QueueCall(Base):
    """One call of a patient, for screens and voices. `count`: how often this visit was called."""

    __tablename__ = "queue_call"
    __table_args__ = (Index("ix_queue_call_device_time", "device", "time"),)

    key: Mapped[Key]
    appointment_key: Mapped[str] = mapped_column(
        ForeignKey("appointment.key", ondelete="CASCADE"), index=True
    )
    device: Mapped[Text64]
    time: Mapped[Time]
    count: Mapped[int]
    called_by: Mapped[Text64]

    appointment: Mapped[Appointment] = relationship()


class QueueRule(Base):
    """One version of the department's order. `content`: JSON. Versions are never changed; one is active."""

    __tablename__ = "queue_rule"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[Text64]
    content: Mapped[str] = mapped_column(Text)
    active: Mapped[bool] = mapped_column(default=False)
    created: Mapped[Time]
    created_by: Mapped[Text64]
    activated: Mapped[OptionalTime]
    activated_by: Mapped[str] = mapped_column(String(64), default="")


class Screen(Base):
    """A screen without a log-in. `kind`: door, hall, kiosk. `devices`: names separated by spaces.

    `secret_hash`: SHA-256 of the cookie that a paired browser holds; empty before the first pairing.
    """

    __tablename__ = "screen"

    key: Mapped[Key]
    name: Mapped[Text64]
    kind: Mapped[str] = mapped_column(String(16))
    devices: Mapped[str] = mapped_column(String(500))
    voice: Mapped[str] = mapped_column(String(16), default="")
    secret_hash: Mapped[str] = mapped_column(String(64), index=True, default="")
    csrf_token: Mapped[str] = mapped_column(String(64), default="")
    paired: Mapped[OptionalTime]
    created: Mapped[Time]
    created_by: Mapped[Text64]


class ScreenNotice(Base):
    """A line that runs over the screens from one time to another."""

    __tablename__ = "screen_notice"

    key: Mapped[Key]
    text_zh: Mapped[str] = mapped_column(String(300))
    text_en: Mapped[str] = mapped_column(String(300))
    start: Mapped[Time]
    finish: Mapped[Time] = mapped_column(index=True)
    created: Mapped[Time]
    created_by: Mapped[Text64]


class Contact(Base):
    """How somebody wants to be told. `kind`: patient (subject: its key) or staff (subject: the user).

    `phone`: of staff; a patient's stands in the patient's row. `sms`, `wechat_on`: False is an opt-out.
    """

    __tablename__ = "contact"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    subject: Mapped[str] = mapped_column(String(64), primary_key=True)
    phone: Mapped[str] = mapped_column(String(32), default="")
    wechat: Mapped[str] = mapped_column(String(64), default="")
    sms: Mapped[bool] = mapped_column(default=True)
    wechat_on: Mapped[bool] = mapped_column(default=True)
    language: Mapped[str] = mapped_column(String(8), default="zh")
    changed: Mapped[Time]
    changed_by: Mapped[Text64]


class BiometricTemplate(Base):
    """What a face or fingerprint reader calls a patient: the features stay in the reader.

    `kind`: face, fingerprint. `consent`: who agreed, in what form.
    """

    __tablename__ = "biometric_template"

    template: Mapped[str] = mapped_column(String(120), primary_key=True)
    patient_key: Mapped[str] = mapped_column(ForeignKey("patient.key", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(16), default="", server_default="")
    consent: Mapped[str] = mapped_column(String(200), default="", server_default="")
    enrolled: Mapped[Time]
    enrolled_by: Mapped[Text64]

"""What the appointment sheet is made of: devices, days, periods, wishes, waiting visits, proposals."""

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time
from ois_bridge.models.clinical import Course, Patient


class DepartmentDevice(Base):
    """A device that appointments are made for.

    `kinds`, `particles`: words separated by spaces. `beam`: name of the beam it shares, or empty. `hours`:
    JSON, weekday (1 Monday .. 7 Sunday) -> "08:00-12:00,13:00-17:00". `capacity`: visits a day.
    """

    __tablename__ = "department_device"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    title_en: Mapped[Text64]
    title_zh: Mapped[Text64]
    kinds: Mapped[str] = mapped_column(String(120))
    particles: Mapped[str] = mapped_column(String(64))
    beam: Mapped[str] = mapped_column(String(32))
    setup_min: Mapped[int]
    leave_min: Mapped[int]
    usual_min: Mapped[int]
    capacity: Mapped[int]
    hours: Mapped[str] = mapped_column(Text)
    position: Mapped[int]
    active: Mapped[bool]


class CalendarDay(Base):
    """A day that is not as its weekday says. `kind`: holiday, workday. `day`: YYYY-MM-DD."""

    __tablename__ = "calendar_day"

    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    name_en: Mapped[Text64]
    name_zh: Mapped[Text64]
    created: Mapped[Time]
    created_by: Mapped[Text64]


class DevicePeriod(Base):
    """A time at which a device may not be booked, may be booked beyond its hours, or is kept for some.

    `effect`: forbidden, open, reserved. Either weekly (`weekdays`, digits, with `from_min` and `to_min` of
    the day, within first_day..last_day, each may be empty) or once (`start`, `finish`). `device` empty: all.
    """

    __tablename__ = "device_period"

    key: Mapped[Key]
    device: Mapped[str] = mapped_column(String(64), index=True)
    effect: Mapped[str] = mapped_column(String(16))
    purpose: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(16), default="")
    particle: Mapped[str] = mapped_column(String(16), default="")
    weekdays: Mapped[str] = mapped_column(String(7), default="")
    from_min: Mapped[int] = mapped_column(default=0)
    to_min: Mapped[int] = mapped_column(default=0)
    first_day: Mapped[str] = mapped_column(String(10), default="")
    last_day: Mapped[str] = mapped_column(String(10), default="")
    start: Mapped[OptionalTime]
    finish: Mapped[OptionalTime]
    note: Mapped[str] = mapped_column(String(200), default="")
    created: Mapped[Time]
    created_by: Mapped[Text64]


class VisitWish(Base):
    """What the patient of a course wishes: minutes of the day (0: none), weekdays as digits ("" : any).

    `per_day`: 1 or 2 fractions a day, which sets their spacing.
    """

    __tablename__ = "visit_wish"

    course_key: Mapped[str] = mapped_column(ForeignKey("course.key"), primary_key=True)
    earliest_min: Mapped[int] = mapped_column(default=0)
    latest_min: Mapped[int] = mapped_column(default=0)
    preferred_min: Mapped[int] = mapped_column(default=0)
    weekdays: Mapped[str] = mapped_column(String(7), default="")
    per_day: Mapped[int] = mapped_column(default=1)
    changed: Mapped[Time]
    changed_by: Mapped[Text64]


class WaitingVisit(Base):
    """A visit that is to be placed on a day and has no time yet. `device` empty: any that fits."""

    __tablename__ = "waiting_visit"
    __table_args__ = (Index("ix_waiting_visit_day_course", "day", "course_key"),)

    key: Mapped[Key]
    day: Mapped[str] = mapped_column(String(10))
    patient_key: Mapped[str] = mapped_column(ForeignKey("patient.key"))
    course_key: Mapped[str] = mapped_column(ForeignKey("course.key"))
    device: Mapped[str] = mapped_column(String(64), default="")
    kind: Mapped[str] = mapped_column(String(16))
    minutes: Mapped[int]
    particle: Mapped[str] = mapped_column(String(16), default="")
    fraction: Mapped[int | None]
    created: Mapped[Time]
    created_by: Mapped[Text64]

    patient: Mapped[Patient] = relationship()
    course: Mapped[Course] = relationship()


class ScheduleProposal(Base):
    """What a computation proposes: kept as a whole, or not at all.

    `kind`: course, day, replan. `state`: RUNNING, OPEN, KEPT, DISCARDED, FAILED. `content`: JSON
    (domain/scheduling/proposal.py). `progress`: 0..1. `error`: why it FAILED.
    """

    __tablename__ = "schedule_proposal"

    key: Mapped[Key]
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), index=True)
    day: Mapped[str] = mapped_column(String(10))
    content: Mapped[str] = mapped_column(Text)
    progress: Mapped[float]
    error: Mapped[str] = mapped_column(String(500), default="")
    created: Mapped[Time]
    created_by: Mapped[Text64]
    decided: Mapped[OptionalTime]
    decided_by: Mapped[str] = mapped_column(String(64), default="")

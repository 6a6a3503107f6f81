"""What became of processes, forms and assignments, entry by entry; none is ever changed."""

from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time


class ProcessStep(Base):
    """One entry of a process's log: who did which step, with what outcome."""

    __tablename__ = "process_step"

    key: Mapped[Key]
    process_key: Mapped[str] = mapped_column(ForeignKey("process_record.key"), index=True)
    course_key: Mapped[str] = mapped_column(ForeignKey("course.key"), index=True)
    number: Mapped[int]
    time: Mapped[Time] = mapped_column(index=True)
    user: Mapped[Text64]
    step: Mapped[Text64]
    title: Mapped[str] = mapped_column(String(120))
    title_zh: Mapped[str] = mapped_column(String(120), default="")
    outcome: Mapped[str] = mapped_column(String(32))
    comment: Mapped[str] = mapped_column(String(500), default="")


class FormChange(Base):
    """One change of a form: its content and state after it."""

    __tablename__ = "form_change"

    key: Mapped[Key]
    form_key: Mapped[str] = mapped_column(ForeignKey("form_record.key"), index=True)
    number: Mapped[int]
    revision: Mapped[int]
    time: Mapped[Time]
    user: Mapped[Text64]
    event: Mapped[str] = mapped_column(String(16))
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    comment: Mapped[str] = mapped_column(String(500), default="")


class AssignmentNote(Base):
    """Who got a task, and why. `rule`: the rule's name, or `by hand`; `reason`: everybody's score."""

    __tablename__ = "assignment_note"

    key: Mapped[Key]
    task_key: Mapped[str] = mapped_column(ForeignKey("task.key"), index=True)
    time: Mapped[Time] = mapped_column(index=True)
    user: Mapped[Text64] = mapped_column(String(64), index=True)
    rule: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(Text)
    given_by: Mapped[Text64]


class StaffProfile(Base):
    """What the rules know of a person. `specialities`: diagnosis codes or ICD-11 beginnings, by spaces."""

    __tablename__ = "staff_profile"

    user: Mapped[str] = mapped_column(String(64), primary_key=True)
    specialities: Mapped[str] = mapped_column(String(200), default="")
    absent_from: Mapped[OptionalTime]
    absent_until: Mapped[OptionalTime]

"""The patient's record beside forms and plans: diagnoses, stages, steps, reviews, studies, follow-up."""

from datetime import date

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ois_bridge.domain.course_states import CourseEvent
from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time, of_states
from ois_bridge.models.clinical import Course


class Diagnosis(Base):
    """One diagnosis that may be chosen. `source`: department or hospital (its own table, imported).

    `pinyin`, `initials`: of the Chinese name, lower case. `staging`: names of staging tables, by spaces.
    """

    __tablename__ = "diagnosis"

    code: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    name_en: Mapped[str] = mapped_column(String(200))
    pinyin: Mapped[str] = mapped_column(String(400))
    initials: Mapped[str] = mapped_column(String(80))
    icd11: Mapped[str] = mapped_column(String(32))
    icd10: Mapped[str] = mapped_column(String(16))
    staging: Mapped[str] = mapped_column(String(200))
    source: Mapped[str] = mapped_column(String(16), index=True)
    active: Mapped[bool]


class CourseStage(Base):
    """A stage as it was found; the newest counts, older ones stay. `choice`: axis -> value."""

    __tablename__ = "course_stage"

    key: Mapped[Key]
    course_key: Mapped[str] = mapped_column(ForeignKey("course.key"), index=True)
    staging: Mapped[Text64]
    choice: Mapped[dict[str, str]] = mapped_column(JSON)
    group: Mapped[str] = mapped_column("stage_group", String(32))
    time: Mapped[Time]
    user: Mapped[Text64]


class CourseStep(Base):
    """What a physician did to a course, why, and what followed (`effects`: word -> count)."""

    __tablename__ = "course_step"

    key: Mapped[Key]
    course_key: Mapped[str] = mapped_column(ForeignKey("course.key"), index=True)
    event: Mapped[CourseEvent] = mapped_column(of_states(CourseEvent))
    reason: Mapped[str] = mapped_column(String(500))
    effects: Mapped[dict[str, int]] = mapped_column(JSON)
    time: Mapped[Time]
    user: Mapped[Text64]


class ChargingAnswer(Base):
    """What the hospital's system said last of a course's charging, and when it was asked."""

    __tablename__ = "charging_answer"

    course_key: Mapped[str] = mapped_column(ForeignKey("course.key"), primary_key=True)
    state: Mapped[str] = mapped_column(String(32))
    detail: Mapped[str] = mapped_column(String(200))
    asked: Mapped[Time]


class PhysicianReview(Base):
    """The weekly review of a patient under treatment, signed. `toxicities`: [{term, grade}]; weight in kg."""

    __tablename__ = "physician_review"
    __table_args__ = (Index("ix_physician_review_course_time", "course_key", "time"),)

    key: Mapped[Key]
    course_key: Mapped[str] = mapped_column(ForeignKey("course.key"))
    time: Mapped[Time]
    physician: Mapped[Text64]
    weight: Mapped[float | None]
    toxicities: Mapped[list[dict[str, str | int]]] = mapped_column(JSON)
    note: Mapped[str] = mapped_column(String(2000))
    signature: Mapped[str] = mapped_column(String(2000))

    course: Mapped[Course] = relationship()


class Study(Base):
    """A study that courses are enrolled in."""

    __tablename__ = "study"

    key: Mapped[Key]
    name: Mapped[str] = mapped_column(String(120), unique=True)
    criteria: Mapped[str] = mapped_column(String(2000))
    open: Mapped[bool]
    created: Mapped[Time]
    created_by: Mapped[Text64]


class Enrolment(Base):
    """A course in a study."""

    __tablename__ = "enrolment"
    __table_args__ = (UniqueConstraint("study_key", "course_key"),)

    key: Mapped[Key]
    study_key: Mapped[str] = mapped_column(ForeignKey("study.key"))
    course_key: Mapped[str] = mapped_column(ForeignKey("course.key"), index=True)
    time: Mapped[Time]
    user: Mapped[Text64]

    study: Mapped[Study] = relationship()


class FollowUp(Base):
    """One planned follow-up of a course and, once done, what it found."""

    __tablename__ = "follow_up"
    __table_args__ = (UniqueConstraint("course_key", "months"), Index("ix_follow_up_done_due", "done", "due"))

    key: Mapped[Key]
    course_key: Mapped[str] = mapped_column(ForeignKey("course.key"), index=True)
    months: Mapped[int]
    due: Mapped[date]
    outcome: Mapped[str] = mapped_column(String(32))
    note: Mapped[str] = mapped_column(String(2000))
    done: Mapped[OptionalTime]
    done_by: Mapped[Text64]

    course: Mapped[Course] = relationship()

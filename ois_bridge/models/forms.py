"""Filled forms of the department: 制模定位登记表, 计划申请单, 治疗单, consent, course summary, ..."""

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ois_bridge.domain.form_states import FormState
from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time, of_states
from ois_bridge.models.clinical import Course


class FormRecord(Base):
    """One filled form of a course. `kind` and `version` name its design; `content`: field -> value.

    `revision` counts changes of content; one that was approved is never changed, only withdrawn.
    """

    __tablename__ = "form_record"

    key: Mapped[Key]
    course_key: Mapped[str] = mapped_column(ForeignKey("course.key"), index=True)
    kind: Mapped[Text64] = mapped_column(String(64), index=True)
    version: Mapped[int]
    state: Mapped[FormState] = mapped_column(of_states(FormState), index=True)
    content: Mapped[dict[str, object]] = mapped_column(JSON, default=dict)
    revision: Mapped[int] = mapped_column(default=1)
    created: Mapped[Time]
    created_by: Mapped[Text64]
    changed: Mapped[Time]
    changed_by: Mapped[Text64]
    decided: Mapped[OptionalTime]
    decided_by: Mapped[str] = mapped_column(String(64), default="")
    signature: Mapped[str] = mapped_column(String(2000), default="")

    course: Mapped[Course] = relationship()

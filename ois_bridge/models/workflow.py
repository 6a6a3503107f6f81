"""Running processes and the tasks of people in them."""

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ois_bridge.domain.task_states import TaskState
from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time, of_states
from ois_bridge.models.clinical import Course


class ProcessRecord(Base):
    """One running process of a course. `state`: the engine's own, JSON, written in the deed's transaction."""

    __tablename__ = "process_record"

    key: Mapped[Key]
    course_key: Mapped[str] = mapped_column(ForeignKey("course.key"), index=True)
    name: Mapped[Text64]
    version: Mapped[int]
    state: Mapped[str] = mapped_column(Text)
    ended: Mapped[OptionalTime]
    created: Mapped[Time]
    created_by: Mapped[Text64]

    course: Mapped[Course] = relationship()
    tasks: Mapped[list["Task"]] = relationship(back_populates="process", order_by="Task.created")


class Task(Base):
    """One person's work in a process. `role` may do it; `assignee`: the user it is given to, or empty.

    `name`, `deed`: the step of the process, and what is done in it (domain/process_steps.py).
    `form_kind`: the form that it fills or decides on, or empty. `outcome`: agree, refuse, ... when done.
    """

    __tablename__ = "task"
    __table_args__ = (
        Index("ix_task_role_state", "role", "state"),
        Index("ix_task_assignee_state", "assignee", "state"),
        Index("ix_task_done_by_done", "done_by", "done"),
        Index("ix_task_state_due", "state", "due"),
    )

    key: Mapped[Key]
    process_key: Mapped[str] = mapped_column(ForeignKey("process_record.key"), index=True)
    course_key: Mapped[str] = mapped_column(ForeignKey("course.key"), index=True)
    name: Mapped[Text64]
    title: Mapped[str] = mapped_column(String(120))
    title_zh: Mapped[str] = mapped_column(String(120), default="")
    deed: Mapped[str] = mapped_column(String(16), default="do")
    role: Mapped[str] = mapped_column(String(32))
    assignee: Mapped[str] = mapped_column(String(64), default="")
    form_kind: Mapped[str] = mapped_column(String(64), default="")
    state: Mapped[TaskState] = mapped_column(of_states(TaskState))
    outcome: Mapped[str] = mapped_column(String(32), default="")
    comment: Mapped[str] = mapped_column(String(500), default="")
    created: Mapped[Time]
    due: Mapped[OptionalTime]
    reminded: Mapped[OptionalTime]
    done: Mapped[OptionalTime]
    done_by: Mapped[str] = mapped_column(String(64), default="")

    process: Mapped[ProcessRecord] = relationship(back_populates="tasks")
    course: Mapped[Course] = relationship()

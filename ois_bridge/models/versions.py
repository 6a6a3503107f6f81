"""How often the data of a kind were changed: what was made of them stays true while the number stays."""

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from ois_bridge.models.base import Base

WORK_LISTS = "work lists"
"""What of courses, patients and restrictions decides who sees which tasks, and how they are shown."""
TASKS = "tasks"
"""The tasks themselves; each one's last change stands in TaskChange."""


class DataVersion(Base):
    """One kind of data. `number` grows in every transaction that changes it: triggers of the database see
    to that, whoever writes. No row: never changed.
    """

    __tablename__ = "data_version"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)


class TaskChange(Base):
    """The number of TASKS after which a task was changed, made or removed for the last time."""

    __tablename__ = "task_change"

    task_key: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, index=True)

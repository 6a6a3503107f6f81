"""Reports of device faults."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from ois_bridge.domain.fault_states import FaultState
from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time, of_states


class FaultReport(Base):
    """One fault of one device: what, who, when it began and ended, what it meant for patients."""

    __tablename__ = "fault_report"

    key: Mapped[Key]
    device: Mapped[str] = mapped_column(String(120), index=True)
    summary: Mapped[str] = mapped_column(String(200))
    effect: Mapped[str] = mapped_column(String(500), default="")
    solution: Mapped[str] = mapped_column(String(500), default="")
    state: Mapped[FaultState] = mapped_column(of_states(FaultState), index=True)
    started: Mapped[Time]
    ended: Mapped[OptionalTime]
    created: Mapped[Time]
    created_by: Mapped[Text64]
    changed: Mapped[Time]
    changed_by: Mapped[Text64]

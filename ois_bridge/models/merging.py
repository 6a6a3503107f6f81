"""Records of one person that were made one."""

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time
from ois_bridge.models.clinical import Patient


class PatientMerge(Base):
    """One merge: what belonged to `gone` now belongs to `kept`.

    `moved`: "table.column" -> primary keys of the rows that were moved, so that exactly these go back.
    `before`: values of the kept patient that the merge changed.
    """

    __tablename__ = "patient_merge"

    key: Mapped[Key]
    kept_key: Mapped[str] = mapped_column(ForeignKey("patient.key"), index=True)
    gone_key: Mapped[str] = mapped_column(ForeignKey("patient.key"), index=True)
    reason: Mapped[str] = mapped_column(String(200))
    moved: Mapped[dict[str, list[list[str | int]]]] = mapped_column(JSON)
    before: Mapped[dict[str, str]] = mapped_column(JSON)
    time: Mapped[Time]
    user: Mapped[Text64]
    undone: Mapped[OptionalTime]
    undone_by: Mapped[str] = mapped_column(String(64), default="")

    kept: Mapped[Patient] = relationship(foreign_keys=[kept_key])
    gone: Mapped[Patient] = relationship(foreign_keys=[gone_key])

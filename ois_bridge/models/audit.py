"""The audit trail as rows; the same entries stand in the hash chain on disk."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from ois_bridge.models.base import Base, Text64, Time


class AuditRow(Base):
    """Who did what to what. Written in the transaction of the deed; `subject` is opaque."""

    __tablename__ = "audit"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy's own form

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    time: Mapped[Time]
    user: Mapped[Text64]
    action: Mapped[Text64]
    subject: Mapped[Text64]
    outcome: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str] = mapped_column(String(500), default="")

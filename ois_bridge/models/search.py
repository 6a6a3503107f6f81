"""What makes patients and forms quick to find, and what people keep of their searches."""

from sqlalchemy import JSON, Boolean, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ois_bridge.models.base import Base, Key, Text64, Time

PART = String(64).with_variant(String(64, collation="C"), "postgresql")
"""Ordered by code points in both databases, so that a range of an index is a prefix."""


class SearchPart(Base):
    """A piece of a patient's name or numbers from some place to its end: its beginning is what people type.

    All suffixes of a Chinese name stand here, so that any piece of the name is the beginning of one.
    """

    __tablename__ = "search_part"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's own form

    part: Mapped[str] = mapped_column(PART, primary_key=True)
    patient_key: Mapped[str] = mapped_column(ForeignKey("patient.key"), primary_key=True)


class SearchText(Base):
    """The text of one subject (a form): as people read it, and in overlapping pairs of characters.

    The database's own full-text index stands over `grams`.
    """

    __tablename__ = "search_text"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    subject_key: Mapped[str] = mapped_column(String(16), unique=True)
    course_key: Mapped[str | None] = mapped_column(ForeignKey("course.key"), index=True)
    patient_key: Mapped[str] = mapped_column(ForeignKey("patient.key"), index=True)
    kind: Mapped[Text64]
    text: Mapped[str] = mapped_column(Text)
    grams: Mapped[str] = mapped_column(Text)
    changed: Mapped[Time]


class SavedSearch(Base):
    """A search that a user keeps. Without a name: one of the last, so that its page has an address."""

    __tablename__ = "saved_search"
    __table_args__ = (Index("ix_saved_search_owner", "owner", "made"),)

    key: Mapped[Key]
    owner: Mapped[Text64]
    name: Mapped[str] = mapped_column(String(80), default="")
    shared: Mapped[bool] = mapped_column(Boolean, default=False)
    content: Mapped[dict[str, object]] = mapped_column(JSON)
    made: Mapped[Time]


class ListLayout(Base):
    """The columns that a user chose for the list of patients, separated by spaces."""

    __tablename__ = "list_layout"

    user: Mapped[str] = mapped_column(String(64), primary_key=True)
    columns: Mapped[str] = mapped_column(String(400))

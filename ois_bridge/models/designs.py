"""What a department draws itself: processes and forms, each version kept."""

from typing import Any

from sqlalchemy import JSON, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ois_bridge.models.base import Base, Key, Text64, Time


class ProcessDesign(Base):
    """One version of a process. `drawing`: BPMN 2.0. Running processes keep the version they began with.

    `active`: new processes begin with it; at most one version of a name.
    """

    __tablename__ = "process_design"
    __table_args__ = (UniqueConstraint("name", "version", name="uq_process_design_name"),)

    key: Mapped[Key]
    name: Mapped[Text64]
    version: Mapped[int]
    title: Mapped[str] = mapped_column(String(120))
    title_zh: Mapped[str] = mapped_column(String(120), default="")
    drawing: Mapped[str] = mapped_column(Text)
    active: Mapped[bool] = mapped_column(default=False)
    note: Mapped[str] = mapped_column(String(500), default="")
    created: Mapped[Time]
    created_by: Mapped[Text64]


class FormDesign(Base):
    """One version of a form's design. `content`: title, sections, fields (domain/form_design.py)."""

    __tablename__ = "form_design"
    __table_args__ = (UniqueConstraint("kind", "version", name="uq_form_design_kind"),)

    key: Mapped[Key]
    kind: Mapped[Text64]
    version: Mapped[int]
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    active: Mapped[bool] = mapped_column(default=False)
    note: Mapped[str] = mapped_column(String(500), default="")
    created: Mapped[Time]
    created_by: Mapped[Text64]


class ShippedAnswer(Base):
    """What an administrator said to a design that came with a new version: taken, declined.

    `kind`: process, form. `sha256`: of the file's content.
    """

    __tablename__ = "shipped_answer"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    answer: Mapped[str] = mapped_column(String(16))
    time: Mapped[Time]
    user: Mapped[Text64]

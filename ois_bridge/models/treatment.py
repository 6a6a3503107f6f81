"""Fractions, what was delivered in them, and the reports."""

from sqlalchemy import Enum, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ois_bridge.domain.fraction_states import FractionState
from ois_bridge.models.base import Base, Key, Text64, Time
from ois_bridge.models.plans import Plan


class Fraction(Base):
    """One fraction of an approved plan. Metersets in MU, all beams together."""

    __tablename__ = "fraction"
    __table_args__ = (UniqueConstraint("plan_uid", "number"),)

    key: Mapped[Key]
    plan_uid: Mapped[str] = mapped_column(ForeignKey("plan.sop_uid"))
    number: Mapped[int]
    state: Mapped[FractionState] = mapped_column(
        Enum(FractionState, native_enum=False, length=16, create_constraint=False)
    )
    planned_mu: Mapped[float]
    delivered_mu: Mapped[float] = mapped_column(default=0.0)

    plan: Mapped[Plan] = relationship()
    parts: Mapped[list["FractionPart"]] = relationship(
        back_populates="fraction", order_by="FractionPart.started"
    )
    reports: Mapped[list["Report"]] = relationship(back_populates="fraction", order_by="Report.created")


class FractionPart(Base):
    """One treatment record. `fraction_key` is null and `flag` says why where it belongs to no fraction."""

    __tablename__ = "fraction_part"

    record_uid: Mapped[str] = mapped_column(ForeignKey("dicom_instance.sop_uid"), primary_key=True)
    fraction_key: Mapped[str | None] = mapped_column(ForeignKey("fraction.key"), index=True)
    plan_uid: Mapped[str] = mapped_column(String(64), index=True)
    fraction_number: Mapped[int]
    part: Mapped[int]
    started: Mapped[Time]
    ended: Mapped[Time]
    clock_factor: Mapped[float]
    verified_by: Mapped[Text64]
    operators: Mapped[str] = mapped_column(String(255))
    flag: Mapped[str] = mapped_column(String(500), default="")

    fraction: Mapped[Fraction | None] = relationship(back_populates="parts")
    beams: Mapped[list["PartBeam"]] = relationship(
        cascade="all, delete-orphan", order_by="PartBeam.number", lazy="selectin"
    )

    @property
    def delivered_mu(self) -> float:
        """Meterset of this part, MU."""
        return sum(beam.delivered_mu for beam in self.beams)


class PartBeam(Base):
    """What one beam gave in one part. Metersets in MU; planned_mu is of the whole fraction."""

    __tablename__ = "part_beam"

    record_uid: Mapped[str] = mapped_column(
        ForeignKey("fraction_part.record_uid", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Text64]
    planned_mu: Mapped[float]
    delivered_mu: Mapped[float]
    termination: Mapped[str] = mapped_column(String(16))
    delivery_type: Mapped[str] = mapped_column(String(16))
    cause: Mapped[str] = mapped_column(String(500), default="")
    started: Mapped[Time]
    ended: Mapped[Time]


class Report(Base):
    """An irradiation report. `facts` is all it says, as JSON, frozen when it was written."""

    __tablename__ = "report"

    key: Mapped[Key]
    fraction_key: Mapped[str] = mapped_column(ForeignKey("fraction.key"), index=True)
    author: Mapped[Text64]
    created: Mapped[Time]
    passed: Mapped[bool]
    facts: Mapped[str] = mapped_column(Text)

    fraction: Mapped[Fraction] = relationship(back_populates="reports")
    files: Mapped[list["ReportFile"]] = relationship(
        cascade="all, delete-orphan", order_by="ReportFile.name", lazy="selectin"
    )


class ReportFile(Base):
    """A picture or a PDF of a report, kept as REPORT/NAME; sha256 of its content."""

    __tablename__ = "report_file"

    report_key: Mapped[str] = mapped_column(ForeignKey("report.key", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    sha256: Mapped[Text64]

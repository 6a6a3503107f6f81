"""Plans, every step taken with them, and their approvals."""

from sqlalchemy import Enum, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ois_bridge.domain.plan_states import PlanEvent, PlanState
from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time, Uid
from ois_bridge.models.clinical import Patient, Prescription


class Plan(Base):
    """A plan that has arrived. `hash`: SHA-256 of the canonical data set at arrival."""

    __tablename__ = "plan"

    sop_uid: Mapped[str] = mapped_column(ForeignKey("dicom_instance.sop_uid"), primary_key=True)
    patient_key: Mapped[str] = mapped_column(ForeignKey("patient.key"), index=True)
    prescription_key: Mapped[str | None] = mapped_column(ForeignKey("prescription.key"), index=True)
    dose_uid: Mapped[str | None] = mapped_column(ForeignKey("dicom_instance.sop_uid"))
    label: Mapped[Text64]
    machine: Mapped[Text64]
    fractions_planned: Mapped[int]
    hash: Mapped[Uid]
    state: Mapped[PlanState] = mapped_column(
        Enum(PlanState, native_enum=False, length=16, create_constraint=False)
    )
    submitted_by: Mapped[str | None] = mapped_column(String(64))
    arrived: Mapped[Time]

    patient: Mapped[Patient] = relationship()
    prescription: Mapped[Prescription | None] = relationship()
    beams: Mapped[list["PlanBeam"]] = relationship(
        cascade="all, delete-orphan", order_by="PlanBeam.number", lazy="selectin"
    )
    reviews: Mapped[list["PlanReview"]] = relationship(order_by="PlanReview.time")
    approvals: Mapped[list["Approval"]] = relationship(order_by="Approval.time")

    @property
    def approval(self) -> "Approval | None":
        """The approval in force."""
        return next((a for a in reversed(self.approvals) if a.revoked is None), None)


class PlanBeam(Base):
    """One field of a plan. Angles in deg, meterset of one fraction in MU, energies in MeV."""

    __tablename__ = "plan_beam"

    plan_uid: Mapped[str] = mapped_column(ForeignKey("plan.sop_uid", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Text64]
    gantry: Mapped[float]
    couch: Mapped[float]
    layers: Mapped[int]
    spots: Mapped[int]
    energy_low: Mapped[float]
    energy_high: Mapped[float]
    meterset: Mapped[float]


class PlanReview(Base):
    """One step that a person took with a plan, and why."""

    __tablename__ = "plan_review"

    key: Mapped[Key]
    plan_uid: Mapped[str] = mapped_column(ForeignKey("plan.sop_uid"), index=True)
    event: Mapped[PlanEvent] = mapped_column(
        Enum(PlanEvent, native_enum=False, length=16, create_constraint=False)
    )
    user: Mapped[Text64]
    time: Mapped[Time]
    reason: Mapped[str] = mapped_column(String(500), default="")


class Approval(Base):
    """A physician's signature: `signed` is a JWS over {hash, sop_instance_uid, approver, time}."""

    __tablename__ = "approval"

    key: Mapped[Key]
    plan_uid: Mapped[str] = mapped_column(ForeignKey("plan.sop_uid"), index=True)
    approver: Mapped[Text64]
    hash: Mapped[Uid]
    signed: Mapped[str] = mapped_column(Text)
    time: Mapped[Time]
    revoked: Mapped[OptionalTime]

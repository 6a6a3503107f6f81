"""Patients, courses and prescriptions."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ois_bridge.models.base import Base, Key, Text64, Time, Uid


class Patient(Base):
    """A registered patient. birth_date as YYYYMMDD, name as a DICOM person name."""

    __tablename__ = "patient"

    key: Mapped[Key]
    patient_id: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    birth_date: Mapped[str] = mapped_column(String(8))
    sex: Mapped[str] = mapped_column(String(1))
    registered: Mapped[Time]
    registered_by: Mapped[Text64]

    courses: Mapped[list["Course"]] = relationship(
        back_populates="patient", order_by="Course.created", lazy="select"
    )


class Course(Base):
    """One course of treatment for one diagnosis."""

    __tablename__ = "course"

    key: Mapped[Key]
    patient_key: Mapped[str] = mapped_column(ForeignKey("patient.key"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    diagnosis: Mapped[str] = mapped_column(String(500))
    created: Mapped[Time]
    created_by: Mapped[Text64]

    patient: Mapped[Patient] = relationship(back_populates="courses")
    prescriptions: Mapped[list["Prescription"]] = relationship(
        back_populates="course", order_by="Prescription.created"
    )


class Prescription(Base):
    """What is prescribed. dose_per_fraction: RBE-weighted Gy to the target. Never changed once written."""

    __tablename__ = "prescription"

    key: Mapped[Key]
    course_key: Mapped[str] = mapped_column(ForeignKey("course.key"), index=True)
    target: Mapped[Text64]
    dose_per_fraction: Mapped[float]
    fractions: Mapped[int]
    rbe_model: Mapped[Text64]
    structure_set_uid: Mapped[Uid]
    created: Mapped[Time]
    created_by: Mapped[Text64]

    course: Mapped[Course] = relationship(back_populates="prescriptions")
    organs: Mapped[list["PrescribedOrgan"]] = relationship(
        cascade="all, delete-orphan", lazy="selectin", order_by="PrescribedOrgan.position"
    )


class PrescribedOrgan(Base):
    """Highest dose allowed in one organ, Gy (RBE)."""

    __tablename__ = "prescribed_organ"

    prescription_key: Mapped[str] = mapped_column(
        ForeignKey("prescription.key", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[Text64]
    max_gy: Mapped[float]

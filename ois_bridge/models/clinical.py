"""Patients, courses and prescriptions."""

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from common.text import language
from ois_bridge.domain.course_states import CourseState
from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time, Uid, of_states


class Patient(Base):
    """A registered patient. birth_date as YYYYMMDD, name as a DICOM person name.

    `pinyin`, `initials`: of a Chinese name, lower case without spaces (zhangsan, zs). `barcode`: what a
    scanner reads at the front desk. `photo`: path in the file store. `alerts`: codes that follow the
    patient (pacemaker, pregnancy, allergy, anaesthesia, ...), separated by spaces. `merged_into`: key of
    the record that this person's other record is; empty as a rule.
    """

    __tablename__ = "patient"
    __table_args__ = (
        Index("ix_patient_registered", "registered", "key"),
        Index(
            "uq_patient_id_card",
            "id_card",
            unique=True,
            sqlite_where=text("id_card <> ''"),
            postgresql_where=text("id_card <> ''"),
        ),
        Index(
            "uq_patient_barcode",
            "barcode",
            unique=True,
            sqlite_where=text("barcode <> ''"),
            postgresql_where=text("barcode <> ''"),
        ),
    )

    key: Mapped[Key]
    patient_id: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    birth_date: Mapped[str] = mapped_column(String(8))
    sex: Mapped[str] = mapped_column(String(1))
    id_card: Mapped[str] = mapped_column(String(32), index=True, default="")
    hospital_number: Mapped[str] = mapped_column(String(32), index=True, default="")
    barcode: Mapped[str] = mapped_column(String(32), index=True, default="")
    phone: Mapped[str] = mapped_column(String(32), default="")
    address: Mapped[str] = mapped_column(String(200), default="")
    pinyin: Mapped[str] = mapped_column(String(120), index=True, default="")
    initials: Mapped[str] = mapped_column(String(32), index=True, default="")
    photo: Mapped[str] = mapped_column(String(120), default="")
    alerts: Mapped[str] = mapped_column(String(200), default="")
    merged_into: Mapped[str] = mapped_column(String(16), index=True, default="", server_default="")
    registered: Mapped[Time]
    registered_by: Mapped[Text64]

    courses: Mapped[list["Course"]] = relationship(
        back_populates="patient", order_by="Course.created", lazy="select"
    )


class Course(Base):
    """One course of treatment for one diagnosis.

    `source`: outpatient or inpatient. `diagnosis_code`: code of the department's diagnosis, linked to
    `icd11` and `icd10`; `diagnosis` and `diagnosis_en` are then its two names. Words of a person stand in
    `diagnosis` alone. `stage`: as its staging table says (T2 N0 M0, IIB). `physician`: user in charge.
    `charging`: what the hospital's system says of payment.
    """

    __tablename__ = "course"

    key: Mapped[Key]
    patient_key: Mapped[str] = mapped_column(ForeignKey("patient.key"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    diagnosis: Mapped[str] = mapped_column(String(500))
    diagnosis_en: Mapped[str] = mapped_column(String(500), default="", server_default="")
    diagnosis_code: Mapped[str] = mapped_column(String(32), index=True, default="")
    icd11: Mapped[str] = mapped_column(String(32), index=True, default="")
    icd10: Mapped[str] = mapped_column(String(16), index=True, default="")
    stage: Mapped[str] = mapped_column(String(80), default="")
    technique: Mapped[str] = mapped_column(String(32), index=True, default="")
    source: Mapped[str] = mapped_column(String(16), default="outpatient")
    ward: Mapped[str] = mapped_column(String(64), default="")
    bed: Mapped[str] = mapped_column(String(16), default="")
    physician: Mapped[str] = mapped_column(String(64), index=True, default="")
    charging: Mapped[str] = mapped_column(String(32), default="")
    state: Mapped[CourseState] = mapped_column(of_states(CourseState), index=True, default=CourseState.ACTIVE)
    state_reason: Mapped[str] = mapped_column(String(500), default="")
    changed: Mapped[OptionalTime]
    created: Mapped[Time]
    created_by: Mapped[Text64]

    patient: Mapped[Patient] = relationship(back_populates="courses")
    prescriptions: Mapped[list["Prescription"]] = relationship(
        back_populates="course", order_by="Prescription.created"
    )

    @property
    def diagnosis_text(self) -> str:
        """The diagnosis in the reader's language; a person's own words as they were written."""
        return self.diagnosis if language() == "zh" or not self.diagnosis_en else self.diagnosis_en


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

"""What the DICOM archive holds."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ois_bridge.models.base import Base, Text64, Time, Uid
from ois_bridge.models.clinical import Patient


class DicomSeries(Base):
    """A series, with the patient as its own objects state it. `patient_key` is null while unassigned."""

    __tablename__ = "dicom_series"

    series_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    study_uid: Mapped[str] = mapped_column(String(64), index=True)
    modality: Mapped[str] = mapped_column(String(16))
    description: Mapped[Text64] = mapped_column(default="")
    patient_key: Mapped[str | None] = mapped_column(ForeignKey("patient.key"), index=True)
    stated_id: Mapped[str] = mapped_column(String(64), index=True)
    stated_name: Mapped[str] = mapped_column(String(200))
    stated_birth_date: Mapped[str] = mapped_column(String(8))
    stated_sex: Mapped[str] = mapped_column(String(16))
    created: Mapped[Time]

    patient: Mapped[Patient | None] = relationship()
    instances: Mapped[list["DicomInstance"]] = relationship(back_populates="series")


class DicomInstance(Base):
    """One object. `content_hash`: SHA-256 of the canonical data set; `file_hash`: of the file at rest.

    `path` is relative to the archive; `refers_to`: SOP Instance UID of the plan that a dose or record is of,
    or of the structure set that a plan is of.
    """

    __tablename__ = "dicom_instance"

    sop_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    sop_class_uid: Mapped[Uid]
    series_uid: Mapped[str] = mapped_column(ForeignKey("dicom_series.series_uid"), index=True)
    number: Mapped[int] = mapped_column(default=0)
    refers_to: Mapped[str] = mapped_column(String(64), index=True, default="")
    path: Mapped[str] = mapped_column(String(255), unique=True)
    content_hash: Mapped[Uid]
    file_hash: Mapped[Uid]
    size: Mapped[int]
    received: Mapped[Time]
    received_from: Mapped[str] = mapped_column(String(16))

    series: Mapped[DicomSeries] = relationship(back_populates="instances", lazy="joined")

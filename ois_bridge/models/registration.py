"""What the front desk leaves behind: earlier values of patient data, serial numbers, forms already taken."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from ois_bridge.models.base import Base, Key, Text64, Time


class PatientChange(Base):
    """One field of a patient that was changed: the value before and after, and by whom."""

    __tablename__ = "patient_change"

    key: Mapped[Key]
    patient_key: Mapped[str] = mapped_column(ForeignKey("patient.key"), index=True)
    field: Mapped[str] = mapped_column(String(32))
    old: Mapped[str] = mapped_column(String(200))
    new: Mapped[str] = mapped_column(String(200))
    changed: Mapped[Time]
    changed_by: Mapped[Text64]


class SerialNumber(Base):
    """The last number given in a series (a prefix and a day of barcodes, a year of patient IDs)."""

    __tablename__ = "serial_number"

    series: Mapped[str] = mapped_column(String(64), primary_key=True)
    last: Mapped[int]


class Submission(Base):
    """A form that was taken: the same one sent twice (a double click) makes nothing twice."""

    __tablename__ = "submission"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    patient_key: Mapped[str] = mapped_column(ForeignKey("patient.key"))
    made: Mapped[Time]

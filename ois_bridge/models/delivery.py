"""Which fraction a visit delivered, and what was written on paper while the OIS was away."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ois_bridge.models.appointments import Appointment
from ois_bridge.models.base import Base, OptionalTime, Text64, Time
from ois_bridge.models.treatment import Fraction


class VisitDelivery(Base):
    """The fraction that a treatment record binds to a visit. `state`: that of the fraction by then."""

    __tablename__ = "visit_delivery"

    appointment_key: Mapped[str] = mapped_column(
        ForeignKey("appointment.key", ondelete="CASCADE"), primary_key=True
    )
    fraction_key: Mapped[str] = mapped_column(ForeignKey("fraction.key"), index=True)
    state: Mapped[str] = mapped_column(String(16))
    time: Mapped[Time]

    fraction: Mapped[Fraction] = relationship()


class PaperEntry(Base):
    """What the paper of a downtime says of a visit. `outcome`: done, partial, missed."""

    __tablename__ = "paper_entry"

    appointment_key: Mapped[str] = mapped_column(
        ForeignKey("appointment.key", ondelete="CASCADE"), primary_key=True
    )
    outcome: Mapped[str] = mapped_column(String(16))
    arrived: Mapped[OptionalTime]
    ended: Mapped[OptionalTime]
    note: Mapped[str] = mapped_column(String(200), default="")
    entered: Mapped[Time]
    entered_by: Mapped[Text64]

    appointment: Mapped[Appointment] = relationship()

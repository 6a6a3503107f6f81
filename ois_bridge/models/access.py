"""Records that only some may open."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from ois_bridge.models.base import Base, OptionalTime, Text64, Time


class Restriction(Base):
    """A patient whose record is open to the care team only (a colleague, a person in public life)."""

    __tablename__ = "restriction"

    patient_key: Mapped[str] = mapped_column(ForeignKey("patient.key"), primary_key=True)
    reason: Mapped[str] = mapped_column(String(200))
    since: Mapped[Time]
    set_by: Mapped[Text64]


class CareTeamMember(Base):
    """One member of a patient's care team. `until`: an opening in need ends, and is kept with its reason."""

    __tablename__ = "care_team_member"

    patient_key: Mapped[str] = mapped_column(ForeignKey("patient.key"), primary_key=True)
    user: Mapped[str] = mapped_column(String(64), primary_key=True)
    until: Mapped[OptionalTime]
    reason: Mapped[str] = mapped_column(String(200), default="")
    since: Mapped[Time] = mapped_column(primary_key=True)

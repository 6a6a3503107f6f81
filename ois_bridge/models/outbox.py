"""What leaves the house: notices and messages. Written in the transaction of the deed, sent after it."""

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ois_bridge.domain.outgoing_states import OutgoingState
from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time, of_states


class Outgoing(Base):
    """One message. `channel`: sms, wechat, hl7, ...; `about`: key of what it tells of, or empty.

    `key` goes with every attempt, so that the receiver knows a repetition. `recipient` and `content` are
    a patient's data: shown to those who may, never logged.
    """

    __tablename__ = "outgoing"
    __table_args__ = (Index("ix_outgoing_state_next_try", "state", "next_try"),)

    key: Mapped[Key]
    channel: Mapped[str] = mapped_column(String(16))
    kind: Mapped[Text64]
    about: Mapped[str] = mapped_column(String(64), index=True, default="")
    recipient: Mapped[str] = mapped_column(String(120))
    content: Mapped[str] = mapped_column(Text)
    state: Mapped[OutgoingState] = mapped_column(of_states(OutgoingState), index=True)
    tries: Mapped[int] = mapped_column(default=0)
    next_try: Mapped[Time]
    error: Mapped[str] = mapped_column(String(500), default="")
    created: Mapped[Time]
    created_by: Mapped[Text64]
    sent: Mapped[OptionalTime]

"""What leaves the house: notices and messages. Written in the transaction of the deed, sent after it."""

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time


class Outgoing(Base):
    """One message. `channel`: sms, wechat, hl7, ...; `state`: QUEUED, SENT, FAILED (may be sent again).

    `recipient` and `content` are a patient's data: shown to those who may, never logged.
    """

    __tablename__ = "outgoing"

    key: Mapped[Key]
    channel: Mapped[str] = mapped_column(String(16))
    kind: Mapped[Text64]
    recipient: Mapped[str] = mapped_column(String(120))
    content: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16), index=True)
    tries: Mapped[int] = mapped_column(default=0)
    next_try: Mapped[Time]
    error: Mapped[str] = mapped_column(String(500), default="")
    created: Mapped[Time]
    created_by: Mapped[Text64]
    sent: Mapped[OptionalTime]

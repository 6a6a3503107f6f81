"""Pictures of the waiting hall's screen."""

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, deferred, mapped_column

from ois_bridge.models.base import Base, Key, Text64, Time


class ScreenPicture(Base):
    """A picture or animation, encoded anew by the OIS. `seconds`: how long it is shown; `size`: bytes."""

    __tablename__ = "screen_picture"

    key: Mapped[Key]
    name: Mapped[str] = mapped_column(String(80))
    seconds: Mapped[int]
    size: Mapped[int]
    animated: Mapped[bool]
    active: Mapped[bool]
    created: Mapped[Time]
    created_by: Mapped[Text64]
    content: Mapped[bytes] = deferred(mapped_column(LargeBinary, nullable=False))

"""Accounts, their roles, and the sessions of the web pages."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time


class Account(Base):
    """A person who may log in. `password_hash`: Argon2id, encoded."""

    __tablename__ = "account"

    key: Mapped[Key]
    user: Mapped[str] = mapped_column(String(64), unique=True)
    full_name: Mapped[Text64]
    password_hash: Mapped[str] = mapped_column(String(255))
    active: Mapped[bool] = mapped_column(default=True)
    failures: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[OptionalTime]
    created: Mapped[Time]

    role_rows: Mapped[list["AccountRole"]] = relationship(cascade="all, delete-orphan", lazy="selectin")

    @property
    def roles(self) -> frozenset[str]:
        """Names of the roles."""
        return frozenset(row.role for row in self.role_rows)


class AccountRole(Base):
    """One role of one account."""

    __tablename__ = "account_role"

    account_key: Mapped[str] = mapped_column(ForeignKey("account.key", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(String(32), primary_key=True)


class WebSession(Base):
    """A log-in of the web pages. The cookie's secret is kept as its SHA-256 only."""

    __tablename__ = "web_session"

    secret_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_key: Mapped[str] = mapped_column(ForeignKey("account.key", ondelete="CASCADE"), index=True)
    csrf_token: Mapped[Text64]
    created: Mapped[Time]
    last_seen: Mapped[Time]

    account: Mapped[Account] = relationship(lazy="joined")

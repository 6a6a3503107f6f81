"""Accounts, their roles, the sessions of the web pages, and the keys of other systems."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ois_bridge.models.base import Base, Key, OptionalTime, Text64, Time


class Account(Base):
    """A person who may log in. `password_hash`: Argon2id, encoded.

    `last_log_in`: the last time its password was right, at a log-in or a signature.
    `must_change`: the password was set by somebody else; nothing but a new one is taken until then.
    """

    __tablename__ = "account"

    key: Mapped[Key]
    user: Mapped[str] = mapped_column(String(64), unique=True)
    full_name: Mapped[Text64]
    password_hash: Mapped[str] = mapped_column(String(255))
    active: Mapped[bool] = mapped_column(default=True)
    failures: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[OptionalTime]
    must_change: Mapped[bool] = mapped_column(default=False)
    password_changed: Mapped[OptionalTime]
    last_log_in: Mapped[OptionalTime]
    created: Mapped[Time]

    role_rows: Mapped[list["AccountRole"]] = relationship(cascade="all, delete-orphan", lazy="selectin")

    @property
    def roles(self) -> frozenset[str]:
        """Names of the roles."""
        return frozenset(row.role for row in self.role_rows)


class AccountRole(Base):
    """One role of one account, since when, and who gave it."""

    __tablename__ = "account_role"

    account_key: Mapped[str] = mapped_column(ForeignKey("account.key", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(String(32), primary_key=True)
    since: Mapped[OptionalTime]
    given_by: Mapped[str] = mapped_column(String(64), default="")


class WebSession(Base):
    """A log-in of the web pages. The cookie's secret is kept as its SHA-256 only."""

    __tablename__ = "web_session"

    secret_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_key: Mapped[str] = mapped_column(ForeignKey("account.key", ondelete="CASCADE"), index=True)
    csrf_token: Mapped[Text64]
    created: Mapped[Time]
    last_seen: Mapped[Time]

    account: Mapped[Account] = relationship(lazy="joined")


class ApiKey(Base):
    """Lets another system use the REST interface. The secret is kept as its SHA-256 only.

    `scopes`: names of Actions, separated by spaces; `ended`: when it was withdrawn.
    """

    __tablename__ = "api_key"

    key: Mapped[Key]
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[Text64]
    scopes: Mapped[str] = mapped_column(String(1000))
    created: Mapped[Time]
    created_by: Mapped[Text64]
    expires: Mapped[Time]
    last_used: Mapped[OptionalTime]
    ended: Mapped[OptionalTime]

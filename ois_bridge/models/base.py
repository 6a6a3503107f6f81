"""What all tables share: naming of constraints, types of columns, keys."""

import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from sqlalchemy import DateTime, Dialect, Enum, MetaData, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMING)


class UtcDateTime(TypeDecorator[datetime]):
    """Timezone-aware times, kept in UTC (SQLite keeps no zone)."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """To the database. Raises ValueError for a time without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be kept")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, _dialect: Dialect) -> datetime | None:
        """From the database."""
        return None if value is None else value.replace(tzinfo=UTC)


def new_key() -> str:
    """A random key: what stands in an address tells nothing about its patient."""
    return secrets.token_hex(8)


Key = Annotated[str, mapped_column(String(16), primary_key=True, default=new_key)]
Uid = Annotated[str, mapped_column(String(64))]
Text64 = Annotated[str, mapped_column(String(64))]
Time = Annotated[datetime, mapped_column(UtcDateTime)]
OptionalTime = Annotated[datetime | None, mapped_column(UtcDateTime)]


def of_states(kind: type[StrEnum]) -> Enum:
    """The column type of a state: kept by its name (ACTIVE), so that its text may be reworded."""
    return Enum(kind, native_enum=False, length=16, create_constraint=False)

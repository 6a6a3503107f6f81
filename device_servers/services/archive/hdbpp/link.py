"""The connection to PostgreSQL: found again after it was lost, its errors in the house's words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict

from common.errors import BadConfig, BadInput
from common.text import _

CONNECT_S = 5
STATEMENT_MS = 600_000
_NOT_NOW = (
    psycopg.OperationalError,
    psycopg.InternalError,
    psycopg.InterfaceError,
    psycopg.errors.UniqueViolation,
    psycopg.errors.InsufficientPrivilege,
)


def libpq(url: str) -> str:
    """The URL as libpq reads it; SQLAlchemy's `postgresql+psycopg://` is taken too. Raises BadConfig."""
    plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
    try:
        if not plain.startswith("postgresql://"):
            raise psycopg.ProgrammingError("no postgresql:// at its beginning")
        conninfo_to_dict(plain)
    except psycopg.ProgrammingError as why:
        # the URL itself is not repeated: it may hold a password
        raise BadConfig(
            _("the archive's store is no PostgreSQL URL; write postgresql://USER@HOST/DATABASE")
        ) from why
    return plain


class Link:
    """One connection, made when it is needed and after it broke. For one thread at a time.

    Raises OSError for everything that the server or the way to it is the cause of: try again later.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        read_only: bool = False,
        on_open: Callable[[Connection[Any]], None] = lambda _connection: None,
    ) -> None:
        """on_open: called with every new connection before its first use; what it raises closes it."""
        self._url = libpq(url)
        self._name = name
        self._read_only = read_only
        self._on_open = on_open
        self._connection: Connection[Any] | None = None

    @property
    def connected(self) -> bool:
        """Whether a connection stands, as far as is known."""
        return self._connection is not None and not self._connection.closed

    @contextmanager
    def transaction(self) -> Iterator[Connection[Any]]:
        """A connection inside a transaction: all of the block is kept, or nothing. Raises OSError."""
        with told():
            connection = self._open()
            with connection.transaction():
                yield connection

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            fresh = psycopg.connect(
                self._url, autocommit=True, connect_timeout=CONNECT_S, application_name=self._name
            )
            try:
                if self._read_only:
                    fresh.execute("SET default_transaction_read_only = on")
                fresh.execute(sql.SQL("SET statement_timeout = {}").format(STATEMENT_MS))
                fresh.execute("SET timezone = 'UTC'")
                self._on_open(fresh)
            except BaseException:
                fresh.close()
                raise
            self._connection = fresh
        return self._connection


@contextmanager
def told() -> Iterator[None]:
    """Errors of the driver as OSError (try again) or BadInput (the data cannot be kept)."""
    try:
        yield
    except psycopg.errors.UndefinedTable as why:
        raise BadInput(_("this database holds no archive; let the archiver write into it first")) from why
    except psycopg.DataError as why:
        raise BadInput(_("PostgreSQL does not take this: {why}").format(why=_first_line(why))) from why
    except _NOT_NOW as why:
        raise OSError(
            _("PostgreSQL does not do it now: {why}; see that it runs and has disk space").format(
                why=_first_line(why)
            )
        ) from why


def _first_line(why: psycopg.Error) -> str:
    return str(why).strip().partition("\n")[0][:200] or type(why).__name__

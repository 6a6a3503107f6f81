"""Texts in att_scalar_devstring, and states of devices in att_scalar_devstate."""

from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.sql import SQL, Composable, Identifier, Literal

from device_servers.services.archive.hdbpp import known
from device_servers.services.archive.hdbpp.rows import microseconds, seconds
from device_servers.services.archive.hdbpp.schema import INVALID, STATES, VALID
from device_servers.services.archive.layout import TEXT, Rows
from device_servers.services.archive.protocols import Word

_AT = SQL("timestamptz '2000-01-01Z' + %s * interval '1 microsecond'")
_TEXT = {
    known.TEXTS_TABLE: SQL("coalesce(value_r, '')"),
    known.STATES_TABLE: SQL(
        "coalesce(({states}::text[])[value_r + 1], "
        "(SELECT error_desc FROM att_error_desc e WHERE e.att_error_desc_id = d.att_error_desc_id), '')"
    ).format(states=Literal("{" + ",".join(STATES) + "}")),
}
_INSERT = SQL(
    "INSERT INTO {table} (att_conf_id, data_time, value_r, quality, att_error_desc_id) "
    "VALUES (%s, {at}, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_SELECT = SQL("SELECT {stamp}, {text}, quality FROM {table} d WHERE att_conf_id = %s AND {condition}")
_HERE = SQL("data_time = {at}").format(at=_AT)
_HELD = SQL("data_time < {at} ORDER BY data_time DESC LIMIT 1").format(at=_AT)
_INSIDE = SQL("data_time BETWEEN {at} AND {at} ORDER BY data_time").format(at=_AT)
_END = SQL("data_time >= {at} AND data_time < {at} ORDER BY data_time DESC LIMIT 1").format(at=_AT)
_LAST = SQL("true ORDER BY data_time DESC LIMIT 1")


def write(connection: Connection[Any], rows: Rows, control_system: str) -> None:
    """Add texts (dtype TEXT). One that is there already is left out; one at a taken time follows by 1 us."""
    numbers: dict[str, int] = {}
    stamps = microseconds(rows["time"]).tolist()
    for row, stamp in zip(rows, stamps, strict=True):
        name, text = row["name"].decode(), readable(bytes(row["text"]))
        table = known.text_table(name)
        if name not in numbers:
            numbers.update(known.register(connection, [name], table, control_system))
        _write(connection, table, numbers[name], stamp, (text, bool(row["known"])))


def readable(raw: bytes) -> str:
    """Text as PostgreSQL takes it: no NUL, no character that was cut in two."""
    return raw.decode(errors="ignore").replace("\0", "")


def _write(connection: Connection[Any], table: str, number: int, stamp: int, word: tuple[str, bool]) -> None:
    text, sure = word
    value: str | int | None = text
    error = None
    if table == known.STATES_TABLE:
        value = known.state_number(text)
        error = known.error_number(connection, text) if value is None and text else None
    for step in range(known.MOST_STEPS):
        done = connection.execute(
            _INSERT.format(table=Identifier(table), at=_AT),
            (number, stamp, value, VALID if sure else INVALID, error),
        )
        if done.rowcount:
            return
        (there,) = _select(connection, table, number, _HERE, (stamp,))
        if (there.text, there.known) == word:
            return
        if step >= known.SMALL_STEPS:
            (there,) = _select(connection, table, number, _END, (stamp, stamp + 1_000_000))
            stamp = int(microseconds(np.array([there.time]))[0])
        stamp += 1
    raise OSError("no free time for a text; see the clock of its server")


def read(connection: Connection[Any], entry: known.Known, start: int, end: int) -> list[Word]:
    """Texts between two stamps (us since 2000) in order of time, begun by the one that held at `start`."""
    held = _select(connection, entry.table, entry.number, _HELD, (start,))
    inside = _select(connection, entry.table, entry.number, _INSIDE, (start, end))
    return [Word(word.time, entry.name, word.text, word.known) for word in (*held, *inside)]


def newest(connection: Connection[Any]) -> Rows:
    """The last text of every name (dtype TEXT)."""
    found = []
    for entry in known.attributes(connection):
        if entry.table in _TEXT:
            last = _select(connection, entry.table, entry.number, _LAST, ())
            found += [(word.time, entry.name.encode(), word.text.encode(), word.known) for word in last]
    return np.array(found, TEXT)


def _select(
    connection: Connection[Any], table: str, number: int, condition: Composable, values: tuple[int, ...]
) -> list[Word]:
    query = _SELECT.format(stamp=known.STAMP, text=_TEXT[table], table=Identifier(table), condition=condition)
    rows = connection.execute(query, (number, *values)).fetchall()
    times = seconds(np.array([row[0] for row in rows], np.int64)).tolist()
    return [Word(time, "", row[1], row[2] == VALID) for time, row in zip(times, rows, strict=True)]

"""Spots in the table `ptcs_spots`, the columns of SPOT_COLUMNS."""

from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.sql import SQL, Composable, Identifier

from device_servers.services.archive.hdbpp.rows import HEADER, TRAILER, filled, parsed, row_type
from device_servers.services.archive.layout import SPOT_COLUMNS, Floats

_COLUMNS = SQL(", ").join(Identifier(name) for name in SPOT_COLUMNS)
_IN = SQL("COPY fresh_spots ({}) FROM STDIN (FORMAT BINARY)").format(_COLUMNS)
_OUT = SQL("COPY (SELECT {columns} FROM ptcs_spots {condition}) TO STDOUT (FORMAT BINARY)")
_RANGE = SQL('WHERE "time" BETWEEN %s AND %s ORDER BY "time"')
_NEWEST = SQL('ORDER BY "time" DESC LIMIT %s')
NEWEST = 50_000
"""A subscriber that joins anew brings the last spots again: so many are told from new ones."""
_ROW = row_type(*((name, ">f8") for name in SPOT_COLUMNS))


def write(connection: Connection[Any], spots: Floats) -> None:
    """Add spots, shape (n, 10); one that is there already is left out."""
    if not len(spots):
        return
    rows = filled(_ROW, len(spots))
    for column, name in enumerate(SPOT_COLUMNS):
        rows[name] = spots[:, column]
    connection.execute("CREATE TEMP TABLE fresh_spots (LIKE ptcs_spots) ON COMMIT DROP")
    with connection.cursor().copy(_IN) as out:
        out.write(HEADER + rows.tobytes() + TRAILER)
    connection.execute("INSERT INTO ptcs_spots SELECT * FROM fresh_spots ON CONFLICT DO NOTHING")


def read(connection: Connection[Any], start: float, end: float) -> Floats:
    """Spots of a range in order of time, shape (n, 10)."""
    return _read(connection, _RANGE, (start, end))


def newest(connection: Connection[Any]) -> Floats:
    """The spots written last, in order of time."""
    return _read(connection, _NEWEST, (NEWEST,))[::-1]


def _read(connection: Connection[Any], condition: Composable, values: tuple[float, ...]) -> Floats:
    query = _OUT.format(columns=_COLUMNS, condition=condition)
    with connection.cursor().copy(query, values) as found:
        rows = parsed(b"".join(bytes(piece) for piece in found), _ROW)
    return np.column_stack([rows[name].astype(float) for name in SPOT_COLUMNS])

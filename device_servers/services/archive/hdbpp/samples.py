"""A batch of samples on its way into att_scalar_devdouble: in order, each with a time of its own."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.sql import SQL, Identifier

from device_servers.services.archive.hdbpp.known import MOST_STEPS, SMALL_STEPS, STAMP, VALUES_TABLE
from device_servers.services.archive.hdbpp.rows import EPOCH_S, HEADER, TRAILER, filled, row_type
from device_servers.services.archive.hdbpp.schema import INVALID

SAMPLE = np.dtype([("id", "<i4"), ("stamp", "<i8"), ("value", "<f8")])
"""att_conf_id, us since 2000-01-01T00:00:00Z, value (NaN: unknown)."""
Samples = NDArray[np.void]

_KNOWN = row_type(("id", ">i4"), ("stamp", ">i8"), ("value", ">f8"), ("quality", ">i2"))
_UNKNOWN = row_type(("id", ">i4"), ("stamp", ">i8"), ("quality", ">i2"), ("error", ">i4"))
_LATE = row_type(("n", ">i4"), ("id", ">i4"), ("stamp", ">i8"))
_TAKEN = SQL(
    "SELECT n, att_conf_id, {stamp}, coalesce(value_r, 'NaN') FROM late JOIN {table}"
    " USING (att_conf_id, data_time) ORDER BY n"
).format(stamp=STAMP, table=Identifier(VALUES_TABLE))
_END = SQL(
    "SELECT n, last.stamp FROM late, LATERAL (SELECT {stamp} AS stamp FROM {table} d "
    " WHERE d.att_conf_id = late.att_conf_id AND d.data_time >= late.data_time "
    " AND d.data_time < late.data_time + interval '1 second' ORDER BY d.data_time DESC LIMIT 1) last "
    "WHERE n = ANY(%s)"
).format(
    stamp=SQL("((extract(epoch from d.data_time) - {}) * 1000000)::bigint").format(EPOCH_S),
    table=Identifier(VALUES_TABLE),
)
_PIECE = 250_000


def ordered(samples: Samples) -> Samples:
    """By attribute and time, without repetitions; samples of one attribute at one time follow by 1 us.

    The primary key allows one value at one time, and none that arrived is thrown away.
    """
    order = np.lexsort((samples["stamp"], samples["id"]))
    rows = samples[order]
    rows = rows[~np.r_[False, _same(rows[1:], rows[:-1])]] if len(rows) else rows
    clash = (rows["id"][1:] == rows["id"][:-1]) & (rows["stamp"][1:] == rows["stamp"][:-1])
    for number in np.unique(rows["id"][1:][clash]):
        low, high = np.searchsorted(rows["id"], [number, number + 1])
        steps = np.arange(high - low)
        rows["stamp"][low:high] = np.maximum.accumulate(rows["stamp"][low:high] - steps) + steps
    return rows


def _same(one: Samples, other: Samples) -> NDArray[np.bool_]:
    """Where two samples are one: attribute, time and value (unknown like unknown)."""
    values = (one["value"] == other["value"]) | (np.isnan(one["value"]) & np.isnan(other["value"]))
    return np.asarray((one["id"] == other["id"]) & (one["stamp"] == other["stamp"]) & values)


def copy_in(connection: Connection[Any], samples: Samples, error: int) -> None:
    """Write samples that no row stands in the way of. error: what att_error_desc says of the unknown."""
    unknown = np.isnan(samples["value"])
    target = f"COPY {VALUES_TABLE} (att_conf_id, data_time, "
    _copy(connection, f"{target} value_r, quality)", _known_rows(samples[~unknown]))
    _copy(connection, f"{target} quality, att_error_desc_id)", _unknown_rows(samples[unknown], error))


def _known_rows(samples: Samples) -> NDArray[Any]:
    rows = filled(_KNOWN, len(samples))
    for field in ("id", "stamp", "value"):
        rows[field] = samples[field]
    return rows


def _unknown_rows(samples: Samples, error: int) -> NDArray[Any]:
    rows = filled(_UNKNOWN, len(samples))
    rows["id"], rows["stamp"], rows["quality"], rows["error"] = (
        samples["id"],
        samples["stamp"],
        INVALID,
        error,
    )
    return rows


def _copy(connection: Connection[Any], target: str, rows: NDArray[Any]) -> None:
    if not len(rows):
        return
    with connection.cursor().copy(f"{target} FROM STDIN (FORMAT BINARY)".encode()) as out:
        out.write(HEADER)
        for piece in _pieces(rows):
            out.write(piece)
        out.write(TRAILER)


def _pieces(rows: NDArray[Any]) -> Iterator[bytes]:
    for first in range(0, len(rows), _PIECE):
        yield rows[first : first + _PIECE].tobytes()


def make_way(connection: Connection[Any], samples: Samples) -> Samples:
    """What is new of samples that may stand in the table already, each at a time that is free.

    A clock that was set back and a commit whose answer was lost bring such samples. Raises OSError when
    there is none for a long time.
    """
    connection.execute("CREATE TEMP TABLE late (n integer, att_conf_id integer, data_time timestamptz)")
    try:
        for step in range(MOST_STEPS):
            where, there = _standing(connection, samples)
            if not len(where):
                return samples
            repeated = where[_same(samples[where], there)]
            samples["stamp"][where] += 1
            if step >= SMALL_STEPS:
                where, ends = _ends(connection, where)
                samples["stamp"][where] = ends + 1
            samples = ordered(np.delete(samples, repeated))
    finally:
        connection.execute("DROP TABLE late")
    raise OSError("no free time for a value; see the clock of its server")


def _ends(connection: Connection[Any], where: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Indices of samples, and the last time that is taken within a second after each."""
    found = connection.execute(_END, (where.tolist(),)).fetchall()
    return np.array([row[0] for row in found], np.intp), np.array([row[1] for row in found], np.int64)


def _standing(connection: Connection[Any], samples: Samples) -> tuple[NDArray[np.intp], Samples]:
    """Indices of the samples whose place is taken, and what stands there."""
    connection.execute("TRUNCATE late")
    rows = filled(_LATE, len(samples))
    rows["n"], rows["id"], rows["stamp"] = np.arange(len(samples)), samples["id"], samples["stamp"]
    _copy(connection, "COPY late", rows)
    found = connection.execute(_TAKEN).fetchall()
    there = np.array([tuple(row[1:]) for row in found], SAMPLE)
    return np.array([row[0] for row in found], np.intp), there

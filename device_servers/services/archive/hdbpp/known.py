"""The attributes that a database knows: names, ids in att_conf, and the last sample and text of each."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.sql import SQL, Identifier

from common.errors import BadInput
from device_servers.services.archive.hdbpp.rows import EPOCH_S
from device_servers.services.archive.hdbpp.schema import STATES, table_name

VALUES_TABLE = table_name("DEV_DOUBLE")
TEXTS_TABLE = table_name("DEV_STRING")
STATES_TABLE = table_name("DEV_STATE")
KIND_OF = {VALUES_TABLE: "DEV_DOUBLE", TEXTS_TABLE: "DEV_STRING", STATES_TABLE: "DEV_STATE"}
STAMP = SQL("((extract(epoch from data_time) - {}) * 1000000)::bigint").format(EPOCH_S)
"""data_time as a whole number of microseconds since 2000: what a binary COPY takes."""
_NEWEST = SQL(
    "SELECT n, last.stamp, last.value FROM unnest(%s::integer[]) n, LATERAL ("
    " SELECT {stamp} AS stamp, coalesce(value_r, 'NaN') AS value FROM {table}"
    " WHERE att_conf_id = n ORDER BY data_time DESC LIMIT 1) last"
).format(stamp=STAMP, table=Identifier(VALUES_TABLE))

_NAME = SQL("domain || '/' || family || '/' || member || '/' || name")
_ALL = SQL(
    "SELECT {name}, att_conf_id, table_name FROM att_conf WHERE table_name = ANY(%s) ORDER BY 1"
).format(name=_NAME)
_ADD = SQL(
    "INSERT INTO att_conf (att_name, att_conf_type_id, att_conf_format_id, att_conf_write_id,"
    " table_name, cs_name, domain, family, member, name) "
    "SELECT n.full_name, t.att_conf_type_id, f.att_conf_format_id, w.att_conf_write_id,"
    " %s, %s, n.domain, n.family, n.member, n.name "
    "FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])"
    " AS n(full_name, domain, family, member, name), "
    "att_conf_type t, att_conf_format f, att_conf_write w "
    "WHERE t.type = %s AND f.format = 'SCALAR' AND w.write = 'READ' ON CONFLICT DO NOTHING"
)
_FIND = SQL("SELECT att_conf_id, att_name FROM att_conf WHERE att_name = ANY(%s) AND table_name = %s")
_DESCRIBE = SQL(
    "INSERT INTO att_parameter (att_conf_id, recv_time, label) "
    "SELECT att_conf_id, now(), name FROM att_conf WHERE att_conf_id = ANY(%s) "
    "AND NOT EXISTS (SELECT 1 FROM att_parameter p WHERE p.att_conf_id = att_conf.att_conf_id)"
)
_REMEMBER = SQL(
    "INSERT INTO att_history (att_conf_id, att_history_event_id, event_time) "
    "SELECT att_conf_id, att_history_event_id, now() FROM att_conf, att_history_event "
    "WHERE event = 'add' AND att_conf_id = ANY(%s) "
    "AND NOT EXISTS (SELECT 1 FROM att_history h WHERE h.att_conf_id = att_conf.att_conf_id)"
)
SMALL_STEPS, MOST_STEPS = 10, 1000
"""Of the tries to find a free time the first are 1 us apart; each later one goes behind all of a second."""


@dataclass(frozen=True)
class Known:
    """One row of att_conf: "device/attribute" as it was first written, its id and its data table."""

    name: str
    number: int
    table: str


def attributes(connection: Connection[Any]) -> list[Known]:
    """Everything of att_conf that this archive writes, by name."""
    found = connection.execute(_ALL, (list(KIND_OF),))
    return [Known(*row) for row in found]


def register(
    connection: Connection[Any], names: Collection[str], table: str, control_system: str
) -> dict[str, int]:
    """Ids of attributes; new ones are added to att_conf, att_parameter and att_history.

    Tango's names have no case: one that is known in other letters is the same attribute. One that is known
    with another type gets a second row, its att_name followed by # and the type. Raises BadInput for a name
    that is not domain/family/member/attribute.
    """
    full = {f"tango://{control_system}/{name}".lower(): name for name in names}
    found = _register(connection, full, table, control_system)
    missing = {f"{long}#{KIND_OF[table].lower()}": name for long, name in full.items() if long not in found}
    found |= _register(connection, missing, table, control_system)
    by_name = {full.get(long, missing.get(long, "")).lower(): number for long, number in found.items()}
    return {name: by_name[name.lower()] for name in names}


def _register(
    connection: Connection[Any], full: Mapping[str, str], table: str, control_system: str
) -> dict[str, int]:
    """Ids by att_name; those that stand there with another type are left out."""
    if not full:
        return {}
    parts = [list(column) for column in zip(*(parts_of(name) for name in full.values()), strict=True)]
    connection.execute(_ADD, (table, control_system, list(full), *parts, KIND_OF[table]))
    rows = connection.execute(_FIND, (list(full), table)).fetchall()
    found = {str(long): int(number) for number, long in rows}
    connection.execute(_DESCRIBE, (list(found.values()),))
    connection.execute(_REMEMBER, (list(found.values()),))
    return found


def parts_of(name: str) -> tuple[str, ...]:
    """domain, family, member, attribute. Raises BadInput."""
    parts = tuple(name.split("/"))
    if len(parts) != 4 or not all(parts):
        raise BadInput(f"{name!r} is no attribute; write domain/family/member/attribute")
    return parts


def newest(connection: Connection[Any], numbers: Iterable[int]) -> NDArray[np.void]:
    """The last sample of each of the ids that has one: (id, stamp in us since 2000, value or NaN)."""
    found = connection.execute(_NEWEST, (list(numbers),)).fetchall()
    return np.array(found, [("id", "<i4"), ("stamp", "<i8"), ("value", "<f8")])


def error_number(connection: Connection[Any], text: str) -> int:
    """The id of a text in att_error_desc; it is added where it is missing."""
    connection.execute("INSERT INTO att_error_desc (error_desc) VALUES (%s) ON CONFLICT DO NOTHING", (text,))
    row = connection.execute(
        "SELECT att_error_desc_id FROM att_error_desc WHERE error_desc = %s", (text,)
    ).fetchone()
    if row is None:
        raise OSError("att_error_desc took no text")
    return int(row[0])


def text_table(name: str) -> str:
    """Where the texts of an attribute go: a device's State has a table of its own in HDB++."""
    return STATES_TABLE if name.endswith("/State") else TEXTS_TABLE


def state_number(text: str) -> int | None:
    """Tango's number of a state's name; None for what is no state."""
    return STATES.index(text) if text in STATES else None

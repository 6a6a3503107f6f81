"""The tables of HDB++ on plain PostgreSQL, so that its readers find what they look for.

Source of names and columns: the schema of the HDB++ project for TimescaleDB (hdbpp-timescale-project,
resources/schema). Different here: no TimescaleDB (no chunks by time, no compression, no continuous
aggregates); the primary key (att_conf_id, data_time) is the only index of a data table, it serves both
directions of time; data tables have no foreign keys, for each would cost a look-up per value, and the
writer takes its ids from att_conf alone. Two tables are added: `ptcs_spots`, which HDB++ has no place for,
and `ptcs_layout`, which says who made the tables.
"""

from collections.abc import Iterable, Iterator, Sequence

from psycopg.sql import SQL, Composed, Identifier, Literal

LAYOUT = "ptcs-hdbpp-1"

TYPES: dict[str, tuple[int, str]] = {
    "DEV_BOOLEAN": (1, "boolean"),
    "DEV_SHORT": (2, "smallint"),
    "DEV_LONG": (3, "integer"),
    "DEV_FLOAT": (4, "real"),
    "DEV_DOUBLE": (5, "double precision"),
    "DEV_USHORT": (6, "ushort"),
    "DEV_ULONG": (7, "ulong"),
    "DEV_STRING": (8, "text"),
    "DEV_STATE": (19, "integer"),
    "DEV_UCHAR": (22, "uchar"),
    "DEV_LONG64": (23, "bigint"),
    "DEV_ULONG64": (24, "ulong64"),
    "DEV_ENCODED": (28, "bytea"),
    "DEV_ENUM": (30, "smallint"),
}
"""Tango's data types: number, and the PostgreSQL type of their values."""

FORMATS = {"SCALAR": 0, "SPECTRUM": 1, "IMAGE": 2}
WRITES = {"READ": 0, "READ_WITH_WRITE": 1, "WRITE": 2, "READ_WRITE": 3}
HISTORY = ("add", "remove", "start", "stop", "crash", "pause")

STATES = (
    "ON",
    "OFF",
    "CLOSE",
    "OPEN",
    "INSERT",
    "EXTRACT",
    "MOVING",
    "STANDBY",
    "FAULT",
    "INIT",
    "RUNNING",
    "ALARM",
    "DISABLE",
    "UNKNOWN",
)
"""Tango's states by their numbers, as HDB++ stores them."""

VALID, INVALID = 0, 1
"""Tango's qualities ATTR_VALID and ATTR_INVALID."""

_DOMAINS = {
    "uchar": ("numeric(3)", "255"),
    "ushort": ("numeric(5)", "65535"),
    "ulong": ("numeric(10)", "4294967295"),
    "ulong64": ("numeric(20)", "18446744073709551615"),
}

_CONFIGURATION = """
CREATE TABLE IF NOT EXISTS att_conf_type (
    att_conf_type_id serial PRIMARY KEY, type text NOT NULL UNIQUE, type_num smallint NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS att_conf_format (
    att_conf_format_id serial PRIMARY KEY, format text NOT NULL UNIQUE, format_num smallint NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS att_conf_write (
    att_conf_write_id serial PRIMARY KEY, write text NOT NULL UNIQUE, write_num smallint NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS att_conf (
    att_conf_id serial PRIMARY KEY,
    att_name text NOT NULL UNIQUE,
    att_conf_type_id smallint NOT NULL REFERENCES att_conf_type,
    att_conf_format_id smallint NOT NULL REFERENCES att_conf_format,
    att_conf_write_id smallint NOT NULL REFERENCES att_conf_write,
    table_name text NOT NULL,
    cs_name text NOT NULL DEFAULT '',
    domain text NOT NULL DEFAULT '',
    family text NOT NULL DEFAULT '',
    member text NOT NULL DEFAULT '',
    name text NOT NULL DEFAULT '',
    ttl integer,
    hide boolean DEFAULT false);
CREATE TABLE IF NOT EXISTS att_history_event (
    att_history_event_id serial PRIMARY KEY, event text NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS att_history (
    att_conf_id integer NOT NULL REFERENCES att_conf,
    att_history_event_id integer NOT NULL REFERENCES att_history_event,
    event_time timestamp with time zone,
    details json,
    PRIMARY KEY (att_conf_id, event_time));
CREATE TABLE IF NOT EXISTS att_parameter (
    att_conf_id integer NOT NULL REFERENCES att_conf,
    recv_time timestamp with time zone NOT NULL,
    label text NOT NULL DEFAULT '',
    unit text NOT NULL DEFAULT '',
    standard_unit text NOT NULL DEFAULT '',
    display_unit text NOT NULL DEFAULT '',
    format text NOT NULL DEFAULT '',
    archive_rel_change text NOT NULL DEFAULT '',
    archive_abs_change text NOT NULL DEFAULT '',
    archive_period text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '',
    details json);
CREATE INDEX IF NOT EXISTS att_parameter_att_conf_id_idx ON att_parameter (att_conf_id);
CREATE TABLE IF NOT EXISTS att_error_desc (
    att_error_desc_id serial PRIMARY KEY, error_desc text NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS ptcs_spots (
    "time" double precision, "index" double precision, x double precision, y double precision,
    size_x double precision, size_y double precision, "primary" double precision,
    secondary double precision, start_tick double precision, end_tick double precision,
    PRIMARY KEY ("time", "index", end_tick));
CREATE TABLE IF NOT EXISTS ptcs_layout (layout text PRIMARY KEY);
"""


def table_name(kind: str, *, array: bool = False) -> str:
    """The data table of a Tango type: att_scalar_devdouble for DEV_DOUBLE."""
    return f"att_{'array' if array else 'scalar'}_{kind.replace('_', '').lower()}"


def statements() -> Iterator[bytes | Composed]:
    """What makes the tables where they are missing, in order; may be done again at any time."""
    for name, (base, most) in _DOMAINS.items():
        yield (
            f"DO $$ BEGIN CREATE DOMAIN {name} AS {base} CHECK (VALUE >= 0 AND VALUE <= {most}); "
            "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        ).encode()
    yield _CONFIGURATION.encode()
    for kind, (_number, column) in TYPES.items():
        yield _data_table(kind, column, array=False)
        yield _data_table(kind, column, array=True)
    yield _rows("att_conf_type", ("type", "type_num"), [(kind, row[0]) for kind, row in TYPES.items()])
    yield _rows("att_conf_format", ("format", "format_num"), FORMATS.items())
    yield _rows("att_conf_write", ("write", "write_num"), WRITES.items())
    yield _rows("att_history_event", ("event",), [(event,) for event in HISTORY])
    yield _rows("ptcs_layout", ("layout",), [(LAYOUT,)])


def _data_table(kind: str, column: str, *, array: bool) -> bytes:
    shape = "[]" if array else ""
    values = [f"value_{way} {column}{shape}" for way in "rw"]
    if kind == "DEV_ENUM":
        values = [f"value_r_label text{shape}", values[0], f"value_w_label text{shape}", values[1]]
    return (
        f"CREATE TABLE IF NOT EXISTS {table_name(kind, array=array)} (att_conf_id integer NOT NULL, "
        f"data_time timestamp with time zone NOT NULL, {', '.join(values)}, quality smallint, "
        "att_error_desc_id integer, details json, PRIMARY KEY (att_conf_id, data_time))"
    ).encode()


def _rows(table: str, columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> Composed:
    """Rows that stand in a table from the start."""
    comma = SQL(", ")
    return SQL("INSERT INTO {} ({}) VALUES {} ON CONFLICT DO NOTHING").format(
        Identifier(table),
        comma.join(Identifier(column) for column in columns),
        comma.join(SQL("({})").format(comma.join(Literal(value) for value in row)) for row in rows),
    )

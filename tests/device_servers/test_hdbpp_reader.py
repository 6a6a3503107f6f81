"""A reader of HDB++ that is not ours, on what we wrote into PostgreSQL."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from common.errors import BadConfig, BadInput, Refused
from device_servers.services.archive.hdbpp import samples
from device_servers.services.archive.hdbpp.link import libpq
from device_servers.services.archive.hdbpp.reader import HdbReader
from device_servers.services.archive.hdbpp.writer import HdbWriter
from device_servers.services.archive.layout import TEXT
from tests.postgres import Postgres

pytestmark = pytest.mark.requirement("ACS-ARCHIVE")

T0 = 1.8e9
CURRENT, SIZE = "acs/magnet/ring-dipole/Current", "room1/beam/nozzle/SizeX"
STATE, MODE = "room1/support/couch/State", "central/mode/1/Mode"


@pytest.fixture(scope="module")
def database() -> Iterator[Callable[[], str]]:
    """Gives the URL of an empty database."""
    running = Postgres()
    url = running.new_database()
    yield lambda: running.emptied(url)
    running.stop()


@pytest.fixture
def url(database: Callable[[], str]) -> str:
    return database()


@pytest.fixture
def written(url: str) -> str:
    """A database with two attributes, one of them unknown for a while, a text and a state."""
    writer = HdbWriter(url, "demo")
    numbers = writer.channels([CURRENT, SIZE])
    steps = np.arange(500.0)
    values = np.where(steps == 77, np.nan, np.where(steps == 78, np.inf, np.sin(steps)))
    writer.write(T0 + steps / 10, np.full(500, numbers[0]), values)
    writer.write(T0 + steps, np.full(500, numbers[1]), steps**2)
    rows = np.zeros(4, TEXT)
    rows["time"], rows["known"] = T0 + np.arange(4), True
    rows["name"] = [MODE, STATE, MODE, STATE]
    rows["text"] = ["治疗".encode(), b"MOVING", b"QA", b"FAULT"]
    writer.write_texts(rows)
    writer.close()
    return url


def pyhdbpp_of(url: str) -> Any:
    """Their reader on our database."""
    module = pytest.importorskip("pyhdbpp.timescaledb", reason="pyhdbpp and psycopg2 are not installed")
    folder, name = url.partition("host=")[2], url.partition("@/")[2].partition("?")[0]
    place = {"database": name, "user": "ptcs", "password": "", "host": folder, "port": 5432}
    # it takes a second connection while it holds the first
    return module.TimescaleDbReader({**place, "connection_pool_max_conn": 2}, default_sorting="ASC")


def times_of(rows: Any) -> Any:
    """Their time stamps as seconds since the epoch."""
    return [row[0].timestamp() if isinstance(row[0], datetime) else float(row[0]) for row in rows]


def test_a_reader_of_hdbpp_finds_what_went_in(written: str) -> None:
    """Names, values, times and texts; what is unknown is no value to it."""
    theirs = pyhdbpp_of(written)
    assert set(theirs.get_attributes()) == {
        f"tango://demo/{name}".lower() for name in (CURRENT, SIZE, STATE, MODE)
    }
    assert theirs.get_attributes(pattern="*dipole*") == [f"tango://demo/{CURRENT}".lower()]
    span = datetime.fromtimestamp(T0 - 1, UTC), datetime.fromtimestamp(T0 + 1000, UTC)
    found = theirs.get_attributes_values([CURRENT, SIZE, MODE, STATE], *span)
    steps = np.arange(500.0)
    known = steps != 77
    wanted = np.where(steps == 78, np.inf, np.sin(steps))[known]
    assert [row[1] for row in found[CURRENT]] == wanted.tolist()
    assert np.allclose(times_of(found[CURRENT]), (T0 + steps / 10)[known], rtol=0, atol=1e-6)
    assert [row[1] for row in found[SIZE]] == (steps**2).tolist()
    assert [row[1] for row in found[MODE]] == ["治疗", "QA"]
    assert [row[1] for row in found[STATE]] == [6, 8]  # Tango's MOVING and FAULT
    assert {row[3] for row in found[SIZE]} == {0}
    last = theirs.get_last_attributes_values([SIZE], time_ref=span[1])[SIZE][0]
    assert last[1] == 499.0**2
    theirs.get_connection().closeall()


def test_its_tables_are_those_of_hdbpp(written: str) -> None:
    """Every data table of the schema is there, with its columns."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(libpq(written)) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        ).fetchall()
        description = connection.execute(
            "SELECT t.type, f.format, w.write, c.table_name FROM att_conf c JOIN att_conf_type t USING "
            "(att_conf_type_id) JOIN att_conf_format f USING (att_conf_format_id) JOIN att_conf_write w "
            "USING (att_conf_write_id) WHERE c.name = 'State'"
        ).fetchall()
        events = connection.execute("SELECT count(*) FROM att_history").fetchone()
    tables: dict[str, set[str]] = {}
    for table, column in rows:
        tables.setdefault(table, set()).add(column)
    data = {name for name in tables if name.startswith(("att_scalar_", "att_array_"))}
    assert len(data) == 28
    wanted = {"att_conf_id", "data_time", "value_r", "value_w", "quality", "att_error_desc_id", "details"}
    assert all(wanted <= tables[name] for name in data)
    assert {"att_conf", "att_conf_type", "att_conf_format", "att_conf_write", "att_parameter"} <= set(tables)
    assert {"att_error_desc", "att_history", "att_history_event"} <= set(tables)
    assert description == [("DEV_STATE", "SCALAR", "READ", "att_scalar_devstate")]
    assert events == (4,)


def test_one_process_writes_a_database(url: str) -> None:
    first = HdbWriter(url)
    with pytest.raises(Refused, match="another process"):
        HdbWriter(url)
    first.close()
    HdbWriter(url).close()


def test_what_a_lost_connection_took_is_written_again(url: str) -> None:
    """The server ends our session amid the work: the next commit loses nothing and repeats nothing."""
    psycopg = pytest.importorskip("psycopg")
    writer = HdbWriter(url)
    numbers = writer.channels([CURRENT])
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ptcs archiver'"
    for step in range(4):
        writer.write(np.array([T0 + step]), numbers, np.array([float(step)]))
        with psycopg.connect(libpq(url), autocommit=True) as other:
            other.execute(end)
        with pytest.raises(OSError, match="PostgreSQL"):
            writer.commit(0.0)
        assert writer.waiting == 1
        writer.commit(0.0)
    # a commit that was done and not answered: the same rows come again
    writer.write(T0 + np.arange(4.0), np.repeat(numbers, 4), np.arange(4.0))
    writer.commit(0.0)
    writer.close()
    reader = HdbReader(url)
    assert reader.read(CURRENT, T0, T0 + 9).values.tolist() == [0.0, 1.0, 2.0, 3.0]
    reader.close()


def test_samples_of_one_time_are_all_kept(url: str) -> None:
    """The table allows one value at one time: those that arrive together follow by a microsecond each."""
    writer = HdbWriter(url)
    numbers = writer.channels([CURRENT, SIZE])
    times = np.full(6, T0)
    writer.write(times, numbers[[0, 1, 0, 1, 0, 0]], np.arange(6.0))
    writer.commit(0.0)
    writer.write(times[:3], numbers[[0, 0, 1]], np.array([7.0, 2.0, 9.0]))  # 2.0 stands there already
    writer.commit(0.0)
    writer.close()
    reader = HdbReader(url)
    current, size = (reader.read(name, T0 - 1, T0 + 1) for name in (CURRENT, SIZE))
    reader.close()
    assert sorted(current.values.tolist()) == [0.0, 2.0, 4.0, 5.0, 7.0]
    assert sorted(size.values.tolist()) == [1.0, 3.0, 9.0]
    assert (np.diff(current.times) > 0).all() and current.times[-1] < T0 + 2e-5


@pytest.mark.parametrize("name", ["Current", "a/b/c", "a/b/c/d/e", "a//c/d"])
def test_names_that_are_no_attributes_are_refused(url: str, name: str) -> None:
    writer = HdbWriter(url)
    with pytest.raises(BadInput, match="domain/family/member/attribute"):
        writer.channels([name])
    assert len(writer.channels([CURRENT])) == 1
    writer.close()


def test_other_letters_and_other_types_lose_nothing(url: str) -> None:
    """Tango's names have no case; an attribute may come back as a text, or a text as a number."""
    writer = HdbWriter(url)
    for step, name in enumerate((CURRENT, CURRENT.upper())):
        writer.write(np.array([T0 + step]), writer.channels([name]), np.array([float(step)]))
    rows = np.zeros(2, TEXT)
    rows["time"], rows["known"] = T0 + np.arange(2), True
    rows["name"], rows["text"] = [CURRENT, MODE], [b"broken\xe6\x9d", b"a\0b"]
    writer.write_texts(rows)
    writer.commit(0.0)
    writer.write(np.array([T0 + 5]), writer.channels([MODE]), np.array([5.0]))
    writer.close()
    HdbWriter(url).close()
    reader = HdbReader(url)
    assert reader.read(CURRENT, T0, T0 + 9).values.tolist() == [0.0, 1.0]
    assert [word.text for word in reader.texts(CURRENT, T0, T0 + 9)] == ["broken"]
    assert [word.text for word in reader.texts(MODE, T0, T0 + 9)] == ["ab"]
    assert reader.read(MODE, T0, T0 + 9).values.tolist() == [5.0]
    reader.close()


def test_a_clock_that_stands_still_loses_nothing(url: str) -> None:
    """Two thousand values and texts of one time, in many commits."""
    writer = HdbWriter(url)
    numbers = writer.channels([CURRENT])
    for step in range(40):
        writer.write(np.full(50, T0), np.repeat(numbers, 50), 50.0 * step + np.arange(50))
        rows = np.zeros(1, TEXT)
        rows["time"], rows["name"], rows["known"], rows["text"] = T0, MODE, True, str(step)
        writer.write_texts(rows)
        writer.commit(0.0)
    writer.close()
    reader = HdbReader(url)
    found = reader.read(CURRENT, T0, T0 + 3600)
    assert sorted(found.values.tolist()) == list(range(2000))
    assert len(reader.texts(MODE, T0, T0 + 3600)) == 40
    reader.close()


def test_a_long_backlog_is_taken_down_step_by_step(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first transactions wrote is written, when a later one fails."""
    monkeypatch.setattr("device_servers.services.archive.hdbpp.writer.MOST_AT_ONCE", 250)
    writer = HdbWriter(url)
    numbers = writer.channels([CURRENT])
    for step in range(0, 1000, 100):
        steps = np.arange(step, step + 100.0)
        writer.write(T0 + steps, np.repeat(numbers, 100), steps)
    copies = iter([None, None, OSError(28, "No space left on device")])
    real = samples.copy_in

    def copy(*arguments: Any) -> None:
        why = next(copies, None)
        if why is not None:
            raise why
        real(*arguments)

    monkeypatch.setattr("device_servers.services.archive.hdbpp.placed.copy_in", copy)
    with pytest.raises(OSError, match="No space"):
        writer.commit(0.0)
    assert writer.waiting == 600
    writer.commit(0.0)
    writer.close()
    reader = HdbReader(url)
    assert reader.read(CURRENT, T0, T0 + 1e4).values.tolist() == list(range(1000))
    reader.close()


@pytest.mark.parametrize("url", ["mysql://a@b/c", "postgresql://[", "", "state/archive"])
def test_what_is_no_url_is_told_without_its_password(url: str) -> None:
    with pytest.raises(BadConfig, match="postgresql://USER@HOST/DATABASE"):
        libpq(url)


def test_a_database_without_an_archive_and_one_that_is_away(url: str) -> None:
    reader = HdbReader(url)
    with pytest.raises(BadInput, match="holds no archive"):
        reader.names()
    reader.close()
    away = HdbReader("postgresql://ptcs@127.0.0.1:1/nowhere")
    with pytest.raises(OSError, match="PostgreSQL does not do it now"):
        away.read(CURRENT, 0, 1)

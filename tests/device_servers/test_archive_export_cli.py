"""`ptcs archive` on a facility that is up, through the archiver, and on one that is down, from its files."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tango
import yaml
from bench import Bench, wait_until
from click.testing import CliRunner, Result

from common import site as sites
from common.errors import BadInput, LinkLost
from common.state import StateDir
from device_servers.server import register
from device_servers.services.archive.layout import TEXT
from device_servers.services.archive.store import Store
from ois_bridge.tango_client import TangoFacility
from ptcs import archive_plot
from ptcs.cli import main
from tests.postgres import Postgres

pytestmark = pytest.mark.requirement("ACS-ARCHIVE")

ARCHIVER = "services/archive/1"
CURRENT, PRESSURE = "acs/magnet/ring-quad-f/Current", "acs/vacuum/ring-gauge-1/Pressure"
COUCH = "room1/support/couch/State"
CLASSES = {
    "MagnetSupply",
    "VacuumGauge",
    "Couch",
    "Gantry",
    "Nozzle",
    "Interlock",
    "Timing",
    "BeamAllocation",
}


def ask(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["archive", *arguments, "--state", str(state)])


@pytest.fixture(scope="module")
def down(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory of no facility, with an archive of the hour before 2026-03-01T09:00Z."""
    state = tmp_path_factory.mktemp("down")
    begin = 1772352000.0
    store = Store(state / "archive", begin)
    numbers = store.channels([CURRENT, PRESSURE])
    steps = np.arange(3600.0)
    store.write(begin + steps, np.repeat(numbers[:1], 3600), np.where(steps % 600 < 60, np.nan, steps))
    store.write(np.array([begin - 3600]), numbers[1:], np.array([1e-9]))
    rows = np.zeros(2, TEXT)
    rows["time"], rows["name"], rows["known"] = begin + np.array([5.0, 7.0]), COUCH.encode(), True
    rows["text"] = [b"MOVING", b"FAULT"]
    store.write_texts(rows)
    store.commit(begin)
    store.close()
    return state


SPAN = ("--start", "2026-03-01T08:00Z", "--end", "2026-03-01T09:00Z")


def test_lists_and_rows(down: Path) -> None:
    assert ask(down, "list").output.split() == [CURRENT, PRESSURE]
    assert json.loads(ask(down, "list", "*/RING-quad*", "--json").output) == [CURRENT]
    none = ask(down, "list", "nothing*")
    assert (none.exit_code, "matches nothing*" in none.output) == (1, True)
    told = json.loads(ask(down, "query", CURRENT, *SPAN, "--json", "--points", "10").output)
    assert told["width"] > 0
    assert len(told["time"]) <= 10
    assert (sum(told["count"]), sum(told["unknown"])) == (3240, 360)
    assert max(value for value in told["maximum"] if value is not None) == 3599
    raw = json.loads(ask(down, "query", CURRENT, *SPAN, "--json", "--points", "5000").output)
    assert raw["width"] == 0
    assert raw["last"][:2] == [None, None]
    held = ask(down, "query", PRESSURE, *SPAN)
    assert "1e-09" in held.output
    assert "2026-03-01T07:00:00.000000Z" in held.output
    assert "FAULT" in ask(down, "query", COUCH, *SPAN).output


def test_pictures(down: Path, tmp_path: Path) -> None:
    """The plot leaves out what is unknown; what cannot be drawn is a table."""
    shown = ask(down, "query", CURRENT, *SPAN, "--plot").output
    assert re.search("[\u2801-\u28ff]", shown)
    assert " 3599 " in shown
    picture = tmp_path / "out.png"
    assert ask(down, "query", CURRENT, *SPAN, "--png", str(picture)).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "FAULT" in ask(down, "query", COUCH, *SPAN, "--plot").output


def test_a_plot_shows_what_held_and_where_nothing_is_known() -> None:
    from device_servers.services.archive.protocols import Overview

    values = np.array([1.0, np.nan, 3.0])
    counts = np.array([1, 0, 1]), np.array([0, 1, 0])
    overview = Overview(
        0.0, np.array([25.0, 50.0, 75.0]), *counts, values, values, values, values, (0.0, 1.0)
    )
    lines = archive_plot.terminal(overview, 0.0, 100.0, 51, 10)
    assert len(lines) == 10
    drawn = [line[11:] for line in lines[:8]]
    filled = [any(ord(row[column]) > 0x2800 for row in drawn) for column in range(40)]
    assert filled == [True] * 20 + [False] * 10 + [True] * 10
    low = [ord(sign) > 0x2800 for sign in drawn[-1]]
    assert low == [True] * 20 + [False] * 20
    empty = Overview(0.0, *(np.empty(0) for _ in range(7)))
    assert archive_plot.terminal(empty, 0.0, 1.0, 80, 10) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["query", "acs/magnet/ring-quad-f/Curent", *SPAN], f"did you mean {CURRENT}"),
        (["query", CURRENT, "--start", "now", "--end", "-1h"], "ends before it starts"),
        (["query", CURRENT, "--start", "2100-01-01", "--end", "2101-01-01"], "future"),
        (["query", CURRENT, "--start", "yesterday"], "no time"),
        (["query", CURRENT, "--points", "0"], "0 points"),
        (["query", CURRENT, "--points", "1000000000"], "1000000000 points"),
        (["query", CURRENT, "--csv", "/nowhere/out.csv"], "make it first"),
        (["export", CURRENT, *SPAN], "choose one of"),
        (["export", "--csv", "out.csv"], "say which attributes"),
        (["export", "x*", "--csv", "out.csv"], "matches x*"),
        (["export", "a/b/c/d", "--csv", "out.csv"], "not archived"),
        (["export", CURRENT, "--csv", "out.txt"], "must end in .csv"),
        (["export", CURRENT, "--h5", "out.h5"], "name no attributes"),
        (["export", CURRENT, *SPAN, "--csv", "/dev/full/x.csv"], "make it first"),
    ],
)
def test_bad_wishes_are_told(
    down: Path, arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = ask(down, *arguments)
    assert answer.exit_code == 1
    assert words in answer.output
    assert list(tmp_path.iterdir()) == []


def test_exports_are_whole_and_stay_out_of_the_archive(down: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    answer = ask(down, "export", "acs/*", COUCH, *SPAN, "--csv", str(path))
    assert (answer.exit_code, "3603 rows" in answer.output) == (0, True), answer.output
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3603
    assert sum(row["value"] == "" for row in rows) == 360 + 2
    whole = tmp_path / "out.h5"
    assert ask(down, "export", *SPAN, "--h5", str(whole)).exit_code == 0
    assert whole.stat().st_size > 0
    inside = ask(down, "export", CURRENT, *SPAN, "--csv", str(down / "archive" / "x.csv"))
    assert "archive itself" in inside.output
    nothing = ask(tmp_path, "list")
    assert "there is no archive" in nothing.output
    told = json.loads(ask(down, "status", "--json").output)
    assert (told["state"], told["attributes"], told["store"]) == ("DOWN", 2, "hdf5")


class Plant(Bench):
    """Two servers: `all` on fakes, and the real `services`."""

    def begin(self) -> None:
        self.start_database()
        register(sites.load(self.site_file))
        self.start_fakes()
        self.start_services()

    def start_services(self) -> None:
        self.start_server("services")
        self.wait_exported([ARCHIVER])


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A facility of two servers, as `ptcs` sees one that is up."""
    content: dict[str, Any] = yaml.safe_load(sites.DEFAULT_SITE.read_text())
    for key in ("interlock", "alarms", "settings", "control"):
        if key in content:
            content[key] = str(sites.DEFAULT_SITE.parent / content[key])
    content["servers"] = [{"name": "all"}, {"name": "services"}]
    devices = [device | {"server": "all"} for device in content["devices"] if device["class"] in CLASSES]
    archivers = [device for device in content["devices"] if device["class"] == "Archiver"]
    content["devices"] = devices + archivers
    content["archive"]["blocks"] = ["crate/server/all"]
    with Plant(tmp_path_factory.mktemp("up")) as bench:
        bench.keep_site(content)
        bench.begin()
        StateDir(bench.state).announce("database", port=bench.port)
        bench.announce()
        proxy = bench.proxy(ARCHIVER)
        wait_until(lambda: proxy.state() == tango.DevState.RUNNING and proxy.Values > 0, "values", 30)
        yield bench


def test_a_facility_that_is_up_is_asked_through_its_archiver(up: Plant) -> None:
    told = json.loads(ask(up.state, "status", "--json").output)
    assert (told["state"], told["segment"][:5]) == ("RUNNING", "open-")
    assert told["attributes"] > 10
    assert CURRENT in ask(up.state, "list", "*ring-quad-f*").output
    proxy = up.proxy(ARCHIVER)
    counted = proxy.command_inout("Names", "*/ring-quad-f/*")
    assert CURRENT in counted

    def archived() -> bool:
        found = json.loads(ask(up.state, "query", CURRENT, "--json").output)
        return bool(found["last"])

    wait_until(archived, "a sample in the open segment", 10)
    facility = TangoFacility(StateDir(up.state), sites.load(up.state / "site.yaml"))
    assert CURRENT in facility.archived("*current")
    found = facility.history(CURRENT, 0.0, 4e9, 100)
    assert found["attribute"] == CURRENT
    assert len(found["time"]) > 0
    with pytest.raises(BadInput, match="points"):
        facility.history(CURRENT, 0.0, 4e9, 10**9)
    with pytest.raises(BadInput, match="ends before"):
        facility.history(CURRENT, 2.0, 1.0, 10)
    up.stop("services")
    assert json.loads(ask(up.state, "query", CURRENT, "--json").output)["last"]
    assert json.loads(ask(up.state, "status", "--json").output)["state"] == "DOWN"
    with pytest.raises(LinkLost, match="does not answer"):
        facility.archived("*")


def test_the_site_file_moves_the_archive_into_postgresql(up: Plant, request: pytest.FixtureRequest) -> None:
    """The same commands read it, and what the database does not take waits for it."""
    server = Postgres()
    request.addfinalizer(server.stop)
    path = up.state / "site.yaml"
    content = yaml.safe_load(path.read_text())
    content["archive"]["store"] = server.new_database()
    path.write_text(yaml.safe_dump(content))
    up.start_services()
    proxy = up.proxy(ARCHIVER)
    wait_until(lambda: proxy.state() == tango.DevState.RUNNING and proxy.Values > 0, "values", 30)
    wait_until(lambda: json.loads(ask(up.state, "query", CURRENT, "--json").output)["last"], "a sample", 10)
    assert proxy.Segment == "att_scalar_devdouble"
    told = json.loads(ask(up.state, "status", "--json").output)
    assert (told["state"], told["store"], told["lost"]) == ("RUNNING", "postgresql", 0)
    assert CURRENT in ask(up.state, "list", "*/ring-*").output.split()
    assert "FAULT" not in ask(up.state, "query", COUCH).output
    copy = up.state / "copy.h5"
    rows = re.match(r"\d+", ask(up.state, "export", "--h5", str(copy)).output)
    assert rows is not None and int(rows[0]) > 0 and h5py.is_hdf5(copy)
    server.halt()
    wait_until(lambda: proxy.state() == tango.DevState.FAULT, "the fault", 30)
    server.go()
    wait_until(lambda: proxy.state() == tango.DevState.RUNNING, "all is well again", 30)
    assert proxy.Lost == 0
    up.stop("services")

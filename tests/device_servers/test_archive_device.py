"""The Archiver as a server process: what the crates push ends up on disk, whatever is killed."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tango
import yaml
from bench import Bench, wait_until
from conftest import refusal
from fakes import FPGA, MODBUS, QUANTITIES

from common import site as sites
from device_servers.registration import register
from device_servers.services.archive.answer import from_json
from device_servers.services.archive.reader import extract, read
from device_servers.sessions import close_sessions, open_sessions

pytestmark = pytest.mark.requirement("ACS-ARCHIVE")

ARCHIVER = "services/archive/1"
FAKED = {*QUANTITIES, *MODBUS, *FPGA, "Archiver"} - {"TreatmentSession"}
CURRENT = "acs/magnet/ring-quad-f/Current"
GANTRY_STATE = "room1/support/gantry/State"
EVER = (0.0, 1e12)


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

    def set_current(self, value: float) -> None:
        self.tell(f"drivers['acs/magnet/ring-quad-f'].values.update(current={value})")

    def texts(self) -> list[tuple[str, str]]:
        rows = extract(self.state / "archive", *EVER).texts
        return [(row["name"].decode(), row["text"].decode()) for row in rows]

    def currents(self) -> list[float]:
        series = read(self.state / "archive", CURRENT, *EVER)
        return [float(value) for value in series.values]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    content: dict[str, Any] = yaml.safe_load(sites.DEFAULT_SITE.read_text())
    content["interlock"] = str(sites.DEFAULT_SITE.parent / content["interlock"])
    content["servers"] = [{"name": "all"}, {"name": "services"}]
    devices = [device for device in content["devices"] if device["class"] in FAKED]
    content["devices"] = [d | {"server": "services" if d["class"] == "Archiver" else "all"} for d in devices]
    content["archive"]["blocks"] = ["crate/server/all"]
    with Plant(tmp_path_factory.mktemp("archiver")) as bench:
        bench.keep_site(content)
        bench.begin()
        yield bench


@pytest.fixture
def archiver(plant: Plant) -> Iterator[tango.DeviceProxy]:
    proxy = plant.proxy(ARCHIVER)
    wait_until(lambda: proxy.state() == tango.DevState.RUNNING, "all sources", 20)
    open_sessions(plant.token("otto", "operator"), plant.host)
    yield proxy
    close_sessions(plant.host)


def eventually(true: Callable[[], bool], what: str) -> None:
    wait_until(true, what, 15)


def test_changes_and_spots_reach_the_disk_and_the_export(
    plant: Plant, archiver: tango.DeviceProxy, tmp_path: Path
) -> None:
    for value in (10.0, 20.0, 30.0):
        plant.set_current(value)
        eventually(lambda value=value: value in plant.currents(), f"{value} A in the archive")
    rows = np.arange(40.0).reshape(4, 10) + 1.8e9
    plant.tell(f"drivers['room1/beam/nozzle'].spots = np.arange(40.0).reshape(4, 10) + {1.8e9}")
    before = archiver.Values
    eventually(lambda: archiver.Values > before, "the spots")
    archiver.Flush()
    assert archiver.Segment.startswith("open-")
    assert archiver.Lost == 0
    path = tmp_path / "out.h5"
    plant.tell("drivers['room1/support/gantry'].values.update(fault=2.0)")
    eventually(lambda: (GANTRY_STATE, "FAULT") in plant.texts(), "the State of the gantry")
    plant.tell("drivers['room1/support/gantry'].values.update(fault=0.0)")
    job = archiver.Export(json.dumps({"start": 0, "end": 4e9, "path": str(path)}))
    eventually(
        lambda: json.loads(archiver.JobStatus(job))["state"] not in ("QUEUED", "RUNNING"), "the export"
    )
    assert json.loads(archiver.JobStatus(job)) == {"state": "DONE", "error": ""}
    with h5py.File(path) as file:
        assert np.array_equal(file["spots"][:], rows)
        values = list(file[f"attributes/{CURRENT}/value"])
        assert [value for value in values if value in (10.0, 20.0, 30.0)] == [10.0, 20.0, 30.0]
        assert {"acs", "room1"} <= set(file["attributes"])
        names = {name.decode() for name in file["texts"]["name"]}
        assert {GANTRY_STATE, "central/interlock/1/FirstFault", "central/beam/allocation/Owner"} <= names


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("", "not JSON"),
        ('{"start": 0, "end": 1}', "'path' is missing"),
        ('{"start": 0, "end": 1, "path": "out.h5"}', "absolute"),
        ('{"start": 0, "end": 1, "path": "/tmp/out.txt"}', "end in .h5"),
        ('{"start": 2, "end": 1, "path": "/tmp/out.h5"}', "before it starts"),
        ('{"start": NaN, "end": 1, "path": "/tmp/out.h5"}', "finite number"),
    ],
)
def test_bad_exports_are_refused(archiver: tango.DeviceProxy, wish: str, words: str) -> None:
    assert words in refusal(archiver.Export, wish).desc


def test_export_into_the_archive_or_nowhere_fails(plant: Plant, archiver: tango.DeviceProxy) -> None:
    inside = {"start": 0, "end": 1, "path": str(plant.state / "archive" / "x.h5")}
    assert "archive itself" in refusal(archiver.Export, json.dumps(inside)).desc
    job = archiver.Export(json.dumps(inside | {"path": "/nowhere/x.h5"}))
    eventually(lambda: json.loads(archiver.JobStatus(job))["state"] == "FAILED", "the refusal")
    assert "make it first" in json.loads(archiver.JobStatus(job))["error"]


def test_query_shows_what_has_just_been_written(plant: Plant, archiver: tango.DeviceProxy) -> None:
    """Anyone may ask; the open segment is part of the answer."""
    close_sessions(plant.host)
    began = time.time()
    plant.set_current(33.0)
    wish = {"attribute": CURRENT, "start": began - 30, "end": began + 60, "points": 50}

    def last() -> float:
        return float(from_json(archiver.Query(json.dumps(wish))).last[-1])

    eventually(lambda: last() == 33.0, "33 A in the answer")
    overview = from_json(archiver.Query(json.dumps(wish | {"start": began - 1e6, "end": began + 1e6})))
    assert len(overview.times) <= 50
    assert overview.maximum.max() >= 33.0
    assert "points" in refusal(archiver.Query, json.dumps(wish | {"points": 1})).desc
    assert "before it starts" in refusal(archiver.Query, json.dumps(wish | {"end": 0})).desc
    assert "'attribute' is missing" in refusal(archiver.Query, json.dumps({"start": 0, "end": 1})).desc


def test_states_of_every_device_are_kept(plant: Plant, archiver: tango.DeviceProxy) -> None:
    names = {name for name, _ in plant.texts()}
    for device in sites.load(plant.state / "site.yaml").on_server("all"):
        assert {f"{device.name}/State", f"{device.name}/HealthState", f"{device.name}/AdminMode"} <= names
    magnet = CURRENT.removesuffix("Current")
    assert (magnet + "State", str(plant.proxy(magnet.rstrip("/")).state())) in plant.texts()
    plant.tell("drivers['acs/magnet/ring-quad-f'].values.update(fault=2.0)")
    eventually(lambda: (magnet + "State", "FAULT") in plant.texts(), "the fault")
    eventually(lambda: any(n == magnet + "Status" and t for n, t in plant.texts()), "its reason")
    plant.tell("drivers['acs/magnet/ring-quad-f'].values.update(fault=0.0)")


def test_writing_needs_a_session(plant: Plant, archiver: tango.DeviceProxy) -> None:
    close_sessions(plant.host)
    refusal(archiver.Flush)
    refusal(archiver.Export, '{"start": 0, "end": 1, "path": "/tmp/out.h5"}')


def test_a_killed_archiver_loses_nothing_flushed_and_goes_on(
    plant: Plant, archiver: tango.DeviceProxy
) -> None:
    plant.set_current(40.0)
    eventually(lambda: 40.0 in plant.currents(), "40 A in the archive")
    kept = plant.currents()
    plant.kill("services")
    assert plant.currents()[: len(kept)] == kept
    plant.set_current(50.0)
    plant.start_services()
    eventually(lambda: 50.0 in plant.currents(), "50 A after the restart")
    assert plant.currents()[: len(kept)] == kept
    assert (plant.state / "archive" / "manifest.json").exists()
    assert len(list((plant.state / "archive").glob("open-*.h5"))) == 1


def test_a_killed_server_leaves_a_gap_and_is_found_again(plant: Plant, archiver: tango.DeviceProxy) -> None:
    plant.set_current(60.0)
    eventually(lambda: 60.0 in plant.currents(), "60 A in the archive")
    plant.kill("all")
    eventually(lambda: np.isnan(plant.currents()[-1]), "the gap")
    wait_until(lambda: archiver.state() == tango.DevState.ALARM, "the alarm", 10)
    assert "crate/server/all" in archiver.status()
    plant.start_fakes()
    plant.set_current(70.0)
    eventually(lambda: plant.currents()[-1] == 70.0, "70 A after the restart")
    plant.set_current(80.0)
    eventually(lambda: plant.currents()[-1] == 80.0, "an event after the restart")
    wait_until(lambda: archiver.state() == tango.DevState.RUNNING, "all sources", 10)
    assert archiver.Lost == 0


def test_many_read_at_once_through_the_archiver(plant: Plant, archiver: tango.DeviceProxy) -> None:
    """Eight threads ask for closed segments and the open one while values arrive: none fails, none ages."""
    reads = int(os.environ.get("PTCS_READS", "160"))
    began = time.time() - 60.0
    plant.set_current(100.0)
    eventually(lambda: 100.0 in plant.currents(), "100 A in the archive")
    assert list((plant.state / "archive").glob("segment-*.h5"))
    done, errors, over = [0] * 8, [], threading.Event()

    def reading(place: int) -> None:
        with tango.EnsureOmniThread():
            proxy, newest = plant.proxy(ARCHIVER), 100.0
            for turn in range(-(-reads // 8)):
                span = {
                    "start": 0.0 if turn % 2 else began,
                    "end": time.time() + 60.0,
                    "points": 50 + turn % 9,
                }
                try:
                    answer = from_json(proxy.Query(json.dumps({"attribute": CURRENT} | span)))
                except (tango.DevFailed, ValueError, KeyError) as why:
                    errors.append(str(why))
                    continue
                if not newest <= answer.last[-1] < 1000.0:
                    errors.append(f"{answer.last[-1]} after {newest}")
                newest = float(answer.last[-1])
                done[place] += 1

    readers = [threading.Thread(target=reading, args=(place,)) for place in range(8)]
    for reader in readers:
        reader.start()
    value = 100.0
    while any(reader.is_alive() for reader in readers):
        value = min(value + 0.5, 499.0)
        plant.set_current(value)
        over.wait(0.1)
    for reader in readers:
        reader.join()
    assert not errors
    assert sum(done) >= reads

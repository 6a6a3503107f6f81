"""Post-mortems: what the beam hardware's ring buffers hold around a trip, as files that h5py reads."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from common.files import read_json
from common.site import CONFIG
from device_servers.central.post_mortem import Clerk
from device_servers.central.post_mortem_file import file_name, tick_of
from device_servers.drivers.link import FrameLink
from device_servers.drivers.post_mortem import FpgaRings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "post-mortem.md"
PRE_S, POST_S = 1.0, 0.6


def wait(done, what: str, limit_s: float = 20.0):
    end = time.monotonic() + limit_s
    while not (value := done()):
        assert time.monotonic() < end, what
        time.sleep(0.02)
    return value


def site_file(folder: Path) -> Path:
    content = yaml.safe_load((CONFIG / "demo.yaml").read_text())
    content["interlock"] = str(CONFIG / "interlock.yaml")
    content["roles"] = str(CONFIG / "roles.yaml")
    content["devices"] = [one for one in content["devices"] if one["class"] != "PostMortem"]
    content["devices"].append(
        {
            "name": "central/postmortem/1",
            "class": "PostMortem",
            "server": "central",
            "area": "central",
            "wire": "fpga",
            "plant": {"pre_s": PRE_S, "post_s": POST_S},
        }
    )
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def rings(tmp_path: Path) -> Iterator[FpgaRings]:
    """The ring buffers of a beam hardware process that has just come up; nothing else runs."""
    command = [sys.executable, "-m", "simulation.fpga", "--state", str(tmp_path)]
    with (tmp_path / "fpga.log").open("ab") as log:
        fpga = subprocess.Popen([*command, "--site", str(site_file(tmp_path))], stderr=log, stdout=log)
    run_file = tmp_path / "run" / "fpga.json"
    wait(lambda: run_file.exists() and read_json(run_file)["pid"] == fpga.pid, "fpga")
    link = FrameLink(run_file, "central")
    try:
        wait(lambda: link.up, "link")
        yield FpgaRings(link)
    finally:
        link.close()
        fpga.terminate()
        fpga.wait(10)


@pytest.mark.requirement("ACS-INTERLOCK")
def test_a_file_holds_what_was_before_and_after_and_the_page_reads_it(
    rings: FpgaRings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    woken = []
    rings.on_trip(lambda: woken.append(1))
    folder = tmp_path / "postmortem"
    clerk = Clerk("demo", folder, rings)
    ask = rings.link.request
    ask("input", {"name": "room1.door", "ok": True})
    time.sleep(0.3)
    ask("input", {"name": "emergency_stop", "ok": False})
    rings.mark("emergency stop, tried")
    ask("input", {"name": "emergency_stop", "ok": True})
    assert clerk.look() and clerk.pending == 1 and not clerk.files
    rings.mark("again, at once")
    wait(lambda: clerk.look() and clerk.files, "the file")
    (name,) = clerk.files
    assert not clerk.pending and not clerk.look()
    with h5py.File(folder / name) as file:
        trip = int(file.attrs["trip_tick"])
        assert file.attrs["site"] == "demo" and tick_of(name) == trip and file.attrs["factor"] == 10.0
        assert [cause.decode() for cause in file["trips/cause"][:]] == [
            "emergency stop, tried",
            "again, at once",
        ]
        names = [one.decode() for one in file["inputs/name"][:]]
        changes = {key: file["inputs/changes"][key][:] for key in ("tick", "time", "index", "value")}
        stop = changes["index"] == names.index("emergency_stop")
        assert list(changes["value"][stop]) == [0, 1]
        assert np.all(changes["tick"][stop] >= trip - 125e6) and -0.2 < changes["time"][stop][0] <= 0.0
        seen = file["beam/time"][:]
        assert seen[0] < -0.2 and seen[-1] > POST_S * 0.7
        assert file["beam/tick"].dtype == np.int64 and file["beam/energy"].attrs["unit"] == "MeV"
    example = re.search(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(compile(example[1], "page", "exec"), {"path": folder / name})
    assert "emergency_stop" in capsys.readouterr().out
    later = Clerk("demo", folder, rings)
    assert later.files == [name] and not later.look()


@pytest.mark.requirement("ACS-INTERLOCK")
def test_a_full_disk_is_told_and_the_file_is_written_later(rings: FpgaRings, tmp_path: Path) -> None:
    folder = tmp_path / "postmortem"
    folder.write_text("in the way of the folder")
    clerk = Clerk("demo", folder, rings)
    rings.mark("tried")
    wait(lambda: clerk.look() and clerk.problem, "the problem")
    assert "free disk space" in clerk.problem and clerk.pending == 1
    folder.unlink()
    wait(lambda: clerk.look() and clerk.files, "the file")
    assert not clerk.problem and list(folder.iterdir()) == [folder / clerk.files[0]]


def test_a_name_tells_its_tick() -> None:
    name = file_name({"wall_ns": 1_700_000_000_000_000_000, "tick": 77, "cause": "a/b c-d"})
    assert tick_of(name) == 77 and "/" not in name and " " not in name
    assert tick_of("notes.h5") is None

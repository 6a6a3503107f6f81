"""What is wrong with images and regions, typed as a user at each command and written in a script.

Each is one line of error and an exit status of 1 before any dose is calculated.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pydicom.dataset import Dataset
from tps_phantoms import NOBODY, water_box

from common import memory
from common.dicom import ct, files, ion_plan, structures
from common.dicom.ct import CtVolume
from common.dicom.plan import IonBeam, IonLayer, IonPlan
from common.dicom.structures import StructureSet
from common.errors import BadInput
from common.text import set_language
from ptcs.cli import main
from tps_engine.beamdata import ion_files
from tps_engine.dose import engines
from tps_engine.plan import setup
from tps_engine.scripting.case import Case

pytestmark = pytest.mark.requirement("TPS-SCRIPT", "TPS-DOSE", "TPS-PATIENT")
Images = tuple[CtVolume, StructureSet]
FAR = np.array([900.0, 0.0, 0.0])
DOT = (np.array([(0.0, 0.0, 0.0), (0.01, 0.0, 0.0), (0.01, 0.01, 0.0)]),)


def images() -> Images:
    """The water box as a body in air."""
    volume, drawn = water_box()
    hu = np.full_like(volume.hu, -1000.0)
    hu[2:-2, 3:-3, 3:-3] = 0.0
    return replace(volume, hu=hu), drawn


def hot(volume: CtVolume, drawn: StructureSet) -> Images:
    volume.hu[20, 30, 25] = 9000.0
    return volume, drawn


def moved(name: str) -> Callable[[CtVolume, StructureSet], Images]:
    """A region 900 mm aside."""

    def change(volume: CtVolume, drawn: StructureSet) -> Images:
        roi = drawn.rois[name]
        far = replace(roi, contours=tuple(part + FAR for part in roi.contours))
        return volume, replace(drawn, rois={**drawn.rois, name: far})

    return change


def target(*contours: Any) -> Callable[[CtVolume, StructureSet], Images]:
    """Other contours of the target."""

    def change(volume: CtVolume, drawn: StructureSet) -> Images:
        return volume, replace(
            drawn, rois={**drawn.rois, "cube": replace(drawn.rois["cube"], contours=contours)}
        )

    return change


def as_it_is(volume: CtVolume, drawn: StructureSet) -> Images:
    return volume, drawn


def stored(place: Path, change: Callable[..., Images], slope: str = "") -> None:
    """DICOM files in `ct`. slope: another RescaleSlope in one slice."""
    volume, drawn = change(*images())
    objects: list[Dataset] = list(ct.to_datasets(volume))
    if slope:
        objects[20].RescaleSlope = slope
    for number, ds in enumerate([*objects, structures.to_dataset(drawn, volume)]):
        files.write_file(ds, place / "ct" / f"{number:03}.dcm")


def planned(ion: bool) -> IonPlan:
    energy = float(ion_files.load("carbon-generic").energies[20]) if ion else 100.4
    one = np.zeros(1, dtype=np.float32)
    beam = IonBeam(1, "front", 0.0, 0.0, (0.0, 0.0, 0.0), (IonLayer(energy, one, one, one + 1.0, 9.0, 9.0),))
    uids = ("2.25.1", "1.2.1", "2.25.2", "1.2.3", "")
    return IonPlan(
        NOBODY, *uids, "plan", "G1", (beam,), 2, 1.0, "cube",
        radiation="ION" if ion else "PROTON", created="20260101120000",
    )  # fmt: skip


def late(*_all: Any, **_more: Any) -> Any:
    raise AssertionError("a dose was begun")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, where nothing that costs time may be called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(setup, "situations", late)
    monkeypatch.setattr(engines, "ENGINES", {"pb": late, "mc": late})
    monkeypatch.setattr("tps_engine.dose.ions.recompute.plan_dose", late)
    monkeypatch.setattr("tps_engine.dose.montecarlo.ions.engine.plan_dose", late)
    return tmp_path


def refused(said: str, *words: str) -> None:
    done = CliRunner().invoke(main, [*words, "--out", "out"])
    assert done.exit_code == 1, done.output
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and said in lines[0], done.stderr
    assert not Path("out").exists()


def plan_words(machine: str) -> tuple[str, ...]:
    coarse = ("--margin", "0", "--spacing", "6")
    return (
        "plan",
        "--ct",
        "ct",
        "--target",
        "cube",
        "--dose",
        "2",
        "--field",
        "A=0",
        *coarse,
        "--machine",
        machine,
    )


ANY = [
    pytest.param(hot, "", "lie outside table generic-120kv", id="HU"),
    pytest.param(as_it_is, "nan", "RescaleSlope holds a value that is no number", id="NaN"),
    pytest.param(moved("External"), "", "External lies outside the image", id="body"),
]
PLANNED = [
    pytest.param(moved("cube"), "region cube lies outside the image", id="target"),
    pytest.param(target(), "region cube has no closed contour", id="empty"),
    pytest.param(target(*DOT), "target cube encloses no voxel", id="dot"),
]


@pytest.mark.parametrize("machine", ["proton-generic", "carbon-generic"])
@pytest.mark.parametrize(("change", "slope", "said"), ANY)
def test_images_that_nothing_can_be_planned_on(
    place: Path, machine: str, change, slope: str, said: str
) -> None:
    stored(place, change, slope)
    refused(said, *plan_words(machine))


@pytest.mark.parametrize(("change", "said"), PLANNED)
def test_targets_that_cannot_be_planned(place: Path, change, said: str) -> None:
    stored(place, change)
    refused(said, *plan_words("proton-generic"))
    with pytest.raises(BadInput, match=said):
        Case.read("ct").plan("cube", dose=2.0, fractions=1, fields={"A": 0}, dose_spacing=6.0)


@pytest.mark.parametrize("engine", ["pb", "mc"])
@pytest.mark.parametrize("ion", [False, True])
@pytest.mark.parametrize(("change", "slope", "said"), ANY)
def test_images_that_no_plan_is_recomputed_on(
    place: Path, engine: str, ion: bool, change, slope: str, said: str
) -> None:
    stored(place, change, slope)
    files.write_file(ion_plan.to_dataset(planned(ion)), place / "RP.dcm")
    machine = "carbon-generic" if ion else "proton-generic"
    words = ("--plan", "RP.dcm", "--ct", "ct", "--machine", machine, "--engine", engine)
    refused(said, "dose", *words, "--dose-type", "physical")


def test_a_script_is_told_as_the_command_is(place: Path) -> None:
    """A CT in a script may hold what no DICOM file can."""
    volume, drawn = images()
    words: dict[str, Any] = {"dose": 2.0, "fractions": 1, "fields": {"A": 0}, "dose_spacing": 6.0}
    volume.hu[5, 5, 5] = np.nan
    with pytest.raises(BadInput, match="no numbers"):
        Case(volume, drawn).plan("cube", **words)
    with pytest.raises(BadInput, match="lie outside table"):
        Case(*hot(*images())).plan("cube", **words)
    told = hot(*images())
    with pytest.raises(AssertionError, match="begun"):
        Case(*told).plan("cube", outside="clamp", **words)
    with pytest.raises(BadInput, match=r"not enough memory.* would fit"):
        Case(*images()).plan("cube", memory=1_000_000, **{**words, "dose_spacing": 2.0})
    with pytest.raises(BadInput, match="allowed are cpu, cuda, auto"):
        Case(*images()).plan("cube", device="gpu", **words)


def test_too_little_memory_is_told_by_every_command(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(place, as_it_is)
    files.write_file(ion_plan.to_dataset(planned(ion=True)), place / "RP.dcm")
    monkeypatch.setattr(memory, "available", lambda: 120_000_000)
    refused("dose voxels of 0.5 mm need", *plan_words("proton-generic"), "--spacing", "0.5")
    words = ("--plan", "RP.dcm", "--ct", "ct", "--machine", "carbon-generic", "--spacing", "0.5")
    refused("not enough memory: the dose needs", "dose", *words, "--dose-type", "physical")


def test_errors_are_in_chinese_too(place: Path) -> None:
    stored(place, as_it_is)
    set_language("zh")
    try:
        refused("允许 cpu, cuda, auto", *plan_words("proton-generic"), "--device", "gpu")
        refused("没有名为 liver 的结构", *plan_words("proton-generic"), "--target", "liver")
    finally:
        set_language("en")

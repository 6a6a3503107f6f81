"""`ptcs dose` of carbon plans: physical and RBE-weighted, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from common.dicom import files, ion_plan, rt_dose
from common.dicom.plan import IonBeam, IonLayer, IonPlan, PatientIdentity
from ptcs.cli import main
from tps_engine.beamdata import bragg, ion_files

MACHINE = ion_files.load("carbon-generic")
ROW = 20
DEPTH = 60.0
BOX = {
    "format": 1,
    "name": "box",
    "spacing_mm": [2.0, 2.0, 2.0],
    "boxes": [{"material": "water", "centre_mm": [0.0, 0.0, 0.0], "size_mm": [40.0, 2.0 * DEPTH, 40.0]}],
}


def carbon_plan(mu: float = 1.0) -> IonPlan:
    spots = np.array([-3.0, 0.0, 3.0], dtype=np.float32)
    layer = IonLayer(float(MACHINE.energies[ROW]), spots, 0.0 * spots, np.full_like(spots, mu), 10.0, 10.0)
    beam = IonBeam(1, "front", 0.0, 0.0, (0.0, 0.0, 0.0), (layer,))
    nobody = PatientIdentity("P1", "Box^Water", "19700101", "O")
    uids = ("2.25.1", "1.2.1", "2.25.2", "1.2.3", "")
    return IonPlan(
        nobody, *uids, "carbon", "G1", (beam,), 2, 1.0, "PTV", radiation="ION", created="20260101120000"
    )


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write_file(ion_plan.to_dataset(carbon_plan()), tmp_path / "RP.dcm")
    (tmp_path / "box.yaml").write_text(yaml.safe_dump(BOX))
    return tmp_path


def dose(*more: str, machine: str = "carbon-generic") -> Result:
    words = ["dose", "--plan", "RP.dcm", "--machine", machine, "--phantom", "box.yaml", "--spacing", "1"]
    return CliRunner().invoke(main, [*words, "--out", "RD.dcm", *more])


def read(place) -> rt_dose.DoseGrid:
    return rt_dose.from_dataset(files.read_file(place / "RD.dcm"))


@pytest.mark.requirement("TPS-DOSE", "TPS-BIO")
def test_a_carbon_plan_ends_where_its_tables_say_and_weighs_more(place) -> None:
    plan = carbon_plan()
    done = dose("--dose-type", "physical")
    assert done.exit_code == 0, done.output
    physical = read(place)
    assert (physical.dose_type, physical.summation) == ("PHYSICAL", "PLAN")
    heights = physical.origin[1] + physical.spacing[1] * np.arange(physical.dose.shape[1])
    curve = physical.dose.sum(axis=(0, 2), dtype=np.float64)
    found = heights[np.argmax(curve)] + DEPTH
    assert found == pytest.approx(float(MACHINE.peak[ROW]), abs=4.0)  # air and offsets take some of it
    assert bragg.distal_depth(heights, curve, 0.8) > heights[np.argmax(curve)]
    # much where there is little dose, and less where there is more: 4 Gy a fraction at the peak
    enough = 4.0 * plan.fractions / float(physical.dose.max())
    some = physical.dose > 0.3 * physical.dose.max()
    ratios = []
    for mu in (1.0, enough):
        files.write_file(ion_plan.to_dataset(carbon_plan(mu)), place / "RP.dcm")
        done = dose("--dose-type", "effective", "--alpha-beta", "2")
        assert done.exit_code == 0, done.output
        effective = read(place)
        assert effective.dose_type == "EFFECTIVE"
        ratios.append(effective.dose[some] / (mu * physical.dose[some]))
    assert ratios[1].min() > 1.2 and ratios[1].max() < 5.0
    assert (ratios[1] < ratios[0]).all()


@pytest.mark.requirement("TPS-DOSE")
def test_monte_carlo_of_a_carbon_plan_ends_where_the_pencil_beam_does(place) -> None:
    curves = []
    for more in (("--engine", "pb"), ("--engine", "mc", "--histories", "3000", "--let", "let.npz")):
        done = dose("--dose-type", "physical", *more)
        assert done.exit_code == 0, done.output
        found = read(place)
        curves.append(found.dose.sum(axis=(0, 2), dtype=np.float64))
    assert "3000 ions, mean uncertainty" in done.output
    heights = found.origin[1] + found.spacing[1] * np.arange(found.dose.shape[1])
    edges = [bragg.distal_depth(heights, curve, 0.8) for curve in curves]
    assert edges[1] == pytest.approx(edges[0], abs=0.5)
    assert curves[1][2:40].sum() == pytest.approx(curves[0][2:40].sum(), rel=0.06)
    more = ("--dose-type", "effective", "--engine", "mc", "--histories", "3000", "--cell", "HSG")
    done = dose(*more)
    assert done.exit_code == 0, done.output
    weighed = read(place).dose.sum(axis=(0, 2), dtype=np.float64)
    peak = int(np.argmax(curves[1]))
    rbe = weighed[[5, peak]] / curves[1][[5, peak]]
    assert 0.9 < rbe[0] < 0.6 * rbe[1] and rbe[1] < 6.0
    with np.load(place / "let.npz") as saved:
        assert max(float(np.max(saved[name])) for name in saved.files if saved[name].ndim == 3) > 40.0


@pytest.mark.requirement("TPS-DOSE")
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--dose-type", "effective"), "--alpha-beta"),
        (("--dose-type", "physical", "--alpha-beta", "2"), "only then"),
        (("--dose-type", "effective", "--alpha-beta", "3"), "tables for 2, 10"),
        (("--dose-type", "physical", "--per-beam"), "all beams together"),
        (("--dose-type", "effective", "--engine", "mc"), "--cell"),
        (("--dose-type", "effective", "--engine", "mc", "--cell", "V79"), "HSG"),
        (("--dose-type", "effective", "--engine", "mc", "--alpha-beta", "2"), "for --engine pb"),
    ],
)
def test_what_is_not_known_of_carbon_is_refused(place, more: tuple[str, ...], said: str) -> None:
    done = dose(*more)
    assert done.exit_code == 1 and said in done.output
    assert not (place / "RD.dcm").exists()


def changed(beam: IonBeam, **layer: object) -> IonBeam:
    return replace(beam, layers=(replace(beam.layers[0], **layer),))


FAR = np.array([-3.0, 0.0, 900.0], dtype=np.float32)


@pytest.mark.requirement("TPS-DOSE")
@pytest.mark.parametrize("engine", ["pb", "mc"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda beam: changed(beam, x=FAR), "the machine scans -"),
        (lambda beam: changed(beam, energy=600.0), "the nearest allowed is"),
        (lambda beam: replace(beam, isocentre=(500.0, 0.0, 0.0)), "beam 1 passes beside the body"),
        (lambda beam: replace(beam, virtual_sad=(50.0, 60.0)), "inside the patient"),
        (lambda beam: replace(beam, range_shifter="RS", range_shifter_wet=20.0), "holds RS"),
    ],
)
def test_ions_that_miss_are_refused_before_time_is_spent(place, monkeypatch, engine, change, said) -> None:
    def late(*_all, **_more) -> None:
        raise AssertionError("the engine was called")

    monkeypatch.setattr("tps_engine.dose.ions.recompute.plan_dose", late)
    monkeypatch.setattr("tps_engine.dose.montecarlo.ions.engine.plan_dose", late)
    plan = carbon_plan()
    wrong = replace(plan, beams=(change(plan.beams[0]),))
    files.write_file(ion_plan.to_dataset(wrong), place / "RP.dcm")
    done = dose("--dose-type", "physical", "--engine", engine)
    assert done.exit_code == 1, done.output
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (place / "RD.dcm").exists()


@pytest.mark.requirement("TPS-DOSE")
def test_monte_carlo_of_helium_is_asked_for_by_name(place) -> None:
    machine = ion_files.load("helium-generic")
    plan = carbon_plan()
    beam = changed(plan.beams[0], energy=float(machine.energies[ROW]))
    helium = replace(plan, beams=(beam,), nuclide=(4, 2))
    files.write_file(ion_plan.to_dataset(helium), place / "RP.dcm")
    words = ("--dose-type", "physical", "--engine", "mc", "--histories", "200")
    done = dose(*words, machine="helium-generic")
    assert done.exit_code == 1 and "too little dose" in done.stderr
    done = dose(*words, "--approximate-fragments", machine="helium-generic")
    assert done.exit_code == 0, done.output


@pytest.mark.requirement("TPS-DOSE")
def test_machines_and_plans_of_different_ions_are_refused(place) -> None:
    assert dose("--dose-type", "physical", machine="helium-generic").exit_code == 1
    files.write_file(ion_plan.to_dataset(replace(carbon_plan(), radiation="PROTON")), place / "RP.dcm")
    assert dose("--dose-type", "physical", machine="carbon-generic").exit_code == 1

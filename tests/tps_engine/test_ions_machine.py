"""Ion machines: matRad's base data and phantoms read, our format written and read back, bad files refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from common.errors import BadConfig, BadInput, Tampered
from tps_engine.beamdata import ion_files, ion_water
from tps_engine.beamdata.importers import matrad, matrad_phantom
from tps_engine.beamdata.ion_machine import DepthCurve, IonMachine, Tissue

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "phantoms_basedata_matrad"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="matRad base data is not beside the checkout")


@pytest.fixture(scope="module")
def carbon() -> IonMachine:
    return ion_files.load("carbon-generic")


@pytest.mark.requirement("TPS-PHYSICS")
@needs_data
@pytest.mark.parametrize(
    ("name", "ion", "gaussians"), [("protons", "proton", 2), ("helium", "helium", 2), ("carbon", "carbon", 1)]
)
def test_base_data_survives_our_format(tmp_path: Path, name: str, ion: str, gaussians: int) -> None:
    machine = matrad.read(DATA / f"{name}_Generic.mat")
    path = tmp_path / "machine.yaml"
    ion_files.save(machine, path)
    again = ion_files.load(path)
    assert machine.ion == again.ion == ion
    assert (again.sad, again.nozzle, again.tissues) == (machine.sad, machine.nozzle, machine.tissues)
    np.testing.assert_array_equal(again.energies, machine.energies)
    for mine, theirs in zip(again.curves, machine.curves, strict=True):
        assert mine.sigma.shape[1] == gaussians
        np.testing.assert_allclose(mine.dose, theirs.dose, rtol=1e-6)
        np.testing.assert_allclose(mine.depth, theirs.depth, rtol=1e-6)
    assert again.has_let == (ion != "carbon")


@pytest.mark.requirement("TPS-PHYSICS")
@needs_data
def test_committed_machines_are_those_of_the_base_data(carbon: IonMachine) -> None:
    theirs = matrad.read(DATA / "carbon_Generic.mat")
    np.testing.assert_array_equal(carbon.energies, theirs.energies)
    row = carbon.index_of(279.97)
    curve, original = carbon.curves[row], theirs.curves[row]
    assert curve.alpha is not None
    assert original.alpha is not None
    np.testing.assert_allclose(curve.alpha, original.alpha, rtol=1e-6)
    assert carbon.tissues == (Tissue(0.1, 0.05), Tissue(0.5, 0.05))


@pytest.mark.requirement("TPS-PHYSICS")
@pytest.mark.parametrize("name", ["carbon-generic", "helium-generic"])
def test_peaks_lie_at_the_range_of_the_energy(name: str) -> None:
    """Within 3 % of the CSDA range less 2 to 3 mm of nozzle and air, over the whole machine."""
    machine = ion_files.load(name)
    ranges = ion_water.range_of(machine.charge, machine.mass_number, machine.energies)
    assert np.abs(machine.peak + 2.5 - ranges).max() < 0.035 * ranges.max()
    slope = np.polyfit(ranges, machine.peak, 1)[0]
    assert slope == pytest.approx(1.0, abs=0.03)


@pytest.mark.requirement("TPS-PHYSICS")
def test_ranges_and_let_of_ions_in_water() -> None:
    """Carbon of 100, 290 and 400 MeV/u reaches 26, 162 and 275 mm; helium goes as protons of its velocity."""
    ranges = ion_water.range_of(6, 12, np.array([100.0, 290.0, 400.0]))
    np.testing.assert_allclose(ranges, [25.9, 162.5, 275.0], rtol=0.01)
    assert float(ion_water.range_of(2, 4, 150.0)) == pytest.approx(157.7, rel=0.01)
    assert float(ion_water.let_of(6, 290.0)) == pytest.approx(13.0, rel=0.02)
    residual = ion_water.energy_of(6, 12, ion_water.range_of(6, 12, 250.0))
    assert float(residual) == pytest.approx(250.0, rel=1e-4)
    with pytest.raises(BadInput, match=r"0\.1 \.\. 600"):
        ion_water.range_of(6, 12, 900.0)


@pytest.mark.requirement("TPS-PHYSICS")
def test_a_machine_refuses_what_it_lacks(carbon: IonMachine) -> None:
    with pytest.raises(BadInput, match=r"nearest allowed is 279\.970 MeV/u"):
        carbon.index_of(279.0)
    with pytest.raises(BadInput, match="reaches"):
        carbon.energy_for_depth(500.0)
    with pytest.raises(BadInput, match="alpha"):
        carbon.tissue_index(Tissue(0.3, 0.03))
    assert carbon.tissue_index(Tissue(0.5, 0.05)) == 1
    assert carbon.peak[carbon.index_of(carbon.energy_for_depth(150.0))] >= 150.0


@pytest.mark.requirement("TPS-PHYSICS")
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"dose": np.array([1.0, np.nan])}, "no number"),
        ({"depth": np.array([1.0, 1.0])}, "must rise"),
        ({"dose": np.array([1.0, -1.0])}, "negative"),
        ({"weight": np.array([[0.5], [1.0]])}, "sum to 1"),
        ({"sigma": np.ones((2, 2))}, "width and a weight"),
        ({"dose": np.ones(3)}, "differ in length"),
        ({"alpha": np.ones((2, 1))}, "0 columns"),
    ],
)
def test_damaged_tables_are_refused(carbon: IonMachine, change: dict[str, np.ndarray], why: str) -> None:
    good = DepthCurve(np.array([0.0, 1.0]), np.ones(2), np.ones((2, 1)), np.ones((2, 1)))
    machine = replace(
        carbon, energies=np.ones(1), particles_per_mu=np.ones(1), offset=np.zeros(1), peak=np.ones(1),
        focus_sigma=carbon.focus_sigma[:1], curves=(good,), tissues=(), biology="",
    )  # fmt: skip
    with pytest.raises(BadInput, match=why):
        replace(machine, curves=(replace(good, **change),))


@pytest.mark.requirement("TPS-PHYSICS")
def test_changed_or_damaged_files_are_refused(tmp_path: Path, carbon: IonMachine) -> None:
    path = tmp_path / "machine.yaml"
    ion_files.save(carbon, path)
    data = path.with_suffix(".npz")
    whole = data.read_bytes()
    data.write_bytes(whole[:-100])
    with pytest.raises(Tampered, match="import the machine again"):
        ion_files.load(path)
    data.unlink()
    with pytest.raises(BadConfig, match="cannot be read"):
        ion_files.load(path)
    path.write_text(path.read_text().replace("ion: carbon", "ion: iron"))
    with pytest.raises(BadConfig):
        ion_files.load(path)
    with pytest.raises(BadInput, match="yaml"):
        ion_files.save(carbon, tmp_path / "machine.bin")


@pytest.mark.requirement("TPS-PHYSICS")
def test_foreign_files_are_refused_by_name(tmp_path: Path) -> None:
    text = tmp_path / "text.mat"
    text.write_text("no table")
    with pytest.raises(BadInput, match=r"text\.mat"):
        matrad.read(text)
    other = tmp_path / "other.mat"
    savemat(other, {"machine": {"meta": {"radiationMode": "photons"}, "data": {"energy": 6}}})
    with pytest.raises(BadInput, match="photons"):
        matrad.read(other)
    savemat(other, {"machine": {"meta": {"radiationMode": "carbon"}, "data": {"energy": 6}}})
    with pytest.raises(BadInput, match="not laid out"):
        matrad.read(other)


@pytest.mark.requirement("TPS-PHYSICS")
@needs_data
def test_phantoms_stand_on_our_grid() -> None:
    phantom = matrad_phantom.read(DATA / "BOXPHANTOM.mat")
    body, target = phantom.regions["BODY"], phantom.regions["OuterTarget"]
    assert (int(body.sum()), int(target.sum())) == (531441, 9261)
    assert phantom.kinds == {"BODY": "OAR", "OuterTarget": "TARGET"}
    assert phantom.tissues["BODY"].ratio == pytest.approx(2.0)
    assert not (target & ~body).any()
    table = matrad_phantom.read_hlut(DATA / "matRad_default.hlut")
    patient = phantom.patient(table)
    np.testing.assert_allclose(patient.rsp[body], 1.0, atol=1e-6)
    assert patient.rsp[~body].max() < 0.01
    points = patient.grid.points(np.flatnonzero(target))
    assert np.ptp(points, axis=0) == pytest.approx([60.0, 60.0, 60.0])


@pytest.mark.requirement("TPS-PHYSICS")
@needs_data
@pytest.mark.slow
def test_the_c_shaped_phantom_keeps_its_geometry() -> None:
    """TG119: the core lies inside the C, on the couch side of it, and the body has the CT's air around it."""
    phantom = matrad_phantom.read(DATA / "TG119.mat")
    assert phantom.grid.spacing == (3.0, 3.0, 2.5)
    centre = {
        name: phantom.grid.points(np.flatnonzero(mask)).mean(axis=0) for name, mask in phantom.regions.items()
    }
    assert abs(centre["Core"][0] - centre["OuterTarget"][0]) < 3.0
    assert phantom.hu[phantom.regions["Core"]].mean() > -100.0
    assert phantom.hu[~phantom.regions["BODY"]].mean() < -700.0

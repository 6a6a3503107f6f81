"""Biology of ions: track structure, modified MKM, effect and RBE of a spread-out peak."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import nnls

from common.errors import BadInput
from tps_engine.beamdata import ion_files, ion_water
from tps_engine.beamdata.ion_machine import IonMachine, Tissue
from tps_engine.biology import effect, ion_models, mkm, mkm_set, parameters, rbe

HSG = mkm.MkmParameters(0.172, 0.0615, 0.32, 3.9)


@pytest.fixture(scope="module")
def carbon() -> IonMachine:
    return ion_files.load("carbon-generic")


@pytest.fixture(scope="module")
def parameter_set() -> mkm_set.MkmSet:
    return mkm_set.load()


def spread_out_peak(machine: IonMachine, first: float, last: float) -> tuple[np.ndarray, ...]:
    """Depths, dose in Gy (2 in the peak), alpha and beta (n, t) of a broad field with a flat peak."""
    depth = np.arange(0.0, last + 40.0, 1.0)
    rows = np.flatnonzero((machine.peak >= first) & (machine.peak <= last + 2.0))
    dose = np.column_stack([np.interp(depth, c.depth, c.dose) for c in (machine.curves[r] for r in rows)])
    flat = (depth >= first) & (depth <= last)
    weight = nnls(dose[flat], np.full(int(flat.sum()), 2.0))[0]
    total = dose @ weight
    tissues = range(len(machine.tissues))

    def mixed(name: str, power: float) -> np.ndarray:
        columns = []
        for t in tissues:
            tables = [getattr(machine.curves[r], name)[:, t] ** power for r in rows]
            curves = [
                np.interp(depth, machine.curves[r].depth, one) for r, one in zip(rows, tables, strict=True)
            ]
            columns.append((dose * np.column_stack(curves)) @ weight / total)
        return np.column_stack(columns)

    return depth, total, mixed("alpha", 1.0), mixed("beta", 0.5) ** 2


@pytest.mark.requirement("TPS-BIO")
def test_effect_and_its_inverse_are_one_another() -> None:
    photons = effect.Photons(np.array([0.1, 0.5, 0.05]), np.array([0.05, 0.05, 1e-6]))
    dose = np.array([0.0, 2.0, 3.0])
    np.testing.assert_allclose(photons.dose_of(photons.effect_of(dose)), dose, atol=1e-12)
    some, step = photons.effect_of(dose + 0.3), 1e-6
    rise = (photons.dose_of(some + step) - photons.dose_of(some - step)) / (2.0 * step)
    np.testing.assert_allclose(photons.slope(some), rise, rtol=1e-6)
    same = effect.weighted_dose(dose, photons.alpha, photons.beta, photons)
    np.testing.assert_allclose(same, dose, rtol=1e-6)
    with pytest.raises(BadInput, match="above 0"):
        effect.Photons(0.1, 0.0)
    with pytest.raises(BadInput, match="not negative"):
        effect.weighted_dose(np.array([-1.0]), np.ones(1), np.ones(1), effect.Photons(0.1, 0.05))


@pytest.mark.requirement("TPS-BIO")
def test_the_rbe_falls_from_its_limit_with_dose() -> None:
    photons = effect.Photons(0.1, 0.05)
    dose = np.array([0.0, 0.5, 2.0, 10.0])
    found = effect.rbe(dose, np.full(4, 0.8), np.full(4, 0.02), photons)
    assert found[0] == pytest.approx(8.0)
    assert (np.diff(found) < 0.0).all()
    assert found[-1] > np.sqrt(0.02 / 0.05)


@pytest.mark.requirement("TPS-BIO")
@pytest.mark.parametrize(("charge", "energy"), [(1, 100.0), (6, 20.0), (6, 300.0)])
def test_a_track_holds_its_let_and_domains_lose_none_of_it(charge: int, energy: float) -> None:
    track = mkm.track_of(charge, energy)
    whole = float(track.within(np.array(1e6)))
    assert whole == pytest.approx(mkm.GY_UM2_PER_KEV_UM * float(ion_water.let_of(charge, energy)), rel=1e-9)
    radius = np.geomspace(1e-5, track.penumbra, 200_001)
    rings = np.trapezoid(2.0 * np.pi * radius * track.dose(radius), radius)
    assert rings == pytest.approx(whole, rel=0.02)
    reach = 0.32 + track.penumbra
    place = np.r_[np.linspace(0.0, 1.0, 2001), np.geomspace(1.0, reach, 400)[1:]]
    z = mkm.specific_energy(track, 0.32, place)
    assert np.trapezoid(2.0 * np.pi * place * z, place) == pytest.approx(whole, rel=0.01)


@pytest.mark.requirement("TPS-BIO")
def test_modified_mkm_meets_published_values() -> None:
    """Saturation 55 Gy, and alpha of HSG cells from survival curves of Inaniwa and Kanematsu (2018).

    Carbon of 333 keV/um: 1.08, neon of 74.2 keV/um: 1.42 1/Gy, both by the modified MKM.
    """
    cell = mkm.MkmParameters(0.150, 0.0593, 0.29, 3.9)
    assert cell.saturation == pytest.approx(55.0, abs=0.3)
    for charge, energy, expected in ((6, 3.735, 1.08), (10, 97.6, 1.42)):
        found = cell.alpha(np.array([mkm.z_star_of(charge, energy, cell)]))
        assert float(found[0]) == pytest.approx(expected, rel=0.03)


@pytest.mark.requirement("TPS-BIO")
def test_alpha_rises_with_let_and_falls_by_overkill() -> None:
    energy = np.array([400.0, 100.0, 30.0, 10.0, 3.0, 1.0])
    alpha = HSG.alpha(mkm.z_star(6, energy, HSG))
    assert int(np.argmax(alpha)) == 3
    assert (np.diff(alpha[:4]) > 0.0).all()
    assert (np.diff(alpha[3:]) < 0.0).all()
    assert alpha[0] < 0.4


@pytest.mark.requirement("TPS-BIO")
def test_tabulated_biology_of_a_spread_out_peak(carbon: IonMachine) -> None:
    """For 2 Gy: near 1 at the entrance, about 3 at the distal end for alpha/beta 2 Gy, less for 10 Gy."""
    depth, dose, alpha, beta = spread_out_peak(carbon, 100.0, 150.0)
    for number, bounds in (
        (0, ((1.0, 1.8), (1.4, 2.6), (2.2, 4.0))),
        (1, ((1.0, 1.4), (1.1, 2.0), (1.4, 3.0))),
    ):
        tissue = carbon.tissues[number]
        found = effect.rbe(dose, alpha[:, number], beta[:, number], effect.Photons(tissue.alpha, tissue.beta))
        for place, (low, high) in zip((0.0, 125.0, 150.0), bounds, strict=True):
            assert low < float(np.interp(place, depth, found)) < high, (number, place)


@pytest.mark.requirement("TPS-BIO")
def test_modified_mkm_of_a_spread_out_peak(carbon: IonMachine, parameter_set: mkm_set.MkmSet) -> None:
    """HSG cells: close to 1 at the entrance, rising to 2 to 3 at the distal end, as published beams do."""
    machine = ion_models.with_mkm(carbon, parameter_set)
    assert machine.biology == "modified MKM, carbon-mkm 1.0"
    depth, dose, alpha, beta = spread_out_peak(machine, 100.0, 150.0)
    tissue = machine.tissues[0]
    found = effect.rbe(dose, alpha[:, 0], beta[:, 0], effect.Photons(tissue.alpha, tissue.beta))
    entrance, middle, distal = (float(np.interp(place, depth, found)) for place in (0.0, 125.0, 150.0))
    assert 1.0 < entrance < 1.5
    assert entrance < middle < distal
    assert 1.9 < distal < 3.2
    np.testing.assert_allclose(beta[:, 0], 0.0615, rtol=1e-9)


@pytest.mark.requirement("TPS-BIO")
def test_let_of_two_parts_rises_to_the_peak_and_falls_behind(
    carbon: IonMachine, parameter_set: mkm_set.MkmSet
) -> None:
    machine = ion_models.with_let(carbon, parameter_set)
    row = machine.index_of(279.97)
    let = machine.curves[row].let
    assert let is not None
    at = [
        float(np.interp(part * machine.peak[row], machine.curves[row].depth, let))
        for part in (0, 0.8, 1, 1.3)
    ]
    assert at[0] == pytest.approx(float(ion_water.let_of(6, 279.97)), rel=0.1)
    assert at[0] < at[1] < at[2] > at[3]
    assert 80.0 < at[2] < 200.0
    helium = ion_files.load("helium-generic")
    assert ion_models.with_let(helium, parameter_set) is helium
    with pytest.raises(BadInput, match="no fragmentation of carbon"):
        ion_models.with_let(carbon, replace(parameter_set, fragmentation={}))
    with pytest.raises(BadInput, match="HSG"):
        ion_models.with_mkm(carbon, parameter_set, ("V79",))


@pytest.mark.requirement("TPS-BIO")
def test_helium_is_less_effective_than_carbon(carbon: IonMachine, parameter_set: mkm_set.MkmSet) -> None:
    helium = ion_models.with_mkm(ion_files.load("helium-generic"), parameter_set)
    row = helium.index_of(helium.energy_for_depth(150.0))
    alpha = helium.curves[row].alpha
    assert alpha is not None
    peak = float(alpha.max())
    assert 0.25 < float(alpha[0, 0]) + 0.05 < 0.35
    assert 0.5 < peak < 1.3


@pytest.mark.requirement("TPS-BIO")
def test_proton_models_become_tables(carbon: IonMachine) -> None:
    """A machine of protons with McNamara's model has the RBE that the model gives for its LET."""
    helium = ion_files.load("helium-generic")
    model = parameters.load().model("McNamara")
    tissue = Tissue(0.1, 0.05)
    protons = replace(helium, ion="proton")
    machine = ion_models.with_proton_rbe(protons, model, (tissue,))
    curve = machine.curves[0]
    assert curve.alpha is not None
    assert curve.beta is not None
    assert curve.let is not None
    dose = np.full(len(curve.depth), 2.0)
    ours = effect.rbe(dose, curve.alpha[:, 0], curve.beta[:, 0], effect.Photons(tissue.alpha, tissue.beta))
    theirs = rbe.rbe(model, dose, curve.let, tissue.ratio)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    with pytest.raises(BadInput, match="proton machine"):
        ion_models.with_proton_rbe(carbon, model, (tissue,))

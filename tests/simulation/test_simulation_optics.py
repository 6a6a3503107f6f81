"""The beam's way through the magnets: matrices, energies and ions, and what a wrong magnet does to it."""

import numpy as np
import pytest
from rig_plant import SiteStand

from common.errors import BadConfig, Refused
from common.site import CONFIG
from simulation.plant.degrader import energy_behind, thickness
from simulation.plant.optics import Line, Track, sigma_matrix
from simulation.plant.optics_data import Element, load

DATA = load(CONFIG / "synchrotron" / "optics.yaml")


@pytest.fixture
def synchrotron() -> SiteStand:
    stand = SiteStand("synchrotron")
    stand.cycle(150.0)
    return stand


def rates(stand: SiteStand, part: str) -> dict[str, float]:
    """Loss monitors of a part, by wire."""
    return {
        device.wire: stand[f"{device.wire}.rate"]
        for device in stand.site.of_class("BeamLossMonitor")
        if device.wire.startswith(part)
    }


def by_hand(element: Element) -> np.ndarray:
    """First-order matrix (x, x', y, y', delta) of a drift, quadrupole or sector dipole (Brown, SLAC-75)."""
    length, matrix = element.length, np.eye(5)
    matrix[0, 1] = matrix[2, 3] = length
    if element.kind == "quadrupole":
        for k, strength in ((0, element.strength), (2, -element.strength)):
            root = np.sqrt(complex(strength))
            cosine, sine = np.cos(root * length), np.sin(root * length)
            matrix[k : k + 2, k : k + 2] = np.real([[cosine, sine / root], [-root * sine, cosine]])
    if element.kind == "dipole" and element.angle:
        angle, curve = element.angle, element.angle / length
        matrix[:2, :2] = [[np.cos(angle), np.sin(angle) / curve], [-curve * np.sin(angle), np.cos(angle)]]
        matrix[:2, 4] = (1.0 - np.cos(angle)) / curve, np.sin(angle)
    return matrix


@pytest.mark.requirement("ACS-SOURCE")
@pytest.mark.parametrize("number", range(4))
def test_the_library_gives_the_first_order_matrices_and_is_symplectic(number: int) -> None:
    elements = [Element(**{**vars(e), "shift": (0.0, 0.0)}) for e in DATA.lines[number].elements]
    supplies = sorted({element.supply for element in elements if element.supply})
    path = Track(elements, supplies)
    on_axis = {element.supply for element in elements if element.kind in ("corrector", "scanner")}
    off = on_axis | {e.supply for e in elements if e.kind == "dipole" and not e.angle}
    path.set(np.array([0.0 if supply in off else 1.0 for supply in supplies]))
    rays = path.track()
    matrix = np.eye(5)
    for i, element in enumerate(elements):
        matrix = by_hand(element) @ matrix
        assert np.allclose(rays.matrix[i + 1], matrix[:4], rtol=2e-4, atol=2e-4), element.name
    j = np.kron(np.eye(2), [[0.0, 1.0], [-1.0, 0.0]])
    transverse = rays.matrix[-1, :, :4]
    assert np.allclose(transverse.T @ j @ transverse, j, atol=1e-4)
    assert np.allclose(rays.orbit, 0.0, atol=1e-12)


def test_a_gaussian_beam_is_matched_at_the_isocentre_and_loses_nothing_on_its_way() -> None:
    elements = DATA.lines[0].elements
    supplies = sorted({element.supply for element in elements if element.supply})
    line = Line(elements, supplies, DATA.start)
    still = {element.supply for element in elements if element.kind in ("corrector", "scanner")}
    line.path.set(np.array([0.0 if supply in still else 1.0 for supply in supplies]))
    seen = line.beam(line.path.track(), (1.5e-6, 1.5e-6), 5e-4, {}, {})
    assert seen.size_x[-1] == pytest.approx(np.sqrt(1.5e-6 * 6.0), rel=1e-3)
    assert seen.size_y[-1] == pytest.approx(np.sqrt(1.5e-6 * 6.0), rel=1e-3)
    assert seen.alive[-1] > 0.999
    assert sigma_matrix((6.0, 0.0, 6.0, 0.0), (1e-6, 2e-6))[2, 2] == pytest.approx(12e-6)


@pytest.mark.requirement("ACS-SOURCE")
@pytest.mark.parametrize(
    ("ion", "energy", "room", "number"),
    [
        ("proton", 70.0, 1, 0),
        ("proton", 230.0, 3, 0),
        ("carbon", 120.0, 2, 2),
        ("carbon", 400.0, 1, 2),
    ],
)
def test_every_ion_and_energy_comes_round_and_central_to_every_room(ion, energy, room, number) -> None:
    stand = SiteStand("synchrotron")
    stand.cycle(energy, room, ion)
    assert stand["beam.ready"] == 1 and stand["beam.room"] == room and stand["beam.ion"] == number
    assert stand["beam.energy"] == pytest.approx(energy, rel=1e-4)
    assert stand["beam.transmission"] > 0.999 and stand["beam.intensity"] == pytest.approx(1.0, abs=0.01)
    assert np.hypot(stand["beam.offset_x"], stand["beam.offset_y"]) < 0.05
    assert stand["beam.size"] == pytest.approx(1.0, abs=0.01)
    assert all(rate < 1000.0 for rate in rates(stand, "transport").values())
    assert all(np.isnan(stand[f"room{other}-bpm1.x"]) for other in {1, 2, 3} - {room})


def test_the_spot_shrinks_with_momentum(synchrotron: SiteStand) -> None:
    """Emittance falls as 1 / (beta gamma): sizes go as the root of that."""
    sizes = {}
    for energy in (70.0, 230.0):
        synchrotron.do("insert", "room1-profile3")
        synchrotron.go(1.5, 0.05)
        synchrotron.cycle(energy)
        sizes[energy] = synchrotron.mean("room1-profile3.sigma_x", 20)
    beta_gamma = [np.sqrt((1 + energy / 938.272) ** 2 - 1) for energy in (70.0, 230.0)]
    assert sizes[70.0] / sizes[230.0] == pytest.approx(np.sqrt(beta_gamma[1] / beta_gamma[0]), rel=0.02)


@pytest.mark.requirement("ACS-POWER")
def test_a_wrong_quadrupole_widens_and_moves_the_spot(synchrotron: SiteStand) -> None:
    synchrotron.fault("room1-q2", "turn_short")
    synchrotron.go(0.03)
    assert synchrotron["beam.ready"] == 1 and synchrotron["room1-q2.ok"] == 1
    assert synchrotron["beam.size"] > 1.1
    assert np.hypot(synchrotron["beam.offset_x"], synchrotron["beam.offset_y"]) > 0.05
    synchrotron.clear("room1-q2")
    synchrotron.go(0.03)
    assert synchrotron["beam.size"] == pytest.approx(1.0, abs=0.01)


@pytest.mark.requirement("ACS-POWER")
def test_a_wrong_dipole_loses_the_beam_and_the_monitor_there_sees_it(synchrotron: SiteStand) -> None:
    nominal = synchrotron["transport-bend.setpoint"]
    synchrotron.do("set", "transport-bend", name="setpoint", value=0.9 * nominal)
    synchrotron.go(0.05)
    assert synchrotron["beam.transmission"] < 0.01 and synchrotron["beam.intensity"] < 0.01
    assert synchrotron["beam.room"] == 0
    loss = rates(synchrotron, "transport")
    first = max(loss, key=lambda wire: loss[wire])
    assert first in ("transport-blm4", "transport-blm5") and loss[first] > 1e5
    assert synchrotron[f"{first}.ok"] == 0
    assert loss["transport-blm1"] < 0.02 * loss[first] and loss["transport-blm8"] < 0.02 * loss[first]
    assert max(rates(synchrotron, "room1").values()) < 0.01 * loss[first]
    assert np.isfinite(synchrotron["transport-bpm1.x"]) and np.isnan(synchrotron["room1-bpm1.x"])


def test_a_switch_that_is_off_sends_the_beam_to_the_dump(synchrotron: SiteStand) -> None:
    synchrotron.do("off", "room1-switch")
    synchrotron.go(0.4)
    assert synchrotron["beam.room"] == 0 and synchrotron["beam.ready"] == 0
    assert synchrotron.mean("transport-dump.current", 20) == pytest.approx(0.4, rel=0.1)


@pytest.mark.requirement("ACS-SOURCE")
def test_nothing_passes_a_closed_stopper(synchrotron: SiteStand) -> None:
    assert synchrotron["transport-stopper.open"] == 1 and synchrotron["transport-stopper.closed"] == 0
    synchrotron.do("close", "transport-stopper")
    synchrotron.go(0.7)
    synchrotron.cycle(150.0)
    assert synchrotron["transport-stopper.open"] == 0 and synchrotron["transport-stopper.closed"] == 1
    assert synchrotron["beam.transmission"] == 0 and synchrotron["beam.intensity"] == 0
    assert synchrotron["transport-bpm1.intensity"] > 0.2 and synchrotron["transport-bpm2.intensity"] == 0
    synchrotron.fault("transport-stopper", "open_switch")
    synchrotron.go(0.02)
    assert synchrotron["transport-stopper.open"] == 1 and synchrotron["transport-stopper.ok"] == 0


@pytest.mark.requirement("ACS-SOURCE")
def test_a_cup_measures_the_spill_and_stops_it(synchrotron: SiteStand) -> None:
    synchrotron.do("insert", "transport-cup")
    synchrotron.go(1.5, 0.05)
    synchrotron.cycle(150.0)
    assert synchrotron.mean("transport-cup.current", 30) == pytest.approx(0.4, rel=0.1)
    assert synchrotron["beam.transmission"] == 0 and synchrotron["transport-cup.ok"] == 0


@pytest.mark.requirement("ACS-SOURCE")
def test_a_profile_shows_where_and_how_wide_the_beam_is(synchrotron: SiteStand) -> None:
    synchrotron.fault("room1-scan-x", "offset")
    synchrotron.do("insert", "room1-profile3")
    synchrotron.go(1.5, 0.05)
    synchrotron.cycle(150.0)
    assert synchrotron["beam.offset_x"] > 3.0 and abs(synchrotron["beam.offset_y"]) < 0.05
    answer = synchrotron.plant.ask("profile", {"device": "room1-profile3"}, {})
    place = np.arange(64) - 31.5
    for name in ("x", "y"):
        middle = np.average(place, weights=answer[name])
        width = np.sqrt(np.average((place - middle) ** 2, weights=answer[name]))
        assert middle == pytest.approx(synchrotron[f"room1-profile3.{name}"], abs=0.15)
        assert width == pytest.approx(synchrotron[f"room1-profile3.sigma_{name}"], rel=0.1)
    synchrotron.fault("room1-profile3", "electronics")
    with pytest.raises(Refused, match="no profile"):
        synchrotron.plant.ask("profile", {"device": "room1-profile3"}, {})


def test_a_cyclotrons_degrader_and_slit_choose_the_energy() -> None:
    stand = SiteStand("cyclotron")
    through = {}
    for energy in (230.0, 70.0):
        stand.cycle(energy)
        stand.go(0.5)
        assert stand["line-degrader.energy"] == pytest.approx(energy, abs=0.01)
        assert stand["beam.energy"] == pytest.approx(energy, rel=2e-3) and stand["beam.ready"] == 1
        assert stand["beam.size"] == pytest.approx(1.0, abs=0.02)
        through[energy] = stand["beam.transmission"]
    assert through[70.0] < 0.05 < through[230.0]
    wide = stand["beam.transmission"]
    stand.do("move", "line-ess-slit", target={"gap": 4.0})
    stand.go(3.0, 0.02)
    assert stand["beam.transmission"] < 0.5 * wide
    stand.do("move", "line-ess-slit", target={"gap": 16.0})
    stand.do("move", "line-degrader", target={"thickness": thickness(250.0, 66.0)})
    stand.go(3.0, 0.02)
    assert stand["beam.ready"] == 0 and stand["line-blm2.rate"] > 1000


def test_graphite_slows_protons_by_the_range_it_takes() -> None:
    for energy in (70.0, 150.0, 230.0):
        assert energy_behind(250.0, thickness(250.0, energy)) == pytest.approx(energy)
    assert thickness(250.0, 250.0) == 0.0 and energy_behind(250.0, 400.0) == 0.0
    # the range of 250 MeV protons in water is 379 mm (PSTAR), of 70 MeV 41 mm
    assert thickness(250.0, 70.0) * 1.52 == pytest.approx(338.0, rel=0.03)


def test_an_optics_file_that_cannot_be_used_is_refused(tmp_path) -> None:
    text = (CONFIG / "synchrotron" / "optics.yaml").read_text()
    path = tmp_path / "optics.yaml"
    for old, new, why in (
        ("segments: [extraction, trunk1, room1]", "segments: [extraction, nowhere]", "no segment nowhere"),
        ("element: ring-septum", "element: ring-nothing", "no element ring-nothing"),
        ("kind: quadrupole", "kind: octopole", "octopole"),
        ("source: ring", "source: cyclotron", "section"),
    ):
        assert old in text
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(BadConfig, match=why):
            load(path)

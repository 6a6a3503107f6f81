"""The ring: tune, orbit, extraction, and the life of its beam through a cycle."""

import numpy as np
import pytest
from rig_plant import SiteStand

from common.site import CONFIG
from simulation.plant.optics_data import load
from simulation.plant.optics_settings import shares
from simulation.plant.ring import Ring

DATA = load(CONFIG / "synchrotron" / "optics.yaml")
RING = DATA.ring
assert RING is not None
WAYS = (RING.elements, DATA.injector, *(way.elements for way in DATA.lines))
SUPPLIES = sorted({element.supply for way in WAYS for element in way if element.supply})


@pytest.fixture(scope="module")
def nominal() -> np.ndarray:
    return shares(DATA, SUPPLIES, Ring(RING, SUPPLIES), 3)[0]


@pytest.fixture
def stand() -> SiteStand:
    return SiteStand("synchrotron")


def lattice(ratio: np.ndarray, **changed: float):
    """Ring and its optics with some supplies at another share."""
    ratio = ratio.copy()
    for wire, factor in changed.items():
        ratio[SUPPLIES.index(f"ring-{wire}")] *= factor
    ring = Ring(RING, SUPPLIES)
    ring.path.set(ratio)
    return ring, ring.optics(ring.path.track()), ratio


@pytest.mark.requirement("ACS-SOURCE")
def test_the_lattice_has_its_tunes_and_its_length(nominal) -> None:
    ring, optics, _ = lattice(nominal)
    assert ring.path.ends[-1] == pytest.approx(56.2)
    assert optics.tunes == pytest.approx((0.677, 0.230), abs=1e-3)
    assert optics.phase[-1] / (2 * np.pi) == pytest.approx(1.677, abs=1e-3)
    assert optics.beta.min() > 3.0 and optics.beta.max() < 12.0
    assert optics.dispersion[:, 0].min() > 2.0 and optics.dispersion[:, 0].max() < 5.0
    bends = sum(element.angle for element in RING.elements)
    assert bends == pytest.approx(2 * np.pi, abs=1e-6)


def test_the_closed_orbit_closes_and_the_correctors_bring_it_to_the_axis(nominal) -> None:
    ring, optics, _ = lattice(nominal)
    start = optics.orbit[0]
    assert np.allclose(ring.path.track(start).orbit[-1], start, atol=1e-7)
    correctors = {e.supply for e in RING.elements if e.kind == "corrector"}
    raw = np.where([supply in correctors for supply in SUPPLIES], 0.0, nominal)
    _, uncorrected, _ = lattice(raw)
    assert abs(uncorrected.orbit[:, 2]).max() > 5 * abs(optics.orbit[:, 2]).max()
    assert abs(optics.orbit[:, (0, 2)]).max() < 3e-4


def test_tune_shift_of_a_quadrupole_error_is_that_of_the_textbook(nominal) -> None:
    """DQ = integral of beta dK / 4 pi (Courant and Snyder 1958)."""
    _, before, _ = lattice(nominal)
    _, after, _ = lattice(nominal, qf=1.002)
    focusing = [i for i, e in enumerate(RING.elements) if e.supply == "ring-qf"]
    mean_beta = [before.beta[i : i + 2, 0].mean() for i in focusing]
    shift = sum(
        beta * 0.002 * RING.elements[i].strength * 0.35 for beta, i in zip(mean_beta, focusing, strict=True)
    )
    assert after.tunes[0] - before.tunes[0] == pytest.approx(shift / (4 * np.pi), rel=0.03)
    assert lattice(nominal, qf=0.2)[1] is None or lattice(nominal, qf=3.0)[1] is None


@pytest.mark.requirement("ACS-SOURCE")
def test_extraction_depends_on_the_distance_of_the_tune_from_the_resonance(nominal) -> None:
    ring, optics, ratio = lattice(nominal)
    found = ring.extraction(optics, ratio)
    assert found.distance == pytest.approx(0.677 - 2 / 3, abs=2e-3)
    assert 0.88 < found.efficiency < 0.95
    assert found.apex < RING.septum_m
    # by hand: S from the sextupoles, epsilon = 6 pi dQ, h = 2 epsilon / 3 S, apex 2 h
    assert found.apex == pytest.approx(
        2 * (2 * 6 * np.pi * found.distance / (3 * found.strength)) * np.sqrt(optics.beta[ring.septum, 0])
    )
    nearer = ring.extraction(*lattice(nominal, qf=0.997)[1:])
    assert nearer.apex < found.apex and nearer.efficiency > found.efficiency
    farther = ring.extraction(*lattice(nominal, qf=1.01)[1:])
    assert farther.efficiency == 0.0 and farther.apex > RING.septum_m
    without = lattice(nominal, sr1=0.0, sr2=0.0, sr3=0.0, sr4=0.0)
    assert ring.extraction(*without[1:]).efficiency == 0.0


@pytest.mark.requirement("ACS-SOURCE")
def test_the_ring_fills_holds_spills_and_dumps(stand: SiteStand) -> None:
    stand.enter("RAMP_DOWN", 150.0)
    assert stand["beam.charge"] == 0 and abs(stand["ring-dcct.current"]) < 0.1
    fills = []
    stand.plant.cycle("INJECTION", 150.0, 1, "proton")
    for _ in range(4):
        stand.go(0.01)
        fills.append(stand["beam.charge"])
    assert all(np.diff(fills) > 0) and np.diff(fills)[-1] < np.diff(fills)[0] and fills[-1] > 0.8
    stand.enter("RAMP", 150.0, wall=0.09)
    assert stand["beam.charge"] == pytest.approx(fills[-1], rel=0.02)
    assert stand["ring-dcct.current"] == pytest.approx(12.0 * fills[-1], rel=0.05)
    stand.enter("FLAT_TOP", 150.0, wall=0.05)
    top = stand["beam.charge"]
    stand.go(0.2)  # 2 s of beam time of a spill of 5 s
    assert top - stand["beam.charge"] == pytest.approx(0.4, abs=0.03)
    stand.enter("RAMP_DOWN", 150.0)
    assert stand["beam.charge"] == 0 and stand["beam.intensity"] == 0


@pytest.mark.requirement("ACS-POWER")
def test_the_rings_magnets_track_each_other_in_the_ramp(stand: SiteStand) -> None:
    stand.cycle(230.0)
    stand.enter("RAMP_DOWN", 230.0, wall=0.06)
    stand.enter("INJECTION", 230.0, wall=0.04)
    stand.plant.cycle("RAMP", 230.0)
    ratios, rigidities = [], []
    for _ in range(7):
        stand.go(0.01)
        dipole, quadrupole = stand["ring-dipole.current"], stand["ring-qf.current"]
        ratios.append(quadrupole / dipole)
        rigidities.append(dipole)
    assert rigidities[0] < rigidities[2] < rigidities[4]
    assert np.ptp(ratios) < 1e-3 * np.mean(ratios)


@pytest.mark.requirement("ACS-SOURCE")
@pytest.mark.parametrize(
    ("device", "kind", "phase"),
    [
        ("ring-qf", "ground", "RAMP"),
        ("ring-dipole", "overcurrent", "RAMP"),
        ("ring-cavity", "arc", "RAMP"),
    ],
)
def test_a_stored_beam_dies_with_its_magnets_and_its_rf(stand: SiteStand, device, kind, phase) -> None:
    wires = [d.wire for d in stand.site.devices if d.tango_class == "RfCavity" and "ring" in d.wire]
    stand.cycle(150.0)
    stand.enter("RAMP_DOWN", 150.0, wall=0.06)
    stand.enter("INJECTION", 150.0, wall=0.04)
    assert stand["beam.charge"] > 0.8
    stand.plant.cycle(phase, 150.0)
    stand.fault(wires[0] if device == "ring-cavity" else device, kind)
    stand.go(0.09)
    assert stand["beam.charge"] < 0.05
    stand.enter("FLAT_TOP", 150.0)
    assert stand["beam.intensity"] == 0 and stand["beam.room"] == 0


@pytest.mark.requirement("ACS-VACUUM")
def test_a_stored_beam_dies_in_bad_vacuum(stand: SiteStand) -> None:
    stand.cycle(150.0)
    stand.plant.world.vacuum_good = False
    before = stand["beam.charge"]
    stand.plant.beam.advance(0.02)
    assert stand.plant.world.charge < 0.1 * before


@pytest.mark.requirement("ACS-SOURCE")
def test_a_closed_gate_of_the_knock_out_stops_the_spill_and_keeps_the_beam(stand: SiteStand) -> None:
    (knock_out,) = stand.site.of_class("RfKnockOut")
    stand.cycle(150.0)
    assert stand["beam.intensity"] > 0.9
    stand.do("set", knock_out.wire, name="gate", value=0)
    stand.go(0.02)
    kept = stand["beam.charge"]
    stand.go(0.2)
    assert stand["beam.intensity"] == 0 and stand["beam.charge"] == pytest.approx(kept, rel=5e-3)
    stand.do("set", knock_out.wire, name="gate", value=1)
    stand.go(0.02)
    assert stand["beam.intensity"] > 0.9


@pytest.mark.requirement("ACS-SOURCE")
def test_the_spill_is_even_and_a_failed_filter_makes_it_rough(stand: SiteStand) -> None:
    """Duty factor <I>^2 / <I^2>, above 0.9 as built."""

    def duty() -> float:
        stand.cycle(150.0)
        flow = []
        for _ in range(35):
            stand.go(0.01)
            flow.append(stand["transport-cup.current"])
        return float(np.mean(flow) ** 2 / np.mean(np.square(flow)))

    stand.do("insert", "transport-cup")
    stand.go(1.5, 0.05)
    assert duty() > 0.9
    stand.fault("ring-qf", "ripple")
    assert duty() < 0.75


@pytest.mark.requirement("ACS-POWER")
def test_a_wrong_ring_quadrupole_takes_the_beam_out_of_resonance(stand: SiteStand) -> None:
    stand.cycle(150.0)
    stand.do("set", "ring-qf", name="setpoint", value=1.02 * stand["ring-qf.setpoint"])
    stand.go(0.05)
    assert stand["beam.intensity"] == 0 and stand["beam.charge"] > 0.5 and stand["beam.ready"] == 0


@pytest.mark.requirement("ACS-SOURCE")
def test_a_failing_bumper_leaves_the_ring_empty(stand: SiteStand) -> None:
    stand.cycle(150.0)
    pulses = stand["ring-bumper1.pulses"]
    stand.fault("ring-bumper2", "charging")
    stand.go(0.02)
    stand.cycle(150.0)
    assert stand["beam.charge"] < 0.01 and stand["ring-bumper1.pulses"] == pulses + 1
    assert stand["ring-bumper2.on"] == 0 and stand["ring-bumper2.ok"] == 0


def test_a_ring_with_its_dipole_alone_has_no_closed_orbit_and_keeps_nothing(nominal) -> None:
    alone = np.where(np.arange(nominal.size) == SUPPLIES.index("ring-dipole"), nominal, 0.0)
    for share in np.linspace(0.5, 1.1, 601):
        ring, optics, _ratio = lattice(share * alone)
        seen = ring.beam(optics, (1e-6, 1e-6), {})
        assert optics is None or np.all(np.isfinite(optics.orbit))
        assert seen.alive[-1] < 1e-6

"""Power supplies, kickers and scanning supplies of the synchrotron site."""

import numpy as np
import pytest
from rig_plant import SiteStand

from common.errors import Refused


@pytest.fixture
def stand() -> SiteStand:
    return SiteStand("synchrotron")


@pytest.fixture(scope="module")
def standing() -> SiteStand:
    """A plant for tests that change nothing in it."""
    return SiteStand("synchrotron")


def load(stand: SiteStand, device: str, **arrays) -> dict[str, np.ndarray]:
    found = {name: np.asarray(values) for name, values in arrays.items()}
    return dict(stand.plant.ask("waveform", {"device": device}, found))


@pytest.mark.requirement("ACS-POWER")
def test_a_waveform_is_followed_and_its_end_is_the_setpoint(stand: SiteStand) -> None:
    load(stand, "transport-bend", t=[0.0, 1.0, 2.0], i=[0.0, 100.0, 40.0])
    stand.go(0.5)
    assert stand["transport-bend.current"] == pytest.approx(50.0, abs=2.0)
    stand.go(0.5)
    assert stand["transport-bend.current"] == pytest.approx(100.0, abs=2.0)
    stand.go(2.0)
    assert stand["transport-bend.current"] == pytest.approx(40.0, abs=0.01)
    assert stand["transport-bend.setpoint"] == 40.0
    answer = load(stand, "transport-bend")
    assert answer["i"].tolist() == [0.0, 100.0, 40.0]
    assert load(stand, "transport-q1")["t"].size == 0


@pytest.mark.requirement("ACS-POWER")
def test_a_setting_and_off_end_a_waveform(stand: SiteStand) -> None:
    for end in ({"verb": "set", "name": "setpoint", "value": 10.0}, {"verb": "off"}):
        stand.do("on", "transport-bend")
        load(stand, "transport-bend", t=[0.0, 10.0], i=[0.0, 1000.0])
        stand.go(0.5)
        body = dict(end)
        stand.do(body.pop("verb"), "transport-bend", **body)
        stand.go(3.0, 0.05)
        assert stand["transport-bend.current"] <= 10.1


@pytest.mark.requirement("ACS-POWER")
@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"t": [0.0, 1.0]}, "arrays t and i"),
        ({"t": [0.0, 1.0], "i": [1.0]}, "one length"),
        ({"t": [0.0], "i": [1.0]}, "one length"),
        ({"t": [0.0, 0.0], "i": [1.0, 2.0]}, "rises from 0"),
        ({"t": [1.0, 2.0], "i": [1.0, 2.0]}, "rises from 0"),
        ({"t": [0.0, np.nan], "i": [1.0, 2.0]}, "rises from 0"),
        ({"t": [0.0, 1.0], "i": [1.0, np.inf]}, "rises from 0"),
        ({"t": [0.0, 1.0], "i": [1.0, 9e3]}, "limits"),
        ({"t": ["a", "b"], "i": [1.0, 2.0]}, "numbers"),
        ({"t": np.arange(5000.0), "i": np.zeros(5000)}, "4096"),
    ],
)
def test_a_waveform_that_cannot_be_followed_is_refused(standing: SiteStand, arrays, why) -> None:
    with pytest.raises(Refused, match=why):
        load(standing, "transport-bend", **arrays)
    assert load(standing, "transport-bend")["t"].size == 0


@pytest.mark.requirement("ACS-POWER")
def test_the_ramp_rate_can_be_set_up_to_what_the_supply_can(stand: SiteStand) -> None:
    stand.do("set", "transport-bend", name="ramp", value=100.0)
    stand.do("set", "transport-bend", name="setpoint", value=500.0)
    before = stand["transport-bend.current"]
    stand.go(0.2)  # 2 s of beam time
    assert stand["transport-bend.current"] - before == pytest.approx(200.0, abs=3.0)
    assert stand["transport-bend.ramp"] == 100.0
    for value in (0.0, -1.0, 1e6):
        with pytest.raises(Refused, match="outside its limits"):
            stand.do("set", "transport-bend", name="ramp", value=value)


@pytest.mark.requirement("ACS-POWER")
def test_a_supply_without_cooling_gets_hot_and_trips(stand: SiteStand) -> None:
    stand.do("set", "transport-bend", name="setpoint", value=1400.0)
    stand.go(300.0, 0.5)
    warm = stand["transport-bend.temperature"]
    assert 40.0 < warm < 60.0
    stand.fault("transport-bend", "cooling")
    stand.go(120.0, 0.5)
    assert stand["transport-bend.fault"] == 2 and stand["transport-bend.on"] == 0
    assert stand["transport-bend.current"] < 1.0
    with pytest.raises(Refused, match="fault 2"):
        stand.do("on", "transport-bend")
    stand.clear("transport-bend")
    stand.go(400.0, 0.5)
    stand.do("reset", "transport-bend")
    stand.do("on", "transport-bend")
    assert stand["transport-bend.temperature"] < 30.0


@pytest.mark.requirement("ACS-POWER")
def test_ripple_has_the_declared_size_and_a_failed_filter_makes_it_fifty_times_that(stand: SiteStand) -> None:
    stand.do("set", "transport-bend", name="setpoint", value=1000.0)
    stand.go(2.0)

    def spread() -> float:
        readings = []
        for _ in range(200):
            stand.plant.step(0.00137)
            readings.append(stand["transport-bend.current"])
        return float(np.std(readings) / np.mean(readings))

    sound = spread()
    assert sound == pytest.approx(1e-5, rel=0.2)
    stand.fault("transport-bend", "ripple")
    assert spread() == pytest.approx(50 * sound, rel=0.2)


@pytest.mark.requirement("ACS-POWER")
def test_every_kind_of_fault_of_the_beam_equipment_shows_and_goes(stand: SiteStand) -> None:
    classes = ("MagnetSupply", "KickerSupply", "ScanningSupply", "BeamStopper", "Slit", "FaradayCup")
    classes += ("BeamPositionMonitor", "ProfileMonitor", "BeamLossMonitor", "CurrentTransformer")
    for name in classes:
        family = stand.plant.families[name]
        device = family.devices[0].wire
        assert family.faults, name
        for kind, fault in family.faults.items():
            stand.fault(device, kind)
            stand.go(0.02)
            assert stand[f"{device}.fault"] == fault.code, (name, kind)
            if fault.code:
                assert stand[f"{device}.ok"] == 0, (name, kind)
            stand.clear(device)
            if family.latching and fault.code:
                assert stand[f"{device}.fault"] == fault.code
                stand.do("reset", device)
            stand.go(0.02)
            assert stand[f"{device}.fault"] == 0, (name, kind)


@pytest.mark.requirement("ACS-POWER")
def test_a_kicker_charges_and_fires_once_a_cycle(stand: SiteStand) -> None:
    assert stand["ring-bumper1.voltage"] == pytest.approx(20.0, rel=0.01)
    stand.do("set", "ring-bumper1", name="setpoint", value=10.0)
    stand.go(0.5)
    assert stand["ring-bumper1.voltage"] == pytest.approx(10.0, rel=0.01)
    before = stand["ring-bumper1.pulses"]
    for _ in range(3):
        stand.cycle(150.0)
    assert stand["ring-bumper1.pulses"] == before + 3
    assert stand["beam.charge"] < 0.01  # at half its voltage nothing is injected
    stand.do("off", "ring-bumper1")
    stand.go(0.5)
    assert stand["ring-bumper1.voltage"] < 0.1
    with pytest.raises(Refused, match="outside its limits"):
        stand.do("set", "ring-bumper1", name="setpoint", value=100.0)
